"""Judging kept verifications again: only from what is kept, and `None` where that does not say."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.domain.ids import ClientId, VerificationId
from app.domain.verification import VerificationRecord
from app.services.rejudging import StillKnown, rejudge
from elicense.own_policy import make_policy
from elicense.policy import Policy

NOON = datetime(2026, 3, 4, 4, 5, 6, tzinfo=UTC)
KNOWN = StillKnown(type_code="1" * 21, area_code="320100", elements=frozenset({"address"}))


def own(**parts: Any) -> Policy:
    return make_policy("own", parts, version=1)


def kept(
    verdict: str = "valid",
    reason: str = "ok",
    *,
    kind: str = "credential",
    status: tuple[str, str] = ("passed", "ok"),
    age: int = 0,
    **more: Any,
) -> VerificationRecord:
    as_of = datetime.fromtimestamp(NOON.timestamp() - age, UTC)
    answer = {
        "checks": [
            {"id": "dates", "outcome": "passed", "code": "ok"},
            {"id": "status", "outcome": status[0], "code": status[1]},
            {"id": "holder_binding", "outcome": "skipped", "code": "ok"},
        ],
        "elements": [],
        "status_as_of": as_of.isoformat(),
        "evaluated_at": NOON.isoformat(),
        **more,
    }
    return VerificationRecord(
        id=VerificationId("v"),
        client_id=ClientId("c"),
        kind=kind,
        reference=None,
        purpose="merchant_onboarding",
        verdict=verdict,
        reason=reason,
        license_id=None,
        verified_at=NOON,
        next_check_due=None,
        batch_id=None,
        answer=answer,
    )


def test_an_older_status_than_the_policy_allows_is_stale() -> None:
    assert rejudge(kept(age=3600), own(max_status_age="30m"), KNOWN).told == ("indeterminate", "status_stale")
    assert rejudge(kept(age=3600), own(max_status_age="2h"), KNOWN).told == ("valid", "ok")
    revoked = kept("invalid", "revoked", status=("failed", "revoked"), age=3600)
    assert rejudge(revoked, own(max_status_age="1s"), KNOWN).told == ("invalid", "revoked")


def test_what_was_stale_says_nothing_about_a_policy_that_allows_more() -> None:
    stale = kept("indeterminate", "status_stale", status=("cannot_tell", "status_stale"), age=3600)
    answer = rejudge(stale, own(max_status_age="2h"), KNOWN)
    assert (answer.told, answer.because) == (None, {"max_status_age"})
    assert rejudge(stale, own(max_status_age="30m"), KNOWN).told == ("indeterminate", "status_stale")


def test_what_is_not_known_is_not_guessed_unless_it_makes_no_difference() -> None:
    unknown = StillKnown()
    policy = own(areas=["32"], types=["1" * 21], required_elements=["address", "number"])
    answer = rejudge(kept(), policy, unknown)
    assert (answer.told, answer.because) == (None, {"areas", "types", "required_elements"})
    assert rejudge(kept(), policy, KNOWN).told == ("valid", "ok")
    revoked = kept("invalid", "revoked", status=("failed", "revoked"))
    assert rejudge(revoked, own(areas=["32"]), unknown).told == ("invalid", "revoked")


def test_an_element_no_longer_required_no_longer_lacks() -> None:
    lacking = kept("indeterminate", "incomplete", kind="license")
    checks = [*lacking.answer["checks"], {"id": "elements", "outcome": "cannot_tell", "code": "incomplete"}]  # type: ignore[misc]
    lacking = replace(lacking, answer={**lacking.answer, "checks": checks})
    assert rejudge(lacking, own(), KNOWN).told == ("valid", "ok")
    assert rejudge(lacking, own(required_elements=["address"]), KNOWN).told == ("indeterminate", "incomplete")


def test_a_former_value_may_have_been_removed() -> None:
    changed = kept("invalid", "mismatch", elements=[{"name": "address", "outcome": "former_value"}])
    checks = [*changed.answer["checks"], {"id": "elements", "outcome": "failed", "code": "mismatch"}]  # type: ignore[misc]
    changed = replace(changed, answer={**changed.answer, "checks": checks})
    policy = own(required_elements=["address"])
    assert rejudge(changed, policy, StillKnown()).told is None
    assert rejudge(changed, policy, KNOWN).told == ("invalid", "mismatch")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"checks": [{"id": "unheard_of", "outcome": "passed", "code": "ok"}], "elements": []},
        {
            "checks": [{"id": "status", "outcome": "failed", "code": "revoked"}],
            "elements": [],
            "status_as_of": None,
        },
    ],
)
def test_a_record_unlike_ours_or_against_itself_cannot_be_told(answer: dict[str, Any]) -> None:
    told = rejudge(replace(kept(), answer=answer), own(), KNOWN)
    assert (told.told, told.because) == (None, {"record"})


BOUND = {"passed": "ok", "failed": "holder_binding_failed", "cannot_tell": "incomplete", "skipped": "ok"}


def bound(outcome: str, *, policy: str = "own", came_along: bool | None = False) -> VerificationRecord:
    """Return an answer about a file whose only doubt is who presented it."""
    checks = [
        {"id": "status", "outcome": "passed", "code": "ok"},
        {"id": "holder_binding", "outcome": outcome, "code": BOUND[outcome]},
    ]
    more: dict[str, Any] = {"checks": checks, "policy": {"id": policy, "version": 1, "sha256": "x"}}
    if came_along is not None:
        more["warnings"] = [{"code": "key_binding_not_checked", "message": "x"}] if came_along else []
    verdict = {"failed": "invalid", "cannot_tell": "indeterminate"}.get(outcome, "valid")
    return kept(verdict, BOUND[outcome], **more)


VALID, UNPROVEN, INCOMPLETE = (
    ("valid", "ok"),
    ("invalid", "holder_binding_failed"),
    ("indeterminate", "incomplete"),
)


@pytest.mark.parametrize(
    ("record", "ignored", "if_present", "required"),
    [
        (bound("passed"), VALID, VALID, VALID),
        (bound("cannot_tell"), VALID, INCOMPLETE, INCOMPLETE),
        # Either the question stated a nonce, or the policy of then asked.
        (bound("failed"), None, None, UNPROVEN),
        (bound("failed", policy="bank-strict"), UNPROVEN, UNPROVEN, UNPROVEN),
        (bound("skipped"), VALID, VALID, UNPROVEN),
        (bound("skipped", came_along=True), VALID, INCOMPLETE, INCOMPLETE),
        (bound("skipped", came_along=None), VALID, None, None),
    ],
)
def test_the_proof_that_another_policy_asks_for_is_judged_by_what_came(
    record: VerificationRecord, ignored: Any, if_present: Any, required: Any
) -> None:
    for asks, told in (("ignored", ignored), ("if_present", if_present), ("required", required)):
        answer = rejudge(record, own(holder_binding=asks), KNOWN)
        assert answer.told == told, asks
        assert answer.because == (frozenset() if told is not None else {"holder_binding"})


def test_a_question_by_reference_proves_nothing_to_a_policy_that_requires_it() -> None:
    asked = replace(bound("cannot_tell"), kind="license")
    assert rejudge(asked, own(), KNOWN).told == VALID
    assert rejudge(asked, own(holder_binding="required"), KNOWN).told == INCOMPLETE
    assert (
        rejudge(replace(bound("skipped"), kind="license"), own(holder_binding="required"), KNOWN).told
        == INCOMPLETE
    )
