"""How many values a JSON text holds, told without parsing it.

A parsed value takes up to fifty times the room of its two bytes of text, and parsing, looking through and throwing
away millions of them holds up the whole process for seconds. Nobody has shown a key by then, so it must cost next to
nothing.
"""


def holds_more_values(text: bytes, most: int) -> bool:
    """Tell whether a JSON text holds more than `most` values; an empty list or object is two, a member's name none.

    Of what is no JSON it is a guess.
    """
    # Marks inside strings are counted too: quick, and enough for nearly every body there is.
    if _marks(text) < most:
        return False
    without_escapes = text.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value brings two strings at most, its name and itself. To take millions of them apart would be dear again.
    if _count_any(without_escapes, b'"') > 4 * most:
        return True
    between_strings = b"".join(without_escapes.split(b'"')[::2])
    return _marks(between_strings) >= most


def _marks(text: bytes) -> int:
    """Count what a value but the first stands behind."""
    return _count_any(text, b",[{")


def _count_any(text: bytes, wanted: bytes) -> int:
    # As quick where they stand close together as where they are rare; `count` is not.
    return len(text) - len(text.translate(None, wanted))
