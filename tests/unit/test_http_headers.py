"""Small readers of request headers: language and idempotency key."""

import pytest

from app.api.idempotency import parse_idempotency_key
from app.api.language import choose_language
from app.domain.errors import DomainError


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "zh"),
        ("", "zh"),
        ("*", "zh"),
        ("fr", "zh"),
        ("en", "en"),
        ("EN-us", "en"),
        ("zh-Hans-CN", "zh"),
        ("en, zh", "en"),
        ("zh, en", "zh"),
        ("zh;q=0.3, en;q=0.9", "en"),
        ("en;q=0", "zh"),
        ("en;q=2, zh;q=0.1", "zh"),
        ("fr;q=1, en;q=0.1", "en"),
        ("en;q=0.1, *;q=0.5", "zh"),
        ("nonsense;;;, en", "en"),
        ("\xff", "zh"),
    ],
)
def test_the_preferred_of_our_languages_is_chosen(header: str | None, language: str) -> None:
    assert choose_language(header) == language


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"),
        (" abc ", "abc"),
        ('"abc"', "abc"),
        (r'"a\"b\\c"', 'a"b\\c'),
        ("a b", "a b"),
        ("a" * 255, "a" * 255),
        ('"' + "a" * 255 + '"', "a" * 255),
        ('a"b', 'a"b'),
    ],
)
def test_a_key_is_the_same_quoted_and_bare(header: str, key: str) -> None:
    assert parse_idempotency_key(header) == key


@pytest.mark.parametrize(
    "header",
    ["", " ", '""', '"', '"a', '"a"b"', r'"a\b"', "a" * 256, "a\tb", "a\x7f", "é", '"a";x=1', '"a" "b"'],
)
def test_another_form_is_refused(header: str) -> None:
    with pytest.raises(DomainError) as refusal:
        parse_idempotency_key(header)
    assert refusal.value.code == "idempotency_key_invalid"
