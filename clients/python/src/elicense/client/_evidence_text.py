"""A repeated judgement as text and as JSON: what it says now, what was kept, and what it rests on."""

from elicense.client._report_text import printable, render_report
from elicense.encoding import JsonValue
from elicense.evidence_file import KeptEvidence, Repeated
from elicense.problems import Text
from elicense.report import Lang, rfc3339

_REPEATED = Text(
    "重复 {made} 的判断(证据文件存于 {kept}),不说明现在是否有效。",
    "The judgement of {made}, repeated (kept at {kept}): it does not say what holds now.",
)
_SAME = Text("与当时保存的结论一致", "the same as the answer kept then")
_OTHER = Text(
    "!! 与当时保存的结论不一致:{names}(当时:{verdict}/{reason})",
    "!! not the answer kept then: {names} differ (kept: {verdict}/{reason})",
)
_ROOT = Text("信任根 sha256 {digest}", "trust root sha256 {digest}")
_PINNED = Text("由 --trust-root 指定", "named by --trust-root")
_UNPINNED = Text(
    "!! 信任根取自证据文件本身:须与另行取得的摘要核对,或用 --trust-root 指定。"
    "在此之前,这只说明材料自相一致,不说明其为真。",
    "!! the trust root came with the evidence: compare its digest with one obtained another way, or name "
    "--trust-root. Until then this shows that the material agrees with itself, not that it is genuine.",
)
_WORD = Text(
    "时刻、策略与所问要素为保存者所述;签名材料可独立核对。",
    "Moment, policy and asked elements are the word of whoever kept them; the signed documents can be checked.",
)


def render_repeated(kept: KeptEvidence, repeated: Repeated, *, name: str, lang: Lang) -> str:
    """Render a repeated judgement for people."""
    made, at = rfc3339(kept.judgement.now), rfc3339(kept.created_at)
    verdict_line, *rest = render_report(repeated.report, name=name, lang=lang).split("\n")
    # Beside the verdict: what held then is not to be taken for what holds now.
    lines = [verdict_line, f"  {_REPEATED.in_language(lang).format(made=made, kept=at)}", *rest]
    if repeated.differences:
        verdict, reason = (printable(str(kept.report.get(member))) for member in ("verdict", "reason"))
        names = printable(", ".join(repeated.differences))
        lines.append(f"  {_OTHER.in_language(lang).format(names=names, verdict=verdict, reason=reason)}")
    else:
        lines.append(f"  = {_SAME.in_language(lang)}")
    root = _ROOT.in_language(lang).format(digest=repeated.root_sha256)
    lines.append(f"  {root}{f'({_PINNED.in_language(lang)})' if repeated.pinned else ''}")
    if not repeated.pinned:
        lines.append(f"  {_UNPINNED.in_language(lang)}")
    lines.append(f"  {_WORD.in_language(lang)}")
    return "\n".join(lines)


def repeated_json(kept: KeptEvidence, repeated: Repeated, lang: Lang) -> dict[str, JsonValue]:
    """Give a repeated judgement as JSON: its report, and under `evidence` how it compares."""
    kept_answer: dict[str, JsonValue] = {
        member: kept.report.get(member) for member in ("verdict", "reason", "verified_at")
    }
    return {
        **repeated.report.to_json(lang),
        "evidence": {
            "created_at": rfc3339(kept.created_at),
            "same": not repeated.differences,
            "differences": list(repeated.differences),
            "kept": kept_answer,
            "trust_root_sha256": repeated.root_sha256,
            "trust_root_pinned": repeated.pinned,
        },
    }
