"""One thing has one Chinese word, in every text that people read: pages, messages, help and documents."""

import re

import pytest

from tests.architecture.source import text_files

WORDS = {
    "状态名单": "状态列表",
    "时效声明": "新鲜度声明",
    "信息项": "要素",
    "照面信息": "要素",
    "失密": "泄露",
    "失窃": "泄露",
    "出示者": "出示人",
    "登记簿": "登记库",
    "登记系统": "登记库",
    "中止": "暂停",
    "续期": "延续",
}
"""Words that were in use beside the one that stays."""
_READ = re.compile(r"(?:app|clients|keys|migrations)/.*\.(?:py|md|toml)|[^/]*\.md")


def second_words(text: str) -> set[str]:
    """Return the words of a text for which there is another one."""
    return {word for word in WORDS if word in text}


def test_one_thing_has_one_word() -> None:
    read = {name: text for name, text in text_files() if _READ.fullmatch(name)}
    assert {"README.zh-CN.md", "app/OPERATING.zh-CN.md", "clients/python/src/elicense/problems.py"} < set(
        read
    )
    assert {name: words for name, text in read.items() if (words := second_words(text))} == {}


@pytest.mark.parametrize("word", WORDS)
def test_the_search_catches_what_is_planted(word: str) -> None:
    assert second_words(f"所问{word}不符") == {word}


@pytest.mark.parametrize("word", sorted(set(WORDS.values())))
def test_the_words_that_stay_pass(word: str) -> None:
    assert not second_words(word)
