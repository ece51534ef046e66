"""Compare addresses: one may lack the province or the city that the other begins with, and nothing else.

`江苏省南京市玄武区中山路1号`, `南京市玄武区中山路1号` and `玄武区中山路1号` are one address; the same street in another
city, or without its district, is another one.
"""

import re
import unicodedata

from elicense.element_text import fold_han

_MUNICIPALITIES = ("北京", "上海", "天津", "重庆")
_PROVINCES = (
    *("河北", "山西", "辽宁", "吉林", "黑龙江", "江苏", "浙江", "安徽", "福建", "江西", "山东", "河南"),
    *("湖北", "湖南", "广东", "海南", "四川", "贵州", "云南", "陕西", "甘肃", "青海", "台湾"),
)
_REGIONS = {
    "内蒙古自治区": "内蒙古",
    "广西壮族自治区": "广西",
    "西藏自治区": "西藏",
    "宁夏回族自治区": "宁夏",
    "新疆维吾尔自治区": "新疆",
    "香港特别行政区": "香港",
    "澳门特别行政区": "澳门",
}
_FULL_NAMES = {
    **{f"{name}市": name for name in _MUNICIPALITIES},
    **{f"{name}省": name for name in _PROVINCES},
    **_REGIONS,
}
_PROVINCE_CODES = {
    "11": "北京",
    "12": "天津",
    "13": "河北",
    "14": "山西",
    "15": "内蒙古",
    "21": "辽宁",
    "22": "吉林",
    "23": "黑龙江",
    "31": "上海",
    "32": "江苏",
    "33": "浙江",
    "34": "安徽",
    "35": "福建",
    "36": "江西",
    "37": "山东",
    "41": "河南",
    "42": "湖北",
    "43": "湖南",
    "44": "广东",
    "45": "广西",
    "46": "海南",
    "50": "重庆",
    "51": "四川",
    "52": "贵州",
    "53": "云南",
    "54": "西藏",
    "61": "陕西",
    "62": "甘肃",
    "63": "青海",
    "64": "宁夏",
    "65": "新疆",
    "71": "台湾",
    "81": "香港",
    "82": "澳门",
}
"""The first two digits of an area code (GB/T 2260)."""
_SHORT_NAMES = (*_MUNICIPALITIES, *_PROVINCES, *_REGIONS.values())
# A short name is only a province where a city or district follows at once: 江苏路1号 is a street.
_SHORT = re.compile(
    rf"({'|'.join(_SHORT_NAMES)})(?=(?!市|省|藏族|蒙古族)[^\W\d_a-zA-Z市区县旗路街道巷号村弄]{{1,10}}(?:市|区|县|旗|自治州|地区|盟))"
)
_FULL = re.compile("|".join(_FULL_NAMES))
_CITY = re.compile(r"[^\W\d_a-zA-Z市区县旗路街号村巷弄]{2,12}(?:市|自治州|地区|盟)")
_MARKET = ("场", "民", "政")
"""What makes another word of the 市 before it: 农贸市场3号 begins with no city."""
_SPACES_BETWEEN = re.compile(r"(?<=[0-9A-Za-z])\s+(?=[0-9A-Za-z])")
_WITHOUT_WIDTH = re.compile(r"[\u200b-\u200d\u2060\ufeff]+")
_DASHES = str.maketrans(dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-") | {"、": ","})
_ASCII_UPPER = str.maketrans("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def fold_address(text: str) -> str:
    """Fold an address: NFKC, brackets, traditional characters, letters in upper case, every dash to one, no spaces.

    A space between two figures or Latin letters stays one: `1 2号` is not `12号`.
    """
    # A letter may only turn out to be no Latin one when its accent has joined it: a second time settles that.
    return _fold_once(_fold_once(text))


def same_address(one: str, other: str) -> bool:
    """Tell whether two addresses are the same but for a leading province or city that one of them leaves out."""
    first, second = fold_address(one), fold_address(other)
    if first == second:
        return True
    (province, rest), (other_province, other_rest) = _split(first), _split(second)
    if len(rest) > len(other_rest):
        province, rest, other_province, other_rest = other_province, other_rest, province, rest
    # Now `rest` is the shorter one. Without anything behind the province there is no address to compare.
    if not rest or not other_rest.endswith(rest):
        return False
    city = other_rest[: len(other_rest) - len(rest)]
    if not city:
        return province == other_province or province is None or other_province is None
    if rest.startswith(_MARKET) or _CITY.fullmatch(city) is None:
        return False
    return province is None or province == other_province


def names_another_province(asked: str, held: str, area_code: str) -> bool:
    """Tell whether an address begins with another province than the one of `area_code`, where `held` names none.

    A register often leaves its own province out. Then what was asked is not the same address in any other.
    """
    own = _PROVINCE_CODES.get(area_code[:2])
    named, _ = _split(fold_address(asked))
    return own is not None and named not in (None, own) and _split(fold_address(held))[0] is None


def _split(folded: str) -> tuple[str | None, str]:
    """Part the province from the rest, which begins with city or district."""
    full = _FULL.match(folded)
    if full is not None:
        return _FULL_NAMES[full[0]], folded[full.end() :]
    short = _SHORT.match(folded)
    return (short[1], folded[short.end() :]) if short is not None else (None, folded)


def _fold_once(text: str) -> str:
    parts = _SPACES_BETWEEN.split(_WITHOUT_WIDTH.sub("", unicodedata.normalize("NFKC", text)))
    return " ".join(fold_han(part).translate(_DASHES).translate(_ASCII_UPPER) for part in parts)
