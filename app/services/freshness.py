"""Freshness: the short statement of what is current, stored in the very transaction that changes what is current.

Every transaction that swaps a status list or adds a trust list also adds the statement that names the result. So any
committed state is consistent by itself: a bundle read from one snapshot needs no second look, two publishers meet at
the statement's sequence number, and the loser's lists go back with its statement. (Choosing old list versions to fit an
older statement would serve a revocation later than needed and need every reader to know how.)
"""

from datetime import datetime, timedelta

from app.domain.errors import ConcurrentChange, DomainError, NotFound
from app.domain.publication import DocumentKind, SignedDocument
from app.ports import Store, UnitOfWork
from app.services.key_register import FRESHNESS, KeyRegister
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.bundle import dump_bundle, make_bundle
from elicense.encoding import JsonValue, parse_json_object, sha256_hex
from elicense.freshness import (
    FRESHNESS_TYP,
    MAX_FRESHNESS_BYTES,
    CurrentStatusList,
    build_freshness_payload,
)
from elicense.jws import parse_compact, sign_compact
from elicense.keys import Signer

LIFETIME = timedelta(days=7)
REFRESH_EVERY = timedelta(hours=1)


class FreshnessWriter:
    """Adds the statement of what a transaction leaves behind as current."""

    def __init__(self, *, issuer_url: str, env: str) -> None:
        self._issuer_url = issuer_url
        self._env = env

    async def add(self, unit: UnitOfWork, *, signer: Signer, now: datetime) -> None:
        """Name trust list and served status lists as this transaction sees them, and store the next statement.

        Nothing is stored before the first trust list. Raises ConcurrentChange when another publisher was faster:
        the whole transaction is then let go.
        """
        trust_list = await unit.documents.latest(DocumentKind.TRUST_LIST)
        if trust_list is None:
            return
        before = await unit.documents.latest(DocumentKind.FRESHNESS)
        payload = build_freshness_payload(
            issuer=self._issuer_url,
            env=self._env,
            issued_at=now,
            expires_at=now + LIFETIME,
            trust_list_sequence=trust_list.sequence,
            trust_list_sha256=trust_list.sha256,
            status_lists={
                served.uri: CurrentStatusList(seq=served.seq, sha256=served.sha256)
                for served in await unit.status.all_served()
            },
        )
        token = sign_compact(typ=FRESHNESS_TYP, payload=payload, signer=signer).encode("ascii")
        await unit.documents.add(
            SignedDocument(
                kind=DocumentKind.FRESHNESS,
                sequence=before.sequence + 1 if before is not None else 1,
                content=token,
                sha256=sha256_hex(token),
                issued_at=now,
                expires_at=now + LIFETIME,
            )
        )


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
        env: str,
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._keys = keys
        self._writer = writer
        self._guard = guard
        self._env = env
        self._bundle: tuple[str, bytes] | None = None

    async def current(self) -> SignedDocument:
        """Return the newest statement. Raises NotFound before the first."""
        found = await self._store.read(_latest)
        if found is None:
            raise NotFound("freshness statement")
        return found

    async def publish_due(self) -> bool:
        """Sign a new statement when the last is an hour old or names another trust list; tell whether it did."""
        self._guard.require_writable()
        now = self._signing_clock.signing_time()
        if not await self._store.read(lambda unit: _is_due(unit, now)):
            return False
        signer = self._keys.signer(await self._keys.current(FRESHNESS, now=now))
        try:
            await self._store.write(lambda unit: self._writer.add(unit, signer=signer, now=now))
        except ConcurrentChange:
            return False  # another publisher has just stated something newer
        return True

    async def bundle(self) -> bytes:
        """Return the bundle: roots, trust list, statement and lists, read from one snapshot.

        Raises NotFound before the first publication; DomainError `unavailable` rather than ever serve parts that
        the statement does not name exactly.
        """
        current = await self.current()
        if self._bundle is None or self._bundle[0] != current.sha256:
            self._bundle = await self._store.read(self._make_bundle)
        return self._bundle[1]

    async def _make_bundle(self, unit: UnitOfWork) -> tuple[str, bytes]:
        freshness = await _latest(unit)
        if freshness is None:
            raise NotFound("freshness statement")
        named = read_statement(freshness)
        trust_list = await unit.documents.get(DocumentKind.TRUST_LIST, named.trust_list_sequence)
        served = await unit.status.all_served()
        have = {item.uri: CurrentStatusList(seq=item.seq, sha256=item.sha256) for item in served}
        if trust_list is None or trust_list.sha256 != named.trust_list_sha256 or have != named.status_lists:
            raise DomainError("unavailable", "the published parts do not fit together yet")
        bundle = make_bundle(
            env=self._env,
            roots=[root.content for root in await unit.documents.all(DocumentKind.TRUST_ROOT)],
            trust_list=trust_list.content,
            freshness=freshness.content.decode("ascii"),
            status_lists={item.uri: item.token for item in served},
        )
        return freshness.sha256, dump_bundle(bundle)


class Statement:
    """What one of our own freshness statements names."""

    __slots__ = ("status_lists", "trust_list_sequence", "trust_list_sha256")

    def __init__(self, payload: dict[str, JsonValue]) -> None:
        """Read a payload this service wrote. Raises KeyError or TypeError if it did not."""
        trust_list, lists = payload["trust_list"], payload["status_lists"]
        if not isinstance(trust_list, dict) or not isinstance(lists, list):
            raise TypeError("not a freshness statement of this service")
        self.trust_list_sequence = int(str(trust_list["sequence"]))
        self.trust_list_sha256 = str(trust_list["sha256"])
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
    return (
        now - freshness.issued_at >= REFRESH_EVERY
        or read_statement(freshness).trust_list_sha256 != trust_list.sha256
    )
