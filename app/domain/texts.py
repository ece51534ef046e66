"""What a text must be to be signed or kept as a reason: what people see of it is all there is to it."""

import unicodedata
from typing import Final

from elicense.problems import Text

# Marks that turn the direction of what stands around them: a signed name must read as it is stored.
_TURNING_MARKS: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# They join or part letters of some scripts, and make one picture of several.
_JOINERS: Final = frozenset("\u200c\u200d")
# Letters and a symbol that show nothing: Hangul fillers, the empty braille pattern.
_BLANKS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_REPLACEMENT: Final = "\ufffd"
# The planes of Chinese characters: the newest extensions are unassigned to a Python older than they are.
_IDEOGRAPHS: Final = range(0x20000, 0x40000)
_LINES: Final = frozenset("\t\n\r")

_EMPTY: Final = Text("不得为空", "must not be empty")
_CONTROL: Final = Text("不得含有控制字符", "must not hold control characters")
_INVISIBLE: Final = Text("不得含有不可见字符", "must not hold invisible characters")
_UNASSIGNED: Final = Text("含有未定义的字符,请核对", "must not hold code points that no character has")
_DAMAGED: Final = Text(
    "含有替换字符(U+FFFD):原文在转码时已损坏,请从来源重新录入",
    "holds U+FFFD: it was damaged when its encoding was changed; take it from its source again",
)


def text_problem(text: str, *, max_length: int) -> Text | None:
    """Return what is wrong with a text that gets signed, or None.

    Refused: nothing that can be seen, white space at an end, more than `max_length` characters, control characters,
    lone surrogates, marks that turn the direction, invisible characters (joiners inside of a text excepted), U+FFFD,
    unassigned code points. Chinese characters of every extension are taken, and private-use characters: registers hold
    rare ones so, and GB 18030 files have them where a mapping is older than the character.
    """
    if not text or text.isspace():
        return _EMPTY
    if text != text.strip():
        return Text("首尾不得有空白", "must not begin or end with white space")
    if len(text) > max_length:
        return Text(f"至多 {max_length} 个字符", f"must have at most {max_length} characters")
    return _character_problem(text)


def reason_problem(text: str) -> Text | None:
    """Return what is wrong with a reason, or None: by the rules of signed texts, but it may have lines and any ends."""
    return _character_problem("".join(one for one in text.strip() if one not in _LINES))


def _character_problem(text: str) -> Text | None:
    if text and text.isascii() and text.isprintable():
        return None
    if not text.isprintable():
        last = len(text) - 1
        for position, character in enumerate(text):
            problem = _problem_of(character, inside=0 < position < last)
            if problem is not None:
                return problem
    if _REPLACEMENT in text:
        return _DAMAGED
    if not _BLANKS.isdisjoint(text):
        return _INVISIBLE
    if not any((kind := unicodedata.category(one))[0] in "LNPS" or kind == "Co" for one in text):
        return _EMPTY
    return None


def _problem_of(character: str, *, inside: bool) -> Text | None:
    category = unicodedata.category(character)
    if category in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING_MARKS:
        return _CONTROL
    if category == "Cf" and not (inside and character in _JOINERS):
        return _INVISIBLE
    if category == "Cn" and (ord(character) not in _IDEOGRAPHS or ord(character) & 0xFFFE == 0xFFFE):
        return _UNASSIGNED
    return None
