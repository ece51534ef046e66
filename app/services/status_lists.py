"""Status lists: signed once per change or hour, swapped by compare-and-swap, served as stored.

`iat` is taken before the bits are read, so a list never claims to be younger than its content. The dirty mark is the
difference between two counters: publishing sets the published one to what was read, and a change in between keeps the
list dirty. A publisher that stalls loses the swap of its list and of the freshness statement, and puts back nothing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog

from app.domain.errors import ConcurrentChange, NotFound
from app.domain.publication import PublishedStatusList, StatusListRow
from app.ports import Store, UnitOfWork
from app.services.freshness import FreshnessWriter
from app.services.key_register import FRESHNESS, STATUS, KeyRegister
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.encoding import sha256_hex
from elicense.jws import sign_compact
from elicense.keys import Signer
from elicense.status_list import STATUS_LIST_TYP, StatusBuffer, build_status_list_payload

LIFETIME = timedelta(days=7)
REFRESH_EVERY = timedelta(hours=1)
LOOK_FOR_OLD_EVERY = timedelta(minutes=1)
TTL_SECONDS = 300
_LISTS_PER_TRANSACTION = 50

log = structlog.get_logger()


class StatusListService:
    """Publishes and serves status lists."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        keys: KeyRegister,
        freshness: FreshnessWriter,
        guard: WriteGuard,
        issuer_url: str,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._freshness = freshness
        self._guard = guard
        self._issuer_url = issuer_url
        self._env = env
        self._looked_at: datetime | None = None

    async def publish_due(self) -> int:
        """Publish lists that changed, were never published or are an hour old; return how many.

        Lists and the freshness statement that names them are stored in one transaction. 0 also when another
        publisher was faster: the next call looks again.
        """
        self._guard.require_writable()
        due = await self._store.read(self._find_due)
        published = 0
        for start in range(0, len(due), _LISTS_PER_TRANSACTION):
            published += await self._publish(due[start : start + _LISTS_PER_TRANSACTION])
        return published

    async def served(self, list_id: str) -> PublishedStatusList:
        """Return the list as published. Raises NotFound for an unknown or never published one."""
        found = await self._store.read(lambda unit: unit.status.served(list_id))
        if found is None:
            raise NotFound("status list")
        return found

    async def uris(self) -> Sequence[str]:
        """Return the URIs of all published lists, sorted."""
        lists = await self._store.read(lambda unit: unit.status.lists())
        return sorted(row.uri for row in lists if row.seq > 0)

    async def _find_due(self, unit: UnitOfWork) -> Sequence[StatusListRow]:
        rows = await unit.status.lists()
        old = await self._find_old(unit)
        return [row for row in rows if row.seq == 0 or row.changes != row.published_changes or row.id in old]

    async def _find_old(self, unit: UnitOfWork) -> frozenset[str]:
        """Look for lists to be signed again, once a minute: that reads whole lists, and nothing is urgent about it."""
        now = self._signing_clock.signing_time()
        if self._looked_at is not None and abs(now - self._looked_at) < LOOK_FOR_OLD_EVERY:
            return frozenset()
        served = await unit.status.all_served()
        self._looked_at = now
        return frozenset(item.list_id for item in served if now - item.issued_at >= REFRESH_EVERY)

    async def _publish(self, rows: Sequence[StatusListRow]) -> int:
        signer = await self._signer(STATUS)
        freshness_signer = await self._signer(FRESHNESS)
        made = [await self._make(row.id, signer) for row in rows]

        async def work(unit: UnitOfWork) -> None:
            for published, expected_seq, changes in made:
                await unit.status.publish(published, expected_seq=expected_seq, changes=changes)
            now = self._signing_clock.signing_time()
            await self._freshness.add(unit, signer=freshness_signer, now=now)

        try:
            await self._store.write(work)
        except ConcurrentChange:
            log.info("publication_lost", lists=len(made))
            return 0
        log.info("status_lists_published", lists=[f"{item.list_id}:{item.seq}" for item, _, _ in made])
        return len(made)

    async def _make(self, list_id: str, signer: Signer) -> tuple[PublishedStatusList, int, int]:
        """Read the bits of one list and sign them; return it with the version it follows and the changes it holds."""
        issued_at = self._signing_clock.signing_time()
        row, values, event_seq = await self._store.read(
            lambda unit: unit.status.read_for_publication(list_id)
        )
        token = self._sign(row, values, event_seq=event_seq, issued_at=issued_at, signer=signer)
        published = PublishedStatusList(
            list_id=row.id,
            uri=row.uri,
            seq=row.seq + 1,
            event_seq=event_seq,
            token=token,
            sha256=sha256_hex(token.encode("ascii")),
            issued_at=issued_at,
            expires_at=issued_at + LIFETIME,
        )
        return published, row.seq, row.changes

    def _sign(
        self,
        row: StatusListRow,
        values: Sequence[tuple[int, int]],
        *,
        event_seq: int,
        issued_at: datetime,
        signer: Signer,
    ) -> str:
        buffer = StatusBuffer(row.size)
        for index, value in values:
            buffer.set(index, value)
        payload = build_status_list_payload(
            uri=row.uri,
            issuer=self._issuer_url,
            issued_at=issued_at,
            expires_at=issued_at + LIFETIME,
            ttl=TTL_SECONDS,
            aggregation_uri=f"{self._issuer_url}/v1/status-lists",
            seq=row.seq + 1,
            event_seq=event_seq,
            bits=buffer.to_bytes(),
            env=self._env,
        )
        return sign_compact(typ=STATUS_LIST_TYP, payload=payload, signer=signer)

    async def _signer(self, use: str) -> Signer:
        now = self._signing_clock.signing_time()
        return self._keys.signer(await self._keys.current(use, now=now))
