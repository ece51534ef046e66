"""Receipts: the service's signed statement that a verification was made and what it answered.

A receipt holds digests of the question and of the caller's reference, never their values, and no element value:
the salt that opens the question's digest goes to the caller beside the receipt, never into it. A batch has one
receipt over the Merkle root (RFC 6962) of its statements; each result then carries its path. Receipts stand in a log
of their own, whose states are fixed in the public log: that outlasts the key that signed them.
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
    from_unix,
    malformed,
    parse_json_object,
    sha256,
    sha256_hex,
    to_unix,
)
from elicense.evidence_parts import LogEvidence, TrustEvidence
from elicense.fields import Fields
from elicense.jws import parse_compact
from elicense.log_entry import receipts_entry
from elicense.log_proof import Inclusion, ReceiptProof
from elicense.log_trust import NO_CHECKPOINTS, LogKind, accept_inclusion, logged_before
from elicense.merkle import leaf_hash, verify_inclusion
from elicense.problems import FormatError, Reason
from elicense.profiles import Profile
from elicense.report import LogPlace, VerificationReport
from elicense.signed_note import Checkpoint
from elicense.trust_list import Compromise, Service, ServiceUse

RECEIPT_TYP = "elicense-receipt+jwt"
RECEIPT_FMT = 1
ENGINE_VERSION = "elicense/3"
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
        "log": report.log.to_json() if report.log is not None else None,
        "evaluated_at": to_unix(report.evaluated_at),
        "historical": report.historical,
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

    `statement` comes from `receipt_statement`; `audience` names the caller; `checkpoint` is the newest published
    one of the public log, None before the first.
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


def verify_receipt(
    token: str | bytes,
    *,
    trust: TrustEvidence,
    proof: ReceiptProof | None = None,
    log: LogEvidence | None = None,
    now: datetime | None = None,
) -> Receipt:
    """Check a receipt against the trust list, and a proof that came with it, and return it.

    FormatError: signature_invalid for a key that is no receipt key of the list, was not valid at `iat`, or whose
    signature does not hold; malformed for another environment or issuer and every wrong shape. A proof that is given
    must hold (`check_receipt_proof`; `log` are the remembered states). If the key was compromised since, only a proof
    saves the receipt: log_proof_missing without one or while its log's state is not fixed in the public log,
    key_compromised when it was fixed there after the theft. algorithm_sunset when the last date of its algorithm has
    passed by `now` (at least the latest time that is signed) and no witness saw it fixed there by then.
    """
    known = max(trust.latest, now or trust.latest)
    receipt, service = verify_receipt_signature(token, trust=trust)
    place = None
    if proof is not None:
        place = check_receipt_proof(token, proof, trust=trust, log=log, known=known)
    require_older(place, service.compromised, trust=trust)
    require_algorithm(receipt, place, service.key.profile, known=known)
    return receipt


def verify_receipt_signature(token: str | bytes, *, trust: TrustEvidence) -> tuple[Receipt, Service]:
    """Check the signature alone; return the receipt and its key's entry, which may be compromised since.

    FormatError: signature_invalid and malformed as `verify_receipt`. Whether a compromised key's receipt counts is for
    `require_older`, whether its algorithm still does for `require_algorithm`.
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
    if not service.in_window(receipt.issued_at):
        raise FormatError(Reason.SIGNATURE_INVALID, "receipt key was not valid when it signed")
    return receipt, service


def check_receipt_proof(
    token: str | bytes,
    proof: ReceiptProof,
    *,
    trust: TrustEvidence,
    log: LogEvidence | None = None,
    known: datetime | None = None,
) -> LogPlace | None:
    """Check that a receipt stands in the receipts' log, that log's state in the public one, and return that place.

    None while that state is not fixed in the public log yet. `known` is to when time has come, at least the latest time
    that is signed. FormatError: log_proof_failed where it does not fit,
    log_proof_missing and trust_stale as `elicense.log_trust.accept_inclusion`.
    """
    anchor = None
    if proof.anchor is not None:
        anchor = check_receipt_anchor(proof, trust=trust, log=log, known=known)
    check_receipt_inclusion(token, proof, trust=trust, log=log, fixed=anchor is not None, known=known)
    return anchor


def check_receipt_anchor(
    proof: ReceiptProof,
    *,
    trust: TrustEvidence,
    log: LogEvidence | None = None,
    known: datetime | None = None,
) -> LogPlace:
    """Check that the public log fixed exactly the proof's state of the receipts' log, and return that place.

    FormatError as `check_receipt_proof`; log_proof_missing as well while it has not been fixed there.
    """
    _require_env(proof, trust)
    if proof.anchor is None or proof.anchored_at is None:
        raise FormatError(
            Reason.LOG_PROOF_MISSING, "this state of the receipts' log is not in the public log yet"
        )
    stated_at = from_unix(proof.anchored_at)
    return accept_inclusion(
        proof.anchor,
        receipts_entry(env=proof.env, checkpoint=_claimed_state(proof.inclusion), stated_at=stated_at),
        kind=LogKind.PUBLIC,
        trust_list=trust.trust_list,
        now=trust.latest,
        known=known,
        remembered=log.checkpoints if log is not None else NO_CHECKPOINTS,
    )


def check_receipt_inclusion(
    token: str | bytes,
    proof: ReceiptProof,
    *,
    trust: TrustEvidence,
    log: LogEvidence | None = None,
    fixed: bool,
    known: datetime | None = None,
) -> LogPlace:
    """Check that a receipt stands in the receipts' log, and return its place; FormatError as `check_receipt_proof`.

    `fixed` says that `check_receipt_anchor` has passed: the public log then tells when the state was stated, and the
    log's key had to be in its window at that time, not ever since.
    """
    _require_env(proof, trust)
    stated_at = from_unix(proof.anchored_at) if fixed and proof.anchored_at is not None else trust.latest
    return accept_inclusion(
        proof.inclusion,
        proof.entry(sha256_hex(token.encode("ascii") if isinstance(token, str) else token)),
        kind=LogKind.RECEIPTS,
        trust_list=trust.trust_list,
        now=stated_at,
        known=max(trust.latest, known or trust.latest),
        remembered=log.checkpoints if log is not None else NO_CHECKPOINTS,
    )


def _require_env(proof: ReceiptProof, trust: TrustEvidence) -> None:
    if proof.env != trust.trust_list.env:
        raise FormatError(Reason.LOG_PROOF_FAILED, "receipt proof is of another environment")


def _claimed_state(inclusion: Inclusion) -> Checkpoint:
    try:
        return inclusion.claimed_checkpoint()
    except FormatError as refusal:
        raise FormatError(Reason.LOG_PROOF_FAILED, refusal.detail) from None


def require_older(place: LogPlace | None, compromise: Compromise | None, *, trust: TrustEvidence) -> None:
    """Refuse a receipt of a compromised key that the public log does not show to be older than the theft.

    `place` is that of its state in the public log, None where none was shown; a sound key (`compromise` None) needs
    none. FormatError: log_proof_missing, key_compromised as `verify_receipt`.
    """
    if compromise is None:
        return
    if place is None and compromise.checkpoint is not None:
        raise FormatError(
            Reason.LOG_PROOF_MISSING,
            "receipt key is compromised and no proof shows that this receipt is older",
        )
    if place is None or not logged_before(place, compromise, trust.trust_list):
        raise FormatError(Reason.KEY_COMPROMISED, "receipt was logged after its key was compromised")


def require_algorithm(receipt: Receipt, place: LogPlace | None, profile: Profile, *, known: datetime) -> None:
    """Refuse (algorithm_sunset) a receipt that proves nothing since its algorithm ended.

    After the last date anybody may be able to make such a signature, with any time in it: only a state of the public
    log with the receipt in it (`place`) that a listed witness saw by then shows it to be older. What was signed after
    signing ended is not saved by the log. `known` is to when time has come.
    """
    last, seen = profile.verify_until, place.seen_at if place is not None else None
    if profile.sign_until is not None and receipt.issued_at > profile.sign_until:
        raise FormatError(Reason.ALGORITHM_SUNSET, "receipt was signed after signing by its algorithm ended")
    if last is not None and known > last and (seen is None or seen > last):
        detail = "the last date of the receipt's algorithm has passed, and no witness saw it logged by then"
        raise FormatError(Reason.ALGORITHM_SUNSET, detail)


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
