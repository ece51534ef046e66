"""Freshness: the short statement of what is current, stored in the very transaction that changes what is current.

Every transaction that swaps a status list or adds a trust list also adds the statement that names the result. So any
committed state is consistent by itself: a bundle read from one snapshot needs no second look, two publishers meet at
the statement's sequence number, and the loser's lists go back with its statement. (Choosing old list versions to fit an
older statement would serve a revocation later than needed and need every reader to know how.)
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.events import LogName
from app.domain.good_time import TOLERANCE
from app.domain.publication import Digested, DocumentKind, SignedDocument
from app.ports import Store, UnitOfWork
from app.services.anchor import Anchor
from app.services.key_register import FRESHNESS, KeyRegister, require_sound
from app.services.shared_work import SharedWork
from app.services.signing_clock import SigningClock
from app.services.sweeping import sweep_all
from app.services.write_guard import WriteGuard
from elicense.bundle import dump_bundle, make_bundle
from elicense.encoding import JsonValue, parse_json_object, sha256_hex
from elicense.freshness import (
    FRESHNESS_LIFETIME,
    FRESHNESS_TYP,
    MAX_FRESHNESS_BYTES,
    CurrentStatusList,
    build_freshness_payload,
)
from elicense.jws import parse_compact, sign_compact
from elicense.keys import Signer

REFRESH_EVERY = timedelta(hours=1)

KEPT_AFTER_END: Final = timedelta(days=1)
"""How long a statement that counts no more is kept: past its end nobody may use the bundle that it names."""

_SWEPT_AT_ONCE: Final = 500  # of a province each names hundreds of lists


class FreshnessWriter:
    """Adds the statement of what a transaction leaves behind as current."""

    def __init__(self, *, issuer_url: str, env: str) -> None:
        self._issuer_url = issuer_url
        self._env = env

    async def add(self, unit: UnitOfWork, *, signer: Signer, now: datetime) -> int:
        """Name trust list and served status lists as this transaction sees them, and store the next statement.

        Returns its sequence; 0 and nothing stored before the first trust list. Raises ConcurrentChange when another
        publisher was faster: the whole transaction is then let go.
        """
        trust_list = await unit.documents.latest(DocumentKind.TRUST_LIST)
        if trust_list is None:
            return 0
        await require_sound(unit, signer.kid)
        before = await unit.documents.latest(DocumentKind.FRESHNESS)
        follows = before.sequence if before is not None else 0
        sequence = max(follows, (await unit.high_water.floors()).freshness) + 1
        checkpoint = await unit.transparency_log.newest_checkpoint(LogName.REGISTER)
        issued_at = _stated_at(now, trust_list)
        payload = build_freshness_payload(
            issuer=self._issuer_url,
            env=self._env,
            issued_at=issued_at,
            expires_at=issued_at + FRESHNESS_LIFETIME,
            trust_list_sequence=trust_list.sequence,
            trust_list_sha256=trust_list.sha256,
            status_lists={
                served.uri: CurrentStatusList(seq=served.seq, sha256=served.sha256)
                for served in await unit.status.all_served()
            },
            checkpoint=checkpoint.note if checkpoint is not None else None,
        )
        token = sign_compact(typ=FRESHNESS_TYP, payload=payload, signer=signer).encode("ascii")
        await unit.documents.add(
            SignedDocument(
                kind=DocumentKind.FRESHNESS,
                sequence=sequence,
                content=token,
                sha256=sha256_hex(token),
                issued_at=issued_at,
                expires_at=issued_at + FRESHNESS_LIFETIME,
            ),
            follows=follows,
        )
        return sequence


def _stated_at(now: datetime, trust_list: SignedDocument) -> datetime:
    """Return when a statement about this list was made: never before the list, or nobody would take it.

    `now` was read before the transaction, on this machine: the list may have come in between, or from one whose clock
    stands a little ahead. A list from further ahead is a clock's fault, which no statement makes good.
    """
    return trust_list.issued_at if now < trust_list.issued_at <= now + TOLERANCE else now


class FreshnessService:
    """Serves the current statement and the bundle made of what it names; renews it hourly."""

    def __init__(
        self,
        *,
        store: Store,
        signing_clock: SigningClock,
        keys: KeyRegister,
        writer: FreshnessWriter,
        guard: WriteGuard,
        anchor: Anchor,
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._writer = writer
        self._guard = guard
        self._anchor = anchor
        self._env = env
        self._bundle: tuple[str, Digested] | None = None
        self._making: SharedWork[str, Digested] = SharedWork()

    async def current(self) -> SignedDocument:
        """Return the newest statement. Raises NotFound before the first."""
        found = await self._store.read(_latest)
        if found is None:
            raise NotFound("freshness statement")
        return found

    async def publish_due(self) -> bool:
        """Sign a new statement when the last is an hour old, names another trust list, or was made before the log's
        first checkpoint; tell whether it did. Other checkpoints wait for the next statement.

        Also when the last one lies in the future, which an operator has said is a clock's fault, or below a number
        that a recovery has given up.
        """
        self._guard.require_writable()
        await self._anchor.settle()
        now = self._signing_clock.signing_time()
        if not await self._store.read(lambda unit: _is_due(unit, now)):
            return False
        signer = self._keys.signer(await self._keys.current(FRESHNESS, now=now))
        try:
            sequence = await self._store.write(lambda unit: self._writer.add(unit, signer=signer, now=now))
        except ConcurrentChange:
            return False  # another publisher has just stated something newer
        await self._anchor.remember(freshness_sequence=sequence)
        return True

    async def sweep(self) -> int:
        """Delete statements that ended more than a day ago but the youngest of these; return how many.

        Their bundles count nowhere any more, and each names every list: with every publication they would outgrow the
        register. The one that is kept is the floor an audit begins at: signed, it shows that all before it had ended.
        Raises ServiceRefusal while the service is read-only or its clock cannot be relied on.
        """
        self._guard.require_writable()
        before = self._signing_clock.signing_time() - KEPT_AFTER_END
        return await sweep_all(
            self._store,
            lambda unit, limit: unit.documents.sweep(
                DocumentKind.FRESHNESS, ended_before=before, limit=limit
            ),
            at_once=_SWEPT_AT_ONCE,
        )

    async def bundle(self) -> bytes:
        """Return the bytes of `served_bundle`."""
        return (await self.served_bundle()).content

    async def served_bundle(self) -> Digested:
        """Return the bundle: roots, trust list, statement and lists, read from one snapshot.

        It is made once for each statement, however many ask at once. Raises NotFound before the first publication;
        DomainError `unavailable` rather than ever serve parts that the statement does not name exactly.
        """
        current = await self.current()
        if self._bundle is not None and self._bundle[0] == current.sha256:
            return self._bundle[1]
        # Who joins here has seen this statement, and the snapshot is younger: nobody gets an older bundle by waiting.
        return await self._making.result(current.sha256, self._remake)

    async def _remake(self) -> Digested:
        # Kept before the task ends: whoever comes as it ends finds the one or the other.
        self._bundle = await self._store.read(self._make_bundle)
        return self._bundle[1]

    async def _make_bundle(self, unit: UnitOfWork) -> tuple[str, Digested]:
        freshness = await _latest(unit)
        if freshness is None:
            raise NotFound("freshness statement")
        roots = await unit.documents.all(DocumentKind.TRUST_ROOT)
        content = await bundle_of(unit, freshness, roots=roots, env=self._env)
        return freshness.sha256, Digested(content, sha256_hex(content))


async def bundle_of(
    unit: UnitOfWork, freshness: SignedDocument, *, roots: Sequence[SignedDocument], env: str
) -> bytes:
    """Make the bundle of a statement, the newest or an earlier one: exactly the parts that it names.

    Raises DomainError `unavailable` when one of them is not there as named.
    """
    named = read_statement(freshness)
    trust_list = await unit.documents.get(DocumentKind.TRUST_LIST, named.trust_list_sequence)
    lists = await unit.status.versions({uri: one.seq for uri, one in named.status_lists.items()})
    have = {item.uri: CurrentStatusList(seq=item.seq, sha256=item.sha256) for item in lists}
    if trust_list is None or trust_list.sha256 != named.trust_list_sha256 or have != named.status_lists:
        raise DomainError("unavailable", "the published parts do not fit together yet")
    bundle = make_bundle(
        env=env,
        roots=[root.content for root in roots],
        trust_list=trust_list.content,
        freshness=freshness.content.decode("ascii"),
        status_lists={item.uri: item.token for item in lists},
        checkpoint=named.checkpoint,
    )
    return dump_bundle(bundle)


class Statement:
    """What one of our own freshness statements names."""

    __slots__ = ("checkpoint", "status_lists", "trust_list_sequence", "trust_list_sha256")

    def __init__(self, payload: dict[str, JsonValue]) -> None:
        """Read a payload this service wrote. Raises KeyError or TypeError if it did not."""
        trust_list, lists = payload["trust_list"], payload["status_lists"]
        if not isinstance(trust_list, dict) or not isinstance(lists, list):
            raise TypeError("not a freshness statement of this service")
        self.trust_list_sequence = int(str(trust_list["sequence"]))
        self.trust_list_sha256 = str(trust_list["sha256"])
        checkpoint = payload["checkpoint"]
        self.checkpoint = None if checkpoint is None else str(checkpoint)
        self.status_lists = {
            str(entry["uri"]): CurrentStatusList(seq=int(str(entry["seq"])), sha256=str(entry["sha256"]))
            for entry in lists
            if isinstance(entry, dict)
        }


def read_statement(document: SignedDocument) -> Statement:
    """Read what a stored statement names."""
    jws = parse_compact(document.content, typ=FRESHNESS_TYP, max_bytes=MAX_FRESHNESS_BYTES)
    return Statement(parse_json_object(jws.payload, max_bytes=MAX_FRESHNESS_BYTES))


async def _latest(unit: UnitOfWork) -> SignedDocument | None:
    return await unit.documents.latest(DocumentKind.FRESHNESS)


async def _is_due(unit: UnitOfWork, now: datetime) -> bool:
    freshness = await _latest(unit)
    trust_list = await unit.documents.latest(DocumentKind.TRUST_LIST)
    if freshness is None or trust_list is None:
        return trust_list is not None
    if now - freshness.issued_at >= REFRESH_EVERY or freshness.issued_at > now + TOLERANCE:
        return True
    if freshness.sequence <= (await unit.high_water.floors()).freshness:
        return True
    named = read_statement(freshness)
    if named.trust_list_sha256 != trust_list.sha256:
        return True
    return (
        named.checkpoint is None
        and await unit.transparency_log.newest_checkpoint(LogName.REGISTER) is not None
    )
