"""Policies that relying parties make from the same parts as the presets, and the file that carries one offline.

An own policy can only be stricter in what valid means: it accepts active licenses alone, never does without a
freshness statement, and changes no leeway. What it chooses is how old a status may be (within the 7 days that a list
lives), what must be asked, which types and areas it takes, and whether a log proof must be there.

A policy file is the JSON that `GET /v1/policies/{name}` answers:
{"fmt": 1, "name", "version", "parts": {…}, "sha256"?, "preset"?, "created_at"?}.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from elicense.encoding import JsonValue, parse_json_object
from elicense.policy import (
    DEFAULT_POLICY,
    MAX_STATUS_AGE,
    PRESETS,
    HolderBinding,
    Policy,
    parse_duration,
)
from elicense.problems import FormatError, Text

POLICY_FMT: Final = 1
MAX_POLICY_BYTES: Final = 64 * 1024
MOST_NAMED: Final = 100
"""The most elements, types or areas one policy names."""

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_REFERENCE = re.compile(r"([a-z][a-z0-9_-]{0,63})(?:@([1-9][0-9]{0,5}))?")
_ELEMENT = r"[a-z][a-z0-9_]{0,63}"
_TYPE = r"[0-9A-Z]{21}"
_AREA = r"[0-9]{2}|[0-9]{4}|[0-9]{6}"
_MOST_SECONDS = int(MAX_STATUS_AGE.total_seconds())


class PolicyError(ValueError):
    """Refuse a policy: `pointer` names the member (RFC 6901) and `text` says what it must be."""

    def __init__(self, pointer: str, zh: str, en: str) -> None:
        super().__init__(f"{pointer or 'policy'}: {en}")
        self.pointer = pointer
        self.text = Text(zh, en)


@dataclass(frozen=True, slots=True)
class Part:
    """Describe one part of a policy: how it is read into the condition of the same name, and its JSON Schema."""

    read: Callable[[str, JsonValue], object]
    schema: Mapping[str, Any]


def _age(pointer: str, value: JsonValue) -> timedelta:
    zh, en = "应为 1 秒至 7 天,如 24h 或秒数", "must be 1 second to 7 days, as 24h or in seconds"
    try:
        age = parse_duration(value) if isinstance(value, str) else timedelta(seconds=_whole(value))
    except (ValueError, OverflowError):
        raise PolicyError(pointer, zh, en) from None
    if not timedelta(0) < age <= MAX_STATUS_AGE:
        raise PolicyError(pointer, zh, en)
    return age


def _whole(value: JsonValue) -> int:
    if type(value) is not int:
        raise ValueError("no whole number")
    return value


def _switch(pointer: str, value: JsonValue) -> bool:
    if not isinstance(value, bool):
        raise PolicyError(pointer, "应为 true 或 false", "must be true or false")
    return value


def _binding(pointer: str, value: JsonValue) -> HolderBinding:
    try:
        return HolderBinding(str(value))
    except ValueError:
        kinds = ", ".join(HolderBinding)
        raise PolicyError(pointer, f"应为 {kinds} 之一", f"must be one of {kinds}") from None


def _always(pointer: str, value: JsonValue) -> bool:
    if value is not True:
        raise PolicyError(
            pointer,
            "自定策略不得省去新鲜度声明,应为 true",
            "must be true: no own policy does without freshness",
        )
    return True


def _active(pointer: str, value: JsonValue) -> frozenset[str]:
    if value != ["active"]:
        raise PolicyError(
            pointer,
            '自定策略只接受 ["active"]:已暂停或已终止的证照不得判为有效',
            'must be ["active"]: no own policy calls a suspended or ended license valid',
        )
    return frozenset({"active"})


def _names(pattern: str, zh: str, en: str) -> Callable[[str, JsonValue], tuple[str, ...]]:
    allowed = re.compile(pattern)

    def read(pointer: str, value: JsonValue) -> tuple[str, ...]:
        if not isinstance(value, list) or len(value) > MOST_NAMED:
            raise PolicyError(
                pointer, f"应为至多 {MOST_NAMED} 项的数组", f"must be an array of at most {MOST_NAMED}"
            )
        for index, item in enumerate(value):
            if not isinstance(item, str) or not allowed.fullmatch(item):
                raise PolicyError(f"{pointer}/{index}", zh, en)
        return tuple(sorted({str(item) for item in value}))

    return read


def _list_schema(pattern: str) -> dict[str, Any]:
    return {
        "type": "array",
        "maxItems": MOST_NAMED,
        "items": {"type": "string", "pattern": f"^({pattern})$"},
    }


PARTS: Mapping[str, Part] = MappingProxyType(
    {
        "max_status_age": Part(
            _age,
            {
                "oneOf": [
                    {"type": "string", "pattern": "^[0-9]{1,9}[smhd]$"},
                    {"type": "integer", "minimum": 1, "maximum": _MOST_SECONDS},
                ]
            },
        ),
        "accepted_states": Part(
            _active, {"type": "array", "items": {"const": "active"}, "minItems": 1, "maxItems": 1}
        ),
        "required_elements": Part(
            _names(_ELEMENT, "应为要素名称", "must be the name of an element"), _list_schema(_ELEMENT)
        ),
        "types": Part(
            _names(_TYPE, "应为 21 位证照类型代码", "must be a license type's code of 21 characters"),
            _list_schema(_TYPE),
        ),
        "areas": Part(
            _names(_AREA, "应为 2、4 或 6 位区域代码", "must be an area code of 2, 4 or 6 digits"),
            _list_schema(_AREA),
        ),
        "require_freshness": Part(_always, {"const": True}),
        "require_log_proof": Part(_switch, {"type": "boolean"}),
        "holder_binding": Part(_binding, {"enum": [kind.value for kind in HolderBinding]}),
    }
)
"""What a policy is made of. A part left out is as in `platform-default`."""


def parse_reference(text: str) -> tuple[str, int | None]:
    """Read a policy's name, or name@version. Raises ValueError."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError("a policy is named as name or name@version")
    return found[1], None if found[2] is None else int(found[2])


def is_policy_name(text: str) -> bool:
    """Tell whether a text can be the name of a policy."""
    return _NAME.fullmatch(text) is not None


def require_own_name(name: str) -> str:
    """Return a name a relying party may give. Raises PolicyError for a preset's and for what is no name."""
    if not _NAME.fullmatch(name):
        raise PolicyError(
            "/name",
            "应以小写字母开头,由小写字母、数字、下划线和连字符组成,至多 64 个字符",
            "must be at most 64 lower-case letters, digits, _ and -, a letter first",
        )
    if name in PRESETS:
        raise PolicyError("/name", "预置策略的名称不可使用", "is the name of a preset")
    return name


def make_policy(name: str, parts: Mapping[str, JsonValue], *, version: int) -> Policy:
    """Make a policy from its parts. Raises PolicyError naming the first part that cannot be."""
    conditions: dict[str, Any] = {}
    for part, value in parts.items():
        known = PARTS.get(part)
        if known is None:
            at = f"/parts/{part}" if _NAME.fullmatch(part) else "/parts"
            raise PolicyError(at, "未知的策略条件", "is no part of a policy")
        conditions[part] = known.read(f"/parts/{part}", value)
    return Policy(
        id=require_own_name(name),
        version=version,
        **{"max_status_age": DEFAULT_POLICY.max_status_age, **conditions},
    )


def parts_of(policy: Policy) -> dict[str, JsonValue]:
    """Give a policy's parts: every condition a caller can set, ages in seconds, names sorted."""
    conditions = policy.to_json()
    return {name: conditions[name] for name in PARTS if name in conditions}


def policy_json(policy: Policy) -> dict[str, JsonValue]:
    """Give a policy as its file holds it and the API shows it."""
    return {
        "fmt": POLICY_FMT,
        "name": policy.id,
        "version": policy.version,
        "sha256": policy.sha256,
        "parts": parts_of(policy),
    }


def parse_policy_file(data: bytes) -> Policy:
    """Read a policy file; `version` is 1 where it is left out.

    Raises PolicyError: no JSON object, an unknown `fmt` or member, a part that cannot be, a preset's name, a digest
    that is not the policy's.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyError("", "策略文件过大", "the file is too large")
    try:
        document = parse_json_object(data.removeprefix(b"\xef\xbb\xbf"))
    except FormatError as refusal:
        raise PolicyError("", "不是 JSON 对象", f"is no JSON object ({refusal.detail})") from None
    if document.get("fmt") != POLICY_FMT:
        raise PolicyError(
            "/fmt", f"应为 {POLICY_FMT}", f"must be {POLICY_FMT}, the only format this version reads"
        )
    unknown = set(document) - _MEMBERS
    if unknown:
        at = f"/{min(unknown)}" if _NAME.fullmatch(min(unknown)) else ""
        raise PolicyError(at, "含未知成员", "holds a member that no policy file has")
    name, version, parts = document.get("name"), document.get("version", 1), document.get("parts")
    if not isinstance(name, str):
        raise PolicyError("/name", "应为文字", "must be text")
    if type(version) is not int or not 1 <= version <= 999_999:
        raise PolicyError("/version", "应为 1 至 999999 的整数", "must be a whole number from 1 to 999999")
    if not isinstance(parts, dict):
        raise PolicyError("/parts", "应为对象", "must be an object")
    policy = make_policy(name, parts, version=version)
    if document.get("sha256", policy.sha256) != policy.sha256:
        raise PolicyError("/sha256", "与策略内容不符", "is not the digest of this policy")
    return policy


_MEMBERS: Final = frozenset({"fmt", "name", "version", "parts", "sha256", "preset", "created_at"})
