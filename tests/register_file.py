"""Make a CSV of a real register's shape: foreign headers, old and wrong codes, duplicates, N/A, odd amounts."""

import csv
import io
from dataclasses import dataclass
from datetime import date, timedelta

from app.services.demo_directory import demo_organisation_code
from app.services.demo_draw import Draw
from elicense.cn import make_uscc

HEADERS = (
    "序号",
    "企业名称",
    "统一社会信用代码",
    "企业类型",
    "法定代表人",
    "注册资本",
    "成立日期",
    "登记机关",
    "所属区域",
    "地址",
    "经营范围",
    "经营状态",
)

MAPPING = """\
[columns]
number = "统一社会信用代码"
"holder.code" = "统一社会信用代码"
"holder.name" = "企业名称"
issue_date = "成立日期"
area_code = "所属区域"
"elements.company_type" = "企业类型"
"elements.legal_representative" = "法定代表人"
"elements.registered_capital" = "注册资本"
"elements.established_date" = "成立日期"
"elements.registration_authority" = "登记机关"
"elements.address" = "地址"
"elements.business_scope" = "经营范围"

[constants]
"holder.code_type" = "001"

[empty]
values = ["N/A", "-", ""]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterFile:
    """The text of the file, and what must become of its rows: reason code by line; all others are good."""

    text: str
    rows: int
    refused: dict[int, str]
    numbers: tuple[str, ...]


def make_register(
    *, rows: int = 828, area_code: str = "320102", seed: str = "register", first: int = 0
) -> RegisterFile:
    """Make `rows` lines dated from 1980 on; about one in fourteen cannot be issued, in seven different ways.

    Files with another `first` hold other numbers.
    """
    draw = Draw(seed)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(HEADERS)
    refused: dict[int, str] = {}
    numbers: list[str] = []
    for index in range(rows):
        line = index + 2
        code = make_uscc("9", "1", area_code, demo_organisation_code(500_000 + first + index))
        cells = _cells(index, code, draw)
        fault = _FAULTS.get(index % 100)
        if fault == "duplicate_in_file" and not numbers:
            fault = None
        if fault is None:
            numbers.append(code)
        else:
            refused[line] = fault
            _spoil(cells, fault, numbers)
        writer.writerow(cells)
    return RegisterFile(text=out.getvalue(), rows=rows, refused=refused, numbers=tuple(numbers))


_FAULTS = {
    7: "holder_code_old",
    19: "number_missing",
    31: "holder_code_invalid",
    43: "duplicate_in_file",
    58: "date_invalid",
    71: "holder_name_missing",
    88: "holder_code_invalid",
}
_AREAS = ("", "N/A", "320102", "玄武区", "不详", "3201", "999999")
_AMOUNTS = ("184.92万人民币", "1000万元", "50万美元", "N/A", "-", "叁佰万圆整", "¥1,000,000.00")


def _cells(index: int, code: str, draw: Draw) -> list[str]:
    founded = date(1980, 1, 1) + timedelta(days=draw.below(16_500))
    return [
        str(index + 1),
        f"南京样例{index}号(演示)有限公司",
        code,
        "有限责任公司" if draw.percent(15) else "N/A",
        draw.one_of("赵钱孙李") + "例" + draw.one_of("甲乙丙丁"),
        draw.one_of(_AMOUNTS),
        _written(founded, index),
        "南京市市场监督管理局(演示)",
        draw.one_of(_AREAS),
        f"演示大道{draw.between(1, 999)}号,{draw.between(1, 30)}室",
        "一般项目:日用百货销售;软件开发" * draw.between(1, 60),
        "存续",
    ]


def _written(day: date, index: int) -> str:
    forms = ("{0:%Y-%m-%d}", "{0.year}/{0.month}/{0.day}", "{0.year}年{0.month}月{0.day}日", "{0:%Y%m%d}")
    return forms[index % 4].format(day)


def _spoil(cells: list[str], fault: str, numbers: list[str]) -> None:
    if fault == "holder_code_old":
        cells[2] = "320102000012345"
    elif fault == "number_missing":
        cells[2] = ""
    elif fault == "holder_code_invalid":
        cells[2] = cells[2][:-1] + ("1" if cells[2][-1] != "1" else "2")
    elif fault == "duplicate_in_file":
        cells[2] = numbers[0]
    elif fault == "date_invalid":
        cells[6] = "2018-13-40"
    elif fault == "holder_name_missing":
        cells[1] = "N/A"
