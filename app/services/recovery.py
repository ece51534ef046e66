"""Recovery of a database that lacks what was published: an operator accepts the loss, and every counter moves past it.

One transaction names the loss in the audit and in the public log, makes the lists that are gone, moves status
indices, list versions, freshness and events past the mark, and sets to invalid every status index that was reserved
and that no license of this database owns: credentials of the gap are vouched for by nobody any more, online
(`not_registered`) or offline.
A bundle published in the gap, which any relying party has, also tells which revocations are lost (`lost_changes`).
Publishing then goes its normal way, above the floors. A crash before the commit changes nothing, after it the mark
and the database agree. Nothing here can be signed by an online key alone: a lost trust list is published anew by the
ceremony, and until then the service stays read-only; a lost trust root is put back from its file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import AuditEntry
from app.domain.high_water import HighWaterMark, KeptOutside, Missing, Part
from app.domain.ids import new_salt
from app.domain.publication import DocumentKind, SignedDocument, StatusListRow
from app.domain.standing import Standing
from app.ports import Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.freshness import FreshnessService
from app.services.high_water import ACCEPT_TIME, HighWaterService
from app.services.journal_rows import make_audit
from app.services.log_leaves import make_loss_leaf
from app.services.log_recovery import LogRecovery
from app.services.lost_changes import LostChange, LostChanges
from app.services.signing_clock import SigningClock
from app.services.status_indices import LIST_SIZE, list_uri
from app.services.status_lists import StatusListService
from app.services.write_guard import WriteGuard
from elicense.jws import parse_general
from elicense.problems import FormatError, Text
from elicense.report import rfc3339
from elicense.signed_note import Checkpoint
from elicense.trust_root import MAX_ROOT_BYTES, TRUST_ROOT_TYP, TrustRoot, parse_trust_root, require_threshold

ACCEPT_LOSS: Final = "recover.accept_loss"
RESTORE_ROOT: Final = "recover.trust_root"
TAKE_LOG: Final = "recover.log_memory"
# Beyond the mark: what may have been given out after it was last raised. It is raised with every publication, so
# the margin covers what one crash can cut off, many times over; events are only counted when the mark is kept.
MARGIN: Final = 1_000
EVENT_MARGIN: Final = 1_000_000
# What was written into the database after it was put back does not tell how old it is.
_OUR_ACTIONS: Final = frozenset({ACCEPT_LOSS, RESTORE_ROOT, TAKE_LOG, ACCEPT_TIME})
_LOOK_BACK: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What a database lacks: the numbers, the time between its last entry and the mark, rows by table."""

    missing: tuple[Missing, ...]
    since: datetime | None
    until: datetime
    rows: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What a recovery did: loss accepted, indices set to invalid by list, licenses suspended, what is still to do."""

    loss: Loss
    voided: Mapping[str, int]
    held: tuple[LostChange, ...] = ()
    todo: tuple[Text, ...] = ()


class RecoveryService:
    """Tells what was lost, and goes on without it when an operator says so."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        anchor: Anchor,
        guard: WriteGuard,
        high_water: HighWaterService,
        logs: LogRecovery,
        status_lists: StatusListService,
        freshness: FreshnessService,
        issuer_url: str,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._anchor = anchor
        self._guard = guard
        self._high_water = high_water
        self._logs = logs
        self._status_lists = status_lists
        self._freshness = freshness
        self._lost_changes = LostChanges(store, signing_clock)
        self._issuer_url = issuer_url
        self._env = env

    async def loss(self) -> Loss | None:
        """Return what this database lacks, None when it lacks nothing."""
        standing = await self._high_water.standing()
        return None if not standing.missing else await self._loss_of(standing)

    async def forgotten_logs(self) -> Sequence[Checkpoint]:
        """Return the published heads of logs whose memory outside the database is gone: they are not signed on."""
        return await self._store.read(self._logs.forgotten)

    async def accept_forgotten_logs(self, *, actor: str) -> Sequence[Checkpoint]:
        """Take what this database published for the largest heads signed, on an operator's word; return those.

        Written to the audit first. Raises ServiceRefusal while the clock cannot be believed, `unavailable` when the
        memory cannot be written.
        """
        await self._require_right_clock()
        at = self._signing_clock.signing_time()

        async def work(unit: UnitOfWork) -> Sequence[Checkpoint]:
            heads = await self._logs.forgotten(unit)
            entries = [
                make_audit(action=TAKE_LOG, subject=f"{one.origin} at {one.size}", actor=actor, at=at)
                for one in heads
            ]
            await unit.journal.add_audit(entries)
            return heads

        heads = await self._store.write(work)
        # A crash before this line leaves audit entries and logs that are not signed on: the command is run again.
        await self._logs.take_for_signed(heads)
        return heads

    async def lost_changes(self, bundle: bytes) -> Sequence[LostChange]:
        """Find the licenses in force here that a newer bundle names otherwise.

        Raises DomainError `invalid_request` for a bundle that does not hold or is older than this database,
        `conflict` when this database lacks nothing.
        """
        loss = await self.loss()
        if loss is None:
            raise DomainError("conflict", "this database lacks nothing; compare before the loss is accepted")
        return await self._lost_changes.find(bundle, since=loss.since)

    async def restore_root(self, content: bytes, *, actor: str) -> int:
        """Put back a trust root that was published and is lost; return its version.

        Raises DomainError `invalid_request` for a document that is none, of another environment, or that the root
        before it has not signed; `conflict` for a version that is not the next one of this database.
        """
        await self._require_right_clock()
        at = self._signing_clock.signing_time()

        async def work(unit: UnitOfWork) -> int:
            before = await unit.documents.latest(DocumentKind.TRUST_ROOT)
            root = _successor(content.strip(), before, env=self._env)
            await unit.documents.add(
                SignedDocument(
                    kind=DocumentKind.TRUST_ROOT,
                    sequence=root.version,
                    content=root.raw,
                    sha256=root.sha256,
                    issued_at=at,
                    expires_at=root.expires,
                )
            )
            subject = f"trust_root:{root.version}"
            await unit.journal.add_audit(
                [make_audit(action=RESTORE_ROOT, subject=subject, actor=actor, at=at)]
            )
            return root.version

        try:
            version = await self._store.write(work)
        except ConcurrentChange as error:
            raise DomainError("conflict", "this is not the next version of the trust root") from error
        await self._high_water.review()
        return version

    async def accept_loss(self, *, actor: str, bundle: bytes | None = None) -> Recovered | None:
        """Go on without what was lost; None when nothing was. Run again after a crash it finds what is left to do.

        Licenses that a newer `bundle` shows as no longer in force are suspended in the same transaction. Raises
        ServiceRefusal while the clock cannot be believed; DomainError `conflict` when a transparency log cannot be
        given up, `invalid_request` for a bundle that does not hold, `unavailable` when the database, the mark or a
        key is out of reach.
        """
        await self._require_right_clock()
        standing = await self._high_water.standing()
        seen = standing.seen
        if seen is None or not standing.missing:
            return None
        loss = await self._loss_of(standing)
        if standing.only_trust_is_missing:
            return Recovered(loss=loss, voided={}, todo=self._todo())
        held = () if bundle is None else tuple(await self._lost_changes.find(bundle, since=loss.since))
        at = self._signing_clock.signing_time()

        async def work(unit: UnitOfWork) -> tuple[dict[str, int], tuple[Text, ...]]:
            await self._add_lost_lists(unit, seen)
            beyond = {
                one.name: seen.logs[one.name] for one in loss.missing if one.part in (Part.LOG, Part.LOG_ROOT)
            }
            todo = await self._logs.recover_log(unit, beyond=beyond, at=at)
            given_up = replace(seen, logs=beyond)
            await unit.high_water.give_up(given_up, margin=MARGIN, event_margin=EVENT_MARGIN)
            voided = {row.id: await unit.high_water.void_unowned(row.id) for row in await unit.status.lists()}
            await self._lost_changes.hold(unit, held, actor=actor, at=at)
            lines = _audit_lines(loss, voided)
            await unit.journal.add_audit(
                [make_audit(action=ACCEPT_LOSS, subject=line, actor=actor, at=at) for line in lines]
            )
            # In the log of now, or in the next generation's where that one was given up.
            leaf = make_loss_leaf(
                lines,
                since=loss.since,
                until=loss.until,
                salt=new_salt(),
                issuer_url=self._issuer_url,
                env=self._env,
                at=at,
            )
            await unit.journal.add_leaves([leaf])
            return voided, tuple(todo)

        voided, todo = await self._store.write(work)
        # A crash from here on leaves a database whose floors reach the mark: it starts writable.
        await self._anchor.change(lambda kept: _forget_rows(kept, seen))
        await self._high_water.review()
        if self._guard.restriction is None:
            await self._publish()
        return Recovered(loss=loss, voided=voided, held=held, todo=(*todo, *self._todo()))

    def _todo(self) -> tuple[Text, ...]:
        restriction = self._guard.restriction
        return () if restriction is None else (Text(restriction.zh, restriction.en),)

    async def _publish(self) -> None:
        """Sign what the floors have made due, as the worker does: relying parties refuse what is served till then."""
        await self._status_lists.publish_due()
        await self._freshness.publish_due()
        await self._high_water.keep()

    async def _require_right_clock(self) -> None:
        """Refuse to date a recovery by a clock nobody believes."""
        standing = await self._high_water.standing()
        wrong = standing.wrong_clock(production=self._env == "live", starting=True)
        if wrong is not None:
            raise wrong.refusal()

    async def _loss_of(self, standing: Standing) -> Loss:
        mark = standing.seen
        assert mark is not None

        async def read(unit: UnitOfWork) -> tuple[Mapping[str, int], AuditEntry | None]:
            entries, _ = await unit.journal.audit_page(cursor=None, limit=_LOOK_BACK)
            last = next((entry for entry in entries if entry.action not in _OUR_ACTIONS), None)
            return await unit.high_water.count_rows(), last

        rows, newest = await self._store.read(read)
        seen = mark.rows
        return Loss(
            missing=standing.missing,
            since=None if newest is None else newest.at,
            until=mark.time,
            rows={name: seen[name] - rows.get(name, 0) for name in seen if seen[name] > rows.get(name, 0)},
        )

    async def _add_lost_lists(self, unit: UnitOfWork, mark: HighWaterMark) -> None:
        """Make the lists that were begun after the backup: credentials of the gap name them."""
        held = {row.id for row in await unit.status.lists()}
        for list_id, seen in sorted(mark.status_lists.items()):
            if list_id not in held:
                await unit.status.add_list(
                    StatusListRow(
                        id=list_id,
                        uri=list_uri(self._issuer_url, list_id),
                        authority_code=seen.authority_code,
                        size=max(LIST_SIZE, seen.allocated),
                        allocated=seen.allocated,
                        changes=0,
                        published_changes=0,
                        seq=0,
                    )
                )


def _audit_lines(loss: Loss, voided: Mapping[str, int]) -> list[str]:
    """Write the gap down: its time, every number lost, every list whose unowned indices became invalid."""
    since = "none" if loss.since is None else rfc3339(loss.since)
    subjects = [f"gap {since} -> {rfc3339(loss.until)}"]
    subjects += [
        f"{one.part.value}{' ' + one.name if one.name else ''} {one.have} -> {one.seen}"
        for one in loss.missing
    ]
    subjects += [f"rows {name} -{count}" for name, count in sorted(loss.rows.items())]
    subjects += [f"voided {list_id} {count}" for list_id, count in sorted(voided.items())]
    return subjects


def _forget_rows(kept: KeptOutside | None, before: HighWaterMark) -> KeptOutside:
    """Count rows anew: those that are lost stay lost, and must not be told as lost a second time."""
    held = KeptOutside(mark=before) if kept is None else kept
    return replace(held, mark=replace(held.mark, rows={}))


def _successor(content: bytes, before: SignedDocument | None, *, env: str) -> TrustRoot:
    """Parse a root and hold it against the one before it, whose threshold must have signed it too."""
    try:
        root = parse_trust_root(content)
        if root.env != env:
            raise DomainError("invalid_request", "the trust root is of another environment")
        if before is not None and root.version == before.sequence + 1:
            previous = parse_trust_root(before.content)
            jws = parse_general(content, typ=TRUST_ROOT_TYP, max_bytes=MAX_ROOT_BYTES)
            require_threshold(jws, previous.root_keys, previous.root_threshold, "trust root")
        return root
    except FormatError as error:
        raise DomainError("invalid_request", f"not the next trust root: {error.detail}") from error
