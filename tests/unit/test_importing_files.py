"""Files of the import: encodings, delimiters, mappings, refused rows."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from app.adapters.import_files import RefusedRowWriter, mapping_for, read_mapping, read_table
from app.domain.import_batch import ImportFileError, RefusedRow, SourceRow

TEXT = 'number,holder.name\r\n1,南京样例\r\n\r\n2,"多行\n地址"\r\n3,完\r\n'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_every_usual_encoding_is_read_alike(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(TEXT.encode(encoding))
    table = read_table(path)
    assert table.headers == ("number", "holder.name")
    assert [(row.line, row.cells) for row in table.rows()] == [
        (2, ("1", "南京样例")),
        (4, ("2", "多行\n地址")),
        (6, ("3", "完")),
    ]
    assert all(row.readable for row in table.rows())


def test_rare_characters_survive_gb18030(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("number,holder.name\n1,𬭎㵘龑公司\n".encode("gb18030"))
    assert next(read_table(path).rows()).cells[1] == "𬭎㵘龑公司"


def test_tabs_separate_as_well_as_commas(tmp_path: Path) -> None:
    path = tmp_path / "r.tsv"
    path.write_text("number\tholder.name\n1\ta,b\n", encoding="utf-8")
    assert [row.cells for row in read_table(path).rows()] == [("1", "a,b")]


def test_a_row_with_undecodable_bytes_is_marked_and_the_others_are_not(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    good = "南京样例贸易有限公司".encode()
    path.write_bytes(b"number,holder.name\n1," + good + b"\n2,\xff\xfe\xff\n3," + good + b"\n")
    assert [row.readable for row in read_table(path).rows()] == [True, False, True]


def test_a_spreadsheet_and_an_empty_file_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.xlsx"
    path.write_bytes(b"PK\x03\x04....")
    with pytest.raises(ImportFileError, match="CSV"):
        read_table(path)
    path.write_bytes(b"")
    with pytest.raises(ImportFileError, match="header"):
        read_table(path)
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "absent.csv")


def test_a_cell_above_the_limit_marks_its_row_only(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("number,holder.name\n1," + "x" * (1 << 21) + "\n2,y\n", encoding="utf-8")
    rows = list(read_table(path).rows())
    assert rows[0].readable is False
    assert rows[-1].cells == ("2", "y")


def test_a_mapping_reads_quoted_and_nested_fields_alike(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_text(
        '[columns]\nnumber = "统一社会信用代码 "\nholder.code = "代码"\n"elements.address" = "地址"\n'
        '[constants]\nissue_date = 2020-01-02\n"holder.code_type" = "001"\n[empty]\nvalues = ["N/A", "-", ""]\n',
        encoding="utf-8",
    )
    mapping = read_mapping(path)
    assert mapping.columns == {
        "number": "统一社会信用代码",
        "holder.code": "代码",
        "elements.address": "地址",
    }
    assert mapping.constants == {"issue_date": "2020-01-02", "holder.code_type": "001"}
    assert mapping.empty == {"N/A", "-", ""}


@pytest.mark.parametrize(
    "text",
    [
        '[columns]\nnumbr = "x"\n',
        "[columns]\nnumber = 3\n",
        "[other]\n",
        "not toml",
        '[columns]\nnumber = "a"\n[constants]\nnumber = "b"\n',
        "[empty]\nvalues = [1]\n",
        '[empty]\nvalue = ["-"]\n',
        "x = " + "[" * 3000,
        "x = " + "{a=" * 3000,
        "[columns]\n" + ".".join("a" * 3000) + ' = "x"\n',
        "[columns]\n" + ".".join("a" * 9) + ' = "x"\n',
    ],
)
def test_a_mapping_that_cannot_be_meant_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ImportFileError):
        read_mapping(path)


def test_without_a_mapping_the_headers_are_our_field_names(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("number,remark,elements.address\n", encoding="utf-8")
    assert mapping_for(read_table(path), None).columns == {
        "number": "number",
        "elements.address": "elements.address",
    }


def test_a_mapped_header_that_the_file_lacks_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("number\n", encoding="utf-8")
    other = tmp_path / "m.toml"
    other.write_text('[columns]\nnumber = "编号"\n', encoding="utf-8")
    with pytest.raises(ImportFileError, match="编号"):
        mapping_for(read_table(path), read_mapping(other))


def test_refused_rows_are_listed_with_reason_and_no_live_formula() -> None:
    out = io.StringIO()
    writer = RefusedRowWriter(out, ["名称", "备注"])
    row = SourceRow(line=7, cells=("=HYPERLINK(1)", "@x"))
    writer.write(RefusedRow(row=row, column="名称", code="holder_name_missing"))
    lines = list(csv.reader(io.StringIO(out.getvalue())))
    assert lines[0] == ["line", "column", "reason", "message_zh", "message_en", "名称", "备注"]
    assert lines[1][:3] == ["7", "名称", "holder_name_missing"]
    assert lines[1][5:] == ["'=HYPERLINK(1)", "'@x"]


def write_refused(folder: Path, cells: Sequence[str]) -> Path:
    path = folder / "refused.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as out:
        writer = RefusedRowWriter(out, ["number", "-备注", *(str(index) for index in range(2, len(cells)))])
        writer.write(RefusedRow(row=SourceRow(line=7, cells=tuple(cells)), column="number", code="too_long"))
    return path


@pytest.mark.parametrize("cell", ["-", "+", "-5", "+86", "-1,234.50", "-3%", "x-1", "", "\uff0d", "a=b"])
def test_what_is_no_formula_is_listed_as_it_came(tmp_path: Path, cell: str) -> None:
    path = write_refused(tmp_path, ["x", cell])
    assert next(csv.reader(path.read_text("utf-8-sig").splitlines()[1:]))[5:] == ["x", cell]


@pytest.mark.parametrize(
    "cell", ["=1+1", " =1+1", "\u3000=1+1", "-1+1", "@x", "\n=1", "\t1", "--", "'=1", "\uff1d1"]
)
def test_a_formula_is_guarded_behind_white_space_too(tmp_path: Path, cell: str) -> None:
    with write_refused(tmp_path, ["x", cell]).open(encoding="utf-8-sig", newline="") as listed:
        assert list(csv.reader(listed))[1][5:] == ["x", f"'{cell}"]


def test_a_list_of_refused_rows_comes_back_as_it_was(tmp_path: Path) -> None:
    cells = ("=1+1", " =1", "-", "-1", "'-1", "''=1", "'x", "-1+1", "\n=1,\n2", '"老王"', "@")
    table = read_table(write_refused(tmp_path, cells))
    assert table.returned
    assert table.headers[:2] == ("number", "-备注")
    assert [row.cells for row in table.rows()] == [cells]
    again = write_refused(tmp_path, next(table.rows()).cells)
    assert [row.cells for row in read_table(again).rows()] == [cells]


def test_what_could_not_be_decoded_does_not_come_back_as_text(tmp_path: Path) -> None:
    path = write_refused(tmp_path, ["x", "\udcff\udcfe"])
    assert [(row.cells, row.readable) for row in read_table(path).rows()] == [(("x", "\ufffd\ufffd"), False)]
