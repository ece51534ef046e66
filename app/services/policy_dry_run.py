"""Dry run: what a policy would have answered for the verifications a client made in the last month."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.domain.api_client import Caller
from app.domain.errors import DomainError, FieldError
from app.domain.policy import unknown_policy
from app.domain.verification import VerificationRecord
from app.ports import IdempotentCall, LicenseSnapshot, Store, StoredAnswer, UnitOfWork
from app.services.answers import JSON
from app.services.attempts import write_or_repeat
from app.services.credential_maker import FIRST_VERSION
from app.services.license_past import held_elements
from app.services.policies import PolicyService, read_policy
from app.services.rejudging import Answer, Rejudged, StillKnown, rejudge
from app.services.signing_clock import SigningClock
from elicense.encoding import JsonValue, dump_json, rfc3339
from elicense.own_policy import parts_of
from elicense.policy import Policy

LONGEST: Final = timedelta(days=31)
MOST_JUDGED: Final = 1000
MOST_IDS: Final = 200
_AT_A_STRETCH: Final = 100
_UNNAMED: Final = "unnamed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRun:
    """What to try: a policy by reference or by its parts (exactly one), over verifications of a span of time.

    `since` included, `until` excluded; None means up to now, and the 31 days before. At most `limit` are judged, the
    newest first, from where `cursor` goes on.
    """

    policy: str | None
    parts: Mapping[str, JsonValue] | None
    since: datetime | None
    until: datetime | None
    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    since: datetime
    until: datetime


class PolicyDryRunService:
    """Tries policies on what has been answered already. Nothing is changed by it."""

    def __init__(self, *, store: Store, signing_clock: SigningClock, policies: PolicyService) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._policies = policies

    async def run(self, wanted: DryRun, *, caller: Caller, call: IdempotentCall | None) -> StoredAnswer:
        """Judge the caller's own verifications again and answer what would have changed.

        Raises DomainError unknown_policy, invalid_request for parts that cannot be, a span longer than 31 days or a
        cursor that is not ours, and the refusals of the idempotency key.
        """
        window = _window(wanted, now=self._signing_clock.look().shown)
        policy = await self._policy_of(wanted, client_id=caller.client.id)
        tally = await self._judge(wanted, window, policy, client_id=caller.client.id)
        body = dump_json(_shown(wanted, window, policy, tally))
        answer = StoredAnswer(status=200, headers={"Content-Type": JSON}, body=body)
        if call is None:
            return answer

        async def keep(unit: UnitOfWork, at: datetime) -> tuple[StoredAnswer, StoredAnswer]:
            return answer, answer

        return await write_or_repeat(self._store, self._signing_clock, keep, call=call)

    async def _policy_of(self, wanted: DryRun, *, client_id: str) -> Policy:
        if wanted.policy is None:
            return read_policy(_UNNAMED, wanted.parts or {})
        found = await self._policies.resolve([wanted.policy], client_id=client_id)
        if wanted.policy not in found:
            raise unknown_policy()
        return found[wanted.policy]

    async def _judge(self, wanted: DryRun, window: _Window, policy: Policy, *, client_id: str) -> "_Tally":
        async def read(
            unit: UnitOfWork,
        ) -> tuple[int, Sequence[VerificationRecord], str | None, Mapping[str, LicenseSnapshot]]:
            records, cursor = await unit.verifications.between(
                client_id=client_id,
                since=window.since,
                until=window.until,
                cursor=wanted.cursor,
                limit=wanted.limit,
            )
            total = await unit.verifications.count_between(
                client_id=client_id, since=window.since, until=window.until
            )
            return total, records, cursor, await _licenses(unit, records, policy)

        total, records, cursor, licenses = await self._store.read(read)
        tally = _Tally(total=total, next_cursor=cursor)
        for position, record in enumerate(records):
            snapshot = licenses.get(record.license_id or "")
            tally.add(record, rejudge(record, policy, still_known(record, snapshot)))
            if position % _AT_A_STRETCH == _AT_A_STRETCH - 1:
                await asyncio.sleep(0)  # let other callers of this process have their turn
        return tally


class _Tally:
    """Counts what would have become of each verification."""

    def __init__(self, *, total: int, next_cursor: str | None) -> None:
        self.total = total
        self.next_cursor = next_cursor
        self.judged = 0
        self.counts: Counter[tuple[Answer, Answer | None]] = Counter()
        self.because: Counter[str] = Counter()
        self.changed: list[str] = []

    def add(self, record: VerificationRecord, rejudged: Rejudged) -> None:
        """Count one verification."""
        before = (record.verdict, record.reason)
        self.judged += 1
        self.counts[before, rejudged.told] += 1
        self.because.update(rejudged.because)
        if rejudged.told not in (None, before):
            self.changed.append(record.id)


def still_known(record: VerificationRecord, snapshot: LicenseSnapshot | None) -> StillKnown:
    """Return what is known of a license as it was verified: by the answer where it shows, else by the register.

    A type never changes. Area and elements are those of now only where no version was made since, and only for
    questions about that moment itself.
    """
    shown = record.answer.get("license")
    claims = shown if isinstance(shown, Mapping) else {}
    type_code, area_code = (_text(claims.get(name)) for name in ("type_code", "area_code"))
    if snapshot is None:
        return StillKnown(type_code=type_code, area_code=area_code)
    license = snapshot.license
    # Versions carry whole seconds: one of the same second may be older or newer than the verification.
    unchanged = not record.answer.get("historical") and (
        license.version == FIRST_VERSION
        or snapshot.version.issued_at + timedelta(seconds=1) <= record.verified_at
    )
    return StillKnown(
        type_code=type_code or license.type_code,
        area_code=area_code or (license.area_code if unchanged else None),
        elements=frozenset(held_elements(license)) if unchanged else None,
    )


async def _licenses(
    unit: UnitOfWork, records: Sequence[VerificationRecord], policy: Policy
) -> Mapping[str, LicenseSnapshot]:
    if not policy.restricts and not policy.required_elements:
        return {}
    ids = sorted({record.license_id for record in records if record.license_id is not None})
    return await unit.licenses.snapshots(ids)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _window(wanted: DryRun, *, now: datetime) -> _Window:
    # Verifications carry whole seconds: those of this very second belong to "up to now".
    until = wanted.until if wanted.until is not None else now.replace(microsecond=0) + timedelta(seconds=1)
    since = wanted.since if wanted.since is not None else _before(until)
    if since is None or not timedelta(0) < until - since <= LONGEST:
        at = FieldError("/from", "must be before `to`, at most 31 days", "应早于 to,且相距至多 31 天")
        raise DomainError("invalid_request", "a dry run looks at most 31 days back", errors=[at])
    return _Window(since=since, until=until)


def _before(until: datetime) -> datetime | None:
    try:
        return until - LONGEST
    except OverflowError:  # the calendar begins later
        return None


def _shown(wanted: DryRun, window: _Window, policy: Policy, tally: _Tally) -> dict[str, object]:
    named = wanted.policy is not None
    same = sum(count for (before, after), count in tally.counts.items() if after == before)
    unknown = sum(count for (_, after), count in tally.counts.items() if after is None)
    return {
        "policy": {
            "id": policy.id if named else None,
            "version": policy.version if named else None,
            "sha256": policy.sha256 if named else None,
            "parts": parts_of(policy),
        },
        "from": rfc3339(window.since),
        "to": rfc3339(window.until),
        "total": tally.total,
        "judged": tally.judged,
        "next_cursor": tally.next_cursor,
        "same": same,
        "changed": tally.judged - same - unknown,
        "cannot_tell": unknown,
        "cannot_tell_parts": dict(sorted(tally.because.items())),
        "counts": [
            {"from": _answer_json(before), "to": _answer_json(after), "count": count}
            for (before, after), count in sorted(tally.counts.items(), key=lambda one: (-one[1], str(one[0])))
        ],
        "changed_ids": tally.changed[:MOST_IDS],
        "changed_ids_complete": len(tally.changed) <= MOST_IDS,
    }


def _answer_json(answer: Answer | None) -> dict[str, str] | None:
    return None if answer is None else {"verdict": answer[0], "reason": answer[1]}
