"""Unified social credit codes, organisation codes and license identifiers."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicense.cn import (
    USCC_ALPHABET,
    CodeError,
    CodeProblem,
    LicenseIdentifier,
    check_uscc,
    make_uscc,
    mod37_36,
    normalize_code,
    organisation_check_character,
    parse_identifier,
    uscc_check_character,
    uscc_problem,
)
from elicense.problems import FormatError, Reason

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "cn.json").read_text("utf-8"))
CODE = make_uscc("9", "1", "320102", "MA0T0004")

org8 = st.text(alphabet=USCC_ALPHABET, min_size=8, max_size=8)
area = st.text(alphabet="0123456789", min_size=6, max_size=6)
parts36 = st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=40)


@pytest.mark.parametrize("case", VECTORS["uscc"], ids=lambda case: case["id"])
def test_published_codes_are_answered_as_published(case: dict[str, Any]) -> None:
    assert uscc_problem(case["input"]) == case["expected"], case["why"]


@pytest.mark.parametrize("case", VECTORS["identifiers"], ids=lambda case: case["id"])
def test_published_identifiers_parse_and_a_wrong_check_character_is_seen(case: dict[str, Any]) -> None:
    identifier = parse_identifier(case["input"])
    assert identifier.text == case["input"]
    assert identifier.check_is_right is case["check_is_right"], case["why"]


@given(st.sampled_from(USCC_ALPHABET), st.sampled_from(USCC_ALPHABET), area, org8)
def test_a_made_code_is_well_formed(department: str, kind: str, digits: str, organisation: str) -> None:
    code = make_uscc(department, kind, digits, organisation)
    assert check_uscc(code) == code
    assert code[16] == organisation_check_character(organisation)


@given(area, org8, st.integers(0, 17), st.sampled_from(USCC_ALPHABET))
def test_one_changed_character_is_always_noticed(digits: str, organisation: str, at: int, other: str) -> None:
    code = make_uscc("9", "1", digits, organisation)
    changed = code[:at] + other + code[at + 1 :]
    assert (uscc_problem(changed) is None) == (changed == code)


def test_a_sum_divisible_by_31_gives_check_character_zero() -> None:
    first17 = next(
        code[:17]
        for code in (make_uscc("9", "1", "320100", f"MA0T{n:04d}") for n in range(500))
        if code[17] == "0"
    )
    assert uscc_check_character(first17) == "0"
    assert uscc_problem(first17 + "0") is None


def test_codes_of_departments_named_by_a_letter_are_well_formed() -> None:
    for department in "ANY":
        assert uscc_problem(make_uscc(department, "1", "320100", "MA0T0007")) is None


@pytest.mark.parametrize(
    "typed",
    [
        CODE.lower(),
        f"  {CODE[:2]} {CODE[2:8]}-{CODE[8:17]}-{CODE[17]}\n",
        "".join(chr(ord(character) + 0xFEE0) for character in CODE),
        f"\ufeff{CODE[:8]}\u3000{CODE[8:]}\u200b",
        f"{CODE[:8]}—{CODE[8:]}",
    ],
    ids=ascii,
)
def test_a_code_is_taken_however_it_was_typed(typed: str) -> None:
    assert check_uscc(typed) == CODE == normalize_code(typed)


@pytest.mark.parametrize("letter", "IOSVZ")
def test_letters_that_the_codes_never_use_get_a_message_of_their_own(letter: str) -> None:
    with pytest.raises(CodeError) as caught:
        check_uscc(CODE[:9] + letter + CODE[10:])
    assert caught.value.problem is CodeProblem.CONFUSABLE
    assert "10" in caught.value.message.zh and letter in caught.value.message.en


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        ("", CodeProblem.LENGTH),
        ("320100000000001", CodeProblem.LENGTH),
        (CODE + "0", CodeProblem.LENGTH),
        ("9" * 1_000_000, CodeProblem.LENGTH),
        ("٩" + CODE[1:], CodeProblem.CHARACTER),
        ("९" + CODE[1:], CodeProblem.CHARACTER),
        (CODE[:4] + "A" + CODE[5:], CodeProblem.CHARACTER),
        (CODE[:17] + "甲", CodeProblem.CHARACTER),
        (CODE[:17] + "\ud800", CodeProblem.CHARACTER),
        (CODE[:17] + "'", CodeProblem.CHARACTER),
    ],
    ids=["empty", "old", "long", "huge", "arabic", "devanagari", "area", "han", "surrogate", "quote"],
)
def test_what_is_no_code_is_refused_by_name(typed: str, problem: CodeProblem) -> None:
    assert uscc_problem(typed) is problem


def test_messages_name_the_fault_but_not_the_code() -> None:
    wrong = CODE[:17] + ("0" if CODE[17] != "0" else "1")
    with pytest.raises(CodeError) as caught:
        check_uscc(wrong)
    assert caught.value.problem is CodeProblem.CHECK
    assert wrong not in caught.value.message.zh + caught.value.message.en + str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [("91", "1", "320100", "MA0T0001"), ("9", "1", "3201", "MA0T0001"), ("9", "1", "320100", "MA0TI001")],
)
def test_parts_that_make_no_code_are_refused(parts: tuple[str, str, str, str]) -> None:
    with pytest.raises(CodeError):
        make_uscc(*parts)


def make(**changes: Any) -> LicenseIdentifier:
    fields: dict[str, Any] = {
        "type_code": "11100000MB0143028R001",
        "authority_code": make_uscc("1", "1", "320100", "MA0T0002"),
        "serial": "7K3M9Q2T",
        "version": 1,
    }
    return LicenseIdentifier.make(**{**fields, **changes})


@given(st.text(alphabet="0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=64), st.integers(1, 999))
def test_identifiers_round_trip_with_the_right_check_character(serial: str, version: int) -> None:
    made = make(serial=serial, version=version)
    assert parse_identifier(made.text) == made
    assert made.check_is_right and made.version == f"{version:03d}"


@given(parts36, st.data())
def test_mod_37_36_notices_every_single_changed_character(text: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    changed = text[:at] + other + text[at + 1 :]
    assert (mod37_36(changed) == mod37_36(text)) == (changed == text)


@pytest.mark.parametrize(
    "changes",
    [
        {"type_code": "11100000MB0143028R01"},
        {"type_code": "11100000MB0143028R00A"},
        {"authority_code": ""},
        {"authority_code": "1.1"},
        {"serial": "abc"},
        {"serial": "A" * 65},
        {"serial": "１"},
        {"version": 0},
        {"version": 1000},
        {"version": "1"},
        {"version": "000"},
        {"version": "٠٠١"},
    ],
    ids=str,
)
def test_identifiers_are_issued_strictly(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        make(**changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1.2.156.3005.2",
        "1.2.156.3005.3." + make().text.split(".", 5)[5],
        make().text + ".1",
        make().text + "\n",
        " " + make().text,
        make().text.lower(),
        make().text.replace(".001.", ".1."),
        make().text.replace(".001.", ".0٠1."),
        make().text.replace("7K3M9Q2T", ""),
        make().text.replace("7K3M9Q2T", "7K" * 40),
        "1" * 100_000,
    ],
    ids=range(12),
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_identifier(text)
    assert caught.value.reason is Reason.MALFORMED


def test_an_identifier_is_split_at_its_dots_whatever_the_width_of_the_authority() -> None:
    identifier = parse_identifier("1.2.156.3005.2.11100000MB03271699022.340100.000000016.001.9")
    assert identifier.authority_code == "340100"
    assert identifier.serial == "000000016"
