"""Encodings of imported files: what is damaged is told apart, and never read as other characters."""

import codecs
from pathlib import Path

import pytest

from app.adapters.import_files import read_table
from app.adapters.text_encodings import decode, is_damaged

NAMES = ("南京样例贸易有限公司", "苏州𬭎㵘商行", "无锡")
TEXT = "number,holder.name\n" + "".join(f"{index},{name}\n" for index, name in enumerate(NAMES))


def readable(folder: Path, data: bytes) -> list[bool]:
    path = folder / "r.csv"
    path.write_bytes(data)
    return [row.readable for row in read_table(path).rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_what_is_whole_is_read_as_it_was_written(encoding: str) -> None:
    assert decode(TEXT.encode(encoding)).removeprefix("\ufeff") == TEXT
    assert not is_damaged(TEXT)


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize("byte", [0x41, 0xFE, 0xFF])
def test_one_byte_damaged_in_utf_8_spoils_one_row_and_no_other(tmp_path: Path, line: int, byte: int) -> None:
    lines = TEXT.encode().splitlines(keepends=True)
    at = lines[line + 1].index(b",") + 3
    damaged = lines[line + 1][:at] + bytes([byte]) + lines[line + 1][at + 1 :]
    lines[line + 1] = damaged
    expected = [index != line for index in range(3)]
    assert readable(tmp_path, b"".join(lines)) == expected
    assert readable(tmp_path, codecs.BOM_UTF8 + b"".join(lines)) == expected


def test_a_file_of_two_characters_is_still_known_for_utf_8(tmp_path: Path) -> None:
    assert readable(tmp_path, b"number,holder.name\n1,\xe6\x97\xa0\xe9\x94\xfe\n") == [False]


@pytest.mark.parametrize(("most", "other"), [("utf-8", "gb18030"), ("gb18030", "utf-8")])
def test_a_line_in_another_encoding_is_not_read_as_other_characters(
    tmp_path: Path, most: str, other: str
) -> None:
    lines = [f"{index},{NAMES[0]}\n".encode(most) for index in range(20)]
    lines[7] = f"7,{NAMES[0]}\n".encode(other)
    got = readable(tmp_path, b"number,holder.name\n" + b"".join(lines))
    assert got == [index != 7 for index in range(20)]


def test_damage_in_utf_16_spoils_its_row_alone(tmp_path: Path) -> None:
    text = "number,holder.name\n0,好\ud800公司\n1,好公司\n"
    data = codecs.BOM_UTF16_LE + text.encode("utf-16-le", "surrogatepass")
    assert readable(tmp_path, data) == [False, True]
    assert readable(tmp_path, data[:-3]) == [False, False], "cut within the last character"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gb18030"])
def test_what_another_program_could_not_read_is_no_text(tmp_path: Path, encoding: str) -> None:
    text = "number,holder.name\n0,好\ufffd公司\n1,好公司\n"
    assert readable(tmp_path, text.encode(encoding)) == [False, True]
