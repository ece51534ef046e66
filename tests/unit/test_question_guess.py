"""What counts as a wrong guess, what guesses nothing, and what is kept from the judge once the budget is spent."""

from collections.abc import Mapping
from typing import Any, cast

import pytest

from app.domain.guessing import Guess
from app.domain.verification import LicenseReference, Question
from app.services.guessing import GuessLedger
from app.services.question_guess import settle, weigh, withhold
from app.services.verification_answers import AskedQuestion
from elicense.elements import HeldElements
from elicense.evidence import RegisterEvidence
from elicense.policy import DEFAULT_POLICY
from elicense.report import ElementOutcome, ElementResult
from tests.builders import NOON, make_license

pytestmark = pytest.mark.anyio

WRONG = {ElementOutcome.MISMATCH, ElementOutcome.NOT_ON_LICENSE, ElementOutcome.FORMER_VALUE}


class Ledger:
    """A ledger in which no budget is spent; it remembers what was weighed and noted."""

    def __init__(self) -> None:
        self.weighed: list[Guess] = []
        self.noted: list[Guess] = []

    async def weigh(self, guess: Guess, *, now: object) -> Guess:
        self.weighed.append(guess)
        return guess

    def note(self, guess: Guess) -> None:
        self.noted.append(guess)

    def given(self) -> GuessLedger:
        return cast(GuessLedger, self)


def guess(**changes: Any) -> Guess:
    given = {
        "client_id": "c",
        "subject": "s",
        "license_id": "id",
        "authority_code": "a",
        "by_credential": False,
    }
    return Guess(**{**given, **changes})


def asked(elements: Mapping[str, str] | None, **question: Any) -> AskedQuestion:
    return AskedQuestion(
        question=Question(elements=elements, **question), policy=DEFAULT_POLICY, purpose="p", client_id="c"
    )


def results(*outcomes: ElementOutcome) -> list[ElementResult]:
    return [ElementResult(f"e{place}", outcome) for place, outcome in enumerate(outcomes)]


@pytest.mark.parametrize("outcome", ElementOutcome)
def test_a_value_that_is_wrong_was_right_once_or_is_not_on_the_license_counts_as_wrong(
    outcome: ElementOutcome,
) -> None:
    ledger = Ledger()
    settled = settle(guess(), results(ElementOutcome.MATCH, outcome), ledger.given())
    assert settled is not None
    assert settled.wrong is (outcome in WRONG)
    assert ledger.noted == ([settled] if settled.wrong else [])


def test_a_question_is_one_wrong_guess_however_many_of_its_values_are_wrong() -> None:
    ledger = Ledger()
    settle(guess(), results(*WRONG), ledger.given())
    assert len(ledger.noted) == 1


def test_a_license_that_was_not_found_is_a_wrong_guess_whatever_was_compared() -> None:
    ledger = Ledger()
    settled = settle(guess(license_id=None, authority_code=None), [], ledger.given())
    assert settled is not None and settled.wrong
    assert len(ledger.noted) == 1


def test_a_guess_that_was_not_compared_for_want_of_budget_is_not_counted() -> None:
    ledger = Ledger()
    spent = guess(seconds_left=60)
    assert settle(spent, results(ElementOutcome.MISMATCH), ledger.given()) is spent
    assert settle(None, results(ElementOutcome.MISMATCH), ledger.given()) is None
    assert ledger.noted == []


async def test_only_a_question_that_asks_for_elements_of_a_nameable_license_is_weighed() -> None:
    ledger, reference = Ledger(), LicenseReference(number="N-1", type_code="T")
    license = make_license()

    async def weighs(question: AskedQuestion, found: Any) -> Guess | None:
        return await weigh(question, found, ledger.given(), salt="salt", now=NOON)

    for elements in (None, {}):
        assert await weighs(asked(elements, license=reference), license) is None
    assert await weighs(asked({"address": "x"}, credential="no such file"), None) is None
    assert ledger.weighed == []

    missing = await weighs(asked({"address": "x"}, license=reference), None)
    by_reference = await weighs(asked({"address": "x"}, license=reference), license)
    by_file = await weighs(asked({"address": "x"}, credential="a file"), license)
    assert missing is not None and by_reference is not None and by_file is not None
    assert (missing.license_id, missing.authority_code, missing.by_credential) == (None, None, False)
    assert (by_reference.license_id, by_reference.authority_code) == (license.id, license.authority_code)
    assert (by_reference.by_credential, by_file.by_credential) == (False, True)
    # Whichever way a license is named, its guesses are counted together, and apart from every other's.
    assert by_reference.subject == by_file.subject
    assert missing.subject != by_reference.subject


@pytest.mark.parametrize(
    ("wrong", "watched", "seconds_left", "counts"),
    [
        (True, False, None, True),
        (True, True, None, True),
        (False, True, None, True),
        (False, True, 60, False),
        (False, False, None, False),
        (False, False, 60, False),
    ],
)
def test_the_budget_has_a_say_in_wrong_guesses_and_in_what_its_callers_near_the_end_get_right(
    wrong: bool, watched: bool, seconds_left: int | None, counts: bool
) -> None:
    assert guess(wrong=wrong, watched=watched, seconds_left=seconds_left).counts is counts


def test_once_the_budget_is_spent_a_file_is_judged_without_the_registers_values() -> None:
    held = HeldElements(values={"address": "x"}, complete=True)
    register = RegisterEvidence(known=True, elements=held)
    assert withhold(register) == RegisterEvidence(known=True, elements=None)
