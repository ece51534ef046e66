"""`trust update --at`: the status lists of a past moment, kept in the bundle and over later updates."""

from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from elicense import APIResponseError, Elicense, OfflineVerifier, TrustError
from elicense.bundle import dump_bundle, parse_bundle
from elicense.bundle_delta import BUNDLE_DELTA_TYPE, make_delta
from elicense.client._evidence import BundleUpdate
from elicense.client._protocol import Request, Response, Timeout
from elicense.client._updating import fetch_update
from elicense.client.errors import NotFoundError
from elicense.encoding import sha256_hex
from elicense.status_list import Status, parse_status_list
from tests.simulator import NOW, Installation

HOUR = timedelta(hours=1)
BEFORE, SUSPENDED, AFTER = NOW - 5 * HOUR, NOW - 3 * HOUR, NOW - HOUR


class ArchiveService:
    """Serves the published bundle without any archive, deltas to it, and every version of its list."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.known: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.bent: dict[int, str] = {}
        self.publish()

    def publish(self) -> None:
        """Publish what the installation holds now."""
        parts = self.installation.bundle_parts()
        archived = parts.archive.get(self.installation.status_uri, ())
        self.versions = [*archived, self.installation.status_list()]
        self.bundle = dump_bundle(replace(parts, archive={}))
        self.known[sha256_hex(self.installation.freshness().encode())] = self.bundle

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == urlsplit(self.installation.status_uri).path:
            self.asked.append(parts.query.split("=")[0])
            return self._status_list(**{name: int(value) for name, value in query.items()})
        held = self.known.get(query.get("since", ""))
        if held is None:
            self.asked.append("bundle")
            return _answer(self.bundle, "application/json")
        self.asked.append("delta")
        return _answer(make_delta(held, self.bundle, deflate=query["deflate"]), BUNDLE_DELTA_TYPE)

    def close(self) -> None: ...

    def _status_list(self, *, time: int | None = None, seq: int | None = None) -> Response:
        found = None
        for token in self.versions:
            claims = parse_status_list(token).claims
            if claims.seq == seq or (time is not None and claims.issued_at.timestamp() <= time):
                found = self.bent.get(claims.seq, token)
        if found is None:
            return _answer(b'{"code":"not_found","status":404}', "application/problem+json", status=404)
        return _answer(found.encode(), "application/statuslist+jwt")


def _answer(body: bytes, media_type: str, *, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": media_type}, body=body)


@pytest.fixture
def service() -> ArchiveService:
    """Lists read 6, 4 and 2 hours ago: active, suspended, active again."""
    made = Installation()
    made.status_read_at = NOW - 6 * HOUR
    made.publish_next(NOW - 4 * HOUR, index_5=Status.SUSPENDED)
    made.publish_next(NOW - 2 * HOUR, index_5=Status.VALID)
    return ArchiveService(made)


def update(service: ArchiveService, held: bytes | None, at: datetime | None) -> BundleUpdate:
    client = Elicense(
        base_url="https://license.example", transport=service, max_retries=0, pause=lambda seconds: None
    )
    return fetch_update(client.trust, trust_root=service.installation.trust_root(), held=held, now=NOW, at=at)


def reason(service: ArchiveService, bundle: bytes, at: datetime) -> str:
    verifier = OfflineVerifier(trust_root=service.installation.trust_root(), bundle=bundle, clock=lambda: NOW)
    return verifier.verify(service.installation.credential(), at=at).reason.value


def test_the_lists_of_a_moment_are_fetched_and_answer_offline(service: ArchiveService) -> None:
    plain = update(service, None, None)
    assert reason(service, plain.content, SUSPENDED) == "status_unavailable"
    found = update(service, None, SUSPENDED)
    assert service.asked[-3:] == ["bundle", "time", "seq"]
    assert (found.changed, found.uncovered) == (True, 0)
    assert found.received > plain.received
    assert reason(service, found.content, SUSPENDED) == "suspended"
    assert reason(service, found.content, BEFORE) == "status_unavailable"
    assert reason(service, found.content, NOW) == "ok"


def test_what_the_current_list_answers_is_not_fetched(service: ArchiveService) -> None:
    found = update(service, None, AFTER)
    assert (service.asked, found.content) == (["bundle"], service.bundle)
    assert reason(service, found.content, AFTER) == "ok"


def test_earlier_moments_are_kept_and_updates_stay_small(service: ArchiveService) -> None:
    held = update(service, None, SUSPENDED).content
    service.installation.publish_next(NOW - HOUR / 2, index_77=Status.INVALID)
    service.publish()
    service.asked.clear()
    later = update(service, held, BEFORE)
    assert service.asked == ["delta", "time", "seq"] and later.by_delta
    assert len(parse_bundle(later.content).archive[service.installation.status_uri]) == 3
    for at, expected in ((BEFORE, "ok"), (SUSPENDED, "suspended"), (NOW, "ok")):
        assert reason(service, later.content, at) == expected
    again = update(service, later.content, None)
    assert (again.changed, again.content) == (False, later.content)


def test_a_moment_before_the_archive_begins_is_told(service: ArchiveService) -> None:
    found = update(service, None, NOW - 30 * HOUR)
    assert (found.uncovered, found.content) == (1, service.bundle)


def test_lists_that_do_not_count_or_do_not_cover_the_moment_are_refused(service: ArchiveService) -> None:
    first, second, third = service.versions
    head, payload, signature = second.split(".")
    forged = f"{head}.{payload}.{signature[:-8]}AAAAAAAA"
    for seq, bent in ((8, forged), (8, first), (9, forged), (8, "e30.e30.e30")):
        service.bent = {seq: bent}
        with pytest.raises(TrustError, match=r"status_unavailable|signature_invalid"):
            update(service, None, SUSPENDED)
    service.bent = {8: "x"}
    with pytest.raises(APIResponseError):
        update(service, None, SUSPENDED)
    # Version 9 stands for 8: the next one asked for does not exist.
    service.bent = {8: third}
    with pytest.raises(NotFoundError):
        update(service, None, SUSPENDED)


def test_what_is_kept_and_no_longer_counts_is_left_out(service: ArchiveService) -> None:
    held = update(service, None, SUSPENDED).content
    uri = service.installation.status_uri
    parts = parse_bundle(held)
    first, second = parts.archive[uri]
    spoiled = dump_bundle(replace(parts, archive={uri: (first[:-8] + "AAAAAAAA", second)}))
    assert uri not in parse_bundle(update(service, spoiled, None).content).archive
    again = update(service, spoiled, SUSPENDED)
    assert reason(service, again.content, SUSPENDED) == "suspended"
