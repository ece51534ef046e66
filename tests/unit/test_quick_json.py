"""With the faster libraries and without them, the same texts are taken and refused and the same bytes come out.

What the base installation does is asked of a process of its own, in which they cannot be imported.
"""

import json
import random
import subprocess
import sys
from collections.abc import Callable

import pytest

from elicense.encoding import (
    b64url_decode,
    b64url_encode,
    canonical_json,
    dump_json,
    parse_json,
    parse_json_counted,
)
from elicense.problems import FormatError

TEXTS: tuple[bytes, ...] = (
    b"",
    b"null",
    b"true",
    b'{"a":1,"a":1}',
    b'{"a":{"b":1,"b":2}}',
    b'{"a":"1","b":["x","y",{"c":null}]}',
    b' \t{"a" : [1, 2]}\r\n',
    b'{"a":1} x',
    b"\xef\xbb\xbf{}",
    b"[1,]",
    b"[01]",
    b"[-0]",
    b"[-0.0]",
    b"[1.5]",
    b"[1e2]",
    b"[1E400]",
    b"[NaN]",
    b"[Infinity]",
    b"[9007199254740991,-9007199254740991]",
    b"[9007199254740992]",
    b"[-9007199254740992]",
    b"[18446744073709551616]",
    b"[123456789012345678901234567890]",
    b'["\\u0041"]',
    b'["\\ud800"]',
    b'["\\ud83d\\ude00"]',
    b'["\xed\xa0\x80"]',
    b'["\xff"]',
    b'["a\nb"]',
    b'["\x7f"]',
    '["统一社会信用代码","𠮷野家"]'.encode(),
    b"[" * 32 + b"]" * 32,
    b"[" * 33 + b"]" * 33,
    b"[" * 4000 + b"]" * 4000,
    b'["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["]',
    b"{'a':1}",
    b'{"a":1',
    b"{1:2}",
    b"[.5]",
    b"[1.]",
    b"[+1]",
)
VALUES: tuple[str, ...] = (
    "{'b': 1, 'a': ('x', None, True)}",
    "{'中': 1, 'a': 2}",
    "{'\\U00020bb7': 1, '\\uff01': 2, 'a': 3}",
    "{1: 2}",
    "{None: 1}",
    "float('nan')",
    "[1.5, 1e16]",
    "2**53",
    "2**64",
    "'\\ud800'",
    "['\\x00\\x1f\\x7f\\u2028\"\\\\']",
    "__import__('datetime').date(2026, 1, 1)",
    "__import__('uuid').UUID(int=1)",
    "__import__('enum').StrEnum('E', {'A': 'a'}).A",
    "{__import__('enum').StrEnum('E', {'A': 'a'}).A: 1}",
    "b'bytes'",
    "{1, 2}",
    "__import__('functools').reduce(lambda inner, _: [inner], range(33), 0)",
    "__import__('functools').reduce(lambda inner, _: [inner], range(5000), 0)",
)
CLAIMS = {
    "iss": "https://licenses.example/authorities/11330100002490000A",
    "iat": 1790000000,
    "status": {"status_list": {"idx": 17, "uri": "https://licenses.example/status-lists/1"}},
    "license": {
        "fmt": 1,
        "type_name": "营业执照",
        "holder": {"code": "x", "name": "𠮷野家"},
        "valid_until": None,
    },
    "elements": {"_sd": ["q" * 43, "r" * 43], "more": [True, False, -5]},
}
ENCODED: tuple[bytes, ...] = (
    b"", b"A", b"AA", b"AB", b"AAA", b"AAAA", b"AA==", b"A+/A", b"A-_A", b"AA A", b"AAA\n", b"AAA\xff", b"AAAA====",
)  # fmt: skip

_BASE = """
import sys
sys.modules["orjson"] = sys.modules["pybase64"] = None  # importing them fails, as where they are not installed
import tests.unit.test_quick_json as cases
from elicense import quick_json
assert quick_json.loads is None
sys.stdout.write("\\n".join(cases.outcomes()))
"""


def outcome(act: Callable[..., object], *arguments: object, **options: bool) -> str:
    """Say what comes of it: the value with its types, or the kind of refusal."""
    try:
        return repr(act(*arguments, **options))
    except FormatError as refusal:
        return f"refused: {refusal.reason}"
    except TypeError:
        return "no form"


def outcomes() -> list[str]:
    """Put every case to the functions that use a faster library where there is one."""
    return [
        *(outcome(parse_json, text) for text in texts()),
        *(outcome(parse_json, text, allow_floats=True) for text in texts()),
        *(outcome(dump_json, eval(value)) for value in VALUES),
        *(outcome(canonical_json, eval(value)) for value in VALUES),
        *(outcome(b64url_decode, text) for text in ENCODED),
        *(outcome(b64url_encode, bytes(range(256))[:size]) for size in range(257)),
    ]


def texts() -> list[bytes]:
    """Return the texts above, and the signed claims of a credential with one or two bytes changed."""
    chance = random.Random(7)
    claims = dump_json(CLAIMS)
    changed = []
    for _ in range(3000):
        one = bytearray(claims)
        for _ in range(chance.randint(1, 2)):
            one[chance.randrange(len(one))] = chance.choice(b'{}[]",:\\0123456789.eE-+ntfu \x00\x7f\xe4')
        changed.append(bytes(one))
    return [*TEXTS, claims, *changed]


def test_the_base_installation_takes_refuses_and_writes_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", _BASE], capture_output=True, check=True, text=True)
    assert done.stdout.split("\n") == outcomes()


def test_the_cases_hold_both_what_is_taken_and_what_is_refused() -> None:
    told = [outcome(parse_json, text) for text in texts()]
    assert 500 < sum(one.startswith("refused") for one in told) < len(told) - 500


@pytest.mark.parametrize("text", [text for text in TEXTS if text.startswith(b"{")])
def test_a_counted_text_with_a_repeated_name_counts_more_than_its_value_holds(text: bytes) -> None:
    try:
        value, strings = parse_json_counted(text)
    except FormatError:
        return
    held = json.dumps(value, ensure_ascii=False).count('"') // 2
    assert strings is None or (strings > held) is (b'"a":1,"a"' in text or b'"b":1,"b"' in text)
