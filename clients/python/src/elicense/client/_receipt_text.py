"""Receipts as text for people: whether it holds, every check, and all that it states."""

from collections.abc import Iterator, Mapping
from typing import Final

from elicense.client._report_text import MARKS, VERDICTS, printable
from elicense.encoding import JsonValue, from_unix
from elicense.problems import REASONS, FormatError, Reason, Text
from elicense.receipt import Receipt
from elicense.receipt_check import RECEIPT_CHECK_TITLES, ReceiptCheckId, ReceiptReport
from elicense.receipt_texts import receipt_text
from elicense.report import Lang, Outcome, Verdict, rfc3339
from elicense.signed_note import Checkpoint, parse_checkpoint_text, parse_note

_VERDICTS: Final[Mapping[Verdict, Text]] = {
    Verdict.VALID: Text("回执成立", "RECEIPT HOLDS"),
    Verdict.INVALID: Text("回执不成立", "RECEIPT DOES NOT HOLD"),
    Verdict.INDETERMINATE: Text("无法判断", "CANNOT TELL"),
}
_OUTCOMES: Final[Mapping[Outcome, Text]] = {
    Outcome.PASSED: Text("通过", "passed"),
    Outcome.FAILED: Text("未通过", "failed"),
    Outcome.CANNOT_TELL: Text("无法判断", "cannot tell"),
    Outcome.SKIPPED: Text("未检查", "not checked"),
}
_STATES: Final = Text("回执所述", "What it states")
_UNVERIFIED: Final = Text("回执所述(未经核验 UNVERIFIED)", "What it states (UNVERIFIED)")
_ANSWERED: Final = Text("所述结论", "It states")
_MEANING: Final = Text(
    "成立只说明服务作出过该答复,不说明证照现在有效,也不涉及答复中的其他内容。",
    "That it holds means that the service gave this answer, not that the license is in force now; it covers nothing "
    "else of the answer.",
)
_TEST: Final = Text("测试环境的回执,不具法律效力。", "A receipt of a test environment: of no legal effect.")
_LABELS: Final[Mapping[str, Text]] = {
    "id": Text("回执编号", "Receipt"),
    "issuer": Text("出具方", "Issued by"),
    "audience": Text("用证方", "Issued to"),
    "issued_at": Text("出具时间", "Issued at"),
    "answer": Text("结论", "Answer"),
    "evaluated_at": Text("判断时刻", "Judged for"),
    "purpose": Text("用途", "Purpose"),
    "elements": Text("信息比对", "Elements"),
    "policy": Text("核验策略", "Policy"),
    "trust_list": Text("信任列表", "Trust list"),
    "status": Text("状态来源", "Status"),
    "question": Text("问题摘要", "Question digest"),
    "reference": Text("业务编号摘要", "Reference digest"),
    "batch": Text("批量结果", "Batch"),
    "checkpoint": Text("当时的存证日志", "Log when issued"),
    "engine": Text("判断程序", "Engine"),
    "logged": Text("回执日志", "Receipts' log"),
    "anchored": Text("固定于存证日志", "Fixed in the log"),
}


def render_receipt_report(report: ReceiptReport, *, name: str, lang: Lang) -> str:
    """Render what became of a receipt; everything from the file is made printable."""
    verdict = _VERDICTS[report.verdict].in_language(lang)
    lines = [f"{verdict}  [{report.verdict.value}/{report.reason.value}]  {printable(name)}"]
    if not report:
        lines.append(f"  {receipt_text(report.reason).in_language(lang)}")
    separator = ":" if lang == "zh" else ": "
    believed = report.check(ReceiptCheckId.SIGNATURE).outcome is Outcome.PASSED
    if believed and report.receipt is not None and report.receipt.verdict in set(Verdict):
        # Beside the headline, whose `valid` speaks of the receipt: the license may well have been refused.
        answered = VERDICTS[Verdict(report.receipt.verdict)].in_language(lang)
        lines.append(f"  {_ANSWERED.in_language(lang)}: {answered}  ({rfc3339(report.receipt.issued_at)})")
    for check in report.checks:
        title = RECEIPT_CHECK_TITLES[check.id].in_language(lang)
        detail = f" ({printable(check.detail)})" if check.detail else ""
        outcome = _OUTCOMES[check.outcome].in_language(lang)
        lines.append(f"  {MARKS[check.outcome]} {title}{separator}{outcome}{detail}")
    if report.receipt is not None:
        lines.append(f"  {(_STATES if believed else _UNVERIFIED).in_language(lang)}")
        if report.receipt.env == "test":
            lines.append(f"    ! {_TEST.in_language(lang)}")
        rows = [*_stated(report.receipt, lang), *_proven(report)]
        lines.extend(f"    {_LABELS[label].in_language(lang)}: {printable(text)}" for label, text in rows)
    lines.append(f"  {_MEANING.in_language(lang)}")
    return "\n".join(lines)


def _stated(receipt: Receipt, lang: Lang) -> Iterator[tuple[str, str]]:
    stated = receipt.payload
    yield "id", receipt.id
    yield "issuer", receipt.issuer
    yield "audience", receipt.audience
    yield "issued_at", rfc3339(receipt.issued_at)
    if receipt.batch is not None:
        summary = stated.get("summary")
        counts = summary.items() if isinstance(summary, dict) else ()
        yield "batch", f"{receipt.batch.size}  {', '.join(f'{name} {count}' for name, count in counts)}"
    if receipt.verdict is not None and receipt.reason is not None:
        yield "answer", f"{receipt.verdict} / {receipt.reason}  {_reason_text(receipt.reason, lang)}"
    yield from _details(stated)
    yield "checkpoint", _checkpoint_text(stated.get("checkpoint"))
    yield "engine", receipt.engine


def _details(stated: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    evaluated = stated.get("evaluated_at")
    if type(evaluated) is int:
        yield "evaluated_at", _moment(evaluated)
    if isinstance(stated.get("purpose"), str):
        yield "purpose", str(stated["purpose"])
    elements = stated.get("elements")
    if isinstance(elements, list) and elements:
        named = [element for element in elements if isinstance(element, dict)]
        yield "elements", ", ".join(f"{one.get('name')} {one.get('outcome')}" for one in named)
    policy, trust, status = (_members(stated, name) for name in ("policy", "trust_list", "status_source"))
    if policy:
        yield "policy", f"{policy.get('id')} v{policy.get('version')}  sha256 {policy.get('sha256')}"
    if trust:
        yield "trust_list", f"{trust.get('seq')}  sha256 {trust.get('sha256')}"
    if status:
        names = [f"{name} {value}" for name, value in status.items() if value is not None]
        yield "status", ", ".join(names)
    for name in ("question", "reference"):
        digest = _members(stated, name)
        if digest:
            yield name, f"{digest.get('alg')} {digest.get('digest')}"


def _proven(report: ReceiptReport) -> Iterator[tuple[str, str]]:
    for label, checkpoint in (("logged", report.logged), ("anchored", report.anchored)):
        if checkpoint is not None:
            yield label, _tree_text(checkpoint)


def _members(stated: Mapping[str, JsonValue], name: str) -> Mapping[str, JsonValue]:
    value = stated.get(name)
    return value if isinstance(value, dict) else {}


def _moment(seconds: int) -> str:
    try:
        return rfc3339(from_unix(seconds))
    except FormatError:
        return str(seconds)  # beyond every calendar: shown as it stands


def _reason_text(reason: str, lang: Lang) -> str:
    return REASONS[Reason(reason)].text.in_language(lang) if reason in set(Reason) else ""


def _checkpoint_text(value: JsonValue) -> str:
    if not isinstance(value, str):
        return "-"
    try:
        text = parse_note(value).text if "\n\n" in value else value
        return _tree_text(parse_checkpoint_text(text))
    except FormatError:
        return "?"


def _tree_text(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.origin}  {checkpoint.size}  {checkpoint.root.hex()}"
