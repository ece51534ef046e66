"""Rows of a CSV text, read so that no quote can swallow the rows behind it.

A row whose quotes do not pair is told apart by itself and reading goes on with the next line. A quoted cell may hold
line breaks; where what it holds looks like whole rows, nobody can tell which of the two was meant, and every line of it
is listed: neither signed into a cell, nor taken as rows of their own.
"""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from app.domain.import_batch import ImportFileError

QUOTES_UNPAIRED = "quotes_unpaired"
ROWS_IN_QUOTES = "rows_in_quotes"
TOO_LONG = "too_long"
MOST_CELL = 1 << 20
_LONGEST_FIELD = 1 << 30
"""Above any file that is read: the length of a cell is judged when its end is known."""
_DONE_LINES = 10_000
_FREE_REREADING = 10_000_000
_MOST_REREADINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """One row: the line it begins on, its cells, and why it cannot be used ('' when it can).

    Of a row that cannot be told apart the only cell is the whole line as it came.
    """

    line: int
    cells: tuple[str, ...]
    fault: str = ""


class CsvRows:
    """Read a text row by row, the header (line 1) first. Raises ImportFileError where its quotes cannot pair."""

    def __init__(self, text: str, *, delimiter: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self._delimiter = delimiter
        self._ahead: list[str] = []
        self._at = 0
        self._line = 1
        self._suspects = 0
        # A file made so that every line opens a quote anew would be read once for each of its lines.
        self._rereading_left = max(_FREE_REREADING, _MOST_REREADINGS * len(text))
        self.columns = 0
        csv.field_size_limit(_LONGEST_FIELD)

    def header(self) -> tuple[str, ...]:
        """Read the first row. Raises ImportFileError when its quotes do not pair; () for an empty text."""
        read = self._read()
        if read is None:
            return ()
        cells, lines = read
        if cells is None:
            raise ImportFileError("the quotes of the header line do not pair")
        self._drop(lines)
        self.columns = len(cells)
        return tuple(cells)

    def rows(self) -> Iterator[CsvRow]:
        """Give the rows below the header, blank ones too."""
        while (read := self._read()) is not None:
            cells, lines = read
            if cells is None:
                yield self._refused(QUOTES_UNPAIRED)
                self._suspects = max(self._suspects, lines - 1)
            elif self._suspects and any('"' in cell for cell in cells) and lines == 1:
                # The line stood within a quote that did not end well: this may be that quote's other half.
                yield self._refused(QUOTES_UNPAIRED)
            elif lines > 1 and self._holds_rows(lines):
                for _ in range(lines):
                    yield self._refused(ROWS_IN_QUOTES)
            else:
                fault = TOO_LONG if any(len(cell) > MOST_CELL for cell in cells) else ""
                line = self._line
                self._drop(lines)
                yield CsvRow(line=line, cells=tuple(cells), fault=fault)

    def _read(self) -> tuple[list[str] | None, int] | None:
        """Read one row and say how many lines it has; no cells when its quotes do not pair, None at the end."""
        if not self._fill(1):
            return None
        used = 0

        def lines() -> Iterator[str]:
            nonlocal used
            while self._fill(used + 1):
                used += 1
                yield self._ahead[self._at + used - 1]

        try:
            return next(csv.reader(lines(), delimiter=self._delimiter, strict=True)), used
        except csv.Error:
            if used > 1:
                self._count_rereading(used)
            return None, used

    def _fill(self, count: int) -> bool:
        while len(self._ahead) - self._at < count:
            line = self._lines.readline()
            if not line:
                return False
            self._ahead.append(line)
        return True

    def _drop(self, lines: int) -> None:
        self._at += lines
        if self._at == len(self._ahead) or self._at > _DONE_LINES:
            del self._ahead[: self._at]
            self._at = 0
        self._line += lines
        self._suspects = max(0, self._suspects - lines)

    def _refused(self, fault: str) -> CsvRow:
        row = CsvRow(line=self._line, cells=(self._ahead[self._at].rstrip("\r\n"),), fault=fault)
        self._drop(1)
        return row

    def _holds_rows(self, lines: int) -> bool:
        """Tell whether a line within a row, read by itself, is a whole row of this file."""
        if self.columns < 2:
            return False
        # Leniently: the last of them holds the quote that ends the cell.
        return any(
            len(next(csv.reader([line], delimiter=self._delimiter), [])) >= self.columns
            for line in self._ahead[self._at + 1 : self._at + lines]
        )

    def _count_rereading(self, used: int) -> None:
        self._rereading_left -= sum(map(len, self._ahead[self._at : self._at + used]))
        if self._rereading_left < 0:
            raise ImportFileError(f"the quotes from line {self._line} on do not pair: mend that line first")
