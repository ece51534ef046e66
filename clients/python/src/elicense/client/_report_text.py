"""Reports as text for people: a clear verdict line, every check, and what was shown, nothing hidden."""

from collections.abc import Mapping
from typing import Final

from elicense.limits import limits_of
from elicense.problems import REASONS, Text
from elicense.report import Lang, Outcome, Verdict, VerificationReport, rfc3339

VERDICTS: Final[Mapping[Verdict, Text]] = {
    Verdict.VALID: Text("有效", "VALID"),
    Verdict.INVALID: Text("无效", "INVALID"),
    Verdict.INDETERMINATE: Text("无法判断", "CANNOT TELL"),
}
MARKS: Final[Mapping[Outcome, str]] = {
    Outcome.PASSED: "✓",
    Outcome.FAILED: "✗",
    Outcome.CANNOT_TELL: "?",
    Outcome.SKIPPED: "-",
}
_LABELS: Final[Mapping[str, Text]] = {
    "type_name": Text("证照类型", "License type"),
    "number": Text("证照编号", "Number"),
    "identifier": Text("证照标识", "Identifier"),
    "authority_name": Text("颁发机构", "Issuing authority"),
    "valid_from": Text("有效期起", "Valid from"),
    "valid_until": Text("有效期止", "Valid until"),
}
_ELEMENTS: Final[Mapping[str, Text]] = {
    "company_type": Text("类型", "Company type"),
    "legal_representative": Text("法定代表人(负责人、经营者)", "Legal representative"),
    "person_in_charge": Text("负责人", "Person in charge"),
    "operator": Text("经营者", "Operator"),
    "investor": Text("投资人", "Investor"),
    "executive_partner": Text("执行事务合伙人", "Executive partner"),
    "registered_capital": Text("注册资本", "Registered capital"),
    "established_date": Text("成立日期", "Established"),
    "address": Text("住所(经营场所)", "Address"),
    "business_address": Text("经营场所", "Business address"),
    "business_scope": Text("经营范围", "Business scope"),
    "business_term": Text("营业期限", "Business term"),
    "registration_authority": Text("登记机关", "Registration authority"),
    "registered_on": Text("核准日期", "Registered on"),
    "permitted_scope": Text("许可范围", "Permitted scope"),
    "operating_items": Text("经营项目", "Operating items"),
    "quality_manager": Text("质量负责人", "Quality manager"),
    "contact_phone": Text("联系电话", "Contact phone"),
}
_LONG_TERM: Final = Text("长期", "long-term")
_HOLDER: Final = Text("持证主体", "Holder")
_TEST: Final = Text("测试环境签发的证照,不具法律效力。", "Issued in a test environment: of no legal effect.")
_VERIFIED: Final = Text("核验时刻", "Verified at")
_OF_THEN: Final = Text(
    "判断的是 {at} 的情形,不说明核验时是否有效。",
    "Judged for {at}: it does not say what held when this was verified.",
)
_AGES: Final = Text("依据的时效,以及由此不能说明的", "How old the evidence is, and what it cannot claim")
_PARTS: Final[Mapping[str, Text]] = {
    "trust_root": Text("信任根", "Trust root"),
    "trust_list": Text("信任列表", "Trust list"),
    "freshness": Text("新鲜度声明", "Freshness statement"),
    "checkpoint": Text("存证日志检查点", "Log checkpoint"),
    "status_list": Text("状态列表", "Status list"),
    "log_proof": Text("存证日志证明", "Log proof"),
}
_POLICY: Final = Text("核验策略", "Policy")


def printable(text: str) -> str:
    """Return text that is safe on a terminal: control and other unprintable characters are written out."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in text)


def render_report(report: VerificationReport, *, name: str, lang: Lang) -> str:
    """Render one report of an offline verification; everything from the file is made printable."""
    verdict = VERDICTS[report.verdict].in_language(lang)
    lines = [f"{verdict}  [{report.verdict.value}/{report.reason.value}]  {printable(name)}"]
    lines.append(f"  {report.reason_text(lang)}")
    if not report:
        lines.append(f"  → {REASONS[report.reason].action.in_language(lang)}")
    lines.append(f"  {_VERIFIED.in_language(lang)}: {rfc3339(report.verified_at)}")
    if report.evaluated_at != report.verified_at:
        lines.append(f"  ! {_OF_THEN.in_language(lang).format(at=rfc3339(report.evaluated_at))}")
    if report.env == "test" and report.shown is not None:  # of what was not issued nobody knows where it was
        lines.append(f"  ! {_TEST.in_language(lang)}")
    for check in report.checks:
        detail = f" ({printable(check.detail)})" if check.detail else ""
        lines.append(f"  {MARKS[check.outcome]} {check.message(lang)}{detail}")
    for element in report.elements:
        lines.append(f"  · {printable(element.name)}: {element.outcome.value}")
    for warning in report.warnings:
        lines.append(f"  ! {warning.text.in_language(lang)}")
    lines.extend(_license_lines(report, lang))
    lines.extend(_evidence_lines(report, lang))
    return "\n".join(lines)


def _license_lines(report: VerificationReport, lang: Lang) -> list[str]:
    shown = report.license
    if shown is None:
        return []
    lines = []
    holder = shown.get("holder")
    if isinstance(holder, dict):
        who = f"{holder.get('name', '')}  {holder.get('code', '')}"
        lines.append(f"  {_HOLDER.in_language(lang)}: {printable(who)}")
    for member, label in _LABELS.items():
        value = shown.get(member)
        text = _LONG_TERM.in_language(lang) if value is None else printable(str(value))
        lines.append(f"  {label.in_language(lang)}: {text}")
    elements = shown.get("elements")
    for element, value in elements.items() if isinstance(elements, dict) else ():
        known = _ELEMENTS.get(element)
        name = printable(element) if known is None else known.in_language(lang)
        lines.append(f"  {name}: {printable(str(value))}")
    return lines


def _evidence_lines(report: VerificationReport, lang: Lang) -> list[str]:
    lines = [f"  {_POLICY.in_language(lang)}: {report.policy.id} v{report.policy.version}"]
    lines.append(f"  {_AGES.in_language(lang)}")
    for age in report.evidence_ages():
        part = _PARTS.get(age.part)
        title = age.part if part is None else part.in_language(lang)
        shown = "" if age.age_seconds is None else f" {_old(age.age_seconds, age.limit_seconds, lang)}"
        lines.append(f"    {title}{shown}")
        lines.append(f"      {age.note.in_language(lang)}")
    lines.extend(f"    - {limit.text.in_language(lang)}" for limit in limits_of(report))
    return lines


def _old(seconds: int, limit: int | None, lang: Lang) -> str:
    age = age_text(seconds, lang)
    most = "" if limit is None else age_text(limit, lang)
    if lang == "zh":
        return f"已 {age}" + (f"(不超过 {most})" if most else "")
    return f"{age} old" + (f" (counts for {most})" if most else "")


def age_text(seconds: int, lang: Lang) -> str:
    """Write an age exactly, to the second; what lies in the future is no time old."""
    rest = max(0, seconds)
    parts: list[str] = []
    for length, zh, en in ((86400, "天", "d"), (3600, "小时", "h"), (60, "分", "min"), (1, "秒", "s")):
        count, rest = divmod(rest, length)
        if count or (length == 1 and not parts):
            parts.append(f"{count} {zh if lang == 'zh' else en}")
    return " ".join(parts)
