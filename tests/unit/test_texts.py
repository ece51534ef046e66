"""Texts that are signed or kept as a reason: what people see of one is all there is to it."""

import pytest

from app.domain.texts import reason_problem, text_problem


@pytest.mark.parametrize(
    "text",
    [
        "证照",
        "a b",
        "🀄",
        "𠮷",
        "Ω",
        "中\u3000文",
        "\u9fff\u3400\U00020000\U0002a700\U0002b740\U0002b820\U0002ceb0",  # CJK and its extensions A to E
        "\U0002ebf0\U0002f800\U00030000\U00031350\U000323b0",  # I, supplement, G, H and J: newer than Python's tables
        "葛\U000e0100城",  # a variant of a character, chosen by a mark
        "👨\u200d👩\u200d👧",
        "می\u200cخواهم",
        "e\u0301",
    ],
)
def test_rare_characters_are_no_problem(text: str) -> None:
    assert text_problem(text, max_length=10) is None
    assert reason_problem(text) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "empty"),
        (" ", "empty"),
        ("a ", "white space"),
        ("\ta", "white space"),
        ("x" * 11, "at most 10"),
        ("a\x7f", "control"),
        ("a\x85b", "control"),
        ("a\u2028b", "control"),
        ("\ud800", "control"),
        ("a\u200fb", "control"),
        ("\u200b", "invisible"),
        ("\u200b\u2060", "invisible"),
        ("a\u200bb", "invisible"),
        ("a\u00adb", "invisible"),
        ("a\ufeffb", "invisible"),
        ("\u200da", "invisible"),
        ("a\u200c", "invisible"),
        ("a\U000e0041b", "invisible"),
        ("\u3164", "invisible"),
        ("示例\u3164公司", "invisible"),
        ("\u2800", "invisible"),
        ("\u0301", "empty"),
        ("\ufe0f", "empty"),
        ("好\ufffd公司", "damaged"),
        ("\ufffe", "no character"),
        ("a\ufdd0", "no character"),
        ("a\U0002ffff", "no character"),
        ("a\u0378", "no character"),
    ],
)
def test_what_cannot_be_seen_is_refused_with_what_is_wrong(text: str, told: str) -> None:
    problem = text_problem(text, max_length=10)
    assert problem is not None and told in problem.en and problem.zh


@pytest.mark.parametrize("text", ["王\ue81e商行", "\ue816", "王\U000f0000"])
def test_a_rare_character_that_a_register_holds_as_private_use_is_taken(text: str) -> None:
    assert text_problem(text, max_length=10) is None


@pytest.mark.parametrize("text", ["现场检查", " 第一行\r\n\t第二行\n", "a"])
def test_a_reason_may_have_lines(text: str) -> None:
    assert reason_problem(text) is None


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000", "\u200b", "查\u202e查", "查\ufffd", "\u0301"])
def test_a_reason_can_be_read(text: str) -> None:
    assert reason_problem(text) is not None
