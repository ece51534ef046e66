"""Imports as tests run them: a file in, counts, refused rows and the errors file out."""

import io
from dataclasses import dataclass, field
from pathlib import Path

from app.adapters.import_files import RefusedRowWriter, mapping_for, read_mapping, read_table
from app.domain.import_batch import ImportMap, ImportSummary, RefusedRow
from app.domain.license import LicenseFilter
from app.ports import LicenseSnapshot, UnitOfWork
from app.services.container import Services
from app.services.demo_directory import BUSINESS_LICENSE, authority_code
from app.services.importing import ImportJob, ImportService
from tests.register_file import MAPPING

NANJING = authority_code("market", "320100")


@dataclass
class Run:
    """One import: its counts, the refused rows, the errors file."""

    summary: ImportSummary
    refused: list[RefusedRow] = field(default_factory=list)
    errors: str = ""

    @property
    def listed(self) -> list[tuple[int, str, str]]:
        """Line, column and reason of each refused row."""
        return [(one.row.line, one.column, one.code) for one in self.refused]


async def run_import(
    services: Services,
    folder: Path,
    text: str | bytes,
    *,
    mapping: str | None = MAPPING,
    dry_run: bool = False,
    authority: str = NANJING,
    type_code: str = BUSINESS_LICENSE,
    allow_holder_change: bool = False,
) -> Run:
    """Import a file (a text as GB18030) under a mapping file, or under none."""
    source = folder / "register.csv"
    source.write_bytes(text if isinstance(text, bytes) else text.encode("gb18030"))
    read_map: ImportMap | None = None
    if mapping is not None:
        (folder / "map.toml").write_text(mapping, encoding="utf-8")
        read_map = read_mapping(folder / "map.toml")
    table = read_table(source)
    job = ImportJob(
        authority_code=authority,
        type_code=type_code,
        mapping=mapping_for(table, read_map),
        headers=table.headers,
        allow_holder_change=allow_holder_change,
    )
    out = io.StringIO()
    writer = RefusedRowWriter(out, table.headers)
    refused: list[RefusedRow] = []

    def refuse(row: RefusedRow) -> None:
        refused.append(row)
        writer.write(row)

    service = ImportService(
        store=services.store,
        issuing=services.issuing,
        amending=services.amending,
        directory=services.directory,
    )
    summary = await service.run(
        table.rows(), job, actor="test", dry_run=dry_run, on_refused=refuse, on_progress=lambda _: None
    )
    return Run(summary, refused, out.getvalue())


async def all_issued(services: Services, *, authority: str = NANJING) -> list[LicenseSnapshot]:
    """Return every license of an authority with its current version."""
    where = LicenseFilter(authority_code=authority)

    async def read(work: UnitOfWork) -> list[LicenseSnapshot]:
        found: list[LicenseSnapshot] = []
        cursor: str | None = None
        while True:
            page, cursor = await work.licenses.page(where, cursor=cursor, limit=500)
            found.extend((await work.licenses.snapshots([one.id for one in page])).values())
            if cursor is None:
                return found

    return await services.store.read(read)
