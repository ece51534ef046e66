"""Fold texts, names, codes and scopes, so that two ways of writing one value become one text.

Every function is total: it takes any text, never raises, and folding what is folded changes nothing.
"""

import re
import unicodedata

from elicense.han_variants import SIMPLIFIED

MAX_FOLDED = 20_000
"""Longer values (in characters) are compared as they stand: no license holds one, and folding must stay cheap."""

_BRACKETS = str.maketrans({
    "〔": "(", "〕": ")", "【": "(", "】": ")", "［": "(", "］": ")", "[": "(", "]": ")",
    "｛": "(", "｝": ")", "{": "(", "}": ")", "〈": "(", "〉": ")", "《": "(", "》": ")",
    "「": "(", "」": ")", "『": "(", "』": ")", "〖": "(", "〗": ")", "﹝": "(", "﹞": ")",
})  # fmt: skip
_WHITE_SPACE = re.compile(r"[\s\u200b-\u200d\u2060\ufeff]+")
_MIDDLE_DOTS = "·•‧∙⋅・･ꞏ᛫\u0387"
_NAME_SEPARATORS = str.maketrans({"、": ",", "，": ",", **dict.fromkeys(_MIDDLE_DOTS, "·")})
_PERSON_SEPARATORS = str.maketrans(dict.fromkeys(_MIDDLE_DOTS + ".", ""))
_ASCII_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_CODE_SEPARATORS = re.compile(r"[-\u00ad\u2010-\u2015\u2212]+")
_INNER_SEPARATORS = str.maketrans({"、": ",", "，": ",", ";": ",", "；": ",", "。": ",", "｡": ","})
_SEPARATORS = frozenset(";；,，、。｡.")
_DIGITS = frozenset("0123456789")


def fold_text(text: str) -> str:
    """Fold any value: NFKC, every bracket to round ones, all white space removed."""
    # Composed once more: what white space (or one without width) held apart may now belong together.
    folded = _WHITE_SPACE.sub("", unicodedata.normalize("NFKC", text).translate(_BRACKETS))
    return unicodedata.normalize("NFKC", folded)


def fold_han(text: str) -> str:
    """Fold as `fold_text`, and traditional characters to their simplified forms."""
    return fold_text(text).translate(SIMPLIFIED)


def fold_name(text: str) -> str:
    """Fold the name of an organization: as `fold_han`, and each kind of separator (、,·) to one."""
    return fold_han(text).translate(_NAME_SEPARATORS)


def fold_person_name(text: str) -> str:
    """Fold the name of a person: as `fold_han`, middle dots removed, Latin letters in upper case."""
    return _recomposed(fold_han(text).translate(_PERSON_SEPARATORS).translate(_ASCII_UPPER))


def fold_code(text: str) -> str:
    """Fold a code: as `fold_text`, hyphens removed, Latin letters in upper case."""
    return _recomposed(_CODE_SEPARATORS.sub("", fold_text(text)).translate(_ASCII_UPPER))


def fold_scope(text: str) -> str:
    """Fold a business scope to its items in one order, each under its heading (`许可项目:`), none left out.

    Separators inside brackets do not part items. Two scopes fold to one text only when they have the same items, each
    as often, under the same headings.
    """
    folded = fold_han(text)
    if not _is_balanced(folded):
        return folded.translate(_INNER_SEPARATORS)  # nobody can say which items there are: their order counts
    items: list[tuple[str, str]] = []
    heading, used = "", True
    for item in _scope_items(folded):
        before, colon, after = item.partition(":")
        if colon and "(" not in before:
            if not used:
                items.append((heading, ""))
            heading, item, used = before + colon, after, False
        if item:
            items.append((heading, item))
            used = True
    if not used:
        items.append((heading, ""))
    return ";".join(heading + item for heading, item in sorted(items))


def _scope_items(folded: str) -> list[str]:
    items: list[str] = []
    current: list[str] = []
    depth = 0
    for place, character in enumerate(folded):
        depth += (character == "(") - (character == ")")
        if depth == 0 and _parts_items(folded, place):
            items.append("".join(current))
            current = []
        else:
            current.append(character.translate(_INNER_SEPARATORS))
    items.append("".join(current))
    return [item for item in items if item]


def _parts_items(text: str, place: int) -> bool:
    """Tell whether a character ends an item: a point or comma between two digits belongs to a number."""
    if text[place] not in _SEPARATORS:
        return False
    return not (
        text[place] in ".,"
        and 0 < place < len(text) - 1
        and text[place - 1] in _DIGITS
        and text[place + 1] in _DIGITS
    )


def _is_balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0


def _recomposed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
