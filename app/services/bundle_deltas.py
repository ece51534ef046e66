"""Bundle deltas: a client names the statement in the bundle it holds and gets what changed since.

Every trust list and status list ever published is kept, and a statement for as long as it counts, so the bundle of
any of these can be made again, byte for byte; the digest in the delta shows the client whether it was. Comparing two
bundles takes a tenth of a second where a list holds ten million entries, and anyone may ask: a few comparisons run at
once, in threads, their results are kept for the many clients that hold the same bundle, and whoever comes in a rush
gets the whole bundle instead.
"""

import asyncio
from collections import OrderedDict
from functools import partial
from typing import Protocol

from app.domain.errors import DomainError
from app.domain.publication import Digested, DocumentKind
from app.ports import Store, UnitOfWork
from app.services.freshness import FreshnessService, bundle_of
from app.services.shared_work import SharedWork
from elicense.bundle_delta import make_delta
from elicense.encoding import sha256_hex
from elicense.folding import deflate_fingerprint

KEPT = 64
AT_ONCE = 2

_Key = tuple[str, str, bool]


class Compare(Protocol):
    """Make the delta from one bundle to another, as `elicense.bundle_delta.make_delta` does."""

    def __call__(self, held: bytes, wanted: bytes, *, deflate: str | None) -> bytes: ...


class BundleDeltaService:
    """Makes deltas from any earlier bundle to the one served now."""

    def __init__(
        self, *, store: Store, freshness: FreshnessService, env: str, compare: Compare = make_delta
    ) -> None:
        """Use `compare` (held, wanted, the client's zlib) to make deltas; it runs in a thread."""
        self._compare = compare
        self._store = store
        self._freshness = freshness
        self._env = env
        self._kept: OrderedDict[_Key, Digested | None] = OrderedDict()
        self._making: SharedWork[_Key, Digested | None] = SharedWork()

    async def since(self, statement_sha256: str, *, deflate: str | None) -> Digested | None:
        """Return the delta from the bundle of an earlier statement (digest, hex) to the one served now.

        `deflate` is how the client's zlib compresses (`elicense.folding.deflate_fingerprint`). None says: serve the
        whole bundle; the statement is unknown, its parts are no longer there, the delta would be no smaller, or too
        many others are being made. Raises what `FreshnessService.served_bundle` raises.
        """
        wanted = await self._freshness.served_bundle()
        key = (statement_sha256, wanted.sha256, deflate == deflate_fingerprint())
        # Anyone may make up a digest: one that names nothing takes no turn, and no room among what is kept.
        if key not in self._kept and key not in self._making and not await self._is_known(statement_sha256):
            return None
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        if key not in self._making and len(self._making) >= AT_ONCE:
            return None
        return await self._making.result(key, partial(self._make_and_keep, key, wanted.content, deflate))

    async def _is_known(self, statement_sha256: str) -> bool:
        found = await self._store.read(
            lambda unit: unit.documents.by_sha256(DocumentKind.FRESHNESS, statement_sha256)
        )
        return found is not None

    async def _make_and_keep(self, key: _Key, wanted: bytes, deflate: str | None) -> Digested | None:
        held = await self._store.read(lambda unit: self._bundle_then(unit, key[0]))
        if held is None:
            return None  # may be there again at the next question, as the database may
        made = await asyncio.to_thread(self._compare, held, wanted, deflate=deflate)
        delta = Digested(made, sha256_hex(made)) if len(made) < len(wanted) else None
        # Kept before the task ends: whoever comes as it ends finds the one or the other.
        self._keep(key, delta)
        return delta

    async def _bundle_then(self, unit: UnitOfWork, statement_sha256: str) -> bytes | None:
        freshness = await unit.documents.by_sha256(DocumentKind.FRESHNESS, statement_sha256)
        if freshness is None:
            return None
        roots = await unit.documents.all(DocumentKind.TRUST_ROOT)
        then = [root for root in roots if root.issued_at <= freshness.issued_at]
        try:
            return await bundle_of(unit, freshness, roots=then, env=self._env)
        except DomainError:
            return None  # a part of it is no longer kept: the client needs the whole

    def _keep(self, key: _Key, delta: Digested | None) -> None:
        self._kept[key] = delta
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
