"""Receipts: the service's signed statement that a verification was made and what it answered.

A receipt holds digests of the question and of the caller's reference, never their values, and no element value:
the salt that opens the question's digest goes to the caller beside the receipt, never into it. A batch has one
receipt over the Merkle root (RFC 6962) of its statements; each result then carries its path.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from elicense.encoding import (
    JsonValue,
    b64url_decode,
    b64url_encode,
    canonical_json,
    dump_json,
    malformed,
    parse_json_object,
    sha256,
    to_unix,
)
from elicense.evidence import TrustEvidence
from elicense.fields import Fields
from elicense.jws import parse_compact
from elicense.merkle import leaf_hash, verify_inclusion
from elicense.problems import FormatError, Reason
from elicense.report import VerificationReport
from elicense.trust_list import ServiceUse

RECEIPT_TYP = "elicense-receipt+jwt"
RECEIPT_FMT = 1
ENGINE_VERSION = "elicense/1"
"""The judge's version: it rises whenever the same evidence could be judged differently."""

SALT_BYTES = 16
DIGEST_ALGORITHM = "sha-256"
MAX_RECEIPT_BYTES = 65536


def question_digest(question: JsonValue, salt: bytes) -> str:
    """Digest a question with its salt: base64url SHA-256 of the canonical JSON (RFC 8785) of both.

    The digested object is {"question": ..., "salt": base64url}. ValueError for a salt under 16 bytes: a short one
    would let a reader of the receipt guess the asked values.
    """
    if len(salt) < SALT_BYTES:
        raise ValueError(f"a question's salt has at least {SALT_BYTES} bytes")
    salted: JsonValue = {"question": question, "salt": b64url_encode(salt)}
    return b64url_encode(sha256(canonical_json(salted)))


def reference_digest(reference: str, salt: bytes) -> str:
    """Digest the caller's reference with the question's salt, as `question_digest` does."""
    return question_digest({"reference": reference}, salt)


def receipt_statement(
    report: VerificationReport, *, question: str, reference: str | None, purpose: str
) -> dict[str, JsonValue]:
    """State one verification for a receipt: digests, verdict, outcomes and the evidence, no personal data.

    `question` and `reference` are digests (`question_digest`, `reference_digest`), `purpose` the caller's code.
    """
    status = report.status
    policy: JsonValue = {
        "id": report.policy.id,
        "version": report.policy.version,
        "sha256": report.policy.sha256,
    }
    trust: JsonValue = None
    if report.trust is not None:
        trust = {"seq": report.trust.sequence, "sha256": report.trust.sha256}
    return {
        "question": {"alg": DIGEST_ALGORITHM, "digest": question},
        "reference": {"alg": DIGEST_ALGORITHM, "digest": reference} if reference is not None else None,
        "verdict": report.verdict.value,
        "reason": report.reason.value,
        "elements": [element.to_json() for element in report.elements],
        "policy": policy,
        "trust_list": trust,
        "status_source": status.to_json() if status is not None else None,
        "evaluated_at": to_unix(report.evaluated_at),
        "purpose": purpose,
    }


def build_receipt_payload(
    *,
    issuer: str,
    receipt_id: str,
    issued_at: datetime,
    audience: str,
    env: str,
    statement: Mapping[str, JsonValue],
    checkpoint: str | None = None,
) -> bytes:
    """Build the payload of one verification's receipt; sign it with `sign_compact(typ=RECEIPT_TYP, ...)`.

    `statement` comes from `receipt_statement`; `audience` names the caller; `checkpoint` is reserved for the log.
    """
    frame = _frame(issuer, receipt_id, issued_at, audience, env, checkpoint)
    return dump_json({**frame, **statement})


def statement_leaf(statement: Mapping[str, JsonValue]) -> bytes:
    """Hash one statement of a batch as a Merkle leaf: RFC 6962 over its canonical JSON."""
    return leaf_hash(canonical_json(dict(statement)))


def build_batch_receipt_payload(
    *,
    issuer: str,
    receipt_id: str,
    issued_at: datetime,
    audience: str,
    env: str,
    root: bytes,
    size: int,
    summary: Mapping[str, int],
    checkpoint: str | None = None,
) -> bytes:
    """Build the payload of a batch's receipt: the Merkle root over `statement_leaf` of every item, in order.

    `summary` counts the verdicts; sign as `build_receipt_payload` says.
    """
    frame = _frame(issuer, receipt_id, issued_at, audience, env, checkpoint)
    batch = {"alg": DIGEST_ALGORITHM, "root": b64url_encode(root), "size": size}
    return dump_json({**frame, "batch": batch, "summary": dict(summary)})


def _frame(
    issuer: str, receipt_id: str, issued_at: datetime, audience: str, env: str, checkpoint: str | None
) -> dict[str, JsonValue]:
    return {
        "iss": issuer,
        "jti": receipt_id,
        "iat": to_unix(issued_at),
        "aud": audience,
        "fmt": RECEIPT_FMT,
        "env": env,
        "engine": ENGINE_VERSION,
        "checkpoint": checkpoint,
    }


@dataclass(frozen=True, slots=True)
class BatchRoot:
    """Hold the Merkle root over the statements of a batch, and their number."""

    root: bytes
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Hold a parsed receipt; unverified unless it came from `verify_receipt`.

    `verdict`, `reason` and `question` (a digest) are None on a batch's receipt, `batch` on a single one;
    `payload` is the whole signed statement.
    """

    id: str
    issuer: str
    audience: str
    issued_at: datetime
    env: str
    engine: str
    kid: str
    verdict: str | None
    reason: str | None
    question: str | None
    batch: BatchRoot | None
    payload: Mapping[str, JsonValue]


def parse_receipt(token: str | bytes) -> Receipt:
    """Parse a receipt without checking its signature; FormatError (malformed) for any other shape or `fmt`."""
    jws = parse_compact(token, typ=RECEIPT_TYP, max_bytes=MAX_RECEIPT_BYTES)
    payload = parse_json_object(jws.payload, max_bytes=MAX_RECEIPT_BYTES)
    fields = Fields(payload, "receipt")
    fields.require_format(RECEIPT_FMT)
    batch = _read_batch(fields.child("batch")) if fields.has("batch") else None
    single = batch is None
    return Receipt(
        id=fields.text("jti"),
        issuer=fields.text("iss"),
        audience=fields.text("aud"),
        issued_at=fields.time("iat"),
        env=fields.env(),
        engine=fields.text("engine"),
        kid=jws.kid,
        verdict=fields.text("verdict") if single else None,
        reason=fields.text("reason") if single else None,
        question=_read_question(fields.child("question")) if single else None,
        batch=batch,
        payload=payload,
    )


def verify_receipt(token: str | bytes, *, trust: TrustEvidence) -> Receipt:
    """Check a receipt against the trust list and return it.

    FormatError: signature_invalid for a key that is no receipt key of the list, was not valid at `iat`, or whose
    signature does not hold; malformed for another environment or issuer and every wrong shape.
    """
    jws = parse_compact(token, typ=RECEIPT_TYP, max_bytes=MAX_RECEIPT_BYTES)
    service = trust.trust_list.service(jws.kid, ServiceUse.RECEIPT)
    if service is None:
        raise FormatError(Reason.SIGNATURE_INVALID, "receipt is signed by no receipt key of the trust list")
    key = service.key
    if jws.alg != key.profile.alg or not key.verify(jws.signature, jws.signing_input):
        raise FormatError(Reason.SIGNATURE_INVALID, "signature of the receipt does not hold")
    receipt = parse_receipt(token)
    if receipt.env != trust.trust_list.env:
        raise malformed("receipt is of another environment than the trust list")
    if receipt.issuer not in trust.trust_list.issuers:
        raise malformed("receipt is of an issuer outside the trust list")
    if not service.valid_at(receipt.issued_at):
        raise FormatError(Reason.SIGNATURE_INVALID, "receipt key was not valid when it signed")
    return receipt


def answers_question(receipt: Receipt, question: JsonValue, salt: bytes) -> bool:
    """Tell whether a single receipt speaks of this question, opened with the salt the caller was given."""
    return receipt.question is not None and receipt.question == question_digest(question, salt)


def covers_statement(
    receipt: Receipt, statement: Mapping[str, JsonValue], *, index: int, path: Sequence[bytes]
) -> bool:
    """Tell whether a batch's receipt covers the statement of item `index`, by its Merkle path."""
    batch = receipt.batch
    if batch is None:
        return False
    return verify_inclusion(statement_leaf(statement), index, batch.size, path, batch.root)


def _read_batch(fields: Fields) -> BatchRoot:
    root = b64url_decode(fields.text("root"))
    if fields.text("alg") != DIGEST_ALGORITHM or len(root) != 32:
        raise malformed("receipt.batch is not a SHA-256 root")
    return BatchRoot(root=root, size=fields.integer("size", minimum=1))


def _read_question(fields: Fields) -> str:
    if fields.text("alg") != DIGEST_ALGORITHM:
        raise malformed("receipt.question is not a SHA-256 digest")
    return fields.text("digest")
