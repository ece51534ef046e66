"""Judge a kept verification again under another policy, from what is kept of it and nothing else.

A policy decides about four things: how old a status may be, which elements must be there, which types and areas are
accepted, whether the presenter must prove to be the holder. These are judged anew; every other check stands as it was.
Where what is kept does not say, all that might have been is weighed: one answer in every case is an answer, several are
none (`told` is None), and `because` names the parts of the policy that cannot be judged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import Any

from app.domain.purpose import METADATA
from app.domain.verification import VerificationRecord
from elicense.key_binding import check_by_reference
from elicense.own_policy import parts_of
from elicense.policy import DEFAULT_POLICY, PRESETS, HolderBinding, Policy
from elicense.problems import Reason
from elicense.report import NOT_ASKED, PASSED, Check, CheckId, Outcome, Verdict, decide

Answer = tuple[str, str]
"""A verdict and its leading reason."""

_JUDGED_PARTS = frozenset(
    {
        "max_status_age",
        "accepted_states",
        "required_elements",
        "types",
        "areas",
        "require_freshness",
        "holder_binding",
        "require_log_proof",  # online the register itself says what it issued
    }
)
_HELD = frozenset({"match", "match_normalized", "mismatch"})
_WRONG = frozenset({"mismatch", "not_on_license", "former_value"})
_LIVE = frozenset({Reason.OK, Reason.SUSPENDED})
_INCOMPLETE = Check(CheckId.ELEMENTS, Outcome.CANNOT_TELL, Reason.INCOMPLETE)
_MISMATCH = Check(CheckId.ELEMENTS, Outcome.FAILED, Reason.MISMATCH)
_STALE = Check(CheckId.STATUS, Outcome.CANNOT_TELL, Reason.STATUS_STALE)
_SUSPENDED = Check(CheckId.STATUS, Outcome.FAILED, Reason.SUSPENDED)
_UNPROVEN = Check(CheckId.HOLDER_BINDING, Outcome.FAILED, Reason.HOLDER_BINDING_FAILED)
_NO_NONCE = Check(CheckId.HOLDER_BINDING, Outcome.CANNOT_TELL, Reason.INCOMPLETE)
_BEARER = NOT_ASKED[CheckId.HOLDER_BINDING]
_PROOF_CAME_ALONG = "key_binding_not_checked"
"""The warning of an answer about a file that came with a proof nobody asked for."""
_OUTSIDE = Check(CheckId.POLICY, Outcome.FAILED, Reason.OUTSIDE_POLICY)


@dataclass(frozen=True, slots=True, kw_only=True)
class StillKnown:
    """What is still known of the license as it was when it was verified; None where it has changed since."""

    type_code: str | None = None
    area_code: str | None = None
    elements: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What another policy would have answered, None where it cannot be told, and the parts it hangs on then."""

    told: Answer | None
    because: frozenset[str] = frozenset()


def rejudge(record: VerificationRecord, policy: Policy, then: StillKnown) -> Rejudged:
    """Say what `policy` would have answered. Never raises for what is kept."""
    stored = (record.verdict, record.reason)
    try:
        kept = _Kept(record)
    except (KeyError, TypeError, ValueError):
        return Rejudged(None, frozenset({"record"}))
    if kept.decided() != stored:
        return Rejudged(None, frozenset({"record"}))  # made by a program that judged otherwise
    if kept.stopped:
        return Rejudged(stored)  # nothing that a policy decides about was looked at
    questions = {
        "max_status_age": kept.status(policy),
        "required_elements": kept.elements(policy, then),
        "holder_binding": kept.binding(policy),
        "types": _accepted(policy.types, then.type_code, exact=True),
        "areas": _accepted(policy.areas, then.area_code, exact=False),
        **dict.fromkeys(_unknown_parts(policy), (PASSED[CheckId.POLICY], _OUTSIDE)),
    }
    possible = {_answer(decide((*kept.standing, *chosen))) for chosen in product(*questions.values())}
    if len(possible) == 1:
        return Rejudged(possible.pop())
    return Rejudged(None, frozenset(name for name, choices in questions.items() if len(choices) > 1))


class _Kept:
    """The kept answer of one verification, read back. Raises KeyError, TypeError, ValueError for one unlike ours."""

    def __init__(self, record: VerificationRecord) -> None:
        answer: Mapping[str, Any] = record.answer
        self._by_reference = record.kind == "license"
        self._checks = [
            Check(CheckId(one["id"]), Outcome(one["outcome"]), Reason(one["code"]))
            for one in answer["checks"]
            if one["outcome"] != Outcome.SKIPPED.value
        ]
        judged = {check.id: check for check in self._checks}
        self._status = judged.get(CheckId.STATUS)
        self.stopped = self._status is None
        self._binding = judged.get(CheckId.HOLDER_BINDING)
        anew = (CheckId.STATUS, CheckId.ELEMENTS, CheckId.POLICY, CheckId.HOLDER_BINDING)
        self.standing = tuple(check for check in self._checks if check.id not in anew)
        self._outcomes: dict[str, str] = {one["name"]: one["outcome"] for one in answer["elements"]}
        self._warnings = {one["code"] for one in answer["warnings"]} if "warnings" in answer else None
        preset = PRESETS.get(answer["policy"]["id"]) if "policy" in answer else None
        self._preset_asked = None if preset is None else preset.holder_binding is HolderBinding.REQUIRED
        as_of = answer["status_as_of"]
        self._age = None
        if as_of is not None:
            self._age = datetime.fromisoformat(answer["evaluated_at"]) - datetime.fromisoformat(as_of)

    def decided(self) -> Answer:
        """Return what the kept checks say together."""
        return _answer(decide(self._checks))

    def status(self, policy: Policy) -> Sequence[Check]:
        """Return what the status check may have been under a policy."""
        status = self._status
        assert status is not None
        too_old = self._age is not None and self._age > policy.max_status_age
        if status.code is Reason.STATUS_STALE:
            return (_STALE,) if too_old or self._age is None else (_STALE, _SUSPENDED, PASSED[CheckId.STATUS])
        return (_STALE,) if too_old and status.code in _LIVE else (status,)

    def elements(self, policy: Policy, then: StillKnown) -> Sequence[Check]:
        """Return what the elements check may have been under a policy."""
        outcomes = self._outcomes
        there = [self._is_there(name, then) for name in policy.required_elements]
        if False in there or "cannot_tell" in outcomes.values():
            return (_INCOMPLETE,)
        compared = _MISMATCH if _WRONG & set(outcomes.values()) else PASSED[CheckId.ELEMENTS]
        return (compared, _INCOMPLETE) if None in there else (compared,)

    def binding(self, policy: Policy) -> Sequence[Check]:
        """Return what the check of the holder's proof may have been under a policy.

        A question that states a nonce asks under every policy. That it did is not kept: the check tells where it
        passed, and where it failed under a policy that would not have asked.
        """
        kept, asks = self._binding, policy.holder_binding
        if self._by_reference:
            return (check_by_reference(policy),)
        if kept is None:
            return self._unstated(asks)
        if kept.outcome is Outcome.CANNOT_TELL:
            return (_BEARER,) if asks is HolderBinding.IGNORED else (kept,)
        is_told = (
            kept.outcome is Outcome.PASSED or asks is HolderBinding.REQUIRED or self._preset_asked is False
        )
        return (kept,) if is_told else (kept, _BEARER)

    def _unstated(self, asks: HolderBinding) -> Sequence[Check]:
        """Return what the check may be where neither question nor policy had asked."""
        if asks is HolderBinding.IGNORED:
            return (_BEARER,)
        without = _UNPROVEN if asks is HolderBinding.REQUIRED else _BEARER
        if self._warnings is None:
            return (without, _NO_NONCE)
        return (_NO_NONCE,) if _PROOF_CAME_ALONG in self._warnings else (without,)

    def _is_there(self, name: str, then: StillKnown) -> bool | None:
        if self._by_reference:
            return name in self._outcomes
        if name in METADATA or self._outcomes.get(name) in _HELD:
            return True
        return None if then.elements is None else name in then.elements


def _accepted(wanted: tuple[str, ...], held: str | None, *, exact: bool) -> Sequence[Check]:
    if not wanted:
        return (PASSED[CheckId.POLICY],)
    if held is None:
        return (PASSED[CheckId.POLICY], _OUTSIDE)
    fits = held in wanted if exact else held.startswith(wanted)
    return (PASSED[CheckId.POLICY],) if fits else (_OUTSIDE,)


def _unknown_parts(policy: Policy) -> list[str]:
    """Name parts that say something and that this program cannot judge again."""
    usual = parts_of(DEFAULT_POLICY)
    return [
        name
        for name, value in parts_of(policy).items()
        if name not in _JUDGED_PARTS and value != usual.get(name)
    ]


def _answer(decided: tuple[Verdict, Reason]) -> Answer:
    return decided[0].value, decided[1].value
