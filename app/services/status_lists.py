"""Status lists: signed once per change or hour, swapped by compare-and-swap, served as stored.

`iat` is taken before the bits are read, so a list never claims to be younger than its content, and never goes back from
one version to the next (`_time_after`). The dirty mark is the difference between two counters: publishing sets the
published one to what was read, and a change in between keeps the list dirty. A publisher that stalls loses the swap of
its list and of the freshness statement, and puts back nothing.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.domain.errors import ConcurrentChange, NotFound
from app.domain.good_time import FURTHEST_APART
from app.domain.high_water import ListMark
from app.domain.publication import PublishedStatusList, ServedStamp, StatusListRow
from app.ports import Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.freshness import FreshnessWriter
from app.services.key_register import FRESHNESS, STATUS, KeyRegister, require_sound
from app.services.log_leaves import make_status_list_leaf
from app.services.one_of_many import concerns_one
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
BROKEN_PAUSE_SECONDS = 30.0
GATHER_SECONDS = 5.0
_LISTS_PER_TRANSACTION = 50

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Made:
    """A signed version, the one it follows with its digest, and the changes its bits hold."""

    published: PublishedStatusList
    expected_seq: int
    changes: int
    previous: str | None

    @property
    def name(self) -> str:
        return f"{self.published.list_id}:{self.published.seq}"


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
        anchor: Anchor,
        issuer_url: str,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._freshness = freshness
        self._guard = guard
        self._anchor = anchor
        self._issuer_url = issuer_url
        self._env = env
        self._looked_at: datetime | None = None
        self._published_at: float | None = None
        self._broken: dict[str, float] = {}

    async def publish_due(self) -> int:
        """Publish lists that changed, were never published or are an hour old; return how many.

        Lists and the freshness statement that names them are stored in one transaction. 0 also when another
        publisher was faster: the next call looks again. A list that cannot be made is logged, left alone for
        half a minute, and holds up no other.
        """
        self._guard.require_writable()
        await self._anchor.settle()
        due = [row for row in await self._store.read(self._find_due) if not self._is_set_aside(row.id)]
        published = 0
        for start in range(0, len(due), _LISTS_PER_TRANSACTION):
            published += await self._publish(due[start : start + _LISTS_PER_TRANSACTION])
        return published

    async def publish_gathered(self) -> int:
        """Publish as `publish_due`, at once after a quiet time, and what follows within five seconds together.

        Each list published is kept for good, each statement for days, and it names every list. Raises as `publish_due`.
        """
        now = self._signing_clock.monotonic()
        if self._published_at is not None and now - self._published_at < GATHER_SECONDS:
            return 0
        published = await self.publish_due()
        if published:
            self._published_at = now
        return published

    async def sign_again(self, signer: Signer) -> Callable[[UnitOfWork], Awaitable[None]]:
        """Sign every published list with another key, whatever its age; return what stores them in a transaction.

        For the publication that declares the key compromised which signed them: nobody sees a moment without lists that
        count. What it returns raises ConcurrentChange when one of the lists was published meanwhile.
        """
        rows = await self._store.read(lambda unit: unit.status.lists())
        made = [await self._make(row.id, signer) for row in rows if row.seq > 0]

        async def store(unit: UnitOfWork) -> None:
            await self._store_made(unit, made, at=self._signing_clock.signing_time())

        return store

    async def served(self, list_id: str) -> PublishedStatusList:
        """Return the list as published. Raises NotFound for an unknown or never published one."""
        found = await self._store.read(lambda unit: unit.status.served(list_id))
        if found is None:
            raise NotFound("status list")
        return found

    async def at_time(self, list_id: str, moment: datetime) -> tuple[PublishedStatusList, bool]:
        """Return the version that was the newest at a moment, and whether a later one has ended its time.

        Raises NotFound for a moment that no version covers: before the first, past the end of the one that was the
        newest then, or still to come.
        """

        async def work(unit: UnitOfWork) -> tuple[PublishedStatusList, bool] | None:
            span = await unit.status.newest_at(list_id, moment)
            found = None if span is None else await unit.status.version(list_id, span.seq)
            if span is None or found is None or moment >= found.expires_at:
                return None
            return found, span.until is not None

        covering = None
        if moment <= self._signing_clock.signing_time():
            covering = await self._store.read(work)
        if covering is None:
            raise NotFound("status list of that time")
        return covering

    async def version(self, list_id: str, seq: int) -> PublishedStatusList:
        """Return one published version by its number. Raises NotFound."""
        found = await self._store.read(lambda unit: unit.status.version(list_id, seq))
        if found is None:
            raise NotFound("version of this status list")
        return found

    async def uris(self) -> Sequence[str]:
        """Return the URIs of all published lists, sorted."""
        lists = await self._store.read(lambda unit: unit.status.lists())
        return sorted(row.uri for row in lists if row.seq > 0)

    async def _find_due(self, unit: UnitOfWork) -> Sequence[StatusListRow]:
        rows = await unit.status.lists()
        old = await self._find_old(unit)
        floors = (await unit.high_water.floors()).status_lists
        return [
            row
            for row in rows
            # A version at or below its floor was given up by a recovery: relying parties have seen newer ones.
            if row.seq <= floors.get(row.id, 0) or row.changes != row.published_changes or row.id in old
        ]

    async def _find_old(self, unit: UnitOfWork) -> frozenset[str]:
        """Look for lists to be signed again, once a minute: nothing is urgent about it."""
        now = self._signing_clock.signing_time()
        if self._looked_at is not None and abs(now - self._looked_at) < LOOK_FOR_OLD_EVERY:
            return frozenset()
        served = await unit.status.all_served()
        self._looked_at = now
        return frozenset(
            item.list_id
            for item in served
            # One from the future was signed under a clock that an operator has said was wrong.
            if now - item.issued_at >= REFRESH_EVERY or item.issued_at > now + FURTHEST_APART
        )

    async def _publish(self, rows: Sequence[StatusListRow]) -> int:
        signer = await self._signer(STATUS)
        freshness_signer = await self._signer(FRESHNESS)
        made = await self._make_each(rows, signer)
        if not made:
            return 0

        async def work(unit: UnitOfWork) -> int:
            now = self._signing_clock.signing_time()
            await require_sound(unit, signer.kid)
            await self._store_made(unit, made, at=now)
            return await self._freshness.add(unit, signer=freshness_signer, now=now)

        try:
            freshness_sequence = await self._store.write(work)
        except ConcurrentChange:
            log.info("publication_lost", lists=len(made))
            return 0
        await self._remember(rows, [item.published for item in made], freshness_sequence)
        log.info("status_lists_published", lists=[item.name for item in made])
        return len(made)

    async def _make_each(self, rows: Sequence[StatusListRow], signer: Signer) -> list[_Made]:
        """Read and sign each list; one that cannot be made is logged and set aside."""
        made = []
        for row in rows:
            try:
                made.append(await self._make(row.id, signer))
            except Exception as error:
                if not concerns_one(error):
                    raise
                self._set_aside(row.id)
        return made

    def _set_aside(self, list_id: str) -> None:
        """Log what was just raised about a list and leave it alone for a while: its duty comes again at once."""
        log.exception("status_list_not_published", list=list_id, again_in=BROKEN_PAUSE_SECONDS)
        self._broken[list_id] = self._signing_clock.monotonic()

    def _is_set_aside(self, list_id: str) -> bool:
        since = self._broken.get(list_id)
        if since is None or self._signing_clock.monotonic() - since >= BROKEN_PAUSE_SECONDS:
            self._broken.pop(list_id, None)
            return False
        return True

    async def _remember(
        self, rows: Sequence[StatusListRow], made: Sequence[PublishedStatusList], freshness_sequence: int
    ) -> None:
        authorities = {row.id: row.authority_code for row in rows}
        lists = {
            item.list_id: ListMark(authority_code=authorities[item.list_id], seq=item.seq) for item in made
        }
        await self._anchor.remember(freshness_sequence=freshness_sequence, status_lists=lists)

    async def _store_made(self, unit: UnitOfWork, made: Sequence[_Made], *, at: datetime) -> None:
        for item in made:
            await unit.status.publish(item.published, expected_seq=item.expected_seq, changes=item.changes)
        # The versions each followed were still served when these were swapped in: `previous` is true.
        await unit.journal.add_leaves(
            [
                make_status_list_leaf(item.published, previous=item.previous, env=self._env, at=at)
                for item in made
            ]
        )

    async def _make(self, list_id: str, signer: Signer) -> _Made:
        """Read the bits of one list and sign them."""
        now = self._signing_clock.signing_time()

        async def work(
            unit: UnitOfWork,
        ) -> tuple[StatusListRow, Sequence[tuple[int, int]], int, ServedStamp | None, int]:
            previous = await unit.status.served_stamp(list_id)
            row, values, event_seq = await unit.status.read_for_publication(list_id)
            floors = await unit.high_water.floors()
            seq = max(row.seq, floors.status_lists.get(row.id, 0)) + 1
            return row, values, event_seq, previous, seq

        row, values, event_seq, previous, seq = await self._store.read(work)
        issued_at = _time_after(previous, now)
        token = self._sign(row, values, seq=seq, event_seq=event_seq, issued_at=issued_at, signer=signer)
        published = PublishedStatusList(
            list_id=row.id,
            uri=row.uri,
            seq=seq,
            event_seq=event_seq,
            token=token,
            sha256=sha256_hex(token.encode("ascii")),
            issued_at=issued_at,
            expires_at=issued_at + LIFETIME,
        )
        return _Made(
            published,
            expected_seq=row.seq,
            changes=row.changes,
            previous=None if previous is None else previous.sha256,
        )

    def _sign(
        self,
        row: StatusListRow,
        values: Sequence[tuple[int, int]],
        *,
        seq: int,
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
            seq=seq,
            event_seq=event_seq,
            bits=buffer.to_bytes(),
            env=self._env,
        )
        return sign_compact(typ=STATUS_LIST_TYP, payload=payload, signer=signer)

    async def _signer(self, use: str) -> Signer:
        now = self._signing_clock.signing_time()
        return self._keys.signer(await self._keys.current(use, now=now))


def _time_after(previous: ServedStamp | None, now: datetime) -> datetime:
    """Return the `iat` of bits read at `now` that follow a version: never before that version's own.

    Archives are read by these times, by the register and offline: of two versions the later bits must not have the
    earlier time, or the older ones would speak for what came after them. Where the clock stands before the version
    that is followed, that version's time is taken. It claims no more than was claimed already: the bits were read
    after those were published, so by the clock that stamped them the new ones are no older, and by this one they are
    younger than they should be by no more than two good clocks may differ. Waiting would keep a revocation back.

    A time from further ahead was never good. Going on from there would sign the future for as long as it takes to
    come; so the true time is taken, and the archive has a break there, which offline reads as "cannot tell".
    """
    if previous is not None and now < previous.issued_at <= now + FURTHEST_APART:
        return previous.issued_at
    return now
