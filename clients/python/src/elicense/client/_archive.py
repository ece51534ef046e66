"""Earlier versions of status lists in a bundle: fetched for a past moment, checked, and kept over updates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from elicense.bundle import NOTHING, Bundle, dump_bundle, parse_bundle
from elicense.client._list_proofs import Proofs, ProvenLists, prove_lists
from elicense.client._trust import Trust
from elicense.client.errors import NotFoundError, TrustError
from elicense.encoding import sha256_hex
from elicense.evidence import RefusedPart, gather_offline
from elicense.evidence_parts import Archive, ListStatus, TrustEvidence
from elicense.problems import FormatError, Reason
from elicense.status_list import parse_status_list

Tokens = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastLists:
    """The lists of one moment by their URI: each the newest then, with the version that followed it.

    A list that is not here has its current version to answer with, or, if named in `uncovered`, none at all.
    """

    at: datetime
    lists: Tokens = field(default_factory=lambda: NOTHING)
    uncovered: tuple[str, ...] = ()


def without_archive(held: bytes) -> bytes:
    """Return a held bundle as the service made it; what is no bundle comes back as it is."""
    try:
        bundle = parse_bundle(held)
    except FormatError:
        return held  # `update_bundle` refuses it by its own name
    return dump_bundle(replace(bundle, archive=NOTHING, list_proofs=NOTHING)) if bundle.archive else held


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptLists:
    """The earlier lists of a held bundle by their URI, and their log proofs by the token's digest (hex)."""

    lists: Tokens = field(default_factory=lambda: NOTHING)
    proofs: Proofs = field(default_factory=lambda: NOTHING, repr=False)


def archive_of(held: bytes | None) -> KeptLists:
    """Return the earlier lists of a held bundle."""
    if held is None:
        return KeptLists()
    try:
        bundle = parse_bundle(held)
    except FormatError:
        return KeptLists()  # `update_bundle` refuses it by its own name
    return KeptLists(lists=bundle.archive, proofs=bundle.list_proofs)


def fetch_past_lists(service: Trust, bundle: bytes, *, at: datetime) -> PastLists:
    """Fetch, for each list of a bundle, the version that was the newest at a moment and the one after it.

    Nothing is fetched twice for what the bundle's current version answers. Raises TrustError for an answer that is no
    status list, and the client's errors.
    """
    lists: dict[str, tuple[str, ...]] = {}
    uncovered = []
    for uri, token in sorted(parse_bundle(bundle).status_lists.items()):
        if _claims(token).issued_at <= at:
            continue
        path = _path_of(uri)
        try:
            then = service.status_list(path, time=int(at.timestamp()))
        except NotFoundError:
            uncovered.append(uri)
            continue
        lists[uri] = (then, service.status_list(path, seq=_claims(then).seq + 1))
    return PastLists(at=at, lists=lists, uncovered=tuple(uncovered))


def _path_of(uri: str) -> list[str]:
    try:
        path = [part for part in urlsplit(uri).path.split("/") if part]
    except ValueError:
        path = []
    if not path or not {".", ".."}.isdisjoint(path):
        raise TrustError("status_unavailable", "a status list of the bundle has no address")
    return path


def _claims(token: str) -> "_Numbered":
    try:
        claims = parse_status_list(token).claims
    except FormatError as refusal:
        raise TrustError("status_unavailable", f"status list of then: {refusal.detail}") from refusal
    return _Numbered(claims.seq, claims.issued_at)


@dataclass(frozen=True, slots=True)
class _Numbered:
    seq: int
    issued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """A bundle with its archive. `uncovered` counts the lists fetched that answer nothing, since a compromised key
    signed them and the log does not show them to be older; `received` the bytes of proofs.
    """

    content: bytes = field(repr=False)
    uncovered: int = 0
    received: int = 0


def with_archive(
    service: Trust,
    content: bytes,
    kept: KeptLists,
    fetched: PastLists | None,
    *,
    trust_root: bytes,
    now: datetime,
) -> Archived:
    """Return a checked bundle with the earlier lists held so far and those just fetched, and the log proofs of those
    whose key was compromised since.

    What was held and no longer counts is left out: it would say nothing. Raises TrustError when what was fetched does
    not hold, or does not cover its moment, and the client's errors.
    """
    new = fetched.lists if fetched is not None else NOTHING
    if not kept.lists and not new:
        return Archived(content=content)
    bundle = parse_bundle(content)
    trust = gather_offline(trust_root=trust_root, bundle=content, now=now).trust
    if trust is None:
        raise TrustError("trust_unavailable", "the bundle holds no trust list")
    uris = [uri for uri in sorted({*kept.lists, *new}) if uri in bundle.status_lists]
    archive = {uri: _merged(kept.lists.get(uri, ()), new.get(uri, ())) for uri in uris}
    proven = _prove(service, archive, kept.proofs, trust=trust)
    bundle = replace(bundle, list_proofs={**bundle.list_proofs, **proven.proofs})
    archive = {uri: _remaining(tokens, proven) for uri, tokens in archive.items()}
    found = _accepted(bundle, archive, trust_root=trust_root, now=now)
    uncovered = 0
    for uri in new:
        part = found.get(uri)
        if isinstance(part, RefusedPart):
            # One of those held may be at fault.
            archive[uri] = _remaining(new[uri], proven)
            part = _accepted(bundle, {uri: archive[uri]}, trust_root=trust_root, now=now)[uri]
            found = {**found, uri: part}
        if isinstance(part, RefusedPart):
            raise TrustError(part.reason.value, part.detail)
        if fetched is None or any(version.covers(fetched.at) for version in part or ()):
            continue
        if len(_remaining(new[uri], proven)) == len(new[uri]):
            raise TrustError(
                "status_unavailable", "archive: the lists fetched do not cover the moment asked about"
            )
        uncovered += 1
    good = {
        uri: tokens for uri, tokens in archive.items() if tokens and not isinstance(found[uri], RefusedPart)
    }
    whole = dump_bundle(replace(bundle, archive=good)) if good else content
    return Archived(content=whole, uncovered=uncovered, received=proven.received)


def _prove(service: Trust, archive: Tokens, held: Proofs, *, trust: TrustEvidence) -> ProvenLists:
    tokens = ((uri, token) for uri, tokens in archive.items() for token in tokens)
    return prove_lists(service, tokens, held, trust=trust)


def _remaining(tokens: Sequence[str], proven: ProvenLists) -> tuple[str, ...]:
    """Leave out the lists of a compromised key that the log does not show to be older than the theft."""
    return tuple(token for token in tokens if sha256_hex(token.encode("utf-8")) not in proven.lost)


def _accepted(bundle: Bundle, archive: Tokens, *, trust_root: bytes, now: datetime) -> Mapping[str, Archive]:
    joined = dump_bundle(replace(bundle, archive=archive))
    status = gather_offline(trust_root=trust_root, bundle=joined, now=now).status
    if isinstance(status, ListStatus):
        return status.archive
    return {uri: RefusedPart(Reason.STATUS_UNAVAILABLE, "no status list") for uri in archive}


def _merged(*parts: Sequence[str]) -> tuple[str, ...]:
    by_seq = {_claims(token).seq: token for tokens in parts for token in tokens}
    return tuple(by_seq[seq] for seq in sorted(by_seq))
