"""The checks that both kinds of question share: state, age of the status, dates, elements, clock.

Each takes values and gives one `Check`; none reads a clock. `moment` is the time the license is judged for, `now` the
time of the verification. The status is as old as it was, or will be, at `moment`: of the past it says what held then.
"""

from collections.abc import Mapping
from dataclasses import replace
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

UNSETTLED = "unsettled"
"""The register's word for a license about which a scheduled change is past its time and not done yet."""

# Named once: looking members of an enumeration up costs more than most checks.
_STATUS_PASSED = PASSED[CheckId.STATUS]
_DATES_PASSED = PASSED[CheckId.DATES]
_CLOCK_PASSED = PASSED[CheckId.CLOCK]

_REVOKED_LIVE = Text("证照已被吊销或撤销。", "The license has been revoked or annulled.")
_REVOKED_OF_KIND: Mapping[str | None, Text] = MappingProxyType(
    {
        "penalty": Text("证照已被吊销。", "The license has been revoked as a penalty."),
        "annulled": Text(
            "证照已被撤销,自始无效。", "The license has been annulled: it is void from its beginning."
        ),
    }
)
ANNULLED = "annulled"
_ANNULLED_CHECK = Check(CheckId.STATUS, Outcome.FAILED, Reason.REVOKED, text=_REVOKED_OF_KIND[ANNULLED])
_REVOKED_LISTED = Text(
    "证照已失效(吊销、撤销、注销或迁出,名单不作区分)。",
    "The license is no longer in force (revoked, annulled, cancelled or transferred; "
    "the list does not say which).",
)
EXPIRED_FILE = Text(
    "电子证照文件已到期,应重新申领;证照本身的有效期未到。",
    "This credential has reached its end and must be issued anew; the license itself has not.",
)
_NO_ARCHIVE = Text(
    "没有存档的状态列表覆盖该时刻,无法判断。", "No archived list covers that moment; cannot tell."
)
_SIGNED_LATER = Text(
    "该文件在所问时刻尚未签发,当时的状态列表不涉及它,无法判断。",
    "The credential was signed after that moment, so the list of then says nothing about it; cannot tell.",
)
_LIST_BEFORE_VERSION = Text(
    "状态列表早于该变更或延续后的文件:暂停是否延续,凭此无从得知,请更新状态列表。",
    "The status list is older than this amended or renewed file, and cannot tell whether a suspension carried over to "
    "it; a newer list does.",
)
_UNSETTLED_CHECK = Check(
    CheckId.STATUS,
    Outcome.CANNOT_TELL,
    Reason.STATUS_UNAVAILABLE,
    text=Text(
        "该证照有一项变更已到生效时间而尚未执行,无法判断。",
        "A change of this license is past its time of effect and has not been carried out yet; cannot tell.",
    ),
    detail="a scheduled change is late",
)
_DAY_EXPIRED = Check(CheckId.DATES, Outcome.FAILED, Reason.EXPIRED)
_NOT_YET = Check(CheckId.DATES, Outcome.FAILED, Reason.NOT_YET_VALID)
_CLOCK_BEHIND = Check(CheckId.DATES, Outcome.CANNOT_TELL, Reason.CLOCK_UNRELIABLE)
_MISMATCH = frozenset({ElementOutcome.MISMATCH, ElementOutcome.NOT_ON_LICENSE, ElementOutcome.FORMER_VALUE})


def status_missing(detail: str) -> Check:
    """Say that no status could be had, and why."""
    return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, detail=detail)


def not_archived(detail: str = "") -> Check:
    """Say that no list at hand covers a past moment."""
    return Check(
        CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, text=_NO_ARCHIVE, detail=detail
    )


def signed_later() -> Check:
    """Say that a past moment lies before the credential was signed."""
    return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_UNAVAILABLE, text=_SIGNED_LATER)


def list_before_version() -> Check:
    """Say that a list was read before a further version was signed, and so knows nothing of its state."""
    detail = "the status list is older than this version"
    return Check(
        CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_STALE, text=_LIST_BEFORE_VERSION, detail=detail
    )


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

    A past moment before the status was read is covered by no list at hand. Past `expires_at` a list says nothing.
    Past the policy's maximum age only an ended state still counts, since no license leaves one.
    """
    if moment < now and moment < source.as_of:
        return not_archived()
    if expires_at is not None and moment >= expires_at:
        return _stale("the status list has expired")
    if moment - source.as_of > policy.max_status_age and state not in ENDED_STATES:
        return _stale("the status is older than the policy allows")
    if state in policy.accepted_states:
        return _STATUS_PASSED
    if state == UNSETTLED:
        return _UNSETTLED_CHECK
    reason = STATE_REASONS.get(state)
    if reason is None:
        return status_missing("the state is not one of the known words")
    text = None
    if reason is Reason.REVOKED:
        # Only a status read off a list has that list's end; the register names the exact kind of end.
        text = _REVOKED_LISTED if expires_at is not None else _REVOKED_LIVE
    return Check(CheckId.STATUS, Outcome.FAILED, reason, text=text)


def check_live(
    state: str,
    revocation: str | None,
    source: StatusSource,
    *,
    policy: Policy,
    now: datetime,
    moment: datetime,
) -> Check:
    """Judge the register's own word, which has no end of its own; a `revocation` is told by its kind if that is known.

    What is annulled by now is void from its beginning: at every moment, whatever the state was then. Lists tell no
    kinds: offline every revocation reads alike.
    """
    if revocation == ANNULLED:
        return _ANNULLED_CHECK
    check = check_status(state, source, expires_at=None, policy=policy, now=now, moment=moment)
    kind = _REVOKED_OF_KIND.get(revocation) if check.code is Reason.REVOKED else None
    return check if kind is None else replace(check, text=kind)


def _stale(detail: str) -> Check:
    return Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_STALE, detail=detail)


def check_dates(
    *,
    begins: datetime,
    ends: datetime | None,
    moment: datetime,
    now: datetime | None = None,
    known: datetime | None = None,
) -> Check:
    """Judge a moment against a license's window: `begins` included, `ends` excluded, no leeway on either.

    `known` is a time that has been already. When the moment is what the clock says `now`, a license that had begun
    by then is not called "not yet valid": it is the clock that is behind, and the dates cannot be told.
    """
    if ends is not None and moment >= ends:
        return _DAY_EXPIRED
    if moment < begins:
        behind = known is not None and moment == now and begins <= known
        return _CLOCK_BEHIND if behind else _NOT_YET
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


def check_accepted(*, type_code: str, area_code: str, policy: Policy) -> Check:
    """Judge a license's type and area against those a policy accepts; no word about the license itself."""
    if policy.types and type_code not in policy.types:
        return Check(CheckId.POLICY, Outcome.FAILED, Reason.OUTSIDE_POLICY, detail="the type is not accepted")
    if policy.areas and not area_code.startswith(policy.areas):
        return Check(CheckId.POLICY, Outcome.FAILED, Reason.OUTSIDE_POLICY, detail="the area is not accepted")
    return PASSED[CheckId.POLICY]


def not_compared(asked: Mapping[str, str] | None) -> tuple[ElementResult, ...]:
    """Answer every asked element with `cannot_tell`, where there was nothing to compare with."""
    return tuple(ElementResult(name, ElementOutcome.CANNOT_TELL) for name in asked or ())


def check_clock(*, reliable: bool, latest_signed: datetime | None, now: datetime, leeway: timedelta) -> Check:
    """Judge the clock: unreliable when it is known to be, or when it lies behind what has been signed already."""
    if reliable and (latest_signed is None or latest_signed - leeway <= now):
        return _CLOCK_PASSED
    return Check(CheckId.CLOCK, Outcome.CANNOT_TELL, Reason.CLOCK_UNRELIABLE)
