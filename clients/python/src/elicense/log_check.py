"""Judge what the log says about a credential: whether its proof holds, and whether it is older than a key's theft."""

from datetime import datetime

from elicense.credential import Credential
from elicense.evidence_parts import Evidence, RegisterEvidence, TrustEvidence
from elicense.log_proof import LogProof
from elicense.log_trust import NO_CHECKPOINTS, LogKind, accept_inclusion, logged_before
from elicense.problems import FormatError, Reason
from elicense.report import NOT_ASKED, PASSED, SKIPPED, Check, CheckId, LogPlace, Outcome
from elicense.trust_list import AuthorityKey, TrustList

_PROOF_PASSED = PASSED[CheckId.LOG_PROOF]
_PROOF_NOT_ASKED = NOT_ASKED[CheckId.LOG_PROOF]
_PROOF_MISSING = Check(CheckId.LOG_PROOF, Outcome.CANNOT_TELL, Reason.LOG_PROOF_MISSING)
_KEY_PASSED = PASSED[CheckId.KEY]


def check_log_proof(
    credential: Credential,
    proof: LogProof | None,
    *,
    evidence: Evidence,
    trust: TrustEvidence,
    needed: bool,
) -> tuple[Check, LogPlace | None]:
    """Judge the proof that the credential was logged, and return its place; a proof that is given is always checked.

    Without one, or beside one that counts for nothing, the register's own word is as good: it says where it logged
    exactly this credential. A proof that holds
    and that nobody vouches for any more (its log key was compromised, or is past its window) is worth as much as none:
    it fails nothing, and proves nothing where one is `needed`.
    """
    known = _known_place(evidence.register)
    if proof is None:
        if known is not None:
            return _PROOF_PASSED, known
        return (_PROOF_MISSING if needed else _PROOF_NOT_ASKED), None
    if proof.env != trust.root.env:
        return _failed("env of the log proof and of the trust root disagree"), None
    log = evidence.log
    try:
        place = accept_inclusion(
            proof.inclusion,
            proof.entry(credential.signed_digest.hex()),
            kind=LogKind.PUBLIC,
            trust_list=trust.trust_list,
            now=evidence.now,
            remembered=log.checkpoints if log is not None else NO_CHECKPOINTS,
        )
    except FormatError as refusal:
        if refusal.reason is Reason.LOG_PROOF_MISSING:
            if known is not None:
                return _PROOF_PASSED, known
            return _unknown(refusal, required=needed), None
        if refusal.reason is Reason.TRUST_STALE:
            return _unknown(refusal, required=True), None
        return _failed(refusal.detail), None
    except ValueError as refusal:  # a proof put together by hand, with a salt that opens nothing
        return _failed(str(refusal)), None
    return _PROOF_PASSED, place


def check_key(
    entry: AuthorityKey, signed_at: datetime, logged: Check, place: LogPlace | None, trust_list: TrustList
) -> Check:
    """Judge the signing key at `iat`, and a compromised key by the log alone.

    Whoever holds a stolen key writes any `iat` he likes, so none is believed: what the log shows to be older than the
    theft stays good, what came later is lost, and without a proof it cannot be told. `logged` is what became of the
    proof, `place` what it shows.
    """
    if not entry.valid_at(signed_at):
        return Check(CheckId.KEY, Outcome.FAILED, Reason.KEY_NOT_VALID_AT_ISSUE)
    compromise = entry.compromised
    if compromise is None:
        return _KEY_PASSED
    if place is None and compromise.checkpoint is not None:
        if logged.outcome is Outcome.FAILED:
            return SKIPPED[CheckId.KEY]
        detail = "the key is compromised and no log proof shows that this credential is older"
        return Check(CheckId.KEY, Outcome.CANNOT_TELL, Reason.LOG_PROOF_MISSING, detail=detail)
    if place is None or not logged_before(place, compromise, trust_list):
        return Check(CheckId.KEY, Outcome.FAILED, Reason.KEY_COMPROMISED)
    return _KEY_PASSED


def _known_place(register: RegisterEvidence | None) -> LogPlace | None:
    if register is None or register.log_origin is None or register.log_index is None:
        return None
    return LogPlace(register.log_origin, register.log_index)


def _failed(detail: str) -> Check:
    return Check(CheckId.LOG_PROOF, Outcome.FAILED, Reason.LOG_PROOF_FAILED, detail=detail)


def _unknown(refusal: FormatError, *, required: bool) -> Check:
    return Check(
        CheckId.LOG_PROOF, Outcome.CANNOT_TELL, refusal.reason, required=required, detail=refusal.detail
    )
