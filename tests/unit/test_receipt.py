"""Receipts: signed by the service's receipt key alone, opened by the salt alone, one for a batch."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from elicense import TrustError
from elicense.client._evidence import verify_receipt_with
from elicense.encoding import b64url_encode, dump_json, parse_json_object
from elicense.evidence import TrustEvidence
from elicense.jws import sign_compact
from elicense.merkle import MerkleTree
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.receipt import (
    RECEIPT_TYP,
    build_batch_receipt_payload,
    build_receipt_payload,
    covers_statement,
    parse_receipt,
    question_digest,
    receipt_statement,
    reference_digest,
    statement_leaf,
    verify_receipt,
)
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation, NamedAs, SimulatedSigner

SALT = bytes(range(16))
QUESTION = {"credential": "…", "elements": {"address": "示范路 1 号"}}


@pytest.fixture
def installation() -> Installation:
    return Installation()


def statement(installation: Installation) -> dict[str, Any]:
    report = verify_credential(
        installation.credential(),
        evidence=installation.evidence(),
        policy=DEFAULT_POLICY,
        elements={"address": "别处"},
    )
    return receipt_statement(
        report,
        question=question_digest(QUESTION, SALT),
        reference=reference_digest("shop-8812", SALT),
        purpose="merchant_onboarding",
    )


def payload(installation: Installation, **changes: Any) -> bytes:
    given = {
        "issuer": installation.issuer_url,
        "receipt_id": "0192",
        "issued_at": NOW,
        "audience": "platform",
        "env": "test",
        "statement": statement(installation),
        **changes,
    }
    return build_receipt_payload(**given)


def sign(installation: Installation, content: bytes, signer: SimulatedSigner | NamedAs | None = None) -> str:
    return sign_compact(typ=RECEIPT_TYP, payload=content, signer=signer or installation.receipt_signer)


def trust(installation: Installation) -> TrustEvidence:
    evidence = installation.evidence().trust
    assert evidence is not None
    return evidence


def test_a_receipt_states_the_answer_and_no_value_of_the_question(installation: Installation) -> None:
    token = sign(installation, payload(installation))
    receipt = verify_receipt(token, trust=trust(installation))
    assert (receipt.verdict, receipt.reason, receipt.audience) == ("invalid", "mismatch", "platform")
    assert receipt.payload["elements"] == [{"name": "address", "outcome": "mismatch"}]
    assert receipt.payload["checkpoint"] is None
    assert {
        "iss",
        "jti",
        "iat",
        "aud",
        "fmt",
        "env",
        "engine",
        "question",
        "reference",
        "policy",
        "trust_list",
        "status_source",
        "evaluated_at",
        "purpose",
    } <= receipt.payload.keys()
    raw = str(receipt.payload)
    for secret in ("示范路", "别处", "shop-8812", "演示"):
        assert secret not in raw


def test_only_the_salt_opens_the_questions_digest(installation: Installation) -> None:
    receipt = parse_receipt(sign(installation, payload(installation)))
    assert receipt.question == question_digest(QUESTION, SALT)
    assert receipt.question != question_digest(QUESTION, bytes(16))
    assert receipt.question != question_digest({**QUESTION, "purpose": "x"}, SALT)
    with pytest.raises(ValueError, match="16 bytes"):
        question_digest(QUESTION, b"short")


def test_one_question_has_one_digest_whatever_the_order_of_its_members() -> None:
    other_order = dict(reversed(list(QUESTION.items())))
    assert question_digest(QUESTION, SALT) == question_digest(other_order, SALT)


@pytest.mark.parametrize(
    "signer",
    [
        pytest.param(lambda i: SimulatedSigner(), id="unknown key"),
        pytest.param(lambda i: i.status_signer, id="key of another use"),
        pytest.param(lambda i: i.credential_signer, id="key of an authority"),
        pytest.param(lambda i: NamedAs(SimulatedSigner(), i.receipt_signer.kid), id="forged"),
    ],
)
def test_a_receipt_counts_only_from_a_receipt_key(
    installation: Installation, signer: Callable[[Installation], SimulatedSigner | NamedAs]
) -> None:
    token = sign(installation, payload(installation), signer(installation))
    with pytest.raises(FormatError) as refusal:
        verify_receipt(token, trust=trust(installation))
    assert refusal.value.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "changes",
    [{"env": "live"}, {"issuer": "https://two.example"}, {"issued_at": NOW + timedelta(days=500)}],
    ids=["environment", "issuer", "after the key's end"],
)
def test_a_receipt_must_agree_with_the_trust_list(
    installation: Installation, changes: dict[str, Any]
) -> None:
    with pytest.raises(FormatError):
        verify_receipt(sign(installation, payload(installation, **changes)), trust=trust(installation))


def test_a_receipt_of_a_compromised_key_does_not_count(installation: Installation) -> None:
    installation.compromise(installation.receipt_signer, None)
    with pytest.raises(FormatError, match="compromised"):
        verify_receipt(sign(installation, payload(installation)), trust=trust(installation))


def test_an_unknown_format_is_refused_by_name(installation: Installation) -> None:
    content = payload(installation).replace(b'"fmt":1', b'"fmt":2')
    with pytest.raises(FormatError, match="fmt 2"):
        parse_receipt(sign(installation, content))


def test_one_receipt_covers_every_statement_of_a_batch_in_its_place(installation: Installation) -> None:
    base = statement(installation)
    statements = [{**base, "verdict": "valid", "evaluated_at": number} for number in range(7)]
    tree = MerkleTree([statement_leaf(item) for item in statements])
    content = build_batch_receipt_payload(
        issuer=installation.issuer_url,
        receipt_id="0193",
        issued_at=NOW,
        audience="platform",
        env="test",
        root=tree.root,
        size=tree.size,
        summary={"valid": 7},
    )
    receipt = verify_receipt(sign(installation, content), trust=trust(installation))
    assert receipt.verdict is None
    for index, item in enumerate(statements):
        path = tree.path(index)
        assert covers_statement(receipt, item, index=index, path=path)
        assert not covers_statement(receipt, {**item, "verdict": "invalid"}, index=index, path=path)
        assert not covers_statement(receipt, item, index=(index + 1) % 7, path=path)
    single = parse_receipt(sign(installation, payload(installation)))
    assert not covers_statement(single, statements[0], index=0, path=[])


def test_a_receipt_is_not_taken_for_another_document(installation: Installation) -> None:
    with pytest.raises(FormatError):
        parse_receipt(installation.freshness())


def test_a_receipt_is_not_believed_under_a_trust_list_that_may_have_been_replaced(
    installation: Installation,
) -> None:
    token = sign(installation, payload(installation))
    root, held = installation.trust_root(), installation.bundle()
    assert verify_receipt_with(token, trust_root=root, bundle=held, now=NOW).id == "0192"
    with pytest.raises(TrustError, match="trust_stale"):
        verify_receipt_with(token, trust_root=root, bundle=held, now=NOW + timedelta(days=8))
    installation.edits["bundle"] = lambda bundle: bundle.update(freshness=None)
    with pytest.raises(TrustError, match="trust_stale"):
        verify_receipt_with(token, trust_root=root, bundle=installation.bundle(), now=NOW)


@pytest.mark.parametrize("alg", ["sha-512", "SHA-256", ""])
def test_a_receipt_whose_question_digest_is_of_another_algorithm_is_refused(
    installation: Installation, alg: str
) -> None:
    members = dict(parse_json_object(payload(installation)))
    changed = {**members, "question": {**members["question"], "alg": alg}}  # type: ignore[dict-item]
    with pytest.raises(FormatError) as refusal:
        verify_receipt(sign(installation, dump_json(changed)), trust=trust(installation))
    assert refusal.value.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "change",
    [{"alg": "sha-512"}, {"root": b64url_encode(bytes(31))}, {"root": b64url_encode(bytes(33))}, {"size": 0}],
)
def test_a_batch_receipt_whose_root_is_of_another_form_is_refused(
    installation: Installation, change: dict[str, Any]
) -> None:
    content = build_batch_receipt_payload(
        issuer=installation.issuer_url,
        receipt_id="0193",
        issued_at=NOW,
        audience="platform",
        env="test",
        root=bytes(32),
        size=1,
        summary={"total": 1},
    )
    members = dict(parse_json_object(content))
    assert verify_receipt(sign(installation, dump_json(members)), trust=trust(installation)).batch is not None
    changed = {**members, "batch": {**members["batch"], **change}}  # type: ignore[dict-item]
    with pytest.raises(FormatError) as refusal:
        verify_receipt(sign(installation, dump_json(changed)), trust=trust(installation))
    assert refusal.value.reason is Reason.MALFORMED
