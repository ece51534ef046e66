"""`elicense log audit`: what was found, one line each, or all of it as JSON."""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from app.cli.common import (
    DONE,
    REFUSED,
    UsageError,
    complain,
    guarded,
    read_input,
    say,
    say_json,
    settings_of,
)
from app.services.log_audit import AuditReport
from app.services.log_audit_report import Fault, Pending
from app.settings import Settings
from elicense.problems import FormatError
from elicense.report import Lang
from elicense.trust_root import MAX_ROOT_BYTES, parse_trust_root

FMT: Final = 1
_WORDS: Final[Mapping[Lang, tuple[str, str, str, str, str]]] = {
    "zh": ("待完成", "应为", "已核", "一致", "有问题"),
    "en": ("pending", "expected", "checked", "clean", "faults"),
}


def audit(arguments: argparse.Namespace) -> int:
    """Audit the register; exit 1 when something is wrong."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)
        root = None if arguments.trust_root is None else _pinned(arguments.trust_root)
        report = asyncio.run(_run(settings, root))
        if arguments.json:
            say_json(report_json(report, lang=arguments.lang))
        else:
            _show(report, lang=arguments.lang)
        return DONE if report.clean else REFUSED

    return guarded(command)


def _pinned(path: Path) -> bytes:
    # Checked before anything is audited: a wrong file is no fault of the register.
    content = read_input(path, MAX_ROOT_BYTES)
    try:
        parse_trust_root(content)
    except FormatError as error:
        raise UsageError(f"--trust-root {path}: 不是信任根 no trust root: {error.detail}") from error
    return content


async def _run(settings: Settings, root: bytes | None) -> AuditReport:
    # Imported late: the database drivers take longer than everything a wrong command line needs.
    from app.bootstrap import open_log_audit

    async with open_log_audit(settings, pinned_root=root) as service:
        return await service.run(tell=lambda what, count: complain(f"已核 checked: {what} {count}"))


def report_json(report: AuditReport, *, lang: Lang) -> Mapping[str, object]:
    """Return the report as it is printed: {fmt, clean, checked, pending, faults}."""
    return {
        "fmt": FMT,
        "clean": report.clean,
        "checked": dict(report.checked),
        "pending": [_pending_json(one) for one in report.pending],
        "faults": [_fault_json(one, lang=lang) for one in report.faults],
    }


def _pending_json(one: Pending) -> Mapping[str, object]:
    return {"where": one.where, "identifier": one.identifier}


def _fault_json(one: Fault, *, lang: Lang) -> Mapping[str, object]:
    return {
        "license": one.license,
        "identifier": one.identifier,
        "where": one.where,
        "expected": getattr(one.expected.value, lang),
    }


def _show(report: AuditReport, *, lang: Lang) -> None:
    words = {
        "zh": ("待完成", "应为", "已核", "一致", "有问题"),
        "en": ("pending", "expected", "checked", "clean", "faults"),
    }
    pending, expected, checked, clean, faults = words[lang]
    for fault in report.faults:
        name = f"{fault.identifier or '-'} {fault.license or '-'}"
        say(f"{name} {fault.where} {expected}: {getattr(fault.expected.value, lang)}")
    for one in report.pending:
        say(f"{one.identifier or '-'} - {one.where} {pending}")
    say(f"{checked}: " + ", ".join(f"{name} {count}" for name, count in report.checked.items()))
    say(clean if report.clean else f"{faults}: {len(report.faults)}")
