"""Which of the two languages a caller reads: Chinese first, English when asked for (RFC 9110 §12.5.4)."""

import re
from typing import Literal

Language = Literal["zh", "en"]

_RANGE = re.compile(
    r"[ \t]*([A-Za-z]{1,8}|\*)(?:-[A-Za-z0-9]{1,8})*[ \t]*(?:;[ \t]*q[ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)[ \t]*)?"
)


def choose_language(accept_language: str | None) -> Language:
    """Return the language Accept-Language prefers among ours; Chinese without one, or when none fits.

    Of equal weights the one named first wins. Parts that are not well-formed are passed over: a bad preference
    never costs the caller the answer.
    """
    if not accept_language:
        return "zh"
    best: Language = "zh"
    best_quality = 0.0
    for part in accept_language.split(",")[:32]:
        matched = _RANGE.fullmatch(part)
        if matched is None:
            continue
        quality = float(matched[2]) if matched[2] else 1.0
        language: Language | None = {"zh": "zh", "en": "en", "*": "zh"}.get(matched[1].lower())  # type: ignore[assignment]
        if language is not None and quality > best_quality:
            best, best_quality = language, quality
    return best
