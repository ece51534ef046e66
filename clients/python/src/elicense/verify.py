"""The judge: one pure function from a credential and frozen evidence to a report.

It does no I/O, reads no clock and never raises for any token. The server, the offline SDK, the replay of an old
verification and the test vectors all run this one function. The plan:

 1. Format: the token is a credential of a known format (`elicense.credential`).
 2. Trust: there is a trust list under the pinned root, and it is the current one.
 3. Issuer: `iss` is an authority of the list that is not distrusted, and `kid` is one of its own keys.
 4. Signature: it holds under that key, with the algorithm the list names. Otherwise nothing after this is looked
    at: what a broken signature covers says nothing.
 5. Key: it was valid at `iat`, the time of signing; if it was compromised since, the log shows that this credential
    is older than that.
 6. Claims: they agree with each other, with the authority's entry and with the environment.
 7. Scope: the authority might issue this type in this area on the day of signing, and had not ended.
 8. Register (online): it issued exactly this identifier, signing input and status index.
 9. Status: from the live register, or from a list whose signer speaks for this authority; recent enough.
10. Dates: the moment lies in the credential's window, without leeway; it was not signed in the future.
11. Elements: what was asked matches, and nothing the policy requires is missing.
12. Holder binding: where question or policy ask for it, the presenter holds the key that `cnf` names. Otherwise
    listed as bearer: valid speaks of the license, not of who shows it.
13. Log proof: one that is given holds; one is there where the policy, or a compromised key, requires it.
14. Algorithm: its profile's dates have not passed, or a witness saw the credential in the log before they did.
15. Clock: it is reliable, and not behind what has been signed already.
16. Policy: where it names types or areas, the license is of one of them.

Every check is always listed; the reason of highest precedence leads (`elicense.report.decide`).

About `at`: it moves the moment that is judged, never what is known. Status and dates are those of that moment, from
the list that was the newest then; roots, keys with their compromise, and an annulment come from the newest evidence,
whose own age is judged now. Where no list at hand covers the moment, the status cannot be told.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from elicense.by_reference import LicenseFacts, verify_license
from elicense.checks import (
    EXPIRED_FILE,
    check_accepted,
    check_clock,
    check_dates,
    check_elements,
    not_compared,
)
from elicense.credential import Credential
from elicense.elements import HeldElements, metadata_elements
from elicense.encoding import to_utc
from elicense.evidence import (
    Evidence,
    ListStatus,
    LiveStatus,
    LogEvidence,
    RefusedPart,
    RegisterEvidence,
    TrustEvidence,
    gather_offline,
)
from elicense.key_binding import ExpectedBinding, check_holder_binding
from elicense.keys import PublicKey
from elicense.log_check import check_key, check_log_proof
from elicense.log_proof import LogProof
from elicense.policy import Policy
from elicense.problems import FormatError, Reason, Text
from elicense.reading import Reading, SignatureMemo, read_credential
from elicense.records import quick_constructor
from elicense.report import (
    NOT_ASKED,
    PASSED,
    SKIPPED,
    Caution,
    Check,
    CheckId,
    ElementResult,
    LogPlace,
    Outcome,
    ShownLicense,
    StatusSource,
    VerificationReport,
    decide,
)
from elicense.status_check import check_credential_status
from elicense.trust_list import Authority, AuthorityState

__all__ = [
    "Evidence",
    "ExpectedBinding",
    "LicenseFacts",
    "ListStatus",
    "LiveStatus",
    "LogEvidence",
    "LogProof",
    "RegisterEvidence",
    "SignatureMemo",
    "TrustEvidence",
    "gather_offline",
    "verify_credential",
    "verify_license",
]

# Named once: looking members of an enumeration up costs more than most checks.
_FORMAT_PASSED = PASSED[CheckId.FORMAT]
_TRUST_PASSED = PASSED[CheckId.TRUST]
_ISSUER_PASSED = PASSED[CheckId.ISSUER]
_SIGNATURE_PASSED = PASSED[CheckId.SIGNATURE]
_CLAIMS_PASSED = PASSED[CheckId.CLAIMS]
_DATES_PASSED = PASSED[CheckId.DATES]
_SCOPE_PASSED = PASSED[CheckId.SCOPE]
_REGISTER_PASSED = PASSED[CheckId.REGISTER]
_ALGORITHM_PASSED = PASSED[CheckId.ALGORITHM]
_CLOCK_PASSED = PASSED[CheckId.CLOCK]
_REGISTER_NOT_ASKED = NOT_ASKED[CheckId.REGISTER]
_ELEMENTS_NOT_ASKED = NOT_ASKED[CheckId.ELEMENTS]
_LOG_PROOF_NOT_ASKED = NOT_ASKED[CheckId.LOG_PROOF]
_SKIPPED = Outcome.SKIPPED
_DISTRUSTED = AuthorityState.DISTRUSTED
_ENDED = AuthorityState.ENDED

_DAY_ENDS_AT: Final = 16
"""The hour in UTC at which the civil day of the same date ends (+08:00)."""

_new_report = quick_constructor(VerificationReport)
_new_shown = quick_constructor(ShownLicense)

_KEY_BINDING_IGNORED = Caution(
    "key_binding_not_checked",
    Text("文件附有持证主体的绑定签名,本次未核验。", "A key binding came with the file and was not checked."),
)


def verify_credential(
    token: str | bytes,
    *,
    evidence: Evidence,
    policy: Policy,
    at: datetime | None = None,
    elements: Mapping[str, str] | None = None,
    memo: SignatureMemo | None = None,
    proof: LogProof | None = None,
    binding: ExpectedBinding | None = None,
) -> VerificationReport:
    """Judge a credential against the evidence under a policy, following the plan of this module.

    `at` asks about another moment than `evidence.now` (ValueError for one without a time zone, or that UTC does not
    have). `elements` are values to compare, by name. `proof` came with the credential and shows that it was logged.
    `binding` asks the presenter to prove to be the holder. `memo` remembers readings and good signatures, never a
    verdict. Whatever the token is, the answer is a report.
    """
    if at is not None:
        at = to_utc(at)
    case = _Case(evidence, policy, at, elements)
    # 1.
    try:
        reading = read_credential(token) if memo is None else memo.read(token)
    except FormatError as refusal:
        return case.stop(Check(CheckId.FORMAT, Outcome.FAILED, refusal.reason, detail=refusal.detail))
    credential = reading.credential
    # 2.
    trust = evidence.trust
    if trust is None:
        return case.stop(_FORMAT_PASSED, _trust_missing(evidence))
    current = _check_trust(trust, policy, case.judged)
    # 3.
    authority = trust.trust_list.authority_by_issuer(credential.claims.issuer)
    if authority is None:
        return case.stop(_FORMAT_PASSED, current, _issuer_unknown("iss is no issuer of the trust list"))
    entry = authority.key(credential.kid)
    if entry is None:
        return case.stop(_FORMAT_PASSED, current, _issuer_unknown("kid is no key of this issuer"))
    issuer = _check_issuer(authority)
    # 4.
    if not _signature_holds(credential, entry.key, memo):
        broken = Check(CheckId.SIGNATURE, Outcome.FAILED, Reason.SIGNATURE_INVALID)
        return case.stop(_FORMAT_PASSED, current, issuer, broken)
    # 9. 11. 13. first, because what they find is shown beside their checks, and the log tells about the key.
    status, source, live = check_credential_status(credential, authority, evidence, policy, case.moment)
    compared, results = _check_credential_elements(credential, case)
    logged, place = _LOG_PROOF_NOT_ASKED, None
    # Online the register itself says what it issued, and its own log follows within seconds; only a stolen key, with
    # which anything could have been issued, needs the log's word there too.
    needed = (policy.require_log_proof and evidence.register is None) or entry.compromised is not None
    if needed or proof is not None or evidence.register is not None:
        logged, place = check_log_proof(credential, proof, evidence=evidence, trust=trust, needed=needed)
    bound = check_holder_binding(token, credential, binding, policy=policy, now=evidence.now)
    checks: tuple[Check, ...] = (
        _FORMAT_PASSED,
        current,
        issuer,
        _SIGNATURE_PASSED,
        # 5. 6. 7. 8.
        check_key(entry, credential.claims.issued_at, logged, place, trust.trust_list),
        _check_claims(reading, authority, trust),
        _check_scope(reading, authority),
        _check_register(evidence.register),
        status,
        # 10.
        _check_credential_dates(credential, case),
        compared,
        # 12. 13. 14. 15.
        bound,
        logged,
        _check_algorithm(entry.key, credential, case, place),
        _check_clock(evidence, trust, source, policy),
    )
    # 16.
    if policy.restricts:
        named = credential.claims.license
        accepted = check_accepted(type_code=named.type_code, area_code=named.area_code, policy=policy)
        checks = (*checks, accepted)
    shown = _show(credential, authority)
    unchecked = bound.outcome is _SKIPPED and credential.key_binding is not None
    cautions = (_KEY_BINDING_IGNORED,) if unchecked else ()
    return case.report(checks, results, shown, source, live, place, cautions)


class _Case:
    """Hold what one judgement is about and the moments it is made for."""

    __slots__ = ("asked", "evidence", "judged", "moment", "now", "policy")

    def __init__(
        self, evidence: Evidence, policy: Policy, at: datetime | None, asked: Mapping[str, str] | None
    ) -> None:
        self.evidence = evidence
        self.policy = policy
        self.asked = asked
        now = evidence.now
        if now.tzinfo is not UTC:
            now = to_utc(now)
        self.now = self.moment = self.judged = now
        if at is not None:
            self.moment, self.judged = at, max(at, now)

    def stop(self, *made: Check) -> VerificationReport:
        """End here: later checks would speak about claims that nothing vouches for."""
        done = {check.id for check in made}
        if not self.policy.restricts:
            done.add(CheckId.POLICY)
        skipped = (SKIPPED[check_id] for check_id in CheckId if check_id not in done)
        return self.report((*made, *skipped), not_compared(self.asked))

    def report(
        self,
        checks: tuple[Check, ...],
        results: tuple[ElementResult, ...],
        shown: ShownLicense | None = None,
        status: StatusSource | None = None,
        live: LiveStatus | None = None,
        log: LogPlace | None = None,
        cautions: tuple[Caution, ...] = (),
    ) -> VerificationReport:
        verdict, reason = decide(checks)
        trust = self.evidence.trust
        return _new_report(
            verdict=verdict,
            reason=reason,
            checks=checks,
            env=trust.root.env if trust is not None else None,
            evaluated_at=self.moment,
            verified_at=self.now,
            policy=self.policy,
            elements=results,
            shown=shown,
            superseded_by=live.superseded_by if live is not None else None,
            successors=live.successors if live is not None else (),
            status=status,
            trust=trust.reference if trust is not None else None,
            cautions=cautions,
            candidates=None,
            log=log,
        )


def _trust_missing(evidence: Evidence) -> Check:
    refused = evidence.trust_refused or RefusedPart(Reason.TRUST_UNAVAILABLE, "no trust list")
    return Check(CheckId.TRUST, Outcome.CANNOT_TELL, refused.reason, detail=refused.detail)


def _check_trust(trust: TrustEvidence, policy: Policy, judged: datetime) -> Check:
    """2. Hold root, list and freshness against their own end dates."""
    if judged >= trust.root.expires:
        return _trust_stale("the trust root has expired")
    if judged >= trust.trust_list.next_update:
        return _trust_stale("the trust list is past its next update")
    if trust.fresh or not policy.require_freshness:
        return _TRUST_PASSED
    freshness = trust.freshness
    if freshness is None:
        return _trust_stale(trust.refused.detail if trust.refused is not None else "no freshness")
    if judged >= freshness.expires_at:
        return _trust_stale("the freshness has expired")
    return _TRUST_PASSED


def _trust_stale(detail: str) -> Check:
    return Check(CheckId.TRUST, Outcome.CANNOT_TELL, Reason.TRUST_STALE, detail=detail)


def _issuer_unknown(detail: str) -> Check:
    return Check(CheckId.ISSUER, Outcome.FAILED, Reason.ISSUER_UNKNOWN, detail=detail)


def _check_issuer(authority: Authority) -> Check:
    """3. A distrusted authority has no good signature, whenever it was made."""
    if authority.status is _DISTRUSTED:
        detail = "the authority is distrusted"
        return Check(CheckId.ISSUER, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, detail=detail)
    return _ISSUER_PASSED


def _signature_holds(credential: Credential, key: PublicKey, memo: SignatureMemo | None) -> bool:
    """4. The algorithm is the trusted key's; a token that names another one is refused before any arithmetic."""
    if credential.alg != key.profile.alg:
        return False
    if memo is not None:
        return memo.verify(credential, key)
    return key.verify(credential.signature, credential.signing_input, digest=credential.signed_digest)


def _check_claims(reading: Reading, authority: Authority, trust: TrustEvidence) -> Check:
    """6. Hold the claims against each other, the issuer's entry, the type base and the environment."""
    credential, claims = reading.credential, reading.credential.claims
    license_claims = claims.license
    wrong = reading.contradiction
    if not wrong and license_claims.authority_code != authority.code:
        wrong = "authority_code and iss disagree"
    if not wrong and not _vct_fits(claims.vct, f"{trust.root.type_base}/types/{license_claims.type_code}/"):
        wrong = "vct and type_code or type base disagree"
    if not wrong and credential.env != trust.root.env:
        wrong = "env of the credential and of the trust root disagree"
    if wrong:
        return Check(CheckId.CLAIMS, Outcome.FAILED, Reason.CLAIMS_INCONSISTENT, detail=wrong)
    return _CLAIMS_PASSED


def _vct_fits(vct: str, prefix: str) -> bool:
    version = vct[len(prefix) :]
    return vct.startswith(prefix) and version.isascii() and version.isdigit()


def _check_scope(reading: Reading, authority: Authority) -> Check:
    """7. Judge the right to issue on the day of signing."""
    claims = reading.credential.claims
    ended_at = authority.ended_at
    if authority.status is _ENDED and (ended_at is None or claims.issued_at >= ended_at):
        detail = "the authority had ended when it signed"
        return Check(CheckId.SCOPE, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, detail=detail)
    type_code, area_code = claims.license.type_code, claims.license.area_code
    for scope in authority.scopes:
        if scope.covers(type_code=type_code, area_code=area_code, on=reading.signed_on):
            return _SCOPE_PASSED
    detail = "no scope of the authority covers this type in this area on the day of signing"
    return Check(CheckId.SCOPE, Outcome.FAILED, Reason.ISSUER_NOT_AUTHORIZED, detail=detail)


def _check_register(register: RegisterEvidence | None) -> Check:
    """8. A good signature over something the register never issued is a stolen key's, not a license."""
    if register is None:
        return _REGISTER_NOT_ASKED
    if not register.known:
        return Check(CheckId.REGISTER, Outcome.FAILED, Reason.NOT_REGISTERED)
    return _REGISTER_PASSED


def _check_credential_dates(credential: Credential, case: _Case) -> Check:
    """10. Judge the window, and refuse what was signed in the future; a clock that is behind makes nothing future."""
    claims = credential.claims
    if claims.not_before <= case.moment < claims.expires_at and claims.issued_at <= case.judged:
        return _DATES_PASSED
    known = case.evidence.known
    check = check_dates(
        begins=claims.not_before, ends=claims.expires_at, moment=case.moment, now=case.now, known=known
    )
    if check.code is Reason.EXPIRED and _ends_before_license(credential):
        return Check(CheckId.DATES, Outcome.FAILED, Reason.EXPIRED, text=EXPIRED_FILE)
    if check.code is Reason.OK and claims.issued_at - case.policy.leeway > max(case.judged, known):
        return Check(CheckId.DATES, Outcome.FAILED, Reason.NOT_YET_VALID, detail="signed in the future")
    return check


def _ends_before_license(credential: Credential) -> bool:
    # The window ends with the license's last day, or five years after signing: then some of that day lies behind it.
    valid_until, ends = credential.claims.license.valid_until, credential.claims.expires_at
    return valid_until is None or (ends.date(), ends.hour) < (valid_until, _DAY_ENDS_AT)


def _check_credential_elements(
    credential: Credential, case: _Case
) -> tuple[Check, tuple[ElementResult, ...]]:
    """11. Compare with the register's values where the evidence has them, else with what is disclosed."""
    required = case.policy.required_elements
    if not case.asked and not required:
        return _ELEMENTS_NOT_ASKED, ()
    register = case.evidence.register
    held = register.elements if register is not None and register.known else None
    if held is None:
        values = {**credential.elements, **metadata_elements(credential.claims.license)}
        held = HeldElements(values=values, complete=credential.undisclosed_count == 0)
    missing = tuple(name for name in required if name not in held.values)
    return check_elements(case.asked or {}, held, missing=missing)


def _check_algorithm(key: PublicKey, credential: Credential, case: _Case, place: LogPlace | None) -> Check:
    """14. After its last date an algorithm proves nothing without a proof that the signature existed before.

    Such a proof is a log state with the credential in it that a listed witness saw by then; the log's own word has no
    time. Asking about a past moment unsays no date that has passed since.
    """
    profile = key.profile
    last, known = profile.verify_until, max(case.judged, case.evidence.now)
    seen = place.seen_at if place is not None else None
    if (last is not None and known > last and (seen is None or seen > last)) or (
        profile.sign_until is not None and credential.claims.issued_at > profile.sign_until
    ):
        return Check(CheckId.ALGORITHM, Outcome.CANNOT_TELL, Reason.ALGORITHM_SUNSET)
    return _ALGORITHM_PASSED


def _check_clock(
    evidence: Evidence, trust: TrustEvidence, source: StatusSource | None, policy: Policy
) -> Check:
    """15. Nothing that has been signed may lie in the future."""
    latest = trust.latest if source is None or source.as_of < trust.latest else source.as_of
    if evidence.clock_reliable and latest <= evidence.now:
        return _CLOCK_PASSED
    return check_clock(
        reliable=evidence.clock_reliable, latest_signed=latest, now=evidence.now, leeway=policy.leeway
    )


def _show(credential: Credential, authority: Authority) -> ShownLicense:
    return _new_shown(
        claims=credential.claims.license, elements=credential.elements, authority_name=authority.name
    )
