"""The lists both sides share are complete: problems and their errors, states and their actions, reasons and texts."""

import ast
import inspect
from collections import Counter
from itertools import product

import pytest

from app.api.errors import InvalidShape
from app.domain.errors import DomainError
from app.domain.license import ENDED, STATUS_VALUE, Action, State, next_state
from elicense.client import errors
from elicense.import_reasons import IMPORT_REASONS
from elicense.problems import PROBLEMS, REASONS, Reason
from elicense.receipt_texts import RECEIPT_TEXTS
from elicense.service_reasons import SERVICE_REASONS, ServiceReason
from tests.architecture.source import python_files


def kinds_named(text: str) -> set[str]:
    """Return the kinds of findings that a source makes of its own."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    made = (call for call in calls if getattr(call.func, "id", "") == "PydanticCustomError")
    return {call.args[0].value for call in made if isinstance(call.args[0], ast.Constant)}  # type: ignore[misc]


def test_every_kind_of_finding_is_told_in_both_languages() -> None:
    kinds = set().union(*(kinds_named(text) for _, text in python_files("app")))
    assert len(kinds) > 10
    texts = {kind: InvalidShape.at(kind).field_errors()[0].detail for kind in kinds}
    assert [kind for kind, text in texts.items() if text == "does not have the required form"] == []


# Every pair that is allowed, and where it leads. All others are refused by name.
ALLOWED = {
    (State.ACTIVE, Action.SUSPEND): State.SUSPENDED,
    (State.SUSPENDED, Action.RESUME): State.ACTIVE,
    (State.ACTIVE, Action.REVOKE): State.REVOKED,
    (State.SUSPENDED, Action.REVOKE): State.REVOKED,
    (State.ACTIVE, Action.CANCEL): State.CANCELLED,
    (State.SUSPENDED, Action.CANCEL): State.CANCELLED,
    (State.ACTIVE, Action.AMEND): State.ACTIVE,
    (State.SUSPENDED, Action.AMEND): State.SUSPENDED,
    (State.ACTIVE, Action.RENEW): State.ACTIVE,
    (State.SUSPENDED, Action.RENEW): State.SUSPENDED,
    (State.ACTIVE, Action.REISSUE): State.ACTIVE,
    (State.SUSPENDED, Action.REISSUE): State.SUSPENDED,
    (State.ACTIVE, Action.SUCCESSION): State.SUPERSEDED,
    (State.SUSPENDED, Action.SUCCESSION): State.SUPERSEDED,
    (State.SUPERSEDED, Action.SUCCESSION): State.SUPERSEDED,
    (State.CANCELLED, Action.SUCCESSION): State.CANCELLED,
    (State.TRANSFERRED, Action.SUCCESSION): State.TRANSFERRED,
}


@pytest.mark.parametrize(("state", "action"), list(product(State, Action)))
def test_every_state_and_action_is_allowed_or_refused_by_name(state: State, action: Action) -> None:
    if (state, action) in ALLOWED:
        assert next_state(state, action) is ALLOWED[state, action]
        return
    with pytest.raises(DomainError) as refusal:
        next_state(state, action)
    assert refusal.value.code == "state_conflict"
    assert state.value in refusal.value.detail
    assert action.value in refusal.value.detail


def test_an_ended_license_takes_no_action_but_the_record_of_its_successors() -> None:
    ended = {pair: target for pair, target in ALLOWED.items() if pair[0] in ENDED}
    assert {action for _, action in ended} == {Action.SUCCESSION}
    assert all(state is target for (state, _), target in ended.items())
    assert (State.REVOKED, Action.SUCCESSION) not in ended


def test_no_action_leads_out_of_an_end_or_from_suspended_to_active_but_resume() -> None:
    assert [pair for pair, target in ALLOWED.items() if pair[0] in ENDED and target not in ENDED] == []
    lifted = [
        pair for pair, target in ALLOWED.items() if pair[0] is State.SUSPENDED and target is State.ACTIVE
    ]
    assert lifted == [(State.SUSPENDED, Action.RESUME)]


def test_every_state_has_a_value_in_the_status_list() -> None:
    assert set(STATUS_VALUE) == set(State)
    assert {value for state, value in STATUS_VALUE.items() if state in ENDED} == {1, 3}


def sdk_errors() -> list[type[errors.APIStatusError]]:
    return [
        value
        for _, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.APIStatusError) and value is not errors.APIStatusError
    ]


def mismatches(problem_codes: list[str], error_codes: list[str]) -> list[str]:
    """Return codes that have no error class, or several, and classes of no code."""
    counted = Counter(error_codes)
    return sorted(
        [code for code in problem_codes if counted[code] != 1]
        + [code for code in counted if code not in problem_codes]
    )


def test_every_problem_has_one_error_in_the_sdk() -> None:
    assert mismatches(list(PROBLEMS), [error.code for error in sdk_errors()]) == []


def test_the_comparison_catches_what_is_planted() -> None:
    assert mismatches(["a", "b"], ["a"]) == ["b"]
    assert mismatches(["a"], ["a", "a"]) == ["a"]
    assert mismatches(["a"], ["a", "b"]) == ["b"]


def test_every_problem_has_one_status_of_a_refusal() -> None:
    assert [
        code for code, kind in PROBLEMS.items() if code != kind.code or not 400 <= kind.status <= 599
    ] == []


def test_every_code_the_server_raises_is_a_known_problem() -> None:
    unknown = {
        name: codes - set(PROBLEMS)
        for name, text in python_files("app")
        if (codes := raised_codes(text)) - set(PROBLEMS)
    }
    assert unknown == {}


def test_a_code_that_nothing_in_the_server_names_is_reserved_and_says_so() -> None:
    named = {
        node.value
        for _, text in python_files("app")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    reserved = {error.code for error in sdk_errors() if "Reserved:" in (error.__doc__ or "")}
    assert set(PROBLEMS) - named == reserved == {"precondition_failed", "overloaded"}


def raised_codes(text: str) -> set[str]:
    """Return the literal codes given to DomainError and its subclasses' super().__init__."""
    codes = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called == "DomainError" and isinstance(node.args[0].value, str):
                codes.add(node.args[0].value)
    return codes


def test_the_code_finder_catches_what_is_planted() -> None:
    assert raised_codes('raise DomainError("no_such_code", "x")') == {"no_such_code"}


def test_every_text_is_in_both_languages() -> None:
    texts = (
        [entry.text for entry in REASONS.values()]
        + [entry.action for entry in REASONS.values()]
        + [kind.title for kind in PROBLEMS.values()]
        + [kind.action for kind in PROBLEMS.values()]
        + list(IMPORT_REASONS.values())
        + list(RECEIPT_TEXTS.values())
        + [entry.text for entry in SERVICE_REASONS.values()]
        + [entry.action for entry in SERVICE_REASONS.values()]
    )
    assert set(REASONS) == set(Reason)
    assert set(SERVICE_REASONS) == set(ServiceReason)
    assert [text for text in texts if not text.zh or not text.en or text.zh == text.en] == []
