"""Strict JSON, base64url, canonical JSON, digests and times: what cannot be represented is refused.

Everything that comes from outside passes through here before any cryptography. Libraries are
lenient where signed data must not be: they take padded or non-canonical base64url, duplicate
member names, NaN, lone surrogates and other scripts' digits. These functions refuse all of it.
"""

import hashlib
import json
import math
import re
from binascii import Error as BinasciiError
from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any, TypeAlias, cast

from elicense import quick_json
from elicense.problems import FormatError, Reason
from elicense.quick_base64 import decode_url, encode_url

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

_CHINA_OFFSET = timedelta(hours=8)
CHINA = timezone(_CHINA_OFFSET, "+08:00")
"""Civil time of every date on a license; fixed, never the machine's zone."""

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer every JSON implementation represents exactly (RFC 8785 section 3.2.2.3)."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_WHITESPACE = " \t\n\r"
# Hours and minutes are bounded here: which of 24:00 and +05:75 `fromisoformat` takes depends on Python's version.
_HOUR_MINUTE = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_RFC3339 = re.compile(
    rf"([0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}[Tt]{_HOUR_MINUTE}:[0-5][0-9])(\.[0-9]{{1,30}})?([Zz]|[+-]{_HOUR_MINUTE})"
)

_PADDING = (b"", b"", b"==", b"=")
# The last character's unused low bits must be zero, or several texts would decode to the same bytes.
_LAST_CHARACTERS: tuple[frozenset[int], ...] = (
    frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
    frozenset(),
    frozenset(b"AQgw"),
    frozenset(b"AEIMQUYcgkosw048"),
)


def malformed(detail: str) -> FormatError:
    """Return the error for bytes that break a format's rules."""
    return FormatError(Reason.MALFORMED, detail)


def b64url_encode(data: bytes) -> str:
    """Encode bytes as base64url without padding (RFC 7515 section 2)."""
    return encode_url(data).rstrip(b"=").decode("ascii")


def b64url_decode(text: str | bytes) -> bytes:
    """Decode base64url strictly: no padding, no white space, canonical last character.

    Raises FormatError (malformed) for any other text, so that every value has exactly one encoding.
    """
    if isinstance(text, str):
        try:
            text = text.encode("ascii")
        except UnicodeEncodeError:
            raise malformed("base64url holds a character outside ASCII") from None
    if not text:
        return b""
    remainder = len(text) & 3
    if text[-1] not in _LAST_CHARACTERS[remainder]:
        raise malformed("base64url is not canonical")
    return decode_groups(text, _PADDING[remainder])


def decode_groups(text: bytes, padding: bytes = b"") -> bytes:
    """Decode base64url that `padding` fills up to whole groups of four characters; what does not is refused.

    The last character's unused bits are for the caller to look at. FormatError (malformed) as `b64url_decode`.
    """
    # The decoder may know the other alphabet too: what only that one has is refused first.
    if b"+" in text or b"/" in text or b"=" in text:
        raise malformed("base64url holds a character outside its alphabet")
    try:
        return decode_url(text + padding if padding else text)
    except BinasciiError:
        raise malformed("base64url holds a character outside its alphabet") from None


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise malformed("JSON object repeats a member name")
    return members


def _parse_int(text: str) -> int:
    # Bounded by length first: int() of a very long text takes quadratic time.
    if len(text) < 16:
        return int(text)
    if len(text) > 17 or not -MAX_SAFE_INTEGER <= (number := int(text)) <= MAX_SAFE_INTEGER:
        raise malformed("JSON integer is beyond 2^53-1")
    return number


def _refuse_float(text: str) -> float:
    raise malformed("JSON number is not an integer")


def _parse_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise malformed("JSON number is out of range")
    return number


def _refuse_constant(text: str) -> float:
    raise malformed("JSON holds NaN or Infinity")


def _make_scanner(parse_float: Callable[[str], float]) -> Callable[[str, int], tuple[Any, int]]:
    # The bare scanner: decode() adds two regular expressions that cost more than a small header.
    decoder: Any = json.JSONDecoder(
        object_pairs_hook=_unique_members,
        parse_int=_parse_int,
        parse_float=parse_float,
        parse_constant=_refuse_constant,
        strict=True,
    )
    return cast("Callable[[str, int], tuple[Any, int]]", decoder.scan_once)


_scan_without_floats = _make_scanner(_refuse_float)
_scan_with_floats = _make_scanner(_parse_float)
_bare_decoder: Any = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_constant)
_scan_bare: Callable[[str, int], tuple[Any, int]] = _bare_decoder.scan_once
_loads, _LOADS_REFUSALS = quick_json.loads, quick_json.REFUSALS


def parse_json(
    data: bytes, *, max_bytes: int = 1 << 20, max_depth: int = 32, allow_floats: bool = False
) -> JsonValue:
    """Parse one JSON text strictly (RFC 8259, I-JSON RFC 7493).

    Refused with FormatError (malformed): more than `max_bytes`; anything but UTF-8 without a byte
    order mark; nesting beyond `max_depth`; repeated member names; NaN and Infinity; integers
    beyond 2^53-1 either way; lone surrogates; anything after the value; and numbers with a
    fraction or exponent unless `allow_floats`.
    """
    if len(data) > max_bytes:
        raise malformed(f"JSON is longer than {max_bytes} bytes")
    if _loads is not None and b"\\" not in data:
        try:
            value = _loads(data)
        except _LOADS_REFUSALS:
            value = None  # read again below, to say what is wrong with it
        counted = quick_json.count(value)
        # Without backslashes every quotation mark begins or ends a string.
        if value is not None and counted is not None and counted[0] == data.count(b'"') >> 1:
            if counted[1] > max_depth:
                _check_depth(value, max_depth)
            return value  # type: ignore[no-any-return]
    # Brackets inside strings count too: that only sends a few harmless texts down the slow path.
    deep = data.count(b"{") + data.count(b"[") > max_depth
    try:
        text = data.decode("utf-8")
        if text[:1] in _WHITESPACE:
            text = text.lstrip(_WHITESPACE)
        value, end = (_scan_with_floats if allow_floats else _scan_without_floats)(text, 0)
    except UnicodeDecodeError:
        raise malformed("JSON is not UTF-8") from None
    except (json.JSONDecodeError, StopIteration):
        raise malformed("text is not JSON") from None
    except RecursionError:
        raise malformed(f"JSON is nested deeper than {max_depth}") from None
    if end != len(text) and text[end:].strip(_WHITESPACE):
        raise malformed("JSON is followed by other data")
    if deep:
        _check_depth(value, max_depth)
    # Bytes, and the single character first: this is how memchr finds it at full speed.
    if b"\\" in data and b"\\u" in data:
        _check_surrogates(value)
    return value  # type: ignore[no-any-return]  # typing.cast would be a call on the hot path


def parse_json_counted(data: bytes) -> tuple[JsonValue, int | None]:
    """Parse one JSON text as `parse_json` does, but leave the slow checks to a caller who knows its shape.

    Left are repeated names, large integers and depth: watching them costs as much as the parsing.
    Returns the value and how many strings stand in the text, names included; where that is more
    than the strings in the value, a repeated name swallowed some. None instead of a count says
    that nothing is left to check. Other refusals as in `parse_json`.
    """
    # Without backslashes every quotation mark begins or ends a string.
    if b"\\" in data or not data.startswith(b"{"):
        return parse_json(data), None
    if _loads is not None:
        try:
            return _loads(data), data.count(b'"') >> 1
        except _LOADS_REFUSALS:
            return parse_json(data), None
    value, whole = _parse_bare(data)
    return (value, data.count(b'"') >> 1) if whole else (parse_json(data), None)


def parse_json_texts(data: bytes) -> JsonValue:
    """Parse an array of arrays of text as `parse_json` does, for a caller who refuses every other value in it.

    Left to that caller are repeated names, large integers and depth, which such arrays cannot have.
    `data` begins with a bracket and is of bounded length. Other refusals as in `parse_json`.
    """
    if b"\\" in data:  # an escape could bring in half a surrogate pair
        return parse_json(data)
    if _loads is not None:
        try:
            return _loads(data)  # type: ignore[no-any-return]
        except _LOADS_REFUSALS:
            return parse_json(data)
    value, whole = _parse_bare(data)
    return value if whole else parse_json(data)


def _parse_bare(data: bytes) -> tuple[Any, bool]:
    try:
        text = data.decode("utf-8")
        value, end = _scan_bare(text, 0)
    except FormatError:
        raise
    except (ValueError, StopIteration, RecursionError):
        raise malformed("text is not JSON") from None
    return value, end == len(text)


def parse_json_object(
    data: bytes, *, max_bytes: int = 1 << 20, max_depth: int = 32, allow_floats: bool = False
) -> dict[str, JsonValue]:
    """Parse one JSON object as `parse_json` does; any other value is refused as malformed."""
    value = parse_json(data, max_bytes=max_bytes, max_depth=max_depth, allow_floats=allow_floats)
    if type(value) is not dict:
        raise malformed("JSON is not an object")
    return value


def _check_depth(value: object, max_depth: int) -> None:
    level: list[Any] = [value] if isinstance(value, (dict, list)) else []
    for _ in range(max_depth):
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
        if not level:
            return
    raise malformed(f"JSON is nested deeper than {max_depth}")


def _check_surrogates(value: object) -> None:
    # UTF-8 itself cannot hold a lone surrogate; only a \uXXXX escape brings one in.
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise malformed("JSON holds a lone surrogate") from None


# Made once: `json.dumps` makes an encoder of these options for each call, and watches for circles that none of our
# values has; one that had would be refused for its depth.
_encode_json = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
).encode


def dump_json(value: object) -> bytes:
    """Return `value` as compact UTF-8 JSON, member order and non-ASCII characters kept.

    Refuses NaN, Infinity, lone surrogates and endless depth with FormatError (malformed).
    """
    written = quick_json.dump(value)
    if written is not None:
        return written
    try:
        return _encode_json(value).encode("utf-8")
    except UnicodeEncodeError:
        raise malformed("text holds a lone surrogate") from None
    except ValueError:
        raise malformed("number is not finite") from None
    except RecursionError:
        raise malformed("value is nested too deeply") from None


def dump_finite_json(value: object) -> bytes:
    """Write JSON as `dump_json` does, for a caller that builds values without NaN and Infinity: nobody looks for them.

    Where the faster library is installed it would write them as null.
    """
    return quick_json.dump(value, finite=True) or dump_json(value)


def read_own_json(text: str) -> Any:
    """Parse JSON that this installation itself wrote and kept: nothing is refused but what is no JSON (ValueError)."""
    return json.loads(text) if _loads is None else _loads(text)


_MAX_CANONICAL_DEPTH = 32


def canonical_json(value: object) -> bytes:
    """Return the canonical JSON of `value` (RFC 8785), for digests.

    Takes None, bool, int within 2^53-1, str, list, tuple and dict with str keys. Refuses floats,
    larger integers, lone surrogates, other types and nesting beyond 32 with FormatError (malformed):
    it refuses rather than guesses.
    """
    written = quick_json.dump_sorted(value)
    if written is not None and written.count(b"{") + written.count(b"[") <= _MAX_CANONICAL_DEPTH:
        return written
    return dump_json(_canonical(value, _MAX_CANONICAL_DEPTH))


def _canonical(value: object, depth: int) -> object:
    if depth < 0:
        raise malformed(f"value is nested deeper than {_MAX_CANONICAL_DEPTH}")
    kind = type(value)
    if kind is str or value is None or kind is bool or isinstance(value, str):
        return value
    if isinstance(value, int):
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise malformed("integer is beyond 2^53-1")
        return value
    if isinstance(value, (list, tuple)):
        return [_canonical(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {name: _canonical(value[name], depth - 1) for name in _sorted_names(value)}
    raise malformed(f"{type(value).__name__} has no canonical JSON form")


def _sorted_names(names: Collection[Any]) -> list[str]:
    try:
        if "".join(names).isascii():
            return sorted(names)
        # RFC 8785 section 3.2.3 sorts by UTF-16 code units, which beyond ASCII is not code point order.
        return sorted(names, key=lambda name: name.encode("utf-16-be"))
    except UnicodeEncodeError:
        raise malformed("text holds a lone surrogate") from None
    except TypeError:
        raise malformed("member name is not text") from None


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 digest of `data`, 32 bytes."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 digest of `data` as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def to_unix(moment: datetime) -> int:
    """Return a timezone-aware moment as whole Unix seconds, rounded down; ValueError if naive."""
    if moment.tzinfo is None:
        raise ValueError("moment has no time zone")
    return (moment - _EPOCH) // _SECOND


def from_unix(seconds: int) -> datetime:
    """Return Unix seconds as a UTC moment; FormatError (malformed) outside the years 1-9999."""
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise malformed("time is out of range") from None


def to_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC itself; ValueError if naive, or where UTC leaves the years 1-9999."""
    if moment.tzinfo is UTC:
        return moment
    if moment.tzinfo is None:
        raise ValueError("moment has no time zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("moment is out of range in UTC") from None


def parse_rfc3339(text: str) -> datetime:
    """Read an RFC 3339 time with its offset as a UTC moment; ValueError for every other text.

    A fraction may have up to 30 digits, for others write nanoseconds and less; it is cut to microseconds.
    """
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError("not an RFC 3339 time with its offset")
    whole, fraction, offset = found.groups(default="")
    try:
        return datetime.fromisoformat(f"{whole}{fraction[:7]}{offset}".upper()).astimezone(UTC)
    except OverflowError:
        raise ValueError("time is out of range") from None


def rfc3339(moment: datetime) -> str:
    """Write a moment as RFC 3339 in UTC with whole seconds and Z; ValueError as `to_utc`."""
    return _utc_text(moment if moment.tzinfo is UTC else to_utc(moment))


@lru_cache(maxsize=256)
def _utc_text(moment: datetime) -> str:
    # Remembered because an answer names the same few moments again and again. Only of moments in UTC itself: others
    # can be equal to them.
    return moment.isoformat()[:19] + "Z"


def civil_day_start(day: date) -> datetime:
    """Return the UTC moment of 00:00 at +08:00 on `day`; FormatError (malformed) for 0001-01-01."""
    try:
        return datetime(day.year, day.month, day.day, tzinfo=UTC) - _CHINA_OFFSET
    except OverflowError:
        raise malformed("date is out of range") from None


def civil_today(now: datetime) -> date:
    """Return the civil day at +08:00 at the moment `now`, which must carry its time zone.

    FormatError (malformed) in the last eight hours of the calendar, whose day it does not have.
    """
    if now.tzinfo is None:
        raise ValueError("moment has no time zone")
    try:
        # To add is quicker, and right for the usual case.
        return (now + _CHINA_OFFSET if now.tzinfo is UTC else now.astimezone(CHINA)).date()
    except OverflowError:
        raise malformed("date is out of range") from None
