"""The checks that both kinds of question share: state, age of the status, dates, elements, clock.

Each takes values and gives one `Check`; none reads a clock. `moment` is the time the dates are judged for,
`now` the time of the verification: a question about the past is judged at `moment`, while evidence ages by
the later of the two.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType

from elicense.elements import HeldElements, compare_elements
from elicense.policy import Policy
from elicense.problems import Reason, Text
from elicense.report import PASSED, Check, CheckId, ElementOutcome, ElementResult, Outcome, StatusSource

STATE_REASONS: Mapping[str, Reason] = MappingProxyType(
    {
        "revoked": Reason.REVOKED,
        "cancelled": Reason.CANCELLED,
        "transferred": Reason.TRANSFERRED,
        "superseded": Reason.SUPERSEDED,
        "suspended": Reason.SUSPENDED,
    }
)
"""Register states that are not in force, with the reason each gives."""

ENDED_STATES = frozenset({"revoked", "cancelled", "transferred", "superseded"})
"""States no license ever leaves: an older status that names one still holds."""

# Named once: looking members of an enumeration up costs more than most checks.
_STATUS_PASSED = PASSED[CheckId.STATUS]
_DATES_PASSED = PASSED[CheckId.DATES]
_CLOCK_PASSED = PASSED[CheckId.CLOCK]

_REVOKED_LIVE = Text("证照已被吊销或撤销。", "The license has been revoked or annulled.")
_REVOKED_LISTED = Text(
    "证照已失效(吊销、撤销、注销或迁出,名单不作区分)。",
    "The license is no longer in force (revoked, annulled, cancelled or transferred; "
    "the list does not say which).",
)
_NO_ARCHIVE = Text("没有存档名单覆盖该时刻,无法判断。", "No archived list covers that moment; cannot tell.")
_DAY_EXPIRED = Check(CheckId.DATES, Outcome.FAILED, Reason.EXPIRED)
_NOT_YET = Check(CheckId.DATES, Outcome.FAILED, Reason.NOT_YET_VALID)
_MISMATCH = frozenset({ElementOutcome.MISMATCH, ElementOutcome.NOT_ON_LICENSE, ElementOutcome.FORMER_VALUE})


def status_missing(detail: str) -> Check:
    """Say that no status could be had, and why."""
    return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, detail=detail)


def check_status(
    state: str,
    source: StatusSource,
    *,
    expires_at: datetime | None,
    policy: Policy,
    now: datetime,
    moment: datetime,
) -> Check:
    """Judge a state and the age of the status that names it.

    A moment before the status was read is covered by no list at hand. Past `expires_at` a list says nothing. Past
    the policy's maximum age only an ended state still counts, since no license leaves one.
    """
    if moment < now and moment < source.as_of - policy.leeway:
        return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, text=_NO_ARCHIVE)
    judged = max(now, moment)
    if expires_at is not None and judged >= expires_at:
        return _stale("the status list has expired")
    if judged - source.as_of > policy.max_status_age and state not in ENDED_STATES:
        return _stale("the status is older than the policy allows")
    if state in policy.accepted_states:
        return _STATUS_PASSED
    reason = STATE_REASONS.get(state)
    if reason is None:
        return status_missing("the state is not one of the known words")
    text = None
    if reason is Reason.REVOKED:
        text = _REVOKED_LISTED if source.kind == "list" else _REVOKED_LIVE
    return Check(CheckId.STATUS, Outcome.FAILED, reason, text=text)


def _stale(detail: str) -> Check:
    return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_STALE, detail=detail)


def check_dates(*, begins: datetime, ends: datetime | None, moment: datetime) -> Check:
    """Judge a moment against a license's window: `begins` included, `ends` excluded, no leeway on either."""
    if ends is not None and moment >= ends:
        return _DAY_EXPIRED
    if moment < begins:
        return _NOT_YET
    return _DATES_PASSED


def check_elements(
    asked: Mapping[str, str], held: HeldElements, *, missing: tuple[str, ...]
) -> tuple[Check, tuple[ElementResult, ...]]:
    """Compare the asked elements; `missing` names what the policy requires and the question lacks.

    What cannot be told makes the question incomplete; any other outcome but a match is a mismatch. The names of
    elements are shown, never a value.
    """
    results = compare_elements(asked, held)
    outcomes = {result.outcome for result in results}
    if missing or ElementOutcome.CANNOT_TELL in outcomes:
        unknown = [*missing, *(r.name for r in results if r.outcome is ElementOutcome.CANNOT_TELL)]
        detail = f"cannot be told: {', '.join(sorted(set(unknown)))}"
        return Check(CheckId.ELEMENTS, Outcome.CANNOT_TELL, Reason.INCOMPLETE, detail=detail), results
    if outcomes & _MISMATCH:
        return Check(CheckId.ELEMENTS, Outcome.FAILED, Reason.MISMATCH), results
    return PASSED[CheckId.ELEMENTS], results


def not_compared(asked: Mapping[str, str] | None) -> tuple[ElementResult, ...]:
    """Answer every asked element with `cannot_tell`, where there was nothing to compare with."""
    return tuple(ElementResult(name, ElementOutcome.CANNOT_TELL) for name in asked or ())


def check_clock(*, reliable: bool, latest_signed: datetime | None, now: datetime, leeway: timedelta) -> Check:
    """Judge the clock: unreliable when it is known to be, or when it lies behind what has been signed already."""
    if reliable and (latest_signed is None or latest_signed <= now + leeway):
        return _CLOCK_PASSED
    return Check(CheckId.CLOCK, Outcome.CANNOT_TELL, Reason.CLOCK_UNRELIABLE)
