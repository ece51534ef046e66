"""`elicense import`: files in, counts out. Progress goes to stderr, the summary is the last line of stdout."""

import argparse
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, TextIO

from app.adapters.import_files import (
    RefusedRowWriter,
    SourceTable,
    ignored_headers,
    mapping_for,
    read_mapping,
    read_table,
)
from app.cli.common import (
    DONE,
    ERROR,
    REFUSED,
    UsageError,
    complain,
    describe,
    guarded,
    say,
    say_json,
    settings_of,
    with_services,
)
from app.cli.progress import progress
from app.domain.errors import DomainError
from app.domain.import_batch import ImportFileError, ImportMap, ImportSummary, RefusedRow
from app.services.container import Services
from app.services.importing import ImportJob, ImportService
from elicense.import_reasons import IMPORT_REASONS

_PRIVATE: Final = 0o600


def import_file(arguments: argparse.Namespace) -> int:
    """Import a file; exit 0 when every row is good, 1 when some were refused."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)
        _require_another_file(arguments.errors, arguments.file, arguments.map)
        try:
            table = read_table(arguments.file)
            mapping = mapping_for(table, None if arguments.map is None else read_mapping(arguments.map))
            job = ImportJob(
                authority_code=arguments.authority,
                type_code=arguments.type,
                mapping=mapping,
                headers=table.headers,
                allow_holder_change=arguments.allow_holder_change,
            )
            return with_services(settings, lambda services: _run(services, table, job, arguments))
        except DomainError as error:
            # What speaks of a row is listed: this stopped the run, and 1 would say that every row was looked at.
            complain(describe(error))
            return ERROR
        except ImportFileError as error:
            raise UsageError(str(error)) from error

    return guarded(command)


async def _run(services: Services, table: SourceTable, job: ImportJob, arguments: argparse.Namespace) -> int:
    service = ImportService(
        store=services.store,
        issuing=services.issuing,
        amending=services.amending,
        directory=services.directory,
    )
    with ExitStack() as stack:
        refuse = _list_refused
        if arguments.errors is not None:
            out = stack.enter_context(_complete_file(arguments.errors))
            refuse = RefusedRowWriter(out, table.headers).write
        advance = stack.enter_context(progress("导入 importing", table.count()))
        summary = await service.run(
            table.rows(),
            job,
            actor=f"import:{job.authority_code}",
            dry_run=arguments.dry_run,
            on_refused=refuse,
            on_progress=advance,
        )
    _name_ignored(table, job.mapping)
    _report(summary, arguments)
    return REFUSED if summary.refused else DONE


def _require_another_file(errors: Path | None, *sources: Path | None) -> None:
    """Raise UsageError when the list of refused rows would take the place of a file that is read."""
    if errors is None or not errors.exists():
        return
    for source in sources:
        if source is not None and source.exists() and errors.samefile(source):
            raise UsageError(
                f"--errors 不得为读入的文件 must not be a file that is read: {errors}",
            )


@contextmanager
def _complete_file(path: Path) -> Iterator[TextIO]:
    """Open a file that takes its place only when it is complete: a run that stops leaves the one before.

    It holds rows of a register: one that is new is its owner's alone, one that was there keeps its mode.
    """
    if path.exists() and not path.is_file():
        # A device or a pipe: nothing may take its place.
        with path.open("w", encoding="utf-8-sig", newline="") as out:
            yield out
        return
    # Where a link leads, not the link itself.
    place = path.resolve()
    mode = stat.S_IMODE(place.stat().st_mode) if place.exists() else _PRIVATE
    # A name that nobody can have laid a link under, to lead the rows elsewhere.
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.", suffix=".part")
    part = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8-sig", newline="") as out:
            yield out
        part.chmod(mode)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)


def _name_ignored(table: SourceTable, mapping: ImportMap) -> None:
    ignored = ignored_headers(table, mapping)
    if ignored:
        complain(f"提示 note: 未采用的列 columns that nothing is taken from: {', '.join(ignored)}")


def _list_refused(refused: RefusedRow) -> None:
    text = IMPORT_REASONS[refused.code]
    complain(f"第 {refused.row.line} 行 line: {refused.column} {refused.code} {text.zh} {text.en}")


def _report(summary: ImportSummary, arguments: argparse.Namespace) -> None:
    if summary.areas_replaced:
        complain(
            f"提示 note: {summary.areas_replaced} 行的区域无法识别,已采用持证主体或颁发机构的区域 "
            "rows had no readable area; the holder's or the authority's own was used"
        )
    if summary.ends_missing:
        complain(
            f"提示 note: {summary.ends_missing} 行未给出有效期止,按长期有效处理 "
            "rows gave no valid_until and are long-term now"
        )
    counts = {
        "rows": summary.rows,
        "accepted": summary.accepted,
        "unchanged": summary.unchanged,
        "amended": summary.amended,
        "refused": summary.refused,
    }
    if arguments.json:
        say_json(counts)
        return
    prefix = "(试运行 dry run) " if arguments.dry_run else ""
    say(
        f"{prefix}共 {summary.rows} 行 rows:签发 accepted {summary.accepted},不变 unchanged {summary.unchanged},"
        f"变更 amended {summary.amended},拒绝 refused {summary.refused}"
    )
