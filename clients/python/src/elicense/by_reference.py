"""The question by reference: judge what the register says about the licenses that fit, without any file.

Several live licenses that fit are ambiguous, never the best of them; a mismatch outranks the state, since every
result code from 0 to 3 begins with "the information is right" (GB/T 36906).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from elicense.checks import (
    ANNULLED,
    ENDED_STATES,
    check_accepted,
    check_clock,
    check_dates,
    check_elements,
    check_live,
    not_compared,
)
from elicense.element_kinds import NO_KINDS, ElementKind
from elicense.elements import NO_FORMER, FormerValue, HeldElements
from elicense.encoding import civil_day_start, to_utc
from elicense.key_binding import check_by_reference
from elicense.policy import Policy
from elicense.problems import Reason
from elicense.records import quick_constructor
from elicense.report import (
    NOT_ASKED,
    PASSED,
    SKIPPED,
    Check,
    CheckId,
    ElementResult,
    Outcome,
    StatusSource,
    TrustReference,
    VerificationReport,
    decide,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseFacts:
    """Hold the register's snapshot of one license version: state word, civil days (+08:00), values to compare.

    `elements` are all that may be asked, metadata included (`holder_name`, `number`, ...), complete; `former` what
    they were before a change, `kinds` what the license type declares of them. `superseded_by`, `successors` and
    `revocation` as in `LiveStatus`.

    For a past moment all of this is as of then but for `revocation`, which is what is known now, and `source` is the
    archived list that shows the state; None when none covers the moment.
    """

    identifier: str
    state: str
    valid_from: date
    valid_until: date | None
    elements: Mapping[str, str]
    former: Mapping[str, tuple[FormerValue, ...]] = field(default_factory=lambda: NO_FORMER)
    superseded_by: str | None = None
    source: StatusSource | None = None
    successors: tuple[str, ...] = ()
    revocation: str | None = None
    kinds: Mapping[str, ElementKind] = field(default_factory=lambda: NO_KINDS)


_new_report = quick_constructor(VerificationReport)


def verify_license(
    facts: Sequence[LicenseFacts],
    *,
    now: datetime,
    as_of: datetime,
    event_seq: int,
    env: str,
    policy: Policy,
    at: datetime | None = None,
    elements: Mapping[str, str] | None = None,
    trust: TrustReference | None = None,
    clock_reliable: bool = True,
) -> VerificationReport:
    """Judge the register's snapshots that fit a reference, newest first.

    1. None fits: not_found. 2. Several live ones fit: ambiguous, with their count only. 3. Otherwise the one live
    license, or the newest ended one, is judged: elements, state, dates, the policy's types and areas, clock.

    `as_of` and `event_seq` name the register's position the snapshots were read at. For a past `at` the facts are
    those of then, each with its own source. ValueError for a time without its zone, or that UTC
    does not have.
    """
    now = to_utc(now)
    moment = now if at is None else to_utc(at)
    candidates: int | None = None
    live = StatusSource(kind="live", as_of=as_of, event_seq=event_seq)
    source = live
    chosen = choose_license(facts, moment)
    results = not_compared(elements) if chosen is None else ()
    if not facts:
        checks = _unanswered(Check(CheckId.REGISTER, Outcome.FAILED, Reason.NOT_FOUND), policy)
    elif chosen is None:
        candidates = sum(_is_live(fact, moment) for fact in facts)
        checks = _unanswered(Check(CheckId.REGISTER, Outcome.CANNOT_TELL, Reason.AMBIGUOUS), policy)
    else:
        source = chosen.source or live
        checks, results = _judge(chosen, source, policy=policy, now=now, moment=moment, asked=elements or {})
    clock = check_clock(reliable=clock_reliable, latest_signed=as_of, now=now, leeway=policy.leeway)
    verdict, reason = decide((*checks, clock))
    return _new_report(
        verdict=verdict,
        reason=reason,
        checks=(*checks, clock),
        env=env,
        evaluated_at=moment,
        verified_at=now,
        policy=policy,
        elements=results,
        superseded_by=chosen.superseded_by if chosen is not None else None,
        successors=chosen.successors if chosen is not None else (),
        shown=None,
        status=source,
        trust=trust,
        cautions=(),
        candidates=candidates,
        log=None,
    )


def choose_license(facts: Sequence[LicenseFacts], moment: datetime) -> LicenseFacts | None:
    """Choose the one an answer speaks of: the one live license, or the newest ended one; None of several live."""
    live = [fact for fact in facts if _is_live(fact, moment)]
    if len(live) > 1:
        return None
    return next(iter(live or facts), None)


def _is_live(fact: LicenseFacts, moment: datetime) -> bool:
    _, ends = _window(fact)
    # What is annulled by now was void at every moment, whatever the state was then.
    is_void = fact.revocation == ANNULLED
    return not is_void and fact.state not in ENDED_STATES and (ends is None or moment < ends)


def _window(fact: LicenseFacts) -> tuple[datetime, datetime | None]:
    ends = None
    if fact.valid_until is not None and fact.valid_until < date.max:
        ends = civil_day_start(fact.valid_until + timedelta(days=1))
    return civil_day_start(max(fact.valid_from, _FIRST_DAY)), ends


# Midnight at +08:00 of the very first day has no UTC moment.
_FIRST_DAY = date(1, 1, 2)


def _unanswered(check: Check, policy: Policy) -> tuple[Check, ...]:
    later = [CheckId.STATUS, CheckId.DATES, CheckId.ELEMENTS]
    if policy.restricts:
        later.append(CheckId.POLICY)
    return (check, *(SKIPPED[check_id] for check_id in later), check_by_reference(policy))


def _judge(
    fact: LicenseFacts,
    source: StatusSource,
    *,
    policy: Policy,
    now: datetime,
    moment: datetime,
    asked: Mapping[str, str],
) -> tuple[tuple[Check, ...], tuple[ElementResult, ...]]:
    begins, ends = _window(fact)
    compared: Check = NOT_ASKED[CheckId.ELEMENTS]
    results: tuple[ElementResult, ...] = ()
    if asked or policy.required_elements:
        missing = tuple(name for name in policy.required_elements if name not in asked)
        held = HeldElements(values=fact.elements, complete=True, former=fact.former, kinds=fact.kinds)
        compared, results = check_elements(asked, held, missing=missing)
    checks: tuple[Check, ...] = (
        PASSED[CheckId.REGISTER],
        check_live(fact.state, fact.revocation, source, policy=policy, now=now, moment=moment),
        check_dates(begins=begins, ends=ends, moment=moment),
        compared,
        check_by_reference(policy),
    )
    if policy.restricts:
        type_code, area_code = (fact.elements.get(name, "") for name in ("type_code", "area_code"))
        checks = (*checks, check_accepted(type_code=type_code, area_code=area_code, policy=policy))
    return checks, results
