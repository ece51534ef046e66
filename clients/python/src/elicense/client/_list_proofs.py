"""Log proofs of earlier status lists: what saves a list whose signing key was compromised since.

Online the register looks its lists up in its own log. For the same judgement offline the proofs are fetched with the
lists and kept beside them in the bundle.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from elicense.bundle import NOTHING
from elicense.client._trust import Trust
from elicense.client.errors import NotFoundError, NotLoggedYetError, TrustError
from elicense.encoding import JsonValue, b64url_decode, parse_json_object
from elicense.evidence_parts import TrustEvidence
from elicense.fields import Fields
from elicense.list_proof import ListProof, parse_list_proof
from elicense.log_entry import parse_entry
from elicense.log_proof import read_inclusion
from elicense.problems import FormatError
from elicense.status_evidence import accept_version
from elicense.status_list import UnverifiedStatusList, parse_status_list
from elicense.trust_list import ServiceUse

MOST_FETCHED: Final = 1024
"""How many proofs one update asks for: an archive that needs more gets the rest with the next updates."""
MOST_PROOF_BYTES: Final = 64 << 10

Proofs = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenLists:
    """The proofs of lists (by the token's digest in hex) and the digests of those that count for nothing.

    `received` counts the bytes fetched. A list needs a proof only when the trust list says that its key was
    compromised; one that has none, or was logged after the theft, is `lost`.
    """

    proofs: Proofs = field(default_factory=lambda: NOTHING, repr=False)
    lost: frozenset[str] = frozenset()
    received: int = 0


def prove_lists(
    service: Trust, tokens: Iterable[tuple[str, str]], held: Proofs, *, trust: TrustEvidence
) -> ProvenLists:
    """Find the proofs that (URI, token) pairs need: those held that still hold, else fetched from the service.

    Raises TrustError for an answer that is no proof, and the client's errors.
    """
    proofs: dict[str, JsonValue] = {}
    lost: set[str] = set()
    asked = received = 0
    for uri, token in tokens:
        unverified = _read(token)
        signer = trust.trust_list.service(unverified.kid, ServiceUse.STATUS)
        if signer is None or signer.compromised is None or unverified.sha256 in proofs:
            continue
        found = _held(held.get(unverified.sha256))
        if found is not None and not _counts(token, uri, found, trust):
            found = None
        if found is None and signer.compromised.checkpoint is not None and asked < MOST_FETCHED:
            asked += 1
            found, size = _fetch(service, uri, unverified.claims.seq)
            received += size
        if found is not None and _counts(token, uri, found, trust):
            proofs[unverified.sha256] = found.to_json()
        else:
            lost.add(unverified.sha256)
    return ProvenLists(proofs=proofs, lost=frozenset(lost), received=received)


def _read(token: str) -> UnverifiedStatusList:
    try:
        return parse_status_list(token)
    except FormatError as refusal:
        raise TrustError("status_unavailable", f"archive: {refusal.detail}") from refusal


def _held(kept: JsonValue) -> ListProof | None:
    try:
        return parse_list_proof(kept) if kept is not None else None
    except FormatError:
        return None  # a spoiled one is fetched again


def _counts(token: str, uri: str, proof: ListProof, trust: TrustEvidence) -> bool:
    try:
        accept_version(token, uri=uri, trust=trust, proofs=lambda _: proof)
    except FormatError:
        return False
    return True


def _fetch(service: Trust, uri: str, seq: int) -> tuple[ListProof | None, int]:
    """Fetch one proof and its size; None for a list that is not in the log, or not yet, and so after any theft."""
    try:
        answer = service.status_list_proof(uri, seq)
    except (NotFoundError, NotLoggedYetError):
        return None, 0
    try:
        fields = Fields(parse_json_object(answer, max_bytes=MOST_PROOF_BYTES), "log proof")
        entry = Fields(dict(parse_entry(b64url_decode(fields.text("entry"))).content), "log entry")
        previous = entry.digest("previous") if entry.has("previous") else None
        return ListProof(inclusion=read_inclusion(fields), previous=previous), len(answer)
    except FormatError as refusal:
        raise TrustError("log_proof_failed", f"log proof of a status list: {refusal.detail}") from refusal
