"""The faster JSON library, where it is installed (`pip install "./clients/python[fast]"`): orjson.

It is used for what both libraries read and write alike, and for nothing else: whatever it refuses, and whatever it
takes more leniently than `elicense.encoding` allows, goes to the standard library, which gives the same answer
slower. So an installation without it accepts and refuses the same texts and writes the same bytes.
"""

from collections.abc import Callable
from typing import Any

try:
    import orjson
except ImportError:  # the base installation: everything goes through the standard library
    loads: Callable[[bytes | str], Any] | None = None
    _dumps: Callable[..., bytes] | None = None
    REFUSALS: tuple[type[Exception], ...] = ()
    _COMPACT = _SORTED = 0
else:
    loads, _dumps = orjson.loads, orjson.dumps
    REFUSALS = (orjson.JSONDecodeError,)
    # What the standard library has no form for has none here either; integers beyond 2^53-1 are left to it too.
    _COMPACT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_STRICT_INTEGER
    _SORTED = _COMPACT | orjson.OPT_SORT_KEYS

_MAX_SAFE_INTEGER = 2**53 - 1
_PLAIN = frozenset({str, int, bool, type(None)})
_LONGEST = 1_000_000


def count(value: object) -> tuple[int, int] | None:
    """Count the strings in a parsed value, member names included, and the lists and dicts in it, itself included.

    None where it holds a float or a large integer: the faster library reads integers beyond its range as floats. It
    also keeps the last of repeated members: what a count of strings lower than that of the text gives away.
    """
    strings = containers = 0
    waiting: list[Any] = [value]
    for item in waiting:
        kind = type(item)
        if kind is str:
            strings += 1
        elif kind is dict:
            containers += 1
            strings += len(item)
            waiting.extend(item.values())
        elif kind is list:
            containers += 1
            waiting.extend(item)
        elif kind is float or (kind is int and not -_MAX_SAFE_INTEGER <= item <= _MAX_SAFE_INTEGER):
            return None
    return strings, containers


def dump(value: object, *, finite: bool = False) -> bytes | None:
    """Write compact JSON, or None where only the standard library may say what becomes of the value.

    `finite`: the caller knows that the value holds no NaN and no Infinity, which would be written as null.
    """
    if _dumps is None:
        return None
    try:
        return _dumps(value, option=_COMPACT) if finite or _is_plain(value) else None
    except TypeError:  # a lone surrogate, a large integer, a name that is no text, or nested too deeply
        return None


def dump_sorted(value: object) -> bytes | None:
    """Write compact JSON with members in the order of their ASCII names, or None as `dump`, also beyond ASCII."""
    if _dumps is None:
        return None
    try:
        return _dumps(value, option=_SORTED) if _is_plain(value, names=True) else None
    except TypeError:
        return None


def _is_plain(value: object, *, names: bool = False) -> bool:
    """Tell whether a value holds nothing but texts, integers, bools and None, in lists, tuples and dicts.

    With `names`, all member names are ASCII too. What is endless, or longer than any answer, is not plain.
    """
    waiting: list[Any] = [value]
    for item in waiting:
        kind = type(item)
        if kind is dict:
            if names and not "".join(item).isascii():
                return False
            waiting.extend(item.values())
            if len(waiting) > _LONGEST:
                return False
        elif kind is list or kind is tuple:
            waiting.extend(item)
            if len(waiting) > _LONGEST:
                return False
        elif kind not in _PLAIN:
            return False
    return True
