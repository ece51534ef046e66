"""Rows of the import: what is taken as it stands, and what is refused with which reason."""

import time
from datetime import date

import pytest

from app.domain.authority import Area, Authority, ElementDefinition, ElementKind, IssuingScope, LicenseType
from app.domain.import_batch import ImportMap, SourceRow
from app.services.demo_directory import demo_plan
from app.services.import_rows import PreparedRow, RowReader, RowRefused, digest_of, read_date

CODE = "91320102MAXXX0015L"
PLAN = demo_plan()
TYPE = LicenseType(
    code="11100000MB0143028R001",
    name="营业执照",
    name_en="Business license",
    defining_authority="11100000MB0143028R",
    elements=(
        ElementDefinition(name="company_type", label="类型", label_en="type"),
        ElementDefinition(
            name="registered_capital", label="注册资本", label_en="capital", kind=ElementKind.AMOUNT
        ),
        ElementDefinition(
            name="established_date", label="成立日期", label_en="established", kind=ElementKind.DATE
        ),
        ElementDefinition(name="address", label="住所", label_en="address", max_length=20),
    ),
)
AUTHORITY = Authority(
    code="11320100MA0T00010X",
    name="南京市市场监督管理局(演示)",
    level="city",
    area_code="320100",
    scopes=(IssuingScope(type_code=TYPE.code, areas=("3201",)),),
)
AREAS = {
    area.code: area
    for area in (
        Area(code="320000", name="江苏省"),
        Area(code="320100", name="南京市"),
        Area(code="320102", name="玄武区"),
        Area(code="320200", name="无锡市"),
    )
}
FIELDS = (
    "number",
    "holder.code",
    "holder.name",
    "area_code",
    "issue_date",
    "valid_from",
    "valid_until",
    "elements.company_type",
    "elements.registered_capital",
    "elements.established_date",
    "elements.address",
    "holder.code_type",
)
GOOD = {
    "number": "JS-1",
    "holder.code": CODE,
    "holder.name": "南京样例有限公司",
    "area_code": "320102",
    "issue_date": "2018-07-02",
}


def read(**changes: str) -> PreparedRow:
    values = GOOD | {name.replace("__", "."): value for name, value in changes.items()}
    reader = RowReader(
        mapping=ImportMap(columns={name: name for name in FIELDS}, empty=frozenset({"N/A", "-", ""})),
        headers=FIELDS,
        authority=AUTHORITY,
        license_type=TYPE,
        areas=AREAS,
    )
    return reader.read(SourceRow(line=2, cells=tuple(values.get(name, "") for name in FIELDS)))


@pytest.mark.parametrize(
    "text",
    ["2018-07-02", "2018/7/2", "2018.7.2", "2018年7月2日", "20180702", "2018/7/2 0:00:00", "2018-07-02"],
)
def test_every_usual_form_of_a_date_is_read(text: str) -> None:
    assert read_date(text) == date(2018, 7, 2)


@pytest.mark.parametrize("text", ["", "2018-02-30", "18-7-2", "2018", "43283", "٢٠١٨-٠٧-٠٢", "2018-07-02x"])
def test_what_is_no_date_is_not_guessed(text: str) -> None:
    assert read_date(text) is None


def test_a_good_row_becomes_a_license_to_issue() -> None:
    new = read(elements__company_type="N/A", elements__registered_capital="184.92万人民币").new
    assert new.holder.code == CODE
    assert new.valid_from == new.issue_date == date(2018, 7, 2)
    assert new.valid_until is None
    assert new.elements == {"registered_capital": "184.92万人民币"}


@pytest.mark.parametrize("word", ["", "N/A", "长期", "9999-12-31", "9999年12月31日", "无固定期限"])
def test_long_term_is_understood(word: str) -> None:
    assert read(valid_until=word).new.valid_until is None


def test_a_code_is_brought_into_its_written_form() -> None:
    spaced = "9132 0102-maxxx0015l"
    prepared = read(number=spaced, holder__code=spaced)
    assert prepared.new.holder.code == prepared.new.number == CODE


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("number", "", "number_missing"),
        ("number", "9" * 101, "too_long"),
        ("number", "JS\x00-1", "text_invalid"),
        ("number", "JS\u202e-1", "text_invalid"),
        ("holder__code", "N/A", "holder_code_missing"),
        ("holder__code", "320102000012345", "holder_code_old"),
        ("holder__code", "91320102MAXXX0015M", "holder_code_invalid"),
        ("holder__code", "9.132E+17", "holder_code_invalid"),
        ("holder__name", "-", "holder_name_missing"),
        ("issue_date", "", "date_invalid"),
        ("issue_date", "2018-13-01", "date_invalid"),
        ("valid_until", "soon", "date_invalid"),
        ("valid_until", "2018-07-01", "dates_reversed"),
        ("elements__address", "长" * 21, "too_long"),
    ],
)
def test_what_a_license_needs_is_checked_and_named(field: str, value: str, reason: str) -> None:
    with pytest.raises(RowRefused) as refusal:
        read(**{field: value})
    assert refusal.value.code == reason
    assert refusal.value.field in {field.replace("__", "."), ""}


@pytest.mark.parametrize(
    ("text", "area", "replaced"),
    [
        ("320102", "320102", False),
        ("320199", "320100", True),
        ("玄武区", "320102", False),
        ("江苏省南京市玄武区", "320102", False),
        ("不详", "320102", True),
        ("", "320102", False),
        ("999999", "320102", True),
        ("440300", "320102", True),
    ],
)
def test_an_area_never_refuses_a_row(text: str, area: str, replaced: bool) -> None:
    prepared = read(area_code=text)
    assert (prepared.new.area_code, prepared.area_replaced) == (area, replaced)


def test_an_element_date_is_written_one_way_and_an_unreadable_one_is_kept() -> None:
    assert read(elements__established_date="1980年1月2日").new.elements["established_date"] == "1980-01-02"
    assert read(elements__established_date="八十年代").new.elements["established_date"] == "八十年代"


def test_rows_with_missing_or_shifted_cells_are_refused() -> None:
    reader = RowReader(
        mapping=ImportMap(columns={name: name for name in FIELDS}),
        headers=FIELDS,
        authority=AUTHORITY,
        license_type=TYPE,
        areas=AREAS,
    )
    for cells, reason in ((("1",), "missing_column"), (("1",) * (len(FIELDS) + 1), "column_count")):
        with pytest.raises(RowRefused) as refusal:
            reader.read(SourceRow(line=2, cells=cells))
        assert refusal.value.code == reason
    with pytest.raises(RowRefused) as refusal:
        reader.read(SourceRow(line=2, cells=("x",), readable=False))
    assert refusal.value.code == "encoding_error"


def test_the_digest_recognizes_the_row_however_it_is_written() -> None:
    assert read().digest == read(issue_date="2018/7/2", holder__code=" 91320102 MAXXX0015L").digest
    assert read().digest != read(holder__name="另一家").digest
    assert read().digest == digest_of(read().new)


@pytest.mark.parametrize(("code", "reason"), [("A\x00B", "text_invalid"), ("9" * 65, "too_long")])
def test_a_code_of_another_kind_is_text_that_can_be_signed(code: str, reason: str) -> None:
    with pytest.raises(RowRefused) as refusal:
        read(holder__code=code, holder__code_type="099")
    assert (refusal.value.code, refusal.value.field) == (reason, "holder.code")


def test_the_lines_of_a_cell_are_joined_with_single_spaces() -> None:
    assert read(elements__address=" 一号 \r\n\t\n\u3000二号\n").new.elements["address"] == "一号 二号"
    assert read(elements__address="一号  甲").new.elements["address"] == "一号  甲"


def test_a_cell_of_spaces_holds_nobody_up() -> None:
    spaces = " " * 1_000_000
    began = time.perf_counter()
    assert read_date("2018" + spaces + "x") is None
    assert read_date("2018-07-02" + spaces + "x") is None
    with pytest.raises(RowRefused, match="too_long"):
        read(elements__address=f"x{spaces}x")
    assert read(elements__address=f"x{spaces}\n{spaces}x").new.elements["address"] == "x x"
    assert time.perf_counter() - began < 5
