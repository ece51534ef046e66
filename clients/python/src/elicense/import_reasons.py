"""Why one row of an imported file was not taken: the codes and their texts in Chinese and English."""

from collections.abc import Mapping
from types import MappingProxyType

from elicense.problems import Text

IMPORT_REASONS: Mapping[str, Text] = MappingProxyType(
    {
        "missing_column": Text("缺少必需的列", "A required column is missing"),
        "column_count": Text("单元格数多于表头", "The row has more cells than the header"),
        "number_missing": Text("缺少证照编号", "The license number is missing"),
        "holder_code_missing": Text("缺少持证主体代码", "The holder's code is missing"),
        "holder_code_invalid": Text("持证主体代码不正确", "The holder's code is not well-formed"),
        "holder_code_old": Text(
            "持证主体代码为旧的 15 位注册号,请换用统一社会信用代码",
            "The holder's code is an old 15-digit registration number; use the unified social credit code",
        ),
        "holder_name_missing": Text("缺少持证主体名称", "The holder's name is missing"),
        "date_invalid": Text("日期无法识别", "A date cannot be read"),
        "dates_reversed": Text("有效期止早于有效期起", "The validity ends before it begins"),
        "duplicate_in_file": Text(
            "文件内证照编号重复,已采用其中第一条合格的",
            "The number is repeated in this file; the first good row was taken",
        ),
        "conflict": Text(
            "颁发机构已另行变更该项,或该证照正由他人变更;请核对后重新导入",
            "The department has changed this value otherwise, or others are changing this license now; check it and "
            "import again",
        ),
        "holder_differs": Text(
            "该编号的证照属于另一持证主体;确需变更持证主体的,请加 --allow-holder-change",
            "The license of this number has another holder; if the holder is to change, add --allow-holder-change",
        ),
        "versions_exhausted": Text("证照版本号已用尽", "The license's version numbers are used up"),
        "unknown_area": Text("未知的区域代码", "The area code is not known"),
        "not_authorized_to_issue": Text(
            "颁发机构无权在该区域颁发此类证照",
            "The authority may not issue this license type in this area",
        ),
        "too_long": Text("内容超过长度限制", "A value is too long"),
        "text_invalid": Text(
            "含有控制字符等不能签名的内容",
            "A text holds control characters or the like, which cannot be signed",
        ),
        "quotes_unpaired": Text(
            "引号不成对或位置不当,无法分清单元格;含引号的内容须整体加引号,其中的引号写两遍",
            "Quotes do not pair or stand where none may, so the cells cannot be told apart; quote the whole cell and "
            "double each quote inside it",
        ),
        "rows_in_quotes": Text(
            "引号内的换行中似有整行数据,无法判断是一格还是多行;请核对该处引号",
            "A quoted cell holds line breaks and what looks like whole rows; check the quotes there",
        ),
        "encoding_error": Text("文字编码错误", "The text cannot be decoded"),
        "invalid_elements": Text("要素不符合证照类型的要求", "The elements do not fit the license type"),
        "number_taken": Text("该证照编号已被使用", "The license number is taken"),
    }
)
"""Why a row of an imported file was refused; these have no HTTP status of their own."""
