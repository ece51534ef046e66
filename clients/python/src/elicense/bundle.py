"""The bundle: everything an offline verification needs, in one file. Every part is verified by itself.

The bundle has no signature of its own. So that nothing in it can be bent unnoticed, what is not signed must
repeat something that is: `env` and `checkpoint` those of the signed parts, `created_at` the freshness's `iat`.

The optional members (`archive`, `list_proofs`, `consistency`) only ever add what a reader can tell. One that does not
know them passes them over and tells less, never something else; so they came without a new `fmt`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from elicense.encoding import JsonValue, dump_json, malformed, parse_json_object
from elicense.fields import Fields
from elicense.freshness import FRESHNESS_TYP, MAX_FRESHNESS_BYTES
from elicense.jws import parse_compact
from elicense.report import rfc3339

BUNDLE_FMT = 1
MAX_BUNDLE_BYTES = 256 << 20
MOST_VALUES = 1 << 19
"""Lists, objects and commas in a bundle: tens of thousands of status lists with their proofs and archives."""
NOTHING: Mapping[str, Any] = MappingProxyType({})
_RFC3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Hold the parts as they came: nothing here has been verified.

    `roots` (oldest first) and `trust_list` are the exact bytes of the signed documents (so that digests stay exact),
    `freshness` and the values of `status_lists` (by URI) are tokens, `checkpoint` is the signed note of the public
    log. `archive` holds earlier versions of status lists by URI, `list_proofs` log proofs of lists (JSON of
    `ListProof`) by the token's digest in hex, `consistency` a proof (JSON of `Consistency`) that joins the checkpoint
    to the one its reader held before.
    """

    env: str
    created_at: datetime
    roots: tuple[bytes, ...] = field(repr=False)
    trust_list: bytes = field(repr=False)
    freshness: str | None = field(repr=False)
    status_lists: Mapping[str, str] = field(repr=False)
    checkpoint: str | None = None
    archive: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NOTHING, repr=False)
    list_proofs: Mapping[str, JsonValue] = field(default_factory=lambda: NOTHING, repr=False)
    consistency: JsonValue = field(default=None, repr=False)
    fmt: int = BUNDLE_FMT


def make_bundle(
    *,
    env: str,
    roots: Sequence[bytes],
    trust_list: bytes,
    freshness: str,
    status_lists: Mapping[str, str],
    checkpoint: str | None = None,
    archive: Mapping[str, Sequence[str]] = NOTHING,
    list_proofs: Mapping[str, JsonValue] = NOTHING,
    consistency: JsonValue = None,
) -> Bundle:
    """Put a bundle together; it is as old as its freshness statement, whatever the clock says now."""
    payload = parse_compact(freshness, typ=FRESHNESS_TYP, max_bytes=MAX_FRESHNESS_BYTES).payload
    issued_at = Fields(parse_json_object(payload, max_bytes=MAX_FRESHNESS_BYTES), "freshness").time("iat")
    return Bundle(
        env=env,
        created_at=issued_at,
        roots=tuple(roots),
        trust_list=trust_list,
        freshness=freshness,
        status_lists=MappingProxyType(dict(status_lists)),
        checkpoint=checkpoint,
        archive=MappingProxyType({uri: tuple(tokens) for uri, tokens in archive.items()}),
        list_proofs=MappingProxyType(dict(list_proofs)),
        consistency=consistency,
    )


def dump_bundle(bundle: Bundle) -> bytes:
    """Write a bundle as JSON: signed documents as strings that hold their exact bytes; empty members that are optional
    are left out.
    """
    optional: dict[str, JsonValue] = {
        "archive": {uri: list(tokens) for uri, tokens in bundle.archive.items()},
        "list_proofs": dict(bundle.list_proofs),
        "consistency": bundle.consistency,
    }
    return dump_json(
        {
            "fmt": bundle.fmt,
            "env": bundle.env,
            "created_at": rfc3339(bundle.created_at),
            "roots": [root.decode("utf-8") for root in bundle.roots],
            "trust_list": bundle.trust_list.decode("utf-8"),
            "freshness": bundle.freshness,
            "status_lists": dict(bundle.status_lists),
            "checkpoint": bundle.checkpoint,
            **{name: value for name, value in optional.items() if value},
        }
    )


def parse_bundle(data: bytes) -> Bundle:
    """Parse a bundle's frame; FormatError (malformed) for an unknown `fmt`, a wrong shape, or far too many values.

    The parts stay unverified bytes: `elicense.evidence` verifies each.
    """
    require_few_values(data, MOST_VALUES, "bundle")
    fields = Fields(parse_json_object(data, max_bytes=MAX_BUNDLE_BYTES, max_depth=4), "bundle")
    fields.require_format(BUNDLE_FMT)
    lists = fields.child("status_lists").members()
    tokens = {uri: token for uri, token in lists.items() if isinstance(token, str)}
    if len(tokens) != len(lists):
        raise malformed("bundle.status_lists holds something else than tokens")
    return Bundle(
        env=fields.env(),
        created_at=_read_created_at(fields),
        roots=tuple(text.encode("utf-8") for text in fields.texts("roots")),
        trust_list=fields.text("trust_list").encode("utf-8"),
        freshness=fields.optional_text("freshness"),
        status_lists=MappingProxyType(tokens),
        checkpoint=fields.optional_text("checkpoint"),
        archive=_read_archive(fields),
        list_proofs=MappingProxyType(_optional(fields, "list_proofs")),
        consistency=_optional(fields, "consistency") or None,
    )


def require_few_values(data: bytes, most: int, what: str) -> None:
    """Refuse a text (FormatError, malformed) that may hold more JSON values than its kind does, before it is parsed.

    A value of two bytes takes a hundred once it is parsed: a bound in bytes alone is none in memory. What is counted,
    brackets and commas, counts inside strings, too; the long ones here are base64url and have none.
    """
    if sum(map(data.count, (b"[", b"{", b","))) > most:
        raise malformed(f"{what} holds more than {most} values")


def _optional(fields: Fields, name: str) -> dict[str, JsonValue]:
    return dict(fields.child(name).members()) if fields.has(name) else {}


def _read_archive(fields: Fields) -> Mapping[str, tuple[str, ...]]:
    if not fields.has("archive"):
        return NOTHING
    archive = fields.child("archive")
    return MappingProxyType({uri: archive.texts(uri) for uri in archive.members()})


def _read_created_at(fields: Fields) -> datetime:
    text = fields.text("created_at")
    if _RFC3339.fullmatch(text) is None:
        raise malformed("bundle.created_at is not an RFC 3339 time in UTC with whole seconds")
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise malformed("bundle.created_at is not a time") from None
