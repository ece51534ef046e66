"""Fold dates and amounts to one way of writing them.

What cannot be read as one value beyond doubt is folded as text and equals only itself: `一百五` may be 105 or 150, `$`
may be of several countries. Every function is total and never raises.
"""

import re
from datetime import date

from elicense.element_text import fold_han

NO_END = "长期"
"""How a license without end is written."""

_NO_END = frozenset({NO_END, "长期有效", "永久", "永久有效", "无固定期限", "9999-12-31"})
_MIDNIGHT = re.compile(r"(?<=[0-9日])[Tt\s]+00:00(:00(\.0{1,9})?)?(\+08:?00)?$", re.ASCII)
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"))
_ZEROS = str.maketrans("○◯", "〇〇")
"""Typed for the character 〇, which few keyboards offer."""
_DATES = (
    re.compile(r"([0-9]{4})年([0-9]{1,2})月([0-9]{1,2})[日号]"),
    re.compile(r"([0-9]{4})([-/.])([0-9]{1,2})\2([0-9]{1,2})"),
    re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})"),
)
_HAN_DATE = re.compile(
    r"([零〇一二三四五六七八九]{4})年([一二三四五六七八九十]{1,3})月([一二三四五六七八九十]{1,3})[日号]"
)

_CURRENCIES = {
    "CNY": "人民币 CNY RMB ¥",
    "USD": "美元 美金 USD US$",
    "HKD": "港元 港币 HKD HK$",
    "EUR": "欧元 EUR €",
    "JPY": "日元 日圆 JPY",
    "GBP": "英镑 GBP £",
    "KRW": "韩元 韩圆 KRW",
    "TWD": "新台币 TWD NT$",
    "MOP": "澳门元 澳门币 MOP",
    "SGD": "新加坡元 新元 SGD",
    "AUD": "澳元 澳大利亚元 AUD",
    "CAD": "加元 加拿大元 CAD",
    "CHF": "瑞士法郎 CHF",
}
_NOT_IN_YUAN = frozenset({"GBP", "CHF"})
"""Their unit is never called 元; `港币100万元` is a million Hong Kong dollars."""
_CURRENCY_OF = {word: code for code, words in _CURRENCIES.items() for word in words.split()}
_CURRENCY = "|".join(re.escape(word) for word in sorted(_CURRENCY_OF, key=len, reverse=True))
_HAN_DIGITS = dict(zip("零一二三四五六七八九", range(10), strict=True))
_FINANCIAL = str.maketrans(
    "〇○◯壹贰弍叁叄参肆伍陆柒捌玖拾佰仟两圆", "零零零一二二三三三四五六七八九十百千二元"
)
_HAN = "零一二三四五六七八九十百千万亿"
_AMOUNT = re.compile(
    rf"(?P<before>{_CURRENCY})?:?"
    rf"(?:(?P<number>[0-9]{{1,30}}|[0-9]{{1,3}}(?:,[0-9]{{3}}){{1,9}})(?:\.(?P<fraction>[0-9]{{1,12}}))?"
    rf"(?P<unit>[十百千]?[万亿]?|万亿)|(?P<han>[{_HAN}]{{1,40}}))"
    rf"(?P<after>{_CURRENCY})?(?P<yuan>元)?(?:零?(?P<jiao>[一二三四五六七八九])角)?(?:零?(?P<fen>[一二三四五六七八九])分)?"
    rf"(?P<last>{_CURRENCY})?[整正]?"
)
_BRACKETED = re.compile(rf"\(((?:{_CURRENCY})?[十百千]?[万亿]?元?(?:{_CURRENCY})?)\)")
_TWO_UNITS = re.compile(r"(?<![0-9.,])([0-9]{1,9})亿([0-9]{1,4})万")
_POWERS = {"十": 1, "百": 2, "千": 3, "万": 4, "亿": 8}
_SECTION = re.compile(
    r"(?:([一二三四五六七八九])千)?(零)?(?:([一二三四五六七八九])百)?(零)?(?:([一二三四五六七八九])?十)?(零)?([一二三四五六七八九])?"
)


def fold_date(text: str) -> str:
    """Fold a date to ISO 8601, the words for no end to 长期; as text where it is no date of the calendar."""
    written = fold_han(_MIDNIGHT.sub("", text.strip())).translate(_DASHES).translate(_ZEROS)
    if written in _NO_END:
        return NO_END
    for form in _DATES:
        found = form.fullmatch(written)
        if found is not None:
            parts = [int(part) for part in found.groups() if part.isdigit()]
            return _iso(parts[0], parts[1], parts[2]) or written
    spoken = _HAN_DATE.fullmatch(written)
    if spoken is not None:
        year = int("".join(str(_HAN_DIGITS[digit]) for digit in spoken[1].replace("〇", "零")))
        month, day = _read_section(spoken[2]), _read_section(spoken[3])
        if month is not None and day is not None:
            return _iso(year, month, day) or written
    return written


def fold_amount(text: str) -> str:
    """Fold an amount of money to its exact value and currency (`1000000CNY`); as text where it cannot be read.

    An amount without a currency is one of yuan. Figures in words and in numerals, with 万 and 亿, fold alike.
    """
    written = fold_han(text).translate(_FINANCIAL)
    plain = _TWO_UNITS.sub(lambda two: f"{two[1]}{two[2]:0>4}万", _BRACKETED.sub(r"\1", written))
    found = _AMOUNT.fullmatch(plain.upper())
    if found is None:
        return written
    currencies = {_CURRENCY_OF[word] for word in found.group("before", "after", "last") if word}
    if len(currencies) > 1:
        return written
    currency = next(iter(currencies), "CNY")
    value = _read_value(found)
    if value is None or (found["yuan"] and currency in _NOT_IN_YUAN):
        return written
    digits, power = value
    return f"{_decimal(digits, power)}{currency}"


def _iso(year: int, month: int, day: int) -> str | None:
    try:
        shown = date(year, month, day).isoformat()
    except ValueError:
        return None
    return NO_END if shown in _NO_END else shown


def _read_value(found: re.Match[str]) -> tuple[int, int] | None:
    """Return an amount as digits and a power of ten; None where it is not written as one value."""
    cents = 10 * _HAN_DIGITS[found["jiao"] or "零"] + _HAN_DIGITS[found["fen"] or "零"]
    if found["han"] is not None:
        whole = _read_han(found["han"])
        if whole is None or (cents and not found["yuan"]):
            return None
        return whole * 100 + cents, -2
    if cents:
        return None
    fraction = found["fraction"] or ""
    power: int = sum(_POWERS[unit] for unit in found["unit"])
    return int(found["number"].replace(",", "") + fraction), power - len(fraction)


def _decimal(digits: int, power: int) -> str:
    """Write digits times a power of ten without an exponent and without zeros at the end of a fraction."""
    if power >= 0:
        return str(digits * 10**power)
    whole, rest = divmod(digits, 10**-power)
    fraction = f"{rest:0{-power}d}".rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)


def _read_han(text: str) -> int | None:
    """Read a number in words; None for anything that is not one, or that leaves a gap without its 零."""
    if text == "零":
        return 0
    value = 0
    rest = text
    for unit, power in (("亿", 8), ("万", 4)):
        before, mark, after = rest.partition(unit)
        if mark:
            section = _read_section(before.removeprefix("零") if value else before)
            if not section:
                return None
            value += section * int(10**power)
            rest = after
            if not rest:
                return value
            if len(rest) == 1:
                return None  # 一万五: fifteen thousand to some, ten thousand and five to others
    section = _read_section(rest.removeprefix("零") if value else rest)
    return value + section if section else None


def _read_section(text: str) -> int | None:
    """Read a number below ten thousand; None where a place is left out without 零, as in 一百五."""
    found = _SECTION.fullmatch(text)
    if found is None or not text or text.endswith("零"):
        return None
    thousands, _, hundreds, _, tens, _, ones = found.groups()
    if ones and len(text) > 1 and text[-2] in "百千":
        return None
    value = 10 * int("十" in text) if tens is None else 10 * _HAN_DIGITS[tens]
    return value + sum(
        _HAN_DIGITS[digit] * weight
        for digit, weight in ((thousands, 1000), (hundreds, 100), (ones, 1))
        if digit is not None
    )
