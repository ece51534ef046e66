"""Files of the bulk import: registers as CSV in, mapping files in, refused rows as CSV out."""

import csv
import re
import tomllib
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TextIO

from app.adapters.csv_rows import CsvRows
from app.adapters.text_encodings import decode, is_damaged
from app.domain.import_batch import ImportFileError, ImportMap, RefusedRow, SourceRow, is_field
from elicense.import_reasons import IMPORT_REASONS

MOST_BYTES = 512 << 20
_MOST_MAPPING = 1 << 20
_MOST_NESTED = 4
_WHY = ("line", "column", "reason", "message_zh", "message_en")
# A spreadsheet takes for a formula what begins so, behind white space too. Apostrophes in front are counted in, so that
# what is taken away when the file comes back is exactly what was put there.
_FORMULA = re.compile(r"'*(?:\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n])")
_NO_FORMULA = re.compile(r" *[+\-\uff0b\uff0d]?(?:[0-9][0-9,]*(?:\.[0-9]+)?%?)? *")
_UNREADABLE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTable:
    """A file as a table: its headers, folded as `fold_header` does, and its text.

    A file that we wrote ourselves, with refused rows, gives those rows as they were before: `returned` tells.
    """

    headers: tuple[str, ...]
    text: str
    delimiter: str
    returned: bool = False

    def rows(self) -> Iterator[SourceRow]:
        """Give the rows below the header; blank lines are left out. Raises ImportFileError as `CsvRows` does."""
        reader = CsvRows(self.text, delimiter=self.delimiter)
        reader.header()
        for row in reader.rows():
            if row.fault:
                yield SourceRow(line=row.line, cells=row.cells, readable=False, fault=row.fault)
                continue
            cells = tuple(map(_as_it_came, row.cells[len(_WHY) :])) if self.returned else row.cells
            if any(cell.strip() for cell in cells):
                yield SourceRow(line=row.line, cells=cells, readable=not _has_damage(cells))

    def count(self) -> int:
        """Count the rows (reads the text once)."""
        return sum(1 for _ in self.rows())


def read_table(path: Path) -> SourceTable:
    """Read a CSV file: UTF-8 with or without a mark, UTF-16 with one, or GB18030; comma or tab.

    Raises OSError for a file that cannot be read, ImportFileError for one that is larger than 512 MiB, is a
    spreadsheet, or has no header.
    """
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ImportFileError("the file is larger than 512 MiB: split it")
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise ImportFileError("this is a spreadsheet or archive: save it as CSV first")
    text = decode(data)
    first_line = text.split("\n", 1)[0]
    delimiter = "\t" if first_line.count("\t") > first_line.count(",") else ","
    headers = tuple(fold_header(name) for name in CsvRows(text, delimiter=delimiter).header())
    returned = headers[: len(_WHY)] == _WHY
    if returned:
        headers = tuple(fold_header(_as_it_came(name)) for name in headers[len(_WHY) :])
    if not any(headers):
        raise ImportFileError("the file has no header line")
    return SourceTable(headers=headers, text=text, delimiter=delimiter, returned=returned)


def fold_header(name: str) -> str:
    """Fold a header for comparison: NFKC, no white space at the ends."""
    return unicodedata.normalize("NFKC", name).strip()


def _has_damage(cells: Sequence[str]) -> bool:
    return any(is_damaged(cell) for cell in cells)


def read_mapping(path: Path) -> ImportMap:
    """Read a mapping file (TOML): [columns] field = header, [constants] field = value, [empty] values = […].

    Raises OSError for a file that cannot be read, ImportFileError for other sections, unknown fields and values that
    are not text (dates may stand bare).
    """
    with path.open("rb") as file:
        content = file.read(_MOST_MAPPING + 1)
    if len(content) > _MOST_MAPPING:
        raise ImportFileError("the mapping is larger than 1 MiB")
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ImportFileError(f"{path} is not TOML in UTF-8: {error}") from error
    except RecursionError as error:
        raise ImportFileError(f"{path} is nested too deeply") from error
    unknown = set(document) - {"columns", "constants", "empty"}
    if unknown:
        raise ImportFileError(f"the mapping has unknown sections: {', '.join(sorted(unknown))}")
    columns = {name: fold_header(header) for name, header in _flat(document.get("columns", {}), "columns")}
    constants = dict(_flat(document.get("constants", {}), "constants"))
    for name in (*columns, *constants):
        if not is_field(name):
            raise ImportFileError(f"the mapping names an unknown field: {name}")
    both = set(columns) & set(constants)
    if both:
        raise ImportFileError(f"the mapping has both a column and a constant for: {', '.join(sorted(both))}")
    return ImportMap(columns=columns, constants=constants, empty=_empty_values(document.get("empty", {})))


def _flat(section: object, where: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Flatten `holder.code = …` (a nested table in TOML) and `"holder.code" = …` alike."""
    if not isinstance(section, dict):
        raise ImportFileError(f"[{where}] is not a table")
    for name, value in section.items():
        if isinstance(value, dict):
            if prefix.count(".") >= _MOST_NESTED:
                raise ImportFileError(f"[{where}] {prefix}{name} is nested too deeply")
            yield from _flat(value, where, f"{prefix}{name}.")
        elif isinstance(value, str):
            yield f"{prefix}{name}", value
        elif isinstance(value, date):
            yield f"{prefix}{name}", value.isoformat()
        else:
            raise ImportFileError(f"[{where}] {prefix}{name} is not text")


def _empty_values(section: object) -> frozenset[str]:
    values = section.get("values", []) if isinstance(section, dict) else section
    if isinstance(section, dict) and (unknown := set(section) - {"values"}):
        raise ImportFileError(f"[empty] has unknown members: {', '.join(sorted(unknown))}")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ImportFileError("[empty] values is not a list of texts")
    return frozenset(value.strip() for value in values)


def mapping_for(table: SourceTable, mapping: ImportMap | None) -> ImportMap:
    """Return the mapping to use; without one, headers that are our own field names map to themselves.

    Raises ImportFileError when a mapped header is not in the file.
    """
    if mapping is None:
        return ImportMap(columns={name: name for name in table.headers if is_field(name)})
    missing = sorted(set(mapping.columns.values()) - set(table.headers))
    if missing:
        raise ImportFileError(f"the file has no column {', '.join(missing)}")
    return mapping


def ignored_headers(table: SourceTable, mapping: ImportMap) -> tuple[str, ...]:
    """Return the headers that no field is taken from, in the file's order: a misspelt one is among them."""
    taken = set(mapping.columns.values())
    return tuple(dict.fromkeys(header for header in table.headers if header and header not in taken))


class RefusedRowWriter:
    """Write refused rows as CSV (UTF-8 with a mark, so that spreadsheets read it): why, then the row as it came.

    Cells that a spreadsheet would take for a formula are prefixed with an apostrophe, which `read_table` takes off
    again. What could not be decoded is written as U+FFFD, which no import takes for text.
    """

    def __init__(self, out: TextIO, headers: Sequence[str]) -> None:
        self._writer = csv.writer(out)
        self._write([*_WHY, *headers])

    def write(self, refused: RefusedRow) -> None:
        """Write one row."""
        text = IMPORT_REASONS[refused.code]
        why = [str(refused.row.line), refused.column, refused.code, text.zh, text.en]
        self._write([*why, *refused.row.cells])

    def _write(self, cells: Sequence[str]) -> None:
        self._writer.writerow([_harmless(cell) for cell in cells])


def _harmless(cell: str) -> str:
    safe = _UNREADABLE.sub("\ufffd", cell)
    return f"'{safe}" if _FORMULA.match(safe) and not _NO_FORMULA.fullmatch(safe) else safe


def _as_it_came(cell: str) -> str:
    """Undo what `_harmless` did to a cell."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
