"""Rows of a CSV text: quotes that do not pair, cells of several lines, cells above every limit."""

import time
from collections.abc import Sequence

import pytest

from app.adapters.csv_rows import CsvRows
from app.domain.import_batch import ImportFileError

HEADER = "number,name,address\n"
ROWS = tuple(f"{index},公司{index},路{index}号\n" for index in range(10))


def read(text: str, *, delimiter: str = ",") -> list[tuple[int, tuple[str, ...], str]]:
    reader = CsvRows(text, delimiter=delimiter)
    reader.header()
    return [(row.line, row.cells, row.fault) for row in reader.rows()]


def faults(text: str) -> list[tuple[int, str]]:
    return [(line, fault) for line, _, fault in read(text)]


def good(lines: Sequence[str]) -> list[str]:
    return [cells[0] for _, cells, fault in read(HEADER + "".join(lines)) if not fault]


@pytest.mark.parametrize("bad", ['1,公司,"路\n', '1,"公司,路\n', '"1,公司,路\n'])
def test_a_quote_that_never_closes_swallows_no_row(bad: str) -> None:
    assert read(HEADER + ROWS[0] + bad + ROWS[2] + ROWS[3]) == [
        (2, ("0", "公司0", "路0号"), ""),
        (3, (bad.rstrip("\n"),), "quotes_unpaired"),
        (4, ("2", "公司2", "路2号"), ""),
        (5, ("3", "公司3", "路3号"), ""),
    ]


def test_text_behind_a_closing_quote_is_refused_and_not_repaired() -> None:
    assert faults(HEADER + '1,"老王"烧烤店,路\n' + ROWS[2]) == [(2, "quotes_unpaired"), (3, "")]
    assert read(HEADER + '1,"""老王""烧烤店",路\n') == [(2, ("1", '"老王"烧烤店', "路"), "")]


def test_a_quote_within_an_unquoted_cell_is_text() -> None:
    assert read(HEADER + '1,12"披萨店,路\n') == [(2, ("1", '12"披萨店', "路"), "")]


def test_two_stray_quotes_do_not_make_one_cell_of_the_rows_between() -> None:
    lines = [ROWS[0], '1,公司,"路\n', *ROWS[2:5], '5,公司,路号"\n', ROWS[6]]
    assert read(HEADER + "".join(lines))[1:6] == [
        (3, (lines[1].rstrip(),), "rows_in_quotes"),
        *((index + 2, (lines[index].rstrip(),), "rows_in_quotes") for index in range(2, 6)),
    ]
    assert good(lines) == ["0", "6"]


def test_the_other_half_of_a_stray_quote_is_not_signed() -> None:
    lines = ['0,公司,"路\n', ROWS[1], '2,公司,路号"x\n', ROWS[3]]
    assert faults(HEADER + "".join(lines)) == [
        (2, "quotes_unpaired"),
        (3, ""),
        (4, "quotes_unpaired"),
        (5, ""),
    ]


def test_line_breaks_within_a_quoted_cell_are_part_of_it() -> None:
    text = HEADER + '1,公司,"一号\r\n二号, 三号\n\n四号"\n' + ROWS[2]
    assert read(text) == [
        (2, ("1", "公司", "一号\r\n二号, 三号\n\n四号"), ""),
        (6, ("2", "公司2", "路2号"), ""),
    ]


def test_rows_written_into_a_quoted_cell_are_neither_signed_nor_taken_as_rows() -> None:
    text = HEADER + '1,公司,"路\n8,伪造公司,路\n"\n' + ROWS[2]
    assert faults(text) == [
        (2, "rows_in_quotes"),
        (3, "rows_in_quotes"),
        (4, "rows_in_quotes"),
        (5, ""),
    ]


def test_a_cell_above_the_limit_is_one_row_however_many_lines_it_has() -> None:
    big = "x" * (1 << 20) + "\n另一行\n" + "y" * 100
    assert [(line, fault) for line, _, fault in read(HEADER + f'1,公司,"{big}"\n' + ROWS[2])] == [
        (2, "too_long"),
        (5, ""),
    ]
    forged = HEADER + '1,公司,"' + "x" * (1 << 20) + '\n8,伪造公司,路\n"\n' + ROWS[2]
    assert good([forged.removeprefix(HEADER)]) == ["2"]


def test_a_header_whose_quotes_do_not_pair_is_refused() -> None:
    with pytest.raises(ImportFileError, match="header"):
        CsvRows('number,"name\n1,2\n', delimiter=",").header()
    assert CsvRows("", delimiter=",").header() == ()


def test_a_quote_opened_anew_on_every_line_does_not_read_the_file_once_a_line() -> None:
    began = time.perf_counter()
    with pytest.raises(ImportFileError, match="line"):
        read(HEADER + 'x","y\n' * 200_000)
    assert time.perf_counter() - began < 20
