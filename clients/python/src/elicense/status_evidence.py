"""Which status lists count: the current ones that the freshness names, and earlier ones for past moments."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from types import MappingProxyType

from elicense.evidence_parts import AcceptedStatusList, ArchivedStatusList, TrustEvidence
from elicense.freshness import Freshness
from elicense.list_proof import ListProof, list_entry
from elicense.log_proof import Inclusion
from elicense.log_trust import LogKind, accept_inclusion, logged_before
from elicense.problems import FormatError, Reason
from elicense.status_list import StatusList, parse_status_list
from elicense.trust_list import Compromise, ServiceUse

NO_PROOFS: Mapping[str, ListProof] = MappingProxyType({})


def accept_status_list(
    token: str | bytes,
    *,
    uri: str,
    trust: TrustEvidence,
    proof: Inclusion | None = None,
    previous: str | None = None,
    now: datetime | None = None,
) -> AcceptedStatusList:
    """Check a status list token fetched as `uri` against the chain of trust.

    1. Its key is a status key of the trust list. 2. That service speaks for this URI. 3. `sub`, `env` and `iss`
    agree. 4. The key was valid when it signed. 5. The signature holds, and the last date of its algorithm has not
    passed by `now` (at least the latest time that is signed). 6. If the key was compromised since, a proof
    shows that the list was logged before; `previous` (the digest, hex, of the version before, None of the first) opens
    its entry. 7. The freshness names exactly this version. Which authorities it speaks for, and its age, the judge
    looks at. FormatError otherwise.
    """
    given = None if proof is None else ListProof(inclusion=proof, previous=previous)
    accepted = accept_version(token, uri=uri, trust=trust, proofs=lambda _: given, now=now)
    _require_named(accepted.status_list, trust.freshness)
    return accepted


def accept_archived_lists(
    tokens: Sequence[str | bytes],
    *,
    uri: str,
    trust: TrustEvidence,
    current: AcceptedStatusList | None = None,
    proofs: Mapping[str, ListProof] = NO_PROOFS,
    now: datetime | None = None,
) -> tuple[ArchivedStatusList, ...]:
    """Check earlier versions of one list and tell when each was the newest.

    Version n was the newest from its `iat` until that of n+1, whose signed token shows it: so of the tokens, and of
    the `current` version after them, each but the last of an unbroken run of numbers covers a span; what stands alone
    covers nothing, unless it is the one the freshness names. No freshness names earlier versions: they count by a
    status key that was valid at their `iat`, and, if it was compromised since, by a proof (`proofs`, by the token's
    digest in hex) that they were logged before. FormatError for a token that does not count, for two versions of one
    number, for times that run backwards, and for a number above the current one.
    """
    versions = [accept_version(token, uri=uri, trust=trust, proofs=proofs.get, now=now) for token in tokens]
    if current is not None:
        versions.append(current)
    newest = trust.freshness.status_lists.get(uri) if trust.freshness is not None else None
    if newest is not None and any(version.status_list.seq > newest.seq for version in versions):
        raise _refused("archive holds a version after the current one")
    by_seq = {version.status_list.seq: version for version in versions}
    if any(
        by_seq[version.status_list.seq].status_list.sha256 != version.status_list.sha256
        for version in versions
    ):
        raise _refused("archive holds two versions of one number")
    archived = []
    for before, after in pairwise(by_seq[seq] for seq in sorted(by_seq)):
        ends = after.status_list.issued_at
        if ends < before.status_list.issued_at:
            raise _refused("archive holds versions whose times run backwards")
        if after.status_list.seq == before.status_list.seq + 1:
            archived.append(ArchivedStatusList(before, until=ends))
    last = by_seq[max(by_seq)] if by_seq else None
    if last is not None and newest is not None and newest.sha256 == last.status_list.sha256:
        archived.append(ArchivedStatusList(last, until=None))
    return tuple(archived)


def accept_version(
    token: str | bytes,
    *,
    uri: str,
    trust: TrustEvidence,
    proofs: Callable[[str], ListProof | None],
    now: datetime | None = None,
) -> AcceptedStatusList:
    """Check one version of a list by its signer, as `accept_status_list` does in 1 to 6; no freshness is asked.

    `proofs` finds the proof of a version by the digest of its token (hex). Which moments the version speaks of must
    be known from elsewhere. FormatError for one that does not count.
    """
    unverified = parse_status_list(token)
    claims = unverified.claims
    service = trust.trust_list.service(unverified.kid, ServiceUse.STATUS)
    if service is None:
        raise _refused("status list is signed by no status key of the trust list")
    if not service.covers_uri(uri):
        raise _refused("status key does not speak for this URI")
    if claims.uri != uri:
        raise _refused("status list is of another URI")
    if claims.env != trust.trust_list.env:
        raise _refused("status list is of another environment")
    if claims.issuer not in trust.trust_list.issuers:
        raise _refused("status list is of an issuer outside the trust list")
    if not service.in_window(claims.issued_at):
        raise _refused("status key was not valid when it signed")
    accepted = unverified.accept(service.key)
    known = max(trust.latest, now or trust.latest)
    if not service.key.profile.counts_at(known):
        raise _refused("status list is signed by an algorithm past its last date")
    if service.compromised is not None:
        _require_logged(accepted, service.compromised, trust, proofs(accepted.sha256), known=known)
    return AcceptedStatusList(accepted, service)


def _require_logged(
    accepted: StatusList,
    compromise: Compromise,
    trust: TrustEvidence,
    proof: ListProof | None,
    *,
    known: datetime,
) -> None:
    """Refuse a list of a stolen key unless it was logged before the theft: its own `iat` proves nothing."""
    if proof is None:
        raise _refused("status key is compromised and no proof shows that this list is older")
    place = accept_inclusion(
        proof.inclusion,
        list_entry(accepted, previous=proof.previous),
        kind=LogKind.PUBLIC,
        trust_list=trust.trust_list,
        now=trust.latest,
        known=known,
    )
    if not logged_before(place, compromise, trust.trust_list):
        raise _refused("status list was logged after its key was compromised")


def _require_named(status_list: StatusList, freshness: Freshness | None) -> None:
    current = freshness.status_lists.get(status_list.uri) if freshness is not None else None
    if current is None:
        raise _refused("no current freshness names this status list")
    if (current.seq, current.sha256) != (status_list.seq, status_list.sha256):
        raise _refused(
            f"freshness names version {current.seq} of this status list, this is {status_list.seq}"
        )


def _refused(detail: str) -> FormatError:
    return FormatError(Reason.STATUS_UNAVAILABLE, detail)
