"""`trust update --at` of lists whose key was stolen since: their log proofs come with them."""

import json
from dataclasses import replace
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from elicense import APIResponseError, TrustError
from elicense.bundle import dump_bundle, parse_bundle
from elicense.client import _list_proofs
from elicense.client._protocol import Request, Response, Timeout
from elicense.encoding import b64url_encode
from elicense.list_proof import list_entry
from elicense.status_list import Status, parse_status_list
from tests.simulated_signers import SimulatedSigner
from tests.simulator import NOW, Installation
from tests.unit.test_trust_update_archive import (
    BEFORE,
    HOUR,
    SUSPENDED,
    ArchiveService,
    _answer,
    reason,
    update,
)


class LoggingService(ArchiveService):
    """Serves log proofs of lists, too; `answers` replaces those of some numbers."""

    def __init__(self, installation: Installation) -> None:
        super().__init__(installation)
        self.entries: dict[int, bytes] = {}
        self.answers: dict[int, bytes] = {}

    def log(self, seq: int) -> None:
        """Log a version, with the digest of the one before."""
        by_seq = {parse_status_list(token).claims.seq: parse_status_list(token) for token in self.versions}
        accepted = by_seq[seq].accept(self.installation.status_signer.public_key)
        previous = by_seq[seq - 1].sha256 if seq - 1 in by_seq else None
        self.entries[seq] = list_entry(accepted, previous=previous)
        self.installation.log.add(self.entries[seq])

    def steal(self) -> None:
        """Declare the status key stolen now; a new one signs the next version."""
        made = self.installation
        made.compromise(made.status_signer, made.log.checkpoint())
        lost, made.status_signer = made.services[0], SimulatedSigner()
        made.services.append(replace(lost, key=made.status_signer.public_key, compromised=None))

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/v1/log/consistency":
            proof = self.installation.log.consistency(int(query["from"]), int(query["to"]))
            return _answer(json.dumps(proof.to_json()).encode(), "application/json")
        if parts.path != "/v1/log/proof":
            return super().send(request, timeout=timeout)
        self.asked.append("proof")
        assert query["status_list"] == self.installation.status_uri
        seq, log = int(query["seq"]), self.installation.log
        if seq in self.answers:
            return _answer(self.answers[seq], "application/json")
        if seq not in self.entries:
            return _answer(b'{"code":"not_found","status":404}', "application/problem+json", status=404)
        entry = {"fmt": 1, "env": "test", "kind": "status_list", "entry": b64url_encode(self.entries[seq])}
        inclusion = log.inclusion(log.entries.index(self.entries[seq])).to_json()
        return _answer(json.dumps({**entry, **inclusion}).encode(), "application/json")


@pytest.fixture
def service() -> LoggingService:
    """Lists 7, 8 and 9, read 6, 4 and 2 hours ago: active, suspended, active again; 10 follows by another key."""
    made = Installation()
    made.status_read_at = NOW - 6 * HOUR
    made.publish_next(NOW - 4 * HOUR, index_5=Status.SUSPENDED)
    made.publish_next(NOW - 2 * HOUR, index_5=Status.VALID)
    return LoggingService(made)


def go_on(service: LoggingService, *, logged: tuple[int, ...] = (7, 8, 9)) -> None:
    """Let the key be stolen after some lists were logged, and the next list be published by the new key."""
    service.publish()
    for seq in logged:
        service.log(seq)
    made = service.installation
    made.archive.append(made.status_list())
    service.steal()
    made.status_seq, made.event_seq, made.status_read_at = 10, made.event_seq + 1, NOW - HOUR / 2
    made.sequence += 1
    service.publish()
    service.asked.clear()


def held_proofs(content: bytes) -> int:
    return len(parse_bundle(content).list_proofs)


@pytest.mark.parametrize(("at", "expected"), [(BEFORE, "ok"), (SUSPENDED, "suspended")])
def test_lists_of_a_stolen_key_answer_by_the_proofs_that_come_with_them(
    service: LoggingService, at: datetime, expected: str
) -> None:
    go_on(service)
    found = update(service, None, at)
    assert service.asked == ["bundle", "time", "seq", "proof", "proof"]
    assert (found.uncovered, held_proofs(found.content)) == (0, 2)
    assert reason(service, found.content, at) == expected
    # The twin: without its proofs the same bundle cannot tell.
    bare = dump_bundle(replace(parse_bundle(found.content), list_proofs={}))
    assert reason(service, bare, at) == "status_unavailable"
    service.asked.clear()
    again = update(service, found.content, None)
    assert (again.changed, again.content, service.asked) == (False, found.content, ["delta"])


def test_kept_lists_get_their_proofs_when_their_key_is_stolen_later(service: LoggingService) -> None:
    held = update(service, None, SUSPENDED).content
    assert held_proofs(held) == 0
    go_on(service)
    later = update(service, held, None)
    assert held_proofs(later.content) == 2
    assert reason(service, later.content, SUSPENDED) == "suspended"
    uri = service.installation.status_uri
    parts = parse_bundle(later.content)
    spoiled = dump_bundle(replace(parts, list_proofs={digest: {"fmt": 1} for digest in parts.list_proofs}))
    service.asked.clear()
    assert update(service, spoiled, None).content == later.content
    assert service.asked == ["delta", "proof", "proof"]
    service.entries.clear()
    assert uri not in parse_bundle(update(service, spoiled, None).content).archive


def test_what_was_logged_after_the_theft_is_told_as_uncovered(service: LoggingService) -> None:
    go_on(service, logged=(7,))
    found = update(service, None, SUSPENDED)
    assert (found.uncovered, found.content) == (1, service.bundle)
    assert reason(service, found.content, SUSPENDED) == "status_unavailable"


def test_an_answer_that_is_no_proof_is_refused_and_one_of_another_list_counts_for_nothing(
    service: LoggingService,
) -> None:
    go_on(service)
    for rubbish in (b"{}", b"{[]", b'{"entry":"e30"}'):
        service.answers = {8: rubbish}
        with pytest.raises(TrustError, match="log proof of a status list"):
            update(service, None, SUSPENDED)
    service.answers = {8: b"[]"}
    with pytest.raises(APIResponseError):
        update(service, None, SUSPENDED)
    service.answers = {}
    service.entries[8] = service.entries[7]
    assert update(service, None, SUSPENDED).uncovered == 1


def test_an_update_asks_for_a_bounded_number_of_proofs(
    service: LoggingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on(service)
    monkeypatch.setattr(_list_proofs, "MOST_FETCHED", 1)
    held = update(service, None, SUSPENDED)
    assert (service.asked.count("proof"), held.uncovered) == (1, 1)
