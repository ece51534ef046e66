"""Succession between licenses: which licenses took the place of one that has ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import DomainError, FieldError
from app.domain.ids import LicenseId
from elicense.problems import Text

MOST_SUCCESSORS = 20


class Relation(StrEnum):
    """How others took a license's place: its holder merged (合并) or was split (分立), or it was replaced (换发)."""

    MERGED_INTO = "merged_into"
    SPLIT_TO = "split_to"
    REPLACED_BY = "replaced_by"


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """What an authority recorded about one license; the record of the highest `row_version` is the one that counts."""

    license_id: LicenseId
    row_version: int
    relation: Relation
    successors: tuple[LicenseId, ...]


def judge_successors(relation: Relation, named: Sequence[str]) -> None:
    """Hold the number of named successors against the relation.

    Raises DomainError `invalid_succession` for none, one named twice, more than 20, or several where the relation has
    one.
    """
    if not named or len(named) > MOST_SUCCESSORS:
        raise wrong_successors(
            Text(f"应为 1 至 {MOST_SUCCESSORS} 个", f"must name 1 to {MOST_SUCCESSORS} licenses")
        )
    if len(set(named)) != len(named):
        raise wrong_successors(Text("不得重复", "must not name a license twice"))
    if relation is not Relation.SPLIT_TO and len(named) > 1:
        raise wrong_successors(Text("该关系只有一个接续证照", f"{relation.value} has one successor"))


def wrong_successors(text: Text, *, position: int | None = None) -> DomainError:
    """Make the refusal of successors, of all or of the one at a position (from 0)."""
    pointer = "/successors" if position is None else f"/successors/{position}"
    return DomainError(
        "invalid_succession", "the successors cannot be those", errors=[FieldError(pointer, text.en, text.zh)]
    )
