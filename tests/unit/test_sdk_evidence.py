"""The client's calls for evidence: credentials with proofs, receipts with proofs, over a fake transport."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from elicense import APIResponseError, Elicense, Holder, TrustError
from elicense.client._protocol import Request, Response, Timeout
from elicense.client._verification_models import verification_of
from tests.receipt_kit import answer
from tests.simulator import Installation


class FakeTransport:
    """Answers by the path asked; remembers what was asked."""

    def __init__(self, **answers: bytes) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def send(self, request: Request, *, timeout: Timeout) -> Response:
        self.asked.append(request.url.removeprefix("https://license.example"))
        name = request.url.partition("?")[0].rpartition("/")[2].replace("-", "_")
        return Response(status=200, headers={}, body=self.answers[name])

    def close(self) -> None: ...


@pytest.fixture
def installation() -> Installation:
    # A receipt is judged by the machine's own clock here.
    return Installation(now=datetime.now(UTC).replace(microsecond=0))


def client(installation: Installation, transport: FakeTransport) -> Elicense:
    return Elicense(
        api_key="elk_live_a_b",
        base_url="https://license.example",
        trust_root=installation.trust_root(),
        transport=transport,
    )


def test_a_credential_is_fetched_with_its_proof_as_one_file(installation: Installation) -> None:
    stapled = installation.staple(installation.credential())
    transport = FakeTransport(credential=stapled)
    licenses = client(installation, transport).licenses
    assert licenses.credential("0190", proof=True, version="001") == stapled.decode()
    assert transport.asked == ["/v1/licenses/0190/credential?version=001&proof=1"]


@pytest.mark.parametrize("body", [b"eyJ.e30.x~", b"{}", b"<html>", b"\xff"])
def test_what_is_no_stapled_credential_is_named_as_such(installation: Installation, body: bytes) -> None:
    with pytest.raises(APIResponseError):
        client(installation, FakeTransport(credential=body)).licenses.credential("0190", proof=True)


def test_a_receipt_is_checked_with_its_proof(installation: Installation) -> None:
    receipt: str = answer(installation)["receipt"]
    proof = installation.prove_receipt(receipt).to_json()
    transport = FakeTransport(bundle=installation.bundle(), receipt_proof=json.dumps(proof).encode())
    service = client(installation, transport)
    fetched = service.verifications.receipt_proof("0192")
    assert transport.asked == ["/v1/verifications/0192/receipt-proof"]
    assert service.verify_receipt(receipt).id == "0192"
    assert service.verify_receipt(receipt, proof=fetched).id == "0192"
    bent: list[dict[str, Any]] = [{**proof, "index": 7}, {**proof, "fmt": 2}, {}]
    for one in bent:
        with pytest.raises(TrustError):
            service.verify_receipt(receipt, proof=one)


def test_an_answer_is_held_against_what_its_receipt_states(installation: Installation) -> None:
    shown = answer(installation)
    service = client(installation, FakeTransport(bundle=installation.bundle()))
    assert service.verify_receipt(verification_of(shown)).id == "0192"
    changed = verification_of({**shown, "verdict": "invalid", "reason": "expired"})
    with pytest.raises(TrustError, match="differ from what the receipt states"):
        service.verify_receipt(changed)


@pytest.mark.parametrize(
    "nothing", [None, "", "\ud800", verification_of({"verdict": "invalid", "reason": "x"})]
)
def test_what_holds_no_receipt_is_refused(installation: Installation, nothing: Any) -> None:
    with pytest.raises(TrustError):
        client(installation, FakeTransport(bundle=installation.bundle())).verify_receipt(nothing)


def test_the_holder_of_an_answer_has_a_type_and_a_broken_one_is_named() -> None:
    named = {"code": "H", "code_type": "001", "name": "某某"}
    said = {"verdict": "valid", "reason": "ok", "license": {"holder": named}}
    assert verification_of(said).holder == Holder(**named)
    assert verification_of({**said, "license": None}).holder is None
    with pytest.raises(APIResponseError):
        _ = verification_of({**said, "license": {}}).holder
