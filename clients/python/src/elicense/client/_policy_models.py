"""Answers about policies, alarms and one's own requests as frozen values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from elicense.client._models import (
    Json,
    _integer,
    _maybe_object,
    _maybe_text,
    _moment,
    _object,
    _objects,
    _optional,
    _text,
)
from elicense.client.errors import APIResponseError

_LONGEST_MS: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPolicy:
    """One version of a policy. `document` is the policy file that `OfflineVerifier` and `verify --policy` take."""

    name: str
    version: int
    sha256: str
    parts: Mapping[str, object]
    preset: bool
    created_at: datetime | None
    document: Mapping[str, object] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunCount:
    """How many verifications of one verdict and reason would have had which other one; None: it cannot be told."""

    from_verdict: str
    from_reason: str
    to_verdict: str | None
    to_reason: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What a policy would have answered for the caller's verifications between `since` and `until`.

    Of `total` in the span, `judged` were judged again: `same`, `changed`, or `cannot_tell` from what is kept
    (`cannot_tell_parts`: for how many which part of the policy is why). `changed_ids` are the first of those that
    changed, all of them where `changed_ids_complete`. `policy` is the one tried; `raw` the whole answer.
    """

    total: int
    judged: int
    same: int
    changed: int
    cannot_tell: int
    changed_ids: tuple[str, ...]
    next_cursor: str | None
    raw: Mapping[str, object] = field(repr=False)
    policy: Mapping[str, object] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    cannot_tell_parts: Mapping[str, object] = field(default_factory=dict)
    counts: tuple[DryRunCount, ...] = ()
    changed_ids_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """Many wrong values were asked about one license within an hour."""

    id: str
    kind: str
    license_id: str
    raised_at: datetime
    wrong: int
    callers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One of the caller's own requests: the route's template, never its path."""

    at: datetime
    method: str
    route: str
    status: int
    request_id: str
    duration_ms: float


def policy_of(value: Json) -> StoredPolicy:
    """Read a policy. Raises APIResponseError for a missing or wrongly typed member."""
    return StoredPolicy(
        name=_text(value, "name"),
        version=_integer(value, "version"),
        sha256=_text(value, "sha256"),
        parts=_object(value, "parts"),
        preset=value.get("preset") is True,
        created_at=_optional(_moment, _maybe_text(value, "created_at")),
        document=value,
    )


def dry_run_of(value: Json) -> DryRun:
    """Read what a policy would have answered. Raises APIResponseError as `policy_of`."""
    ids = value.get("changed_ids")
    return DryRun(
        total=_integer(value, "total"),
        judged=_integer(value, "judged"),
        same=_integer(value, "same"),
        changed=_integer(value, "changed"),
        cannot_tell=_integer(value, "cannot_tell"),
        changed_ids=tuple(map(str, ids)) if isinstance(ids, Sequence) and not isinstance(ids, str) else (),
        next_cursor=_maybe_text(value, "next_cursor") or None,
        raw=value,
        policy=_maybe_object(value, "policy") or {},
        since=_optional(_moment, _maybe_text(value, "from")),
        until=_optional(_moment, _maybe_text(value, "to")),
        cannot_tell_parts=_maybe_object(value, "cannot_tell_parts") or {},
        counts=tuple(_count_of(count) for count in _objects(value, "counts")),
        changed_ids_complete=value.get("changed_ids_complete") is True,
    )


def _count_of(value: Json) -> DryRunCount:
    before, after = _object(value, "from"), _maybe_object(value, "to")
    return DryRunCount(
        from_verdict=_text(before, "verdict"),
        from_reason=_text(before, "reason"),
        to_verdict=None if after is None else _text(after, "verdict"),
        to_reason=None if after is None else _text(after, "reason"),
        count=_integer(value, "count"),
    )


def alarm_of(value: Json) -> Alarm:
    """Read an alarm. Raises APIResponseError as `policy_of`."""
    return Alarm(
        id=_text(value, "id"),
        kind=_text(value, "kind"),
        license_id=_text(value, "license_id"),
        raised_at=_moment(_text(value, "raised_at")),
        wrong=_integer(value, "wrong"),
        callers=_integer(value, "callers"),
    )


def logged_request_of(value: Json) -> LoggedRequest:
    """Read one request. Raises APIResponseError as `policy_of`."""
    return LoggedRequest(
        at=_moment(_text(value, "at")),
        method=_text(value, "method"),
        route=_text(value, "route"),
        status=_integer(value, "status"),
        request_id=_text(value, "request_id"),
        duration_ms=_duration(value.get("duration_ms", 0)),
    )


def _duration(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 <= found <= _LONGEST_MS:
        raise APIResponseError("the answer's duration_ms is no duration")
    return float(found)
