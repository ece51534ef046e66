"""Hostile requests: bodies, paths, queries and headers that a caller could send."""

import copy
import json
from collections.abc import Iterator
from typing import Any

DEEP = 31

SYNTAX: tuple[bytes, ...] = (
    b"",
    b" ",
    b"\x00",
    b"{",
    b"}",
    b"[",
    b"]",
    b"{]",
    b'{"a"}',
    b'{"a":}',
    b'{"a":1,}',
    b"{,}",
    b"{a:1}",
    b"{'a':1}",
    b'{"a":1 "b":2}',
    b'{"a":01}',
    b'{"a":+1}',
    b'{"a":.5}',
    b'{"a":1.}',
    b'{"a":0x1}',
    b'{"a":1e}',
    b'{"a":NaN}',
    b'{"a":Infinity}',
    b'{"a":-Infinity}',
    b'{"a":1e400}',
    b'{"a":-1e400}',
    b'{"a":18446744073709551616}',
    b'{"a":-9223372036854775809}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":1,"a":2}',
    b'{"a":{"b":1,"b":2}}',
    b'{"a":"\\ud800"}',
    b'{"a":"\\udc00\\ud800"}',
    b'{"\\ud800":1}',
    b'{"a":"\\x"}',
    b'{"a":"\\u12"}',
    b'{"a":"\n"}',
    b'{"a":"\x00"}',
    b'{"a":"\x1f"}',
    b'{"a":"',
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b"\x00{\x00}",
    b'{"a":"\xff"}',
    b'{"a":"\xc0\xaf"}',
    b'{"a":"\xed\xa0\x80"}',
    b'{"a":"\xf4\x90\x80\x80"}',
    '{"名":"值"}'.encode("gb18030"),
    b"[" * 100_000,
    b"[" * 33 + b"]" * 33,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"{}{}",
    b"{} x",
    b"{}\x00",
    b"nul",
    b"True",
    b"None",
    b"undefined",
    b"// {}\n{}",
    b"/* */{}",
    b"a=1&b=2",
    b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><x>&y;</x>",
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    b"PK\x03\x04",
    b"%PDF-1.7",
    b"GET / HTTP/1.1\r\n\r\n",
    b'"' + b"x" * (1 << 20) + b'"',
    b" " * ((1 << 20) + 1),
)
"""Bytes that are no strict JSON, or too many of them."""

SHAPES: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    1e308,
    2**53 - 1,
    "",
    "x",
    "\x00",
    [],
    [[]],
    [{}],
    [None] * 1000,
    {"": ""},
    {"\x00": 1},
    {"__proto__": {}, "constructor": {}},
    {"$ne": None},
    {"a" * 10_000: 1},
    {f"k{index}": index for index in range(2000)},
)
"""JSON that is no request of any operation."""

VALUES: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**53 - 1,
    "",
    " ",
    "\x00",
    "a\x00b",
    "\x7f\x80",
    "a\r\nSet-Cookie: x=1",
    "\t",
    "null",
    "NaN",
    "1e400",
    "undefined",
    "x" * 100_000,
    "证" * 30_000,
    "\U0010ffff\ufffe\uffff",
    "\u202e\u2066evil\u2069",
    "e\u0301" * 500,
    "\ufdfa" * 300,
    "’; DROP TABLE licenses; --",
    "' OR '1'='1",
    "1); SELECT pg_sleep(10); --",
    "%00%ff%s%n{0}{x}${jndi:ldap://x}",
    "{{7*7}}<script>alert(1)</script>",
    "../../../etc/passwd",
    "=cmd|' /C calc'!A0",
    "0000-00-00",
    "9999-12-31",
    "0001-01-01",
    "2026-02-30",
    "२०२६-०१-०१",
    "１２３４５６",
    "914403002311457880",
    [],
    [[]],
    ["x"],
    {},
    {"x": 1},
    {"x": {"y": []}},
    {f"k{index}": "x" for index in range(150)},
)
"""Values put in the place of each field of a good request."""

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b""),
    (b"content-type", b"text/xml"),
    (b"content-type", b"application/json; charset=utf-7"),
    (b"content-type", b"\xff"),
    (b"content-type", b"application/json" + b" " * 5000),
    (b"content-encoding", b"gzip"),
    (b"content-encoding", b"br, gzip"),
    (b"content-length", b"-1"),
    (b"content-length", b"x"),
    (b"content-length", b"99999999999999999999999"),
    (b"accept", b"image/png"),
    (b"accept", b"," * 2000),
    (b"accept", b"\xff/\xff"),
    (b"accept", b"*/*;q=banana"),
    (b"accept-language", b"\xff\xfe"),
    (b"accept-language", b"zh;q=9999999999999999999"),
    (b"accept-language", b"en," * 5000),
    (b"x-request-id", b"\x00"),
    (b"x-request-id", b"x" * 10_000),
    (b"x-request-id", b"\xe4\xbd\xa0"),
    (b"idempotency-key", b""),
    (b"idempotency-key", b"\xff"),
    (b"idempotency-key", b"x" * 10_000),
    (b"idempotency-key", b'"\\'),
    (b"if-none-match", b'"' * 5000),
    (b"if-none-match", b"\xff"),
    (b"x-large", b"x" * 100_000),
    (b"host", b"evil.example\r\n"),
    (b"x-forwarded-for", b"\x00" * 50),
    (b"range", b"bytes=0-,1-,2-"),
    (b"expect", b"nonsense"),
    (b"cookie", b"\xff=\x00"),
)
"""Headers a caller could add to any request."""

SEGMENTS: tuple[bytes, ...] = (
    b"",
    b".",
    b"..",
    b"%2e%2e%2f",
    b"%2F",
    b"%5c",
    b"%00",
    b"%0d%0aX:1",
    b"%ff",
    b"%c0%af",
    b"%ed%a0%80",
    b"%zz",
    b"%",
    b"%u0041",
    b"\xff\xfe",
    b"%F4%90%80%80",
    b"%e2%80%ae",
    b"x" * 9000,
    b"%E8%AF%81" * 500,
    b"'%20OR%20'1'='1",
    b"null",
    b"-1",
    b"0",
    b"1e400",
    b"9" * 400,
    b"{license_id}",
    b"0191d000-0000-7000-8000-000000000000",
    b"<script>",
    b"$%7Bjndi%7D",
    b"*",
)
"""Texts put in the place of a path's parameter."""

QUERIES: tuple[bytes, ...] = (
    b"&",
    b"=",
    b"=x",
    b"x",
    b"x=1",
    b"limit=0",
    b"limit=99999999999999999999",
    b"limit=1e3",
    b"limit=%D9%A1",
    b"limit=1&limit=2",
    b"limit=%00",
    b"limit=-1",
    b"limit[]=1",
    b"cursor=%00",
    b"cursor=x",
    b"cursor=" + b"A" * 4000,
    b"cursor=" + b"A" * 500,
    b"cursor=////",
    b"cursor=%ff",
    b"cursor=bnVsbA",
    b"cursor=WzEsMl0",
    b"cursor=eyJhIjoxfQ",
    b"cursor=OjoxMjM",
    b"number=%ed%a0%80",
    b"number='%20OR%201=1--",
    b"number=%F0%9F%92%A9",
    b"number=%zz",
    b"number=" + b"x" * 9000,
    b"status=%2e",
    b"version=999",
    b"version=%D9%A1%D9%A1%D9%A1",
    b"version=99999999999999999999",
    b"reference=%25",
    b"reference=_",
    b"due_before=0001-01-01T00:00:00%2B23:59",
    b"due_before=9999-12-31T23:59:59-23:59",
    b"due_before=2026-01-01T24:00:00Z",
    b"due_before=2026-06-30T23:59:60Z",
    b"a=1&" * 500,
    b"\xff=\xff",
    b"time=1",
)
"""Query strings any path may be asked with."""


def replacements(good: dict[str, Any]) -> Iterator[object]:
    """Yield the good body with each place, one at a time, replaced by each hostile value, removed, or added to."""
    for path in list(_places(good)):
        for value in VALUES:
            yield _changed(good, path, value)
        yield _changed(good, path, None, remove=True)
    yield {**good, "unknown": 1}
    yield {**good, "": "", "id": "x", "authority_code": "\x00"}


def bodies(good: dict[str, Any], *, at_least: int = 300) -> list[bytes]:
    """Return at least that many hostile bodies for an operation whose good body this is."""
    made = [*SYNTAX, *(_dump(value) for value in SHAPES), *(_dump(value) for value in replacements(good))]
    nested: object = "x"
    for _ in range(DEEP):
        nested = [nested]
        made.append(_dump({**good, "nested": nested}))
    for value in VALUES:
        made.append(_dump(dict.fromkeys(good, value)))
        made.append(_dump([good, value]))
        made.append(_dump({"items": [good, value, good]}))
        made.append(_dump({"data": value, **good}))
    assert len(made) >= at_least, len(made)
    return made


def _places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, child in value.items():
            yield (*path, name)
            yield from _places(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield (*path, index)
            yield from _places(child, (*path, index))


def _changed(good: object, path: tuple[str | int, ...], value: object, *, remove: bool = False) -> object:
    changed: Any = copy.deepcopy(good)
    parent = changed
    for step in path[:-1]:
        parent = parent[step]
    if remove:
        del parent[path[-1]]
    else:
        parent[path[-1]] = value
    return changed


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
