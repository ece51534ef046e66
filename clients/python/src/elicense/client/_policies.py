"""Policies of one's own, and what one would have answered; alarms of a department; one's own request log."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from elicense.client._models import (
    Json,
    Page,
    _integer,
    _maybe_text,
    _moment,
    _object,
    _optional,
    _text,
    page_of,
)
from elicense.client._orders import Calls
from elicense.client._protocol import rfc3339, without_none


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
class DryRun:
    """What a policy would have answered for the caller's verifications; `raw` holds the counts by verdict and reason.

    Of `total` in the span, `judged` were judged again: `same`, `changed`, or `cannot_tell` from what is kept.
    """

    total: int
    judged: int
    same: int
    changed: int
    cannot_tell: int
    changed_ids: tuple[str, ...]
    next_cursor: str | None
    raw: Mapping[str, object] = field(repr=False)


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


class Policies:
    """Policies of the calling relying party, and the presets."""

    def __init__(self, client: Calls) -> None:
        self._client = client

    def create(
        self, name: str, parts: Mapping[str, object], *, idempotency_key: str | None = None
    ) -> StoredPolicy:
        """Make a policy, or its next version; parts that the newest version has already answer that one."""
        body = {"name": name, "parts": dict(parts)}
        return _policy_of(self._client._post(["v1", "policies"], body, idempotency_key=idempotency_key))

    def get(self, name: str, *, version: int | None = None) -> StoredPolicy:
        """Fetch one version, the newest when none is named. Raises NotFoundError."""
        return _policy_of(self._client._get(["v1", "policies", name], query={"version": version}))

    def list(self, *, cursor: str | None = None) -> Page[StoredPolicy]:
        """Fetch one page of the policies that may be named, each in its newest version."""
        return page_of(self._client._get(["v1", "policies"], query={"cursor": cursor}), _policy_of)

    def dry_run(
        self,
        *,
        policy: str | None = None,
        parts: Mapping[str, object] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> DryRun:
        """Tell what a policy (by reference or by its parts) would have answered in at most 31 days; nothing changes.

        The newest verifications are judged first; pass `next_cursor` as `cursor` to go on.
        """
        body = {
            "policy": policy,
            "parts": None if parts is None else dict(parts),
            "from": None if since is None else rfc3339(since),
            "to": None if until is None else rfc3339(until),
            "cursor": cursor,
            "limit": limit,
        }
        found = self._client._post(["v1", "policies", "dry-run"], without_none(body), idempotency_key=None)
        ids = found.get("changed_ids")
        return DryRun(
            total=_integer(found, "total"),
            judged=_integer(found, "judged"),
            same=_integer(found, "same"),
            changed=_integer(found, "changed"),
            cannot_tell=_integer(found, "cannot_tell"),
            changed_ids=tuple(map(str, ids))
            if isinstance(ids, Sequence) and not isinstance(ids, str)
            else (),
            next_cursor=_maybe_text(found, "next_cursor"),
            raw=found,
        )


def alarms_of(client: Calls, *, cursor: str | None) -> Page[Alarm]:
    """Fetch one page of alarms about the calling authority's licenses, oldest first."""
    return page_of(client._get(["v1", "alarms"], query={"cursor": cursor}), _alarm_of)


def requests_of(client: Calls, *, cursor: str | None) -> Page[LoggedRequest]:
    """Fetch one page of the caller's own requests, newest first."""
    return page_of(client._get(["v1", "requests"], query={"cursor": cursor}), _request_of)


def _policy_of(value: Json) -> StoredPolicy:
    return StoredPolicy(
        name=_text(value, "name"),
        version=_integer(value, "version"),
        sha256=_text(value, "sha256"),
        parts=_object(value, "parts"),
        preset=value.get("preset") is True,
        created_at=_optional(_moment, _maybe_text(value, "created_at")),
        document=value,
    )


def _alarm_of(value: Json) -> Alarm:
    return Alarm(
        id=_text(value, "id"),
        kind=_text(value, "kind"),
        license_id=_text(value, "license_id"),
        raised_at=_moment(_text(value, "raised_at")),
        wrong=_integer(value, "wrong"),
        callers=_integer(value, "callers"),
    )


def _request_of(value: Json) -> LoggedRequest:
    duration = value.get("duration_ms")
    return LoggedRequest(
        at=_moment(_text(value, "at")),
        method=_text(value, "method"),
        route=_text(value, "route"),
        status=_integer(value, "status"),
        request_id=_text(value, "request_id"),
        duration_ms=float(duration) if isinstance(duration, (int, float)) else 0.0,
    )
