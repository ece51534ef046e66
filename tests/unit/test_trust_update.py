"""`trust update`: what changed alone where it can be had, the whole bundle where not, and a log that only grows."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from elicense import APIStatusError, Elicense, TrustError
from elicense.bundle_delta import BUNDLE_DELTA_TYPE, make_delta
from elicense.client._evidence import BundleUpdate
from elicense.client._protocol import Request, Response, Timeout
from elicense.client._updating import fetch_update
from elicense.encoding import dump_json, sha256_hex
from elicense.folding import deflate_fingerprint
from elicense.status_list import Status
from tests.simulated_log import SimulatedLog
from tests.simulator import NOW, Installation, SimulatedSigner

JSON = "application/json"


class FakeService:
    """Serves bundles, deltas and consistency proofs of a simulated installation; `bend` changes an answer."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.known: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.bend: dict[str, Callable[[Response], Response]] = {}
        self.log = installation.log

    def publish(self) -> bytes:
        """Remember what is published now, as the service keeps every statement."""
        self.bundle = self.installation.bundle()
        self.known[sha256_hex(self.installation.freshness().encode())] = self.bundle
        return self.bundle

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        parts = urlsplit(request.url)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        kind = "consistency" if parts.path.endswith("consistency") else "delta" if query else "bundle"
        self.asked.append(kind)
        answer = getattr(self, f"_{kind}")(query)
        return self.bend.get(kind, lambda found: found)(answer)

    def close(self) -> None: ...

    def _bundle(self, query: dict[str, str]) -> Response:
        return response(self.bundle)

    def _delta(self, query: dict[str, str]) -> Response:
        held = self.known.get(query["since"])
        if held is None:
            return response(self.bundle)
        assert query["deflate"] == deflate_fingerprint()
        return response(make_delta(held, self.bundle, deflate=query["deflate"]), BUNDLE_DELTA_TYPE)

    def _consistency(self, query: dict[str, str]) -> Response:
        assert query["origin"] == self.log.origin
        return response(dump_json(self.log.consistency(int(query["from"]), int(query["to"])).to_json()))


def response(body: bytes, media_type: str = JSON, status: int = 200) -> Response:
    return Response(status=status, headers={"content-type": media_type}, body=body)


@pytest.fixture
def service() -> FakeService:
    made = FakeService(Installation(list_size=400_000))
    return made


def update(service: FakeService, held: bytes | None, *, days: float = 0) -> BundleUpdate:
    client = Elicense(
        base_url="https://license.example", transport=service, max_retries=0, pause=lambda seconds: None
    )
    return fetch_update(
        client.trust,
        trust_root=service.installation.trust_root(),
        held=held,
        now=NOW + timedelta(days=days),
    )


def revoke_one(service: FakeService) -> bytes:
    service.installation.set_status(77, Status.INVALID)
    return service.publish()


def test_the_first_update_fetches_the_whole(service: FakeService) -> None:
    published = service.publish()
    first = update(service, None)
    assert (first.content, first.by_delta, first.received) == (published, False, len(published))
    assert service.asked == ["bundle"]


def test_the_next_update_fetches_what_changed_alone(service: FakeService) -> None:
    held = service.publish()
    wanted = revoke_one(service)
    second = update(service, held)
    assert (second.content, second.by_delta, second.changed) == (wanted, True, True)
    assert service.asked == ["delta"]
    assert second.received < 2500 < len(wanted)
    assert second.to_json()["by_delta"] is True
    again = update(service, wanted)
    assert not again.changed
    assert again.received < 600


def test_a_bundle_the_service_does_not_know_is_replaced_whole(service: FakeService) -> None:
    held = service.publish()
    service.known.clear()
    wanted = revoke_one(service)
    service.known.clear()
    found = update(service, held)
    assert (found.content, found.by_delta) == (wanted, False)
    assert service.asked == ["delta"], "the same answer brought the whole bundle"


@pytest.mark.parametrize("status", [400, 404, 405, 422])
def test_a_service_that_does_not_know_deltas_is_asked_for_the_whole(
    service: FakeService, status: int
) -> None:
    held = service.publish()
    wanted = revoke_one(service)
    service.bend["delta"] = lambda answer: response(b"{}", status=status)
    assert update(service, held).content == wanted
    assert service.asked == ["delta", "bundle"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_in_trouble_is_not_asked_for_more(service: FakeService, status: int) -> None:
    held = service.publish()
    service.bend["delta"] = lambda answer: response(b"{}", status=status)
    with pytest.raises(APIStatusError):
        update(service, held)
    assert service.asked == ["delta"]


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_damaged_delta_ends_in_the_whole_bundle(service: FakeService, cut: int) -> None:
    held = service.publish()
    wanted = revoke_one(service)
    service.bend["delta"] = lambda answer: response(answer.body[:-cut], BUNDLE_DELTA_TYPE)
    found = update(service, held)
    assert (found.content, found.by_delta) == (wanted, False)
    assert service.asked == ["delta", "bundle"]
    assert found.received > len(wanted), "what was fetched in vain counts"


def test_a_delta_that_leads_to_another_bundle_is_overruled_by_the_whole_one(service: FakeService) -> None:
    held = service.publish()
    forger = Installation()
    forged = make_delta(held, forger.bundle())
    wanted = revoke_one(service)
    service.bend["delta"] = lambda answer: response(forged, BUNDLE_DELTA_TYPE)
    assert update(service, held).content == wanted


def test_neither_delta_nor_whole_bundle_may_go_back(service: FakeService) -> None:
    older = service.publish()
    held = revoke_one(service)
    service.bundle = older
    with pytest.raises(TrustError, match="rolled_back"):
        update(service, held)
    assert service.asked == ["delta", "bundle"]


# --- the log


def grow(service: FakeService, count: int = 3) -> bytes:
    for number in range(count):
        service.log.add(b"more %d" % number)
    service.installation.event_seq += 1
    service.installation.status_seq += 1
    return service.publish()


def test_a_log_that_grew_is_taken_with_its_proof(service: FakeService) -> None:
    held = service.publish()
    wanted = grow(service)
    assert update(service, held).content == wanted
    assert service.asked == ["delta", "consistency"]


def test_a_log_that_stood_still_needs_no_proof(service: FakeService) -> None:
    held = service.publish()
    revoke_one(service)
    assert update(service, held).changed
    assert "consistency" not in service.asked


def _fork(service: FakeService) -> None:
    service.log.entries[1] = b"rewritten"
    grow(service)


def _fork_in_place(service: FakeService) -> None:
    service.log.entries[1] = b"rewritten"
    grow(service, 0)


def _step_back(service: FakeService) -> None:
    service.log.entries.pop()
    grow(service, 0)


def _sign_otherwise(service: FakeService) -> None:
    service.log.add(b"more")
    service.log.signer = SimulatedSigner("eddsa")
    service.publish()


def _leave_out(service: FakeService) -> None:
    for what in ("freshness", "bundle"):
        service.installation.edits[what] = lambda document: document.update(checkpoint=None)
    service.installation.set_status(9, Status.INVALID)
    service.publish()


def _take_another(service: FakeService) -> None:
    signer = SimulatedSigner("eddsa")
    service.installation.log = other = SimulatedLog("elsewhere.example/log", signer)
    other.add(b"1")
    service.installation.list_log(other, signer)
    service.publish()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        pytest.param(_fork, "log_proof_failed.*forks", id="fork"),
        pytest.param(_fork_in_place, "log_proof_failed.*forks", id="fork at the same size"),
        pytest.param(_step_back, "rolled_back", id="step back"),
        pytest.param(_sign_otherwise, "log_proof_failed", id="signed by another"),
        pytest.param(_leave_out, "rolled_back", id="no checkpoint any more"),
        pytest.param(_take_another, "log_proof_failed.*another log", id="another log"),
    ],
)
def test_a_log_that_did_anything_else_is_refused(
    service: FakeService, change: Callable[[FakeService], None], match: str
) -> None:
    held = service.publish()
    change(service)
    with pytest.raises(TrustError, match=match):
        update(service, held)


@pytest.mark.parametrize(
    "bent",
    [
        pytest.param({"path": []}, id="an empty path"),
        pytest.param({"path": ["A" * 43]}, id="another path"),
        pytest.param({"from": 1}, id="other sizes"),
        pytest.param({"origin": "one.example/log/2"}, id="another log"),
        pytest.param({"path": None}, id="no path"),
        pytest.param({"path": "x"}, id="a path of another kind"),
    ],
)
def test_a_proof_that_does_not_join_the_two_is_refused(service: FakeService, bent: dict[str, Any]) -> None:
    held = service.publish()
    grow(service)
    proof = service.log.consistency(3, 6).to_json()
    service.bend["consistency"] = lambda answer: response(dump_json({**proof, **bent}))
    with pytest.raises(TrustError, match="log_proof"):
        update(service, held)


def test_a_later_generation_of_the_log_is_taken_and_an_earlier_one_never_again(service: FakeService) -> None:
    held = service.publish()
    first = service.log
    signer = SimulatedSigner("eddsa")
    service.installation.log = second = SimulatedLog(f"{first.origin}/2", signer)
    second.add(b"begun anew")
    service.installation.list_log(second, signer)
    service.installation.sequence += 1
    newer = service.publish()
    assert update(service, held).content == newer
    service.installation.log = first
    service.installation.set_status(9, Status.INVALID)
    service.publish()
    with pytest.raises(TrustError, match="another log"):
        update(service, newer)


def test_a_bundle_held_under_another_root_says_nothing_about_the_log(service: FakeService) -> None:
    other = Installation()
    other.log.add(b"x")
    service.publish()
    assert update(service, other.bundle()).changed
