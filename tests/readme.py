"""Take the fenced examples out of the README files, so that tests can run them as a reader would."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("README.md", "README.zh-CN.md")
CHECKING = ("clients/python/CHECKING.md", "clients/python/CHECKING.zh-CN.md")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Example:
    """One fenced block: its language and its text."""

    language: str
    text: str

    @property
    def bare(self) -> str:
        """Return the text without comments and without what only people read in it."""
        lines = [re.sub(r"\s+#.*$|^#.*$", "", line) for line in self.text.splitlines()]
        return "\n".join(line for line in lines if line)


def examples(name: str, *languages: str) -> list[Example]:
    """Return the fenced blocks of one README, in order."""
    text = (ROOT / name).read_text(encoding="utf-8")
    found = [Example(match[1], match[2]) for match in _FENCE.finditer(text)]
    return [example for example in found if not languages or example.language in languages]
