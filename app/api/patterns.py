"""What a pattern of a request's field means, in words: nobody who types a license can read a regular expression."""

import re
from typing import Final

Words = tuple[str, str]

_WORD: Final = "小写字母开头"
_TEXTS: Final[dict[str, Words]] = {
    r"^[^\x00-\x1f\x7f-\x9f]*$": (
        "不得含有换行、制表符等控制字符",
        "must not hold line breaks, tabs or other control characters",
    ),
    r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$": (
        "不得含有控制字符(换行与制表符除外)",
        "must not hold control characters other than line breaks and tabs",
    ),
    r"^[0-9]{6}$": ("应为 6 位数字的区域代码", "must be an area code of six digits"),
    r"^[0-9]{3}$": ("应为 3 位数字", "must be three digits"),
    r"^[a-z][a-z0-9_]{0,63}$": (
        f"应以{_WORD},其后为小写字母、数字或下划线,至多 64 个字符",
        "must begin with a small letter and hold small letters, digits and underscores, at most 64 characters",
    ),
    r"^[a-z][a-z0-9_-]{0,63}$": (
        f"应以{_WORD},其后为小写字母、数字、下划线或连字符,至多 64 个字符",
        "must begin with a small letter and hold small letters, digits, underscores and hyphens, at most 64 characters",
    ),
    r"^[a-z][a-z0-9-]{0,39}$": (
        f"应以{_WORD},其后为小写字母、数字或连字符,至多 40 个字符",
        "must begin with a small letter and hold small letters, digits and hyphens, at most 40 characters",
    ),
    r"^[a-z][a-z0-9_-]{0,63}(@[1-9][0-9]{0,5})?$": (
        "应为策略名称,可加 @版本号,如 shops@2",
        "must be a policy's name, with @ and its version if wanted, as shops@2",
    ),
    r"^([a-z][a-z0-9_]{0,63})$": (
        "应为名称:以小写字母开头,其后为小写字母、数字或下划线",
        "must be a name: a small letter, then small letters, digits and underscores",
    ),
    r"^([0-9A-Z]{21})$": ("应为 21 位证照类型代码", "must be a license type's code of 21 characters"),
    r"^([0-9]{2}|[0-9]{4}|[0-9]{6})$": (
        "应为 2、4 或 6 位区域代码",
        "must be an area code of 2, 4 or 6 digits",
    ),
    r"^[0-9]{1,9}[smhd]$": (
        "应为时长,如 30s、15m、24h、7d",
        "must be a length of time, as 30s, 15m, 24h or 7d",
    ),
    r"^[0-9a-f]{64}$": ("应为 64 位小写十六进制(SHA-256)", "must be 64 small hexadecimal digits (SHA-256)"),
    r"^[0-9a-f]{16}$": ("应为 16 位小写十六进制", "must be 16 small hexadecimal digits"),
    r"^[0-9A-Fa-f:./]*$": (
        "应为 IP 地址或网段,如 203.0.113.0/24",
        "must be an IP address or network, as 203.0.113.0/24",
    ),
}
_CHOICE: Final = re.compile(r"\^\(([a-z_]+(?:\|[a-z_]+)*)\)\$")


def words_of(pattern: str) -> Words | None:
    """Return what a text must be to match a pattern, in Chinese and English; None for a pattern nobody described."""
    choice = _CHOICE.fullmatch(pattern)
    if choice is not None:
        names = choice[1].split("|")
        return f"应为 {'、'.join(names)} 之一", f"must be one of {', '.join(names)}"
    return _TEXTS.get(pattern)
