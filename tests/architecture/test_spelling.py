"""Words are spelled as in the United States, names in the code above all: a word has one spelling to search for.

Left as they are: `organisation` (the organisation code of GB 11714 is called so in the vectors for other makers) and
`judgement`, which stands in dictionaries beside `judgment`.
"""

import re

import pytest

from tests.architecture.source import text_files

STEMS = (
    "analys(?:e|ed|es|ing)|behaviour|canonicalis|capitalis|catalogue|centre|colour|customis|defence|favour|finalis|"
    "generalis|honour|initialis|labell|licence|maximis|minimis|modell|neighbour|normalis|offence|optimis|prioritis|"
    "recognis|serialis|signall|specialis|standardis|summaris|synchronis|travell|utilis"
)
_BRITISH = re.compile(rf"(?<![a-z])(?:un|re|de|non)?(?:{STEMS})[a-z]*", re.IGNORECASE)
_READ = re.compile(r"(?:app|clients|migrations)/.*\.(?:py|md|toml)")


def british(text: str) -> set[str]:
    """Return the words of a text that are spelled the British way."""
    return {found[0] for found in _BRITISH.finditer(text)}


def test_words_have_their_american_spelling() -> None:
    read = {name: text for name, text in text_files() if _READ.fullmatch(name)}
    assert len(read) > 300
    assert {name: words for name, text in read.items() if (words := british(text))} == {}


@pytest.mark.parametrize(
    "planted", ["uninitialised=True", "_initialise", "Serialise it", "a labelled one", "deserialise"]
)
def test_the_word_list_catches_what_is_planted(planted: str) -> None:
    assert british(planted)


@pytest.mark.parametrize(
    "good", ["uninitialized", "license", "analysis", "a label", "canceled", "supervision"]
)
def test_the_word_list_lets_american_words_pass(good: str) -> None:
    assert not british(good)
