"""Proofs that something stands in the log: a license's issuance, a published document, a receipt.

Who may have what: an entry about a license is a salted digest, and what opens it (salt and event digest) goes to those
who hold the credential, shown by the digest of its signing input or by the right to read it. Anyone else who knows
the identifier learns where its entry stands and nothing it could be compared with.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.api_client import Caller
from app.domain.errors import NotFound
from app.domain.transparency_log import LogState, PlacedLeaf, PublishedCheckpoint, document_key
from app.ports import Store, UnitOfWork
from app.services.licenses import may_read_version, read_own
from app.services.log_leaves import trust_uri
from app.services.transparency_log import include, not_logged_yet
from elicense.encoding import JsonValue, b64url_decode, b64url_encode, parse_json_object
from elicense.log_entry import LOG_FMT, MAX_ENTRY_BYTES, EntryKind
from elicense.log_proof import Inclusion, LogProof, ReceiptProof


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryProof:
    """Prove that an entry stands in a log: its exact bytes and their place. What opens it, only where it was due."""

    env: str
    kind: str
    entry: bytes
    inclusion: Inclusion
    opening: Mapping[str, JsonValue] | None = None

    def to_json(self) -> dict[str, JsonValue]:
        """Give the proof as the public route answers it; with an opening it can be read as a log proof."""
        return {
            "fmt": LOG_FMT,
            "env": self.env,
            "kind": self.kind,
            "entry": b64url_encode(self.entry),
            **(self.opening or {}),
            **self.inclusion.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenCredential:
    """A credential and the proof that it was logged when it was issued."""

    env: str
    credential: str
    proof: LogProof

    def to_json(self) -> dict[str, JsonValue]:
        """Give both as one JSON value."""
        return {
            "fmt": LOG_FMT,
            "env": self.env,
            "credential": self.credential,
            "proof": self.proof.to_json(),
        }


class LogProofService:
    """Finds entries and proves them from the served trees."""

    def __init__(self, store: Store, *, issuer_url: str, env: str) -> None:
        self._store = store
        self._issuer_url = issuer_url
        self._env = env

    async def of_license(self, identifier: str, *, signing_input_sha256: str | None) -> EntryProof:
        """Prove the issuance of one version of a license.

        Its opening is added for whoever names the digest (hex) of the credential's signing input. Raises NotFound
        for an unknown identifier or another digest, DomainError `not_logged_yet`.
        """

        async def work(unit: UnitOfWork) -> EntryProof:
            leaf = await unit.transparency_log.leaf_of(identifier, kind=EntryKind.ISSUANCE)
            if leaf is None:
                raise NotFound("log entry")
            if signing_input_sha256 is None:
                return await self._entry_proof(unit, leaf)
            found = await unit.licenses.by_identifier(identifier)
            if found is None or found[1].signing_input_sha256 != signing_input_sha256:
                raise NotFound("log entry")
            opening = _log_proof(leaf, await include(unit, leaf), self._env).to_json()
            return await self._entry_proof(unit, leaf, opening=opening)

        return await self._store.read(work)

    async def of_status_list(self, uri: str, seq: int) -> EntryProof:
        """Prove that a version of a status list was logged when it was published. Raises as `of_license`."""
        return await self._of_document(EntryKind.STATUS_LIST, uri, seq)

    async def of_trust_document(self, kind: EntryKind, seq: int) -> EntryProof:
        """Prove a version of the trust list or the trust root. Raises as `of_license`."""
        return await self._of_document(kind, trust_uri(self._issuer_url, kind), seq)

    async def of_credential(
        self, license_id: str, *, version: str | None, caller: Caller
    ) -> ProvenCredential:
        """Return the credential of a version (the current one) with its proof, to those who may read it.

        Raises NotFound as the credential alone would, DomainError `not_logged_yet`.
        """

        async def work(unit: UnitOfWork) -> ProvenCredential:
            license = await read_own(unit, license_id, caller)
            wanted = version if version is not None else license.version
            held = await unit.licenses.version(license_id, wanted)
            if held is None or not may_read_version(held, caller):
                raise NotFound("version of this license")
            leaf = await unit.transparency_log.leaf_of(held.identifier, kind=EntryKind.ISSUANCE)
            if leaf is None:
                raise NotFound("log entry")
            proof = _log_proof(leaf, await include(unit, leaf), held.env)
            return ProvenCredential(env=held.env, credential=held.credential, proof=proof)

        return await self._store.read(work)

    async def of_receipt(self, verification_id: str, *, caller: Caller) -> ReceiptProof:
        """Prove that the receipt of one of the caller's own verifications stands in the receipts' log.

        The state it is proven in is the first one the public log fixes, or, before that, the newest. Raises NotFound
        for another's verification and for receipts from before the log, DomainError `not_logged_yet`.
        """

        async def work(unit: UnitOfWork) -> ReceiptProof:
            record = await unit.verifications.get(verification_id, client_id=caller.client.id)
            if record is None:
                raise NotFound("verification")
            leaf = await unit.transparency_log.leaf(record.batch_id or record.id)
            if leaf is None:
                raise NotFound("log entry of this receipt")
            if leaf.origin is None or leaf.index is None:
                raise not_logged_yet()
            return await self._receipt_proof(unit, leaf, leaf.origin, leaf.index)

        return await self._store.read(work)

    async def _receipt_proof(
        self, unit: UnitOfWork, leaf: PlacedLeaf, origin: str, index: int
    ) -> ReceiptProof:
        fixed = await _kept_state(unit, origin)
        if fixed is None:
            fixed = await unit.transparency_log.first_anchored(origin, above=index)
        anchor_leaf = await unit.transparency_log.leaf(fixed.anchor_id or "") if fixed is not None else None
        if anchor_leaf is None or not await _is_published(unit, anchor_leaf):
            return ReceiptProof(env=self._env, inclusion=await include(unit, leaf))
        stated = parse_json_object(anchor_leaf.entry, max_bytes=MAX_ENTRY_BYTES)["iat"]
        return ReceiptProof(
            env=self._env,
            inclusion=await include(unit, leaf, checkpoint=fixed),
            anchor=await include(unit, anchor_leaf),
            anchored_at=int(str(stated)),
        )

    async def _of_document(self, kind: EntryKind, uri: str, seq: int) -> EntryProof:
        async def work(unit: UnitOfWork) -> EntryProof:
            leaf = await unit.transparency_log.leaf_of(document_key(uri, seq), kind=kind)
            if leaf is None:
                raise NotFound("log entry")
            return await self._entry_proof(unit, leaf)

        return await self._store.read(work)

    async def _entry_proof(
        self, unit: UnitOfWork, leaf: PlacedLeaf, *, opening: Mapping[str, JsonValue] | None = None
    ) -> EntryProof:
        return EntryProof(
            env=self._env,
            kind=leaf.kind,
            entry=leaf.entry,
            inclusion=await include(unit, leaf),
            opening=opening,
        )


async def _kept_state(unit: UnitOfWork, origin: str) -> PublishedCheckpoint | None:
    """Return the one state of a log that was cut back which still counts; it is fixed in the public log."""
    head = await unit.transparency_log.head(origin)
    if head is None or head.state is LogState.OPEN:
        return None
    served = await unit.transparency_log.checkpoint(origin)
    return served if served is not None and served.anchor_id is not None else None


async def _is_published(unit: UnitOfWork, leaf: PlacedLeaf) -> bool:
    if leaf.origin is None or leaf.index is None:
        return False
    served = await unit.transparency_log.checkpoint(leaf.origin)
    return served is not None and leaf.index < served.size


def _log_proof(leaf: PlacedLeaf, inclusion: Inclusion, env: str) -> LogProof:
    if leaf.event_sha256 is None or leaf.salt is None:
        raise NotFound("opening of this log entry")
    return LogProof(
        env=env, event_sha256=leaf.event_sha256, salt=b64url_decode(leaf.salt), inclusion=inclusion
    )
