"""The trust documents as published, and the chain of trust the online judge uses."""

from collections.abc import Sequence

from app.domain.errors import DomainError, NotFound
from app.domain.publication import DocumentKind, SignedDocument
from app.ports import Clock, Store, UnitOfWork
from app.services.recent import Recent
from elicense.evidence import TrustEvidence
from elicense.trust_list import parse_trust_list
from elicense.trust_root import parse_trust_root


class TrustListService:
    """Serves trust root and trust list, and keeps the current ones parsed for the judge."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._recent: Recent[TrustEvidence] = Recent(clock, self._load)

    async def root(self, version: int | None = None) -> SignedDocument:
        """Return the newest trust root or the version asked for. Raises NotFound."""
        return await self._document(DocumentKind.TRUST_ROOT, version)

    async def roots(self) -> Sequence[SignedDocument]:
        """Return every version of the trust root, the first first."""

        async def work(unit: UnitOfWork) -> Sequence[SignedDocument]:
            return await unit.documents.all(DocumentKind.TRUST_ROOT)

        return await self._store.read(work)

    async def trust_list(self, sequence: int | None = None) -> SignedDocument:
        """Return the newest trust list or the one asked for: all that were ever published are kept. Raises NotFound."""
        return await self._document(DocumentKind.TRUST_LIST, sequence)

    async def evidence(self) -> TrustEvidence:
        """Return root and list, parsed and checked, at most a second old.

        Marked fresh, because who publishes the list knows which is the current one; its `next_update` still counts.
        Raises DomainError `unavailable` before the first publication.
        """
        return await self._recent.get()

    def forget(self) -> None:
        """Read anew at the next use."""
        self._recent.forget()

    async def _document(self, kind: DocumentKind, sequence: int | None) -> SignedDocument:
        async def work(unit: UnitOfWork) -> SignedDocument | None:
            if sequence is None:
                return await unit.documents.latest(kind)
            return await unit.documents.get(kind, sequence)

        found = await self._store.read(work)
        if found is None:
            raise NotFound("document")
        return found

    async def _load(self, held: TrustEvidence | None) -> TrustEvidence:
        async def work(unit: UnitOfWork) -> tuple[SignedDocument | None, SignedDocument | None]:
            return (
                await unit.documents.latest(DocumentKind.TRUST_ROOT),
                await unit.documents.latest(DocumentKind.TRUST_LIST),
            )

        root, trust_list = await self._store.read(work)
        if root is None or trust_list is None:
            raise DomainError("unavailable", "there is no trust list yet: run `elicense keys init`")
        if held is not None and (held.root.sha256, held.trust_list.sha256) == (
            root.sha256,
            trust_list.sha256,
        ):
            return held
        return read_evidence(root, trust_list)


def read_evidence(root: SignedDocument, trust_list: SignedDocument) -> TrustEvidence:
    """Parse stored documents as strictly as anybody else's. FormatError means that the database was tampered with."""
    parsed_root = parse_trust_root(root.content)
    parsed_list = parse_trust_list(trust_list.content, root=parsed_root)
    return TrustEvidence(root=parsed_root, trust_list=parsed_list, fresh=True)
