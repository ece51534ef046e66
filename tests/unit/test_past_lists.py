"""The archive behind questions about a past moment: of a stolen key's lists, only those the log shows to be older."""

from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.domain.publication import ListSpan, PublishedStatusList
from app.domain.transparency_log import PlacedLeaf, PublishedCheckpoint, document_key
from app.ports import UnitOfWork
from app.services.past_lists import PastLists
from elicense.evidence import TrustEvidence
from elicense.list_proof import list_entry
from elicense.log_entry import EntryKind
from elicense.merkle import leaf_hash
from elicense.status_list import Status, parse_status_list
from elicense.tiles import extend_tiles, reader_of
from tests.simulator import NOW, Installation

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
LIST = "list-1"


@dataclass
class Archive:
    """Stands in for the register: versions of one list, and the leaves of those that were logged."""

    installation: Installation
    tokens: list[str]

    def unit(self) -> UnitOfWork:
        return cast(UnitOfWork, SimpleNamespace(status=self, transparency_log=self))

    async def newest_at(self, list_id: str, at: object) -> ListSpan | None:
        spans = [parse_status_list(token).claims for token in self.tokens]
        found = [claims for claims in spans if claims.issued_at <= at]  # type: ignore[operator]
        if not found:
            return None
        following = next((one.issued_at for one in spans if one.seq == found[-1].seq + 1), None)
        return ListSpan(seq=found[-1].seq, since=found[-1].issued_at, until=following)

    async def version(self, list_id: str, seq: int) -> PublishedStatusList | None:
        for token in self.tokens:
            parsed = parse_status_list(token)
            if parsed.claims.seq == seq:
                return PublishedStatusList(
                    list_id=list_id,
                    uri=parsed.claims.uri,
                    seq=seq,
                    event_seq=parsed.claims.event_seq,
                    token=token,
                    sha256=parsed.sha256,
                    issued_at=parsed.claims.issued_at,
                    expires_at=parsed.claims.expires_at,
                )
        return None

    def log(self, seq: int) -> None:
        """Log a version, with the digest of the one before."""
        token, previous = self._token(seq), self._token(seq - 1)
        digest = parse_status_list(previous).sha256 if previous else None
        accepted = parse_status_list(token).accept(self.installation.status_signer.public_key)
        self.installation.log.add(list_entry(accepted, previous=digest))

    def _token(self, seq: int) -> str:
        return next((one for one in self.tokens if parse_status_list(one).claims.seq == seq), "")

    async def leaf_of(self, identifier: str, *, kind: str) -> PlacedLeaf | None:
        assert kind == EntryKind.STATUS_LIST
        uri, _, seq = identifier.rpartition("#")
        assert identifier == document_key(uri, int(seq))
        token, previous = self._token(int(seq)), self._token(int(seq) - 1)
        digest = parse_status_list(previous).sha256 if previous else None
        accepted = parse_status_list(token).accept(self.installation.status_signer.public_key)
        entry, log = list_entry(accepted, previous=digest), self.installation.log
        if entry not in log.entries:
            return None
        leaf = PlacedLeaf(
            id="leaf",
            kind=kind,
            entry=entry,
            event_sha256=None,
            salt=None,
            recorded_at=NOW,
            origin=log.origin,
            index=log.entries.index(entry),
        )
        return leaf

    async def checkpoint(self, origin: str, *, size: int | None = None) -> PublishedCheckpoint:
        log = self.installation.log
        return PublishedCheckpoint(origin=origin, size=len(log.entries), note=log.note(), published_at=NOW)

    async def tiles(self, origin: str, keys: object) -> Any:
        hashes = [leaf_hash(entry) for entry in self.installation.log.entries]
        return extend_tiles(0, hashes, reader_of({}))


@pytest.fixture
def archive() -> Archive:
    """Lists read 6, 4 and 2 hours ago."""
    made = Installation()
    made.status_read_at = NOW - 6 * HOUR
    made.publish_next(NOW - 4 * HOUR, index_5=Status.SUSPENDED)
    made.publish_next(NOW - 2 * HOUR, index_5=Status.VALID)
    return Archive(made, [*made.archive, made.status_list()])


def trust(archive: Archive) -> TrustEvidence:
    found = archive.installation.evidence().trust
    assert found is not None
    return found


async def seq_at(archive: Archive, ago: timedelta, lists: PastLists | None = None) -> int | None:
    found = await (lists or PastLists()).find(archive.unit(), LIST, NOW - ago, trust=trust(archive))
    return None if found is None else found.status_list.seq


async def test_the_version_that_was_the_newest_at_a_moment_is_found_once_and_again(archive: Archive) -> None:
    lists = PastLists()
    for _ in range(2):
        for hours, seq in ((7, None), (6, 7), (5, 7), (4, 8), (3, 8), (2, 9), (1, 9)):
            assert await seq_at(archive, hours * HOUR, lists) == seq


async def test_past_its_end_a_list_says_nothing(archive: Archive) -> None:
    found = await PastLists().find(archive.unit(), LIST, NOW + timedelta(days=7), trust=trust(archive))
    assert found is None


async def test_a_list_that_its_key_did_not_sign_is_not_used(archive: Archive) -> None:
    archive.tokens[1] = archive.tokens[1][:-8] + "AAAAAAAA"
    assert await seq_at(archive, 3 * HOUR) is None


async def test_of_a_stolen_key_only_lists_logged_before_the_theft_are_used(archive: Archive) -> None:
    archive.log(7)
    lists = PastLists()
    assert await seq_at(archive, 3 * HOUR, lists) == 8
    archive.installation.compromise(archive.installation.status_signer, archive.installation.log.checkpoint())
    archive.log(8)
    assert await seq_at(archive, 5 * HOUR, lists) == 7
    assert await seq_at(archive, 3 * HOUR, lists) is None, "logged after the theft"
    assert await seq_at(archive, HOUR, lists) is None, "never logged"
