"""How many values a JSON text holds, and whether it begins as a tower, told without parsing it.

A parsed value takes up to fifty times the room of its two bytes of text, and parsing, looking through and throwing
away millions of them holds up the whole process for seconds. Nobody has shown a key by then, so it must cost next to
nothing.
"""

_BEGINNING = 4096


def holds_more_values(text: bytes, most: int) -> bool:
    """Tell whether a JSON text holds more than `most` values; an empty list or object is two, a member's name none.

    Of what is no JSON it is a guess.
    """
    # Marks inside strings are counted too: quick, and enough for nearly every body there is.
    if _marks(text) < most:
        return False
    without_escapes = _without_escapes(text)
    # A value brings two strings at most, its name and itself. To take millions of them apart would be dear again.
    if _count_any(without_escapes, b'"') > 4 * most:
        return True
    return _marks(_between_strings(without_escapes)) >= most


def begins_deeper(text: bytes, most: int) -> bool:
    """Tell whether the first 4 KiB of a JSON text are nested deeper than `most`. Of what is no JSON it is a guess."""
    depth = 0
    for mark in _between_strings(_without_escapes(text[:_BEGINNING])):
        if mark in b"[{":
            depth += 1
            if depth > most:
                return True
        elif mark in b"]}":
            depth -= 1
    return False


def _without_escapes(text: bytes) -> bytes:
    return text.replace(rb"\\", b"").replace(rb"\"", b"")


def _between_strings(without_escapes: bytes) -> bytes:
    return b"".join(without_escapes.split(b'"')[::2])


def _marks(text: bytes) -> int:
    """Count what a value but the first stands behind."""
    return _count_any(text, b",[{")


def _count_any(text: bytes, wanted: bytes) -> int:
    # As quick where they stand close together as where they are rare; `count` is not.
    return len(text) - len(text.translate(None, wanted))
