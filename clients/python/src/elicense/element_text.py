"""Fold texts, names and codes, so that two ways of writing one value become one text.

Every function is total: it takes any text, never raises, and folding what is folded changes nothing.
"""

import hmac
import re
import unicodedata

from elicense.han_variants import SIMPLIFIED

MAX_FOLDED = 20_000
"""Longer values (in characters) are compared as they stand: no license holds one, and folding must stay cheap."""

_MOST_MARKS = 30

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
_SOCIAL_CREDIT_CODE = re.compile(r"[0-9A-Z]{18}")
_NEEDLESS_HYPHEN = re.compile(r"^-+|-+$|(?<=[0-9])-(?=[^0-9])|(?<=[^0-9])-(?=[0-9])")
"""Between two figures, or two letters, a hyphen tells where a part ends: 1-12 is not 11-2."""


def is_same_text(one: str, other: str) -> bool:
    """Compare two texts as they stand, in a time that does not tell where they begin to differ."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def foldable_length(text: str) -> int | None:
    """Return how many characters folding has to look at; None for a text that is only compared as it stands.

    That is one of more than `MAX_FOLDED` characters, as written or in NFKC (one can become eighteen), and one with
    more than thirty combining marks in a row (UAX #15, Stream-Safe Text): no writing has them, and their order takes
    long to settle.
    """
    if len(text) > MAX_FOLDED:
        return None
    if text.isascii():
        return len(text)
    if len(text) > _MOST_MARKS and _has_many_marks(text):
        return None
    length = max(len(text), len(unicodedata.normalize("NFKC", text)))
    return length if length <= MAX_FOLDED else None


def _has_many_marks(text: str) -> bool:
    marks = 0
    for character in text:
        marks = marks + 1 if unicodedata.combining(character) else 0
        if marks > _MOST_MARKS:
            return True
    return False


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
    """Fold a code: as `fold_han`, Latin letters in upper case, hyphens removed where nothing rests on them.

    A social credit code is written with or without them anywhere; in another code one between two figures or between
    two letters stays.
    """
    folded = _recomposed(_CODE_SEPARATORS.sub("-", fold_han(text)).translate(_ASCII_UPPER))
    bare = folded.replace("-", "")
    return bare if _SOCIAL_CREDIT_CODE.fullmatch(bare) else _NEEDLESS_HYPHEN.sub("", folded)


def _recomposed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)
