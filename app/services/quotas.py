"""Quotas: every call is paid for before any work, from calls that the process has leased in the database.

A lease is one small transaction for many calls (`domain/plan.py` says how many), so a quota holds over all processes
and machines, while most calls cost a subtraction. What a process leased and does not spend within a minute is lost to
the client: at most a twentieth of its burst. While the database takes no writes, or takes long, the process counts by
itself with the same figures: nothing but reading is answered then, and reading goes on.
"""

import asyncio
import math
from collections import OrderedDict
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

import structlog

from app.domain.api_client import ApiClient
from app.domain.errors import DomainError, TooManyCalls
from app.domain.plan import Lease, QuotaState, lease_calls, lot_of
from app.ports import Clock, Store, UnitOfWork

log = structlog.get_logger()

LEASE_AGE = timedelta(seconds=60)
PAUSE_AFTER_FAILURE = timedelta(seconds=1)
LONGEST_WAIT_SECONDS = 2.0
"""How long the database may take for a lease: one that hangs must not keep reading waiting as it does writing."""

PAUSE_AFTER_REFUSAL = timedelta(seconds=1)
"""The shortest time that Retry-After names: until then a caller that goes on is refused without a transaction."""

_MOST_ACCOUNTS = 10_000
_OUT_OF_ORDER = frozenset({"unavailable", "read_only"})

Fields = tuple[tuple[bytes, bytes], tuple[bytes, bytes]]
"""The response fields RateLimit and RateLimit-Policy."""


_Leased: TypeAlias = tuple[Lease, QuotaState, datetime]
"""Leased calls, the state of the bucket after that, and the moment by which it was counted."""


class _Account:
    """What this process holds for one client."""

    __slots__ = (
        "calls",
        "client",
        "ends_at",
        "lease",
        "leased_at",
        "local",
        "lock",
        "policy",
        "refused_until",
        "shared_again_at",
    )

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self.lock = asyncio.Lock()
        self.calls = 0
        self.lease: Lease | None = None
        self.leased_at: datetime | None = None
        self.ends_at: datetime | None = None
        self.local: QuotaState | None = None
        self.shared_again_at: datetime | None = None
        self.refused_until: datetime | None = None
        self.policy = policy_field(client)

    def spend(self, now: datetime) -> bool:
        """Take one call from the lease. False when there is none, or its minute or its day is over."""
        if self.calls < 1 or self.ends_at is None or now >= self.ends_at:
            return False
        self.calls -= 1
        return True

    def counts_alone(self, now: datetime) -> bool:
        """Tell whether the database failed a moment ago. A clock set back ends that: it is asked again."""
        until = self.shared_again_at
        return until is not None and until - PAUSE_AFTER_FAILURE <= now < until

    def is_refused(self, now: datetime) -> bool:
        """Tell whether it was refused a moment ago. A clock set back ends that: the database is asked again."""
        until = self.refused_until
        return until is not None and until - PAUSE_AFTER_REFUSAL <= now < until

    def fields(self, now: datetime) -> Fields:
        passed = timedelta(0) if self.leased_at is None else now - self.leased_at
        limit = limit_field(self.lease, self.calls, passed=passed)
        return (b"ratelimit", limit), (b"ratelimit-policy", self.policy)


class QuotaService:
    """Admits calls within their clients' quotas."""

    def __init__(
        self, store: Store, clock: Clock, *, longest_wait_seconds: float = LONGEST_WAIT_SECONDS
    ) -> None:
        self._store = store
        self._clock = clock
        self._longest_wait_seconds = longest_wait_seconds
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    async def take(self, client: ApiClient) -> Fields:
        """Count one call and return the response fields. Raises TooManyCalls (429); `fields` still answers then."""
        account, now = self._account(client), self._clock.now()
        if not account.spend(now):
            # One call leases for all that wait here; they find calls when it lets them in.
            async with account.lock:
                now = self._clock.now()  # whoever was let in before may have waited for the database
                if not account.spend(now):
                    if not account.is_refused(now):
                        now = await self._lease(account, now)
                    if not account.spend(now):
                        assert account.lease is not None
                        raise TooManyCalls(max(1, account.lease.wait))
        return account.fields(now)

    def fields(self, client: ApiClient) -> Fields:
        """Return the response fields as they stand for a client."""
        return self._account(client).fields(self._clock.now())

    def _account(self, client: ApiClient) -> _Account:
        account = self._accounts.get(client.id)
        if account is not None and account.client is client:
            return account
        if account is None or _figures(account.client) != _figures(client):
            account = self._accounts[client.id] = _Account(client)
            if len(self._accounts) > _MOST_ACCOUNTS:
                self._accounts.popitem(last=False)
        account.client = client
        self._accounts.move_to_end(client.id)
        return account

    async def _lease(self, account: _Account, now: datetime) -> datetime:
        """Lease calls and return the moment they are of: that at which the database, or this process, counted."""
        client = account.client
        if not account.counts_alone(now):
            try:
                account.lease, account.local, now = await self._ask(client, account.local)
                account.shared_again_at = None
            except DomainError as error:
                if error.code not in _OUT_OF_ORDER:
                    raise
                now = self._clock.now()  # the pause begins now, however long it took to fail
                account.shared_again_at = now + PAUSE_AFTER_FAILURE
                log.warning("quota_counted_alone", code=error.code)
        if account.counts_alone(now):
            account.lease, account.local = lease_calls(client, account.local, now=now, wanted=1)
        assert account.lease is not None
        account.calls, account.leased_at = account.lease.calls, now
        account.refused_until = None if account.calls else self._clock.now() + PAUSE_AFTER_REFUSAL
        account.ends_at = now + min(LEASE_AGE, timedelta(seconds=account.lease.day_ends_in))
        return now

    async def _ask(self, client: ApiClient, own: QuotaState | None) -> _Leased:
        """Lease in the database. Raises DomainError, `unavailable` too where it takes longer than it may."""
        asked = asyncio.create_task(
            self._store.write(lambda unit: _lease_shared(unit, client, own, self._clock))
        )
        asked.add_done_callback(_see)
        try:
            await asyncio.wait({asked}, timeout=self._longest_wait_seconds)
            if asked.done():
                return asked.result()
        finally:
            # It ends by itself, when its connection can be given back or thrown away; nobody waits for that.
            asked.cancel()
        raise DomainError("unavailable", "the database takes too long")


def _see(asked: asyncio.Task[_Leased]) -> None:
    if not asked.cancelled():
        asked.exception()  # raised by `_ask`, unless it came too late to matter


async def _lease_shared(unit: UnitOfWork, client: ApiClient, own: QuotaState | None, clock: Clock) -> _Leased:
    """Lease a lot of calls; `own` is what this process knows of the bucket by its own clock."""
    now = clock.now()  # not earlier: to begin a transaction can take long
    before, wanted = await unit.plans.spent(client.id), lot_of(client)
    lease, state = lease_calls(client, before, now=now, wanted=wanted)
    is_ahead = before is not None and before.lies_ahead_of(state)
    if before is not None and own is not None and before.full_at > state.full_at and not lease.calls:
        # Another machine's clock is ahead by more than the bucket is deep, and always would leave it empty here.
        lease, state = lease_calls(client, replace(state, full_at=own.full_at), now=now, wanted=wanted)
    # What a clock wrote that was ahead is put right though nothing was granted: else it would stay until then.
    if lease.calls or is_ahead:
        await unit.plans.keep_spent(state)
    return lease, state, now


def _figures(client: ApiClient) -> tuple[int, int | None, int | None]:
    return client.calls_per_minute, client.burst, client.calls_per_day


def policy_field(client: ApiClient) -> bytes:
    """Write RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-11 §3): quota `q` per window of `w` seconds."""
    policies = [f'"minute";q={client.calls_per_minute};w=60']
    if client.calls_per_day is not None:
        policies.append(f'"day";q={client.calls_per_day};w=86400')
    return ", ".join(policies).encode("ascii")


def limit_field(lease: Lease | None, calls: int, *, passed: timedelta = timedelta(0)) -> bytes:
    """Write RateLimit (the same draft, §4): what is available now, `r`, of a lease made `passed` ago.

    The seconds `t` until more is available are said where nothing is left, of each limit for itself; the longest are
    those of Retry-After (§6): before that a quota fills little by little, of which no `t` could be true.
    """
    if lease is None:
        return b'"minute";r=0;t=1'
    limits = [_limit("minute", lease.available + calls, lease.call_in, passed)]
    if lease.day_left is not None:
        limits.append(_limit("day", lease.day_left + calls, lease.day_call_in, passed))
    return ", ".join(limits).encode("ascii")


def _limit(name: str, available: int, wait: int, passed: timedelta) -> str:
    if available > 0:
        return f'"{name}";r={available}'
    # A clock set back makes nobody wait longer.
    left = math.ceil(wait - max(0.0, passed.total_seconds()))
    return f'"{name}";r=0;t={max(1, left)}'
