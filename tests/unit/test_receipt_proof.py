"""Receipts outlast their key: a proof in the receipts' log, and of that log's state in the public one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import LogEvidence, TrustEvidence
from elicense.jws import sign_compact
from elicense.log_proof import ReceiptProof, parse_receipt_proof
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.receipt import (
    RECEIPT_TYP,
    build_receipt_payload,
    check_receipt_proof,
    receipt_statement,
    verify_receipt,
)
from elicense.signed_note import Checkpoint
from elicense.trust_list import ServiceUse
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation, SimulatedSigner


@pytest.fixture
def installation() -> Installation:
    made = Installation()
    for number in range(5):
        made.receipt_log.add(b"an earlier receipt %d" % number)
    return made


def receipt(installation: Installation, name: str = "0192", **asked: Any) -> str:
    token = installation.credential()
    report = verify_credential(
        token,
        evidence=installation.evidence(),
        policy=DEFAULT_POLICY,
        proof=installation.prove(token),
        **asked,
    )
    statement = receipt_statement(report, question="q", reference=None, purpose="account_opening")
    payload = build_receipt_payload(
        issuer=installation.issuer_url,
        receipt_id=name,
        issued_at=NOW,
        audience="bank",
        env="test",
        statement=statement,
        checkpoint=installation.log.checkpoint().text,
    )
    return sign_compact(typ=RECEIPT_TYP, payload=payload, signer=installation.receipt_signer)


def trust(installation: Installation) -> TrustEvidence:
    evidence = installation.evidence().trust
    assert evidence is not None
    return evidence


def refused(installation: Installation, token: str, proof: ReceiptProof | None) -> Reason:
    with pytest.raises(FormatError) as refusal:
        verify_receipt(token, trust=trust(installation), proof=proof)
    return refusal.value.reason


def test_a_receipt_states_its_place_in_the_log_and_whether_it_speaks_of_the_past(
    installation: Installation,
) -> None:
    now = verify_receipt(receipt(installation), trust=trust(installation)).payload
    assert now["log"] == {"origin": "one.example/log", "index": 3, "size": 4}
    assert (now["historical"], now["engine"]) == (False, "elicense/3")
    assert now["checkpoint"] == installation.log.checkpoint().text
    past = receipt(installation, at=NOW - timedelta(hours=1))
    assert verify_receipt(past, trust=trust(installation)).payload["historical"] is True


def test_a_proof_that_came_with_a_receipt_is_checked(installation: Installation) -> None:
    token, other = receipt(installation), receipt(installation, "0193")
    proof = parse_receipt_proof(installation.prove_receipt(token).to_json())
    assert verify_receipt(token, trust=trust(installation), proof=proof).id == "0192"
    place = check_receipt_proof(token, proof, trust=trust(installation))
    assert place is not None and place.origin == installation.log.origin
    assert refused(installation, other, proof) is Reason.LOG_PROOF_FAILED


def bent(part: str, **changes: Any) -> Callable[[ReceiptProof], ReceiptProof]:
    return lambda proof: replace(proof, **{part: replace(getattr(proof, part), **changes)})


@pytest.mark.parametrize(
    "bend",
    [
        pytest.param(lambda p: replace(p, env="live"), id="environment"),
        pytest.param(lambda p: replace(p, anchored_at=p.anchored_at + 1), id="time of the anchor"),
        pytest.param(bent("inclusion", index=0), id="index"),
        pytest.param(bent("inclusion", path=()), id="path"),
        pytest.param(bent("inclusion", checkpoint="x"), id="checkpoint"),
        pytest.param(bent("inclusion", origin="one.example/log"), id="origin"),
        pytest.param(bent("anchor", index=0), id="index of the anchor"),
        pytest.param(bent("anchor", path=()), id="path of the anchor"),
        pytest.param(bent("anchor", checkpoint="x"), id="checkpoint of the anchor"),
        pytest.param(bent("anchor", origin="one.example/receipt-log"), id="origin of the anchor"),
        pytest.param(lambda p: replace(p, anchor=p.inclusion), id="the receipts' log anchors itself"),
        pytest.param(lambda p: replace(p, inclusion=p.anchor), id="the public log holds receipts"),
    ],
)
def test_a_proof_that_does_not_fit_is_refused_although_the_key_is_good(
    installation: Installation, bend: Callable[[ReceiptProof], ReceiptProof]
) -> None:
    token = receipt(installation)
    assert refused(installation, token, bend(installation.prove_receipt(token))) is Reason.LOG_PROOF_FAILED


def test_a_proof_must_not_contradict_the_remembered_state(installation: Installation) -> None:
    token = receipt(installation)
    proof = installation.prove_receipt(token)
    for log in (installation.log, installation.receipt_log):
        state = Checkpoint(log.origin, len(log.entries), bytes(32))
        known = LogEvidence(None, {log.origin: state})
        with pytest.raises(FormatError, match="remembered"):
            verify_receipt(token, trust=trust(installation), proof=proof, log=known)


def test_a_receipt_of_a_stolen_key_counts_when_it_was_fixed_in_the_public_log_before(
    installation: Installation,
) -> None:
    token = receipt(installation)
    fixed = installation.prove_receipt(token)
    installation.compromise(installation.receipt_signer, installation.log.checkpoint())
    assert verify_receipt(token, trust=trust(installation), proof=fixed).id == "0192"
    assert refused(installation, token, None) is Reason.LOG_PROOF_MISSING
    bare = installation.prove_receipt(token, anchored=False)
    assert refused(installation, token, bare) is Reason.LOG_PROOF_MISSING
    forged = receipt(installation, "0194")
    assert refused(installation, forged, installation.prove_receipt(forged)) is Reason.KEY_COMPROMISED
    assert refused(installation, forged, fixed) is Reason.LOG_PROOF_FAILED


def test_where_nothing_was_witnessed_before_the_theft_no_receipt_is_left(installation: Installation) -> None:
    token = receipt(installation)
    proof = installation.prove_receipt(token)
    installation.compromise(installation.receipt_signer, None)
    assert refused(installation, token, proof) is Reason.KEY_COMPROMISED
    assert refused(installation, token, None) is Reason.KEY_COMPROMISED


def test_a_proof_of_a_good_receipt_key_need_not_be_fixed_in_the_public_log_yet(
    installation: Installation,
) -> None:
    token = receipt(installation)
    proof = installation.prove_receipt(token, anchored=False)
    assert verify_receipt(token, trust=trust(installation), proof=proof)


def test_the_public_log_tells_that_the_receipts_key_was_in_its_window_when_it_signed(
    installation: Installation,
) -> None:
    token = receipt(installation)
    fixed = installation.prove_receipt(token)
    bare = replace(fixed, anchor=None, anchored_at=None)
    installation.change_log(installation.receipt_log.origin, valid_until=NOW + timedelta(seconds=1))
    installation.now += timedelta(days=1)
    assert verify_receipt(token, trust=trust(installation), proof=fixed)
    assert refused(installation, token, bare) is Reason.LOG_PROOF_MISSING


def test_of_a_receipts_log_whose_key_was_stolen_exactly_one_state_counts(installation: Installation) -> None:
    token = receipt(installation)
    exact = installation.prove_receipt(token)
    remains = installation.receipt_log.checkpoint()
    installation.receipt_log.add(b"what a thief may have written")
    larger = installation.prove_receipt(token)
    installation.compromise(installation.receipt_log_signer, remains)
    assert verify_receipt(token, trust=trust(installation), proof=exact)
    assert refused(installation, token, larger) is Reason.LOG_PROOF_MISSING


def test_a_receipt_key_outside_its_window_is_not_saved_by_a_proof(installation: Installation) -> None:
    token = receipt(installation)
    proof = installation.prove_receipt(token)
    installation.change_service(ServiceUse.RECEIPT, valid_until=NOW)
    assert refused(installation, token, proof) is Reason.SIGNATURE_INVALID
    installation.change_service(ServiceUse.RECEIPT, key=SimulatedSigner().public_key, valid_until=None)
    assert refused(installation, token, proof) is Reason.SIGNATURE_INVALID
