"""Earlier versions of status lists in a bundle: fetched for a past moment, checked, and kept over updates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from urllib.parse import urlsplit

from elicense.bundle import NOTHING, Bundle, dump_bundle, parse_bundle
from elicense.client._trust import Trust
from elicense.client.errors import NotFoundError, TrustError
from elicense.evidence import RefusedPart, gather_offline
from elicense.evidence_parts import Archive, ListStatus
from elicense.problems import FormatError
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
    return dump_bundle(replace(bundle, archive=NOTHING)) if bundle.archive else held


def archive_of(held: bytes | None) -> Tokens:
    """Return the earlier lists of a held bundle."""
    if held is None:
        return NOTHING
    try:
        return parse_bundle(held).archive
    except FormatError:
        return NOTHING  # `update_bundle` refuses it by its own name


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
        path = [part for part in urlsplit(uri).path.split("/") if part]
        try:
            then = service.status_list(path, time=int(at.timestamp()))
        except NotFoundError:
            uncovered.append(uri)
            continue
        lists[uri] = (then, service.status_list(path, seq=_claims(then).seq + 1))
    return PastLists(at=at, lists=lists, uncovered=tuple(uncovered))


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


def with_archive(
    content: bytes, kept: Tokens, fetched: PastLists | None, *, trust_root: bytes, now: datetime
) -> bytes:
    """Return a checked bundle with the earlier lists held so far and those just fetched.

    What was held and no longer counts (its key was compromised since) is left out: it would say nothing. Raises
    TrustError when what was fetched does not count, or does not cover its moment.
    """
    new = fetched.lists if fetched is not None else NOTHING
    if not kept and not new:
        return content
    bundle = parse_bundle(content)
    uris = [uri for uri in sorted({*kept, *new}) if uri in bundle.status_lists]
    archive = {uri: _merged(kept.get(uri, ()), new.get(uri, ())) for uri in uris}
    found = _accepted(bundle, archive, trust_root=trust_root, now=now)
    for uri in new:
        part = found.get(uri)
        if isinstance(part, RefusedPart):
            # One of those held may be at fault.
            archive[uri] = new[uri]
            part = _accepted(bundle, {uri: new[uri]}, trust_root=trust_root, now=now)[uri]
            found = {**found, uri: part}
        if isinstance(part, RefusedPart):
            raise TrustError(part.reason.value, part.detail)
        if fetched is not None and not any(version.covers(fetched.at) for version in part or ()):
            raise TrustError(
                "status_unavailable", "archive: the lists fetched do not cover the moment asked about"
            )
    good = {uri: tokens for uri, tokens in archive.items() if not isinstance(found[uri], RefusedPart)}
    return dump_bundle(replace(bundle, archive=good)) if good else content


def _accepted(bundle: Bundle, archive: Tokens, *, trust_root: bytes, now: datetime) -> Mapping[str, Archive]:
    joined = dump_bundle(replace(bundle, archive=archive))
    status = gather_offline(trust_root=trust_root, bundle=joined, now=now).status
    return status.archive if isinstance(status, ListStatus) else {}


def _merged(*parts: Sequence[str]) -> tuple[str, ...]:
    by_seq = {_claims(token).seq: token for tokens in parts for token in tokens}
    return tuple(by_seq[seq] for seq in sorted(by_seq))
