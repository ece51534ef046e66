"""Answers of a wrong shape are refused by name: nothing is left out of them, and nothing is read into them."""

from typing import Any

import pytest

from elicense import APIResponseError
from elicense.client._protocol import Response
from tests.sdk_clients import LICENSE, VERIFICATION, FakeTransport, MakeClient, json_answer

VALID: dict[str, Any] = {**VERIFICATION, "verdict": "valid", "reason": "ok"}
QUESTIONS = [{"code": "a"}, {"code": "b", "reference": "r"}]


def test_a_batch_is_answered_in_the_order_of_its_questions(client: MakeClient) -> None:
    results = [{**VALID, "index": 0}, {**VERIFICATION, "reference": "r", "index": 1}]
    answer = client(FakeTransport(json_answer({"results": results}))).verifications.batch(QUESTIONS)
    assert [one.verdict for one in answer.results] == ["valid", "invalid"]


def test_a_malformed_question_of_a_batch_has_no_reference_to_compare(client: MakeClient) -> None:
    malformed = {"verdict": "invalid", "reason": "malformed", "errors": [{"pointer": "/code", "detail": "?"}]}
    answer = client(FakeTransport(json_answer({"results": [VALID, malformed]}))).verifications.batch(
        QUESTIONS
    )
    assert answer.results[1].errors


@pytest.mark.parametrize(
    "results",
    [
        [None, {**VALID, "reference": "r"}],
        [{**VALID, "reference": "r"}],
        [VALID, {**VALID, "reference": "r"}, VALID],
        [],
        [{**VALID, "reference": "r"}, VALID],
        [{**VALID, "index": 1}, {**VALID, "reference": "r", "index": 0}],
        [[VALID], {**VALID, "reference": "r"}],
    ],
    ids=["null", "few", "many", "none", "swapped", "order", "list"],
)
def test_answers_that_are_not_one_to_each_question_are_refused(
    client: MakeClient, results: list[object]
) -> None:
    transport = FakeTransport(json_answer({"results": results}))
    with pytest.raises(APIResponseError):
        client(transport).verifications.batch(QUESTIONS)


@pytest.mark.parametrize("entry", [None, "x", [LICENSE]])
def test_a_page_with_an_entry_of_another_shape_is_refused(client: MakeClient, entry: object) -> None:
    transport = FakeTransport(json_answer({"data": [LICENSE, entry], "next_cursor": None}))
    with pytest.raises(APIResponseError, match="data"):
        client(transport).licenses.list()


@pytest.mark.parametrize("name", ["checks", "elements", "errors"])
@pytest.mark.parametrize("found", [[None], ["x"], {}, "x", 5])
def test_parts_of_an_answer_of_another_shape_are_refused(
    client: MakeClient, name: str, found: object
) -> None:
    transport = FakeTransport(json_answer({**VALID, name: found}))
    with pytest.raises(APIResponseError, match=name):
        client(transport).verifications.create(code="x")


@pytest.mark.parametrize(
    "member",
    [
        {"successors": ["a", 5]},
        {"successors": "a"},
        {"superseded_by": 5},
        {"result_code": "0"},
        {"license": []},
        {"receipt": {}},
        {"status_as_of": 1},
    ],
    ids=str,
)
def test_members_of_another_type_are_refused(client: MakeClient, member: dict[str, object]) -> None:
    transport = FakeTransport(json_answer({**VALID, **member}))
    with pytest.raises(APIResponseError, match=next(iter(member))):
        client(transport).verifications.create(code="x")


def without(name: str) -> dict[str, object]:
    return {member: value for member, value in LICENSE.items() if member != name}


@pytest.mark.parametrize(
    "answer",
    [
        without("valid_until"),
        *(
            {**LICENSE, "valid_until": found}
            for found in (20301231, False, "", "20301231", "2030-W01-1", {}, [])
        ),
    ],
    ids=str,
)
def test_only_null_says_that_a_license_is_long_term(client: MakeClient, answer: dict[str, object]) -> None:
    with pytest.raises(APIResponseError):
        client(FakeTransport(json_answer(answer))).licenses.get("0190")


@pytest.mark.parametrize("value", [None, 5, True, ["x"], {"x": "y"}])
def test_elements_of_a_license_are_texts(client: MakeClient, value: object) -> None:
    with pytest.raises(APIResponseError, match="address"):
        client(FakeTransport(json_answer({**LICENSE, "elements": {"address": value}}))).licenses.get("0190")


@pytest.mark.parametrize("cursor", [5, True, {}, []])
def test_a_cursor_is_a_text(client: MakeClient, cursor: object) -> None:
    """Taken for none, it would end the list before its end."""
    with pytest.raises(APIResponseError, match="next_cursor"):
        client(FakeTransport(json_answer({"data": [], "next_cursor": cursor}))).licenses.list()


def page(cursor: str | None) -> Response:
    return json_answer({"data": [LICENSE], "next_cursor": cursor})


def test_a_list_that_leads_back_to_a_page_of_before_ends_in_an_error(client: MakeClient) -> None:
    transport = FakeTransport(page("a"), page("b"), page("a"), page("b"))
    licenses = iter(client(transport).licenses.iterate())
    assert [next(licenses).id for _ in range(3)] == ["0190"] * 3
    with pytest.raises(APIResponseError, match="before"):
        next(licenses)
    assert len(transport.requests) == 3


def test_an_empty_cursor_is_the_end(client: MakeClient) -> None:
    transport = FakeTransport(page("a"), page(""), page(None))
    assert len(list(client(transport).licenses.iterate())) == 2
    assert client(FakeTransport(page(""))).licenses.list().next_cursor is None
