"""Answers and receipts of the simulated installation, as the service hands them out."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from elicense.encoding import b64url_encode
from elicense.jws import sign_compact
from elicense.merkle import MerkleTree
from elicense.policy import DEFAULT_POLICY
from elicense.receipt import (
    RECEIPT_TYP,
    build_batch_receipt_payload,
    build_receipt_payload,
    question_digest,
    receipt_statement,
    reference_digest,
    statement_leaf,
)
from elicense.report import VerificationReport
from elicense.verify import verify_credential
from tests.simulator import Installation, NamedAs, SimulatedSigner

SALT = bytes(range(16))
QUESTION: Mapping[str, Any] = {
    "credential": "…",
    "elements": {"address": "示范路 1 号"},
    "reference": "shop-8812",
}


def report_of(installation: Installation) -> VerificationReport:
    return verify_credential(
        installation.credential(),
        evidence=installation.evidence(),
        policy=DEFAULT_POLICY,
        elements={"address": "别处"},
    )


def statement_of(
    report: VerificationReport, question: Mapping[str, Any] = QUESTION, salt: bytes = SALT
) -> dict[str, Any]:
    reference = question.get("reference")
    return receipt_statement(
        report,
        question=question_digest(dict(question), salt),
        reference=reference_digest(reference, salt) if reference is not None else None,
        purpose="merchant_onboarding",
    )


def sign(installation: Installation, payload: bytes, signer: SimulatedSigner | NamedAs | None = None) -> str:
    return sign_compact(typ=RECEIPT_TYP, payload=payload, signer=signer or installation.receipt_signer)


def answer(
    installation: Installation,
    *,
    issued_at: datetime | None = None,
    question: Mapping[str, Any] = QUESTION,
    signer: SimulatedSigner | NamedAs | None = None,
    **frame: Any,
) -> dict[str, Any]:
    """Answer one question with a receipt."""
    report = report_of(installation)
    given = {
        "issuer": installation.issuer_url,
        "receipt_id": "0192",
        "issued_at": issued_at or installation.now,
        "audience": "platform",
        "env": installation.env,
        "statement": statement_of(report, question),
        **frame,
    }
    return {
        "id": "0192",
        **report.to_json(),
        "reference": question.get("reference"),
        "purpose": "merchant_onboarding",
        "receipt": sign(installation, build_receipt_payload(**given), signer),
        "question_salt": b64url_encode(SALT),
    }


def batch_answer(installation: Installation, questions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Answer many questions under one receipt."""
    report = report_of(installation)
    salts = [bytes([number]) * 16 for number in range(len(questions))]
    statements = [
        statement_of(report, question, salt) for question, salt in zip(questions, salts, strict=True)
    ]
    summary = {"total": len(questions), "invalid": len(questions)}
    tree = MerkleTree([statement_leaf(statement) for statement in statements])
    payload = build_batch_receipt_payload(
        issuer=installation.issuer_url,
        receipt_id="0193",
        issued_at=installation.now,
        audience="platform",
        env=installation.env,
        root=tree.root,
        size=tree.size,
        summary=summary,
    )
    results = [
        {
            "id": f"01{number}",
            **report.to_json(),
            "reference": question.get("reference"),
            "purpose": "merchant_onboarding",
            "index": number,
            "path": [b64url_encode(node) for node in tree.path(number)],
            "statement": statement,
            "question_salt": b64url_encode(salts[number]),
        }
        for number, (question, statement) in enumerate(zip(questions, statements, strict=True))
    ]
    return {"id": "0193", "results": results, "summary": summary, "receipt": sign(installation, payload)}


def to_file(value: object) -> bytes:
    """Write an answer as a caller keeps it."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()
