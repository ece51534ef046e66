"""A vector as its file holds it, and the expectation of one runner. `README.md` describes every member."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from elicense.own_policy import parse_policy_file
from elicense.policy import Policy, policy_by_name

FOLDER = Path(__file__).resolve().parent
TRUST_FOLDER = FOLDER / "trust"
TRUST_ROOT = "trust/root.json"
OTHER_FILES = frozenset({"cn.json"})
"""JSON files of this folder that hold vectors of another kind."""

RUNNERS = ("core", "http", "cli")


@dataclass(frozen=True, slots=True)
class Vector:
    """One case: what is asked about what, and what every runner must answer."""

    members: Mapping[str, Any]

    @property
    def id(self) -> str:
        return str(self.members["id"])

    @property
    def at(self) -> datetime | None:
        return _moment(self.members["at"])

    @property
    def inputs(self) -> Mapping[str, Any]:
        inputs: Mapping[str, Any] = self.members["inputs"]
        return inputs

    @property
    def now(self) -> datetime:
        now = _moment(self.inputs["now"])
        assert now is not None
        return now

    @property
    def elements(self) -> dict[str, str] | None:
        asked = self.inputs["elements"]
        return None if asked is None else dict(asked)

    @property
    def question(self) -> Mapping[str, Any]:
        question: Mapping[str, Any] = self.inputs["question"]
        return question

    @property
    def policy(self) -> Policy:
        """Return the policy that is asked for: a preset, or one of the relying party's own."""
        asked = self.inputs["policy"]
        return (
            policy_by_name(asked) if isinstance(asked, str) else parse_policy_file(json.dumps(asked).encode())
        )

    @property
    def binding(self) -> Mapping[str, str]:
        """Return the nonce and audience that a key binding must answer; nothing where none is asked."""
        asked: Mapping[str, str] = self.question.get("key_binding", {})
        return asked

    @property
    def trust_root(self) -> bytes:
        return (FOLDER / self.inputs["trust_root"]).read_bytes()

    @property
    def bundle(self) -> bytes | None:
        name = self.inputs["bundle"]
        return None if name is None else (FOLDER / name).read_bytes()

    @property
    def reason(self) -> str:
        return str(self.members["expected"]["reason"])

    @property
    def not_by(self) -> Mapping[str, str]:
        return self.members.get("not_by", {})

    def expected(self, runner: str) -> dict[str, Any]:
        """Return what one runner must answer: what all answer, and what it says in another way."""
        shared = dict(self.members["expected"])
        return {**shared, **shared.pop("by", {}).get(runner, {})}

    def file_of(self) -> bytes | None:
        """Return the file a holder hands over: a credential, alone or with its log proof."""
        stapled = self.question.get("stapled")
        if stapled is not None:
            return json.dumps(stapled, ensure_ascii=False).encode()
        credential = self.question.get("credential")
        return None if credential is None else str(credential).encode()


def read_vectors() -> list[Vector]:
    """Read every vector of the folder, in the order of their ids."""
    names = sorted(path for path in FOLDER.glob("*.json") if path.name not in OTHER_FILES)
    return [Vector(json.loads(path.read_text(encoding="utf-8"))) for path in names]


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
