"""The rules of orders: when one may take effect, who may approve, what a decision ends."""

from dataclasses import replace
from datetime import timedelta

import pytest

from app.domain.errors import DomainError
from app.domain.order import LONGEST_AHEAD, require_effective_at
from app.domain.proposal import LIFETIME, Proposal, ProposalStatus, expiry
from app.domain.scheduled_change import ChangeStatus
from tests.builders import NOON, make_license, make_proposal, make_scheduled, minutes

NOW = NOON.replace(microsecond=0)


def code_of(raises: object) -> str:
    with pytest.raises(DomainError) as refused:
        raises()  # type: ignore[operator]
    return refused.value.code


def test_an_order_takes_effect_in_whole_seconds_ahead() -> None:
    moment = NOW + timedelta(seconds=1, microseconds=999_999)
    assert require_effective_at(moment, now=NOW) == NOW + timedelta(seconds=1)
    assert require_effective_at(NOW + LONGEST_AHEAD, now=NOW) == NOW + LONGEST_AHEAD
    for wrong in (
        NOW,
        NOW - minutes(1),
        NOW + timedelta(microseconds=999_999),
        NOW + LONGEST_AHEAD + timedelta(seconds=1),
    ):
        assert code_of(lambda at=wrong: require_effective_at(at, now=NOW)) == "invalid_effective_at"


def test_a_proposal_runs_out_after_seven_days_or_when_it_was_to_have_effect() -> None:
    assert expiry(proposed_at=NOW, effective_at=None) == NOW + LIFETIME
    assert expiry(proposed_at=NOW, effective_at=NOW + LIFETIME * 2) == NOW + LIFETIME
    assert expiry(proposed_at=NOW, effective_at=NOW + minutes(5)) == NOW + minutes(5)


def test_expiry_is_the_clock_s_and_never_stored() -> None:
    proposal = make_proposal(make_license(), expires_at=NOW)
    assert proposal.status_at(NOW - timedelta(seconds=1)) is ProposalStatus.OPEN
    assert proposal.status_at(NOW) is ProposalStatus.EXPIRED
    decided = replace(proposal, status=ProposalStatus.REJECTED)
    assert decided.status_at(NOW + minutes(1)) is ProposalStatus.REJECTED


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (ProposalStatus.APPROVED, "already_decided"),
        (ProposalStatus.REJECTED, "already_decided"),
        (ProposalStatus.OUTDATED, "proposal_outdated"),
    ],
)
def test_a_closed_proposal_is_decided_no_more(status: ProposalStatus, code: str) -> None:
    proposal = make_proposal(make_license(), status=status)
    assert code_of(lambda: proposal.approved(by="second", at=NOON)) == code
    assert code_of(lambda: proposal.rejected(by="second", at=NOON, reason=None)) == code


def test_who_proposed_may_take_back_but_not_approve_whatever_its_status() -> None:
    open_ = make_proposal(make_license(), proposed_by="first")
    outdated = replace(open_, status=ProposalStatus.OUTDATED)
    for proposal in (open_, outdated):
        # 403 goes before 409
        assert code_of(lambda one=proposal: one.approved(by="first", at=NOON)) == "own_proposal"
    assert open_.rejected(by="first", at=NOON, reason="x").status is ProposalStatus.REJECTED
    approved: Proposal = open_.approved(by="second", at=NOON)
    assert (approved.decided_by, approved.decided_at) == ("second", NOON)


def test_a_scheduled_change_ends_once_and_names_who_stood_behind_it() -> None:
    alone = make_scheduled(make_license(), id="c")
    assert alone.details() == {"scheduled_change": "c"}
    assert alone.approved_by is None
    both = replace(alone, proposal_id="p", proposed_by="first", ordered_by="second")
    assert both.details() == {
        "scheduled_change": "c",
        "proposal": "p",
        "proposed_by": "first",
        "approved_by": "second",
    }
    ended = both.ended(ChangeStatus.DONE, at=NOON, outcome="ok")
    assert code_of(lambda: ended.ended(ChangeStatus.CANCELLED, at=NOON, outcome="x")) == "already_decided"
