"""Bulk import: rows as they come, how their columns map to our fields, and what became of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

ELEMENT_PREFIX = "elements."
REQUIRED_FIELDS = ("number", "holder.code", "holder.name")
PLAIN_FIELDS = frozenset(
    {*REQUIRED_FIELDS, "holder.code_type", "area_code", "issue_date", "valid_from", "valid_until"}
)


def is_field(name: str) -> bool:
    """Tell whether a name is one of our fields: a plain one, or `elements.` and an element's name."""
    return name in PLAIN_FIELDS or (name.startswith(ELEMENT_PREFIX) and len(name) > len(ELEMENT_PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One row of a file: the line it begins on (the header is line 1) and its cells in the file's order.

    `readable` is false when the row could not be read at all; `fault` then says why, as a key of IMPORT_REASONS.
    """

    line: int
    cells: tuple[str, ...]
    readable: bool = True
    fault: str = "encoding_error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportMap:
    """How a foreign file is read: our field = its header, our field = a constant, values that mean "nothing"."""

    columns: Mapping[str, str]
    constants: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    empty: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A row that was not taken: where, which column of the file, and why (a key of IMPORT_REASONS)."""

    row: SourceRow
    column: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSummary:
    """Counts of one run: `rows` is the sum of accepted, unchanged, amended and refused.

    `areas_replaced` of the accepted had no readable area; `ends_missing` of the accepted and amended became long-term
    because the file gave no end, and no word for one either.
    """

    rows: int
    accepted: int
    unchanged: int
    amended: int
    refused: int
    areas_replaced: int = 0
    ends_missing: int = 0


class ImportFileError(Exception):
    """Say that a file or its mapping cannot be used at all: unreadable, no such column, unknown field."""
