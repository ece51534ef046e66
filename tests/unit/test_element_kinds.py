"""The kinds of elements: what counts as another way of writing the same, and what never does."""

import random
import unicodedata
from collections.abc import Callable
from decimal import Decimal
from itertools import combinations

import pytest

from elicense.element_address import fold_address
from elicense.element_kinds import ElementKind, kind_of
from elicense.element_match import is_same_value
from elicense.element_numbers import fold_amount, fold_date
from elicense.element_scope import fold_scope
from elicense.element_text import MAX_FOLDED, fold_code, fold_name, fold_person_name, fold_text
from elicense.elements import HeldElements, compare_elements
from elicense.han_variants import SIMPLIFIED

_FULL_WIDTH = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})

FOLDS: dict[ElementKind, Callable[[str], str]] = {
    ElementKind.TEXT: fold_text,
    ElementKind.NAME: fold_name,
    ElementKind.PERSON_NAME: fold_person_name,
    ElementKind.CODE: fold_code,
    ElementKind.DATE: fold_date,
    ElementKind.AMOUNT: fold_amount,
    ElementKind.ADDRESS: fold_address,
    ElementKind.SCOPE: fold_scope,
}

SAME: dict[ElementKind, tuple[tuple[str, ...], ...]] = {
    ElementKind.TEXT: (
        ("有限责任公司(自然人独资)", "有限责任公司（自然人独资）", "有限责任公司 【自然人独资】"),
    ),
    ElementKind.NAME: (
        ("演示(南京)贸易有限公司", "演示（南京）貿易有限公司", "演示 (南京) 贸易有限公司"),
        ("张三、李四合伙企业", "张三，李四合伙企业", "張三,李四合伙企業"),
        ("华·美商行", "華・美商行", "华•美商行"),
    ),
    ElementKind.PERSON_NAME: (
        ("陈小明", "陳小明", "陈 小 明", "陈\u3000小明"),
        ("阿依古丽·买买提", "阿依古丽•买买提", "阿依古丽．买买提", "阿依古丽买买提"),
        ("JOHN SMITH", "John Smith"),
    ),
    ElementKind.CODE: (
        ("91320100MA0T0001-4X", "91320100 ma0t 00014x", "９１３２０１００MA0T00014X"),
        ("苏A〔2020〕第1-12号", "蘇Ａ(2020)第1‑12號"),
        ("JY-1320102", "jy1320102"),
    ),
    ElementKind.DATE: (
        (
            "2019-05-06",
            "2019年5月6日",
            "2019年05月06日",
            "2019/5/6",
            "2019.05.06",
            "20190506",
            "２０１９－０５－０６",
            "二〇一九年五月六日",
            "2019-05-06 00:00:00",
            "2019-05-06T00:00:00+08:00",
            "二○一九年五月六日",
            "2019‑05–06",
        ),
        ("长期", "長期", "长期有效", "永久", "9999-12-31"),
    ),
    ElementKind.AMOUNT: (
        (
            "壹佰万元整",
            "壹佰萬圓整",
            "100万元",
            "1,000,000.00",
            "1000000元人民币",
            "100万人民币",
            "人民币100万元",
            "人民币壹佰万元整",
            "100.000000万元人民币",
            "100(万元)",
            "１００万元",
            "¥1,000,000",
            "一百万",
            "1百万元",
        ),
        ("100万美元", "USD 1,000,000", "1000000美元", "US$1,000,000.00"),
        ("壹仟零伍拾元叁角", "1050.3", "1,050.30元"),
        ("一亿零五百万", "105000000元", "1.05亿元", "壹億零伍佰萬圓整", "1亿500万"),
        ("120000000", "1亿2000万元", "壹亿贰仟万元整"),
        (
            "107000.53元",
            "人民币壹拾万柒仟元伍角叁分",
            "人民币壹拾万零柒仟元伍角叁分",
            "人民币壹拾万柒仟元零伍角叁分",
        ),
        ("1680.32", "壹仟陆佰捌拾元零叁角贰分", "壹仟陸佰捌拾圓零叄角贰分"),
        ("10005000", "壹仟万零伍仟元整"),
        ("100万港元", "港币100万元", "港币壹佰万元整", "100万元港币", "HKD1,000,000"),
    ),
    ElementKind.ADDRESS: (
        (
            "江苏省南京市玄武区中山路1号",
            "南京市玄武区中山路1号",
            "玄武区中山路１号",
            "江苏南京市玄武区中山路 1 号",
            "江蘇省南京市玄武區中山路1號",
        ),
        ("上海市浦东新区世纪大道8号B座", "浦东新区世纪大道8号b座", "上海浦东新区世纪大道8号B座"),
        ("昆山市花桥镇1号楼", "江苏省苏州市昆山市花桥镇1 号楼", "江苏省昆山市花桥镇1号楼"),
        ("内蒙古自治区呼和浩特市新城区1号", "呼和浩特市新城区1号"),
    ),
    ElementKind.SCOPE: (
        ("食品销售;日用百货;图书零售", "图书零售、食品销售，日用百货。", "日用百货; 图书零售;\n食品销售"),
        ("许可项目:食品销售;酒类经营。一般项目:日用百货", "一般项目：日用百货；许可项目：酒类经营、食品销售"),
        (
            "许可项目:食品销售(经批准后方可经营) 一般项目:软件开发;药品咨询",
            "许可项目:食品销售(经批准后方可经营)。一般项目:药品咨询;软件开发",
            "一般项目:药品咨询,软件开发 许可项目:食品销售(经批准后方可经营)",
        ),
        ("食品、服装批发;药品零售", "药品零售。食品，服装批发"),
        ("食品销售;日用百货", "日用百货、食品销售。"),
    ),
}

DIFFERENT: dict[ElementKind, tuple[str, ...]] = {
    ElementKind.TEXT: ("abc", "ABC", "有限责任公司", "股份有限公司"),
    ElementKind.NAME: (
        "南京市演示公司",
        "北京市演示公司",
        "演示(南京)公司",
        "演示南京公司",
        "演示公司(南京)",
    ),
    ElementKind.PERSON_NAME: ("张三", "张山", "章三", "张", "范一", "樊一", "于二", "余二"),
    ElementKind.CODE: (
        *("320100", "320101", "3201000", "A1", "AL", "1-12", "11-2", "112", "AB-C", "A-BC"),
        *("苏(2020)1-12号", "苏(2020)11-2号"),
    ),
    ElementKind.DATE: (
        "2019-05-06",
        "2019-06-05",
        "2019-05-16",
        "2018-05-06",
        "长期",
        "05/06/2019",
        "2019-02-30",
    ),
    ElementKind.AMOUNT: (
        *(
            "1万",
            "10万",
            "100万",
            "100万美元",
            "100万港元",
            "1亿",
            "1.1万",
            "11万",
            "101万",
            "壹佰零壹元",
            "110",
        ),
        *(
            "一百五",
            "150",
            "105",
            "一万五",
            "15000",
            "10005",
            "-100",
            "100.5",
            "1005",
            "$100",
            "",
            "1,00",
            "0",
        ),
    ),
    ElementKind.ADDRESS: (
        *("南京市玄武区中山路1号", "苏州市玄武区中山路1号", "北京市玄武区中山路1号", "南京市鼓楼区中山路1号"),
        *(
            "中山路1号",
            "南京市玄武区中山路11号",
            "南京市玄武区中山路1号楼",
            "南京市",
            "北京市",
            "江苏省",
            "南京市玄武区",
        ),
        *("农贸市场3号", "场3号", "城市花园1栋", "花园1栋", "菜市口大街1号", "口大街1号"),
        *("浙江省玄武区中山路1号", "江苏路1号", "1 2号", "12号", ""),
    ),
    ElementKind.SCOPE: (
        *("食品销售;日用百货", "食品销售", "食品销售;日用百货;图书零售", "食品销售;食品销售;日用百货"),
        *("许可项目:食品销售;一般项目:日用百货", "许可项目:食品销售;日用百货", "一般项目:食品销售;日用百货"),
        *(
            "食品销售(不含酒);日用百货",
            "日用百货(不含酒);食品销售",
            "1,000平米;2",
            "2,000平米;1",
            "许可项目:",
            "一般项目:",
        ),
        "食品、服装批发;药品零售",
        "服装批发;食品、药品零售",
        "服装批发、食品、药品零售",
        "批发食品、服装;零售药品",
        "零售药品、服装;批发食品",
        "许可项目:药品零售(经批准);食品销售(经批准) 一般项目:软件开发",
        "许可项目:食品销售(经批准) 一般项目:软件开发;药品零售(经批准)",
        "许可项目:食品销售 一般项目:软件开发;药品零售",
        "许可项目:药品零售;食品销售 一般项目:软件开发",
        "甲类:食品(预包装)乙类:软件;药品",
        "甲类:药品;食品(预包装)乙类:软件",
    ),
}


@pytest.mark.parametrize("kind", list(ElementKind))
def test_ways_of_writing_one_value_are_the_same(kind: ElementKind) -> None:
    for ways in SAME[kind]:
        for one, other in combinations(ways, 2):
            assert is_same_value(one, other, kind), (one, other)
            assert is_same_value(other, one, kind), (other, one)


@pytest.mark.parametrize("kind", list(ElementKind))
def test_different_values_never_fold_together(kind: ElementKind) -> None:
    for one, other in combinations(DIFFERENT[kind], 2):
        assert not is_same_value(one, other, kind), (one, other)
        assert not is_same_value(other, one, kind), (other, one)


@pytest.mark.parametrize("kind", list(ElementKind))
def test_folding_twice_changes_nothing_and_no_text_raises(kind: ElementKind) -> None:
    chance = random.Random(f"fold {kind}")
    alphabet = "张山陳１2３a B-·.、,;:()【】年月日万亿元整零壹省市区路号长期許可\u200b\u0301\ud800\x1f½①㎡\u3000\n¥$美"
    texts = [way for ways in SAME[kind] for way in ways] + list(DIFFERENT[kind])
    texts += ["".join(chance.choices(alphabet, k=chance.randrange(1, 25))) for _ in range(1500)]
    for text in texts:
        folded = FOLDS[kind](text)
        assert FOLDS[kind](folded) == folded, (text, folded)
        assert is_same_value(text, text, kind)
        assert is_same_value(text, folded, kind), (text, folded)


def test_every_amount_reads_alike_in_figures_and_in_words() -> None:
    chance = random.Random("amounts")
    amounts = [1, 9, 10, 11, 20, 100, 101, 110, 1000, 1001, 1010, 10_000, 10_010, 100_000, 10**8, 10**8 + 1]
    amounts += [chance.randrange(1, 10 ** chance.randrange(2, 12)) for _ in range(600)]
    folded = {}
    for amount in amounts:
        ways = (
            f"{amount}",
            f"{amount:,}.00元",
            f"{_in_words(amount)}元整",
            f"{Decimal(amount) / 10_000}万元人民币",
        )
        seen = {fold_amount(way) for way in ways}
        assert seen == {f"{amount}CNY"}, ways
        folded[amount] = seen.pop()
    assert len(set(folded.values())) == len(set(amounts))


def test_every_day_of_years_reads_alike_and_alone() -> None:
    chance = random.Random("dates")
    seen = {}
    for _ in range(400):
        year, month, day = chance.randrange(1950, 2090), chance.randrange(1, 13), chance.randrange(1, 29)
        iso = f"{year:04}-{month:02}-{day:02}"
        ways = (f"{year}年{month}月{day}日", f"{year}/{month}/{day}", f"{year}{month:02}{day:02}", iso)
        assert {fold_date(way.translate(_FULL_WIDTH)) for way in ways} == {iso}
        seen[iso] = True


def _others(text: str, chance: random.Random) -> list[str]:
    """Return texts that differ from one in a single character, left out, replaced or added."""
    place = chance.randrange(len(text))
    new = chance.choice([character for character in _CHARACTERS if character != text[place]])
    return [
        text[:place] + text[place + 1 :],
        text[:place] + new + text[place + 1 :],
        text[:place] + new + text[place:],
    ]


def _disguise(text: str, chance: random.Random) -> str:
    """Write a text another way: traditional, full-width, with spaces between Chinese characters."""
    parts = []
    for character in text:
        shown = chance.choice([character, *_TRADITIONAL.get(character, ())])
        if chance.random() < 0.3:
            shown = shown.translate(_FULL_WIDTH)
        space = (
            chance.choice(("", "", " ", "\u3000", "\u200b"))
            if character > "\u3100"
            else chance.choice(("", "\u200b"))
        )
        parts.append(shown + space)
    return "".join(parts)


_CHARACTERS = (
    "南京演示贸易商行张李王陈杨赵黄周吴徐孙朱马胡林郭何高罗郑梁谢宋唐许邓"
    "韩冯曹曾彭肖蔡潘田董袁于余叶蒋杜苏魏程吕丁沈任姚卢"
)
_TRADITIONAL: dict[str, list[str]] = {}
for _traditional, _simplified in SIMPLIFIED.items():
    _TRADITIONAL.setdefault(chr(_simplified), []).append(chr(_traditional))


@pytest.mark.parametrize("kind", [ElementKind.NAME, ElementKind.PERSON_NAME, ElementKind.TEXT])
def test_a_name_written_another_way_is_the_same_and_one_character_more_or_less_another(
    kind: ElementKind,
) -> None:
    chance = random.Random(f"names {kind}")
    for _ in range(300):
        name = "".join(chance.choices(_CHARACTERS, k=chance.randrange(2, 12)))
        disguised = _disguise(name, chance)
        if kind is not ElementKind.TEXT:
            assert is_same_value(name, disguised, kind), (name, disguised)
        for other in _others(name, chance):
            assert not is_same_value(name, other, kind), (name, other)
            assert not is_same_value(disguised, other, kind), (disguised, other)


def test_an_address_may_lack_province_and_city_and_no_other_character() -> None:
    chance = random.Random("addresses")
    for _ in range(300):
        street = "".join(chance.choices(_CHARACTERS, k=2))
        rest = (
            f"玄武区{street}路{chance.randrange(1, 999)}号{chance.randrange(2, 30)}幢{chance.choice('ABC')}座"
        )
        whole = f"江苏省南京市{rest}"
        for shown in (whole, f"南京市{rest}", rest, f"江苏南京市{rest}"):
            assert is_same_value(whole, _disguise(shown, chance), ElementKind.ADDRESS), shown
        for other in (
            *_others(rest, chance),
            rest.removeprefix("玄武区"),
            f"苏州市{rest}",
            f"浙江省南京市{rest}",
        ):
            assert not is_same_value(whole, other, ElementKind.ADDRESS), (whole, other)


def test_a_scope_may_be_in_any_order_and_must_be_whole() -> None:
    chance = random.Random("scopes")
    for _ in range(200):
        items = ["".join(chance.choices(_CHARACTERS, k=4)) + f"销售(不含{number}、类)" for number in range(5)]
        scope = ";".join(items)
        chance.shuffle(items)
        shuffled = "".join(_disguise(item, chance) + chance.choice(";；,，、。") for item in items)
        assert is_same_value(scope, shuffled, ElementKind.SCOPE), (scope, shuffled)
        for other in (items[1:], [*items, items[0]], [*items[1:], _others(items[0], chance)[1]]):
            assert not is_same_value(scope, ";".join(other), ElementKind.SCOPE), other


def test_the_table_of_characters_changes_no_simplified_character() -> None:
    assert len(SIMPLIFIED) > 2000
    for traditional, simplified in SIMPLIFIED.items():
        assert simplified not in SIMPLIFIED
        chr(simplified).encode("gb2312")
        with pytest.raises(UnicodeEncodeError):
            chr(traditional).encode("gb2312")
        assert unicodedata.normalize("NFKC", chr(simplified)) == chr(simplified)


def test_a_value_beyond_every_bound_is_compared_as_it_stands_and_at_once() -> None:
    long = "陳 " * MAX_FOLDED
    for kind in ElementKind:
        assert is_same_value(long, long, kind)
        assert not is_same_value(long, long + "x", kind)


def test_an_address_that_the_license_gives_without_province_lies_in_the_province_of_its_area() -> None:
    held = HeldElements(values={"address": "鼓楼区中山路2号", "area_code": "320106"}, complete=True)
    asked = {
        "鼓楼区中山路2号": "match",
        "江苏省南京市鼓楼区中山路2号": "match_normalized",
        "南京市鼓楼区中山路2号": "match_normalized",
        "福建省福州市鼓楼区中山路2号": "mismatch",
        "北京市鼓楼区中山路2号": "mismatch",
    }
    for address, outcome in asked.items():
        (result,) = compare_elements({"address": address}, held)
        assert result.outcome.value == outcome, address


def test_a_text_that_grows_or_takes_long_when_it_is_folded_is_compared_as_it_stands() -> None:
    for text in ("\ufdfa" * (MAX_FOLDED // 2), "\u0301" * 5000 + "\u0323" * 5000, "é" + "\u0301" * 31):
        for kind in ElementKind:
            assert not is_same_value(text, "南京市玄武区中山路1号" * 500, kind)
            assert is_same_value(text, text, kind)


def test_a_value_many_times_longer_is_another_one_and_spaces_alone_may_make_it_longer() -> None:
    assert is_same_value("演示商行", " " * 100 + "演示商行", ElementKind.NAME)
    assert not is_same_value("演示商行", " " * MAX_FOLDED + "演示商行", ElementKind.NAME)


def test_the_declared_kind_goes_before_the_well_known_name() -> None:
    asked = {"registered_capital": "100万元", "note": "100万元", "deposit": "100万元"}
    values = dict.fromkeys(asked, "1,000,000.00")
    offline = compare_elements(asked, HeldElements(values=values, complete=True))
    assert [result.outcome.value for result in offline] == ["match_normalized", "mismatch", "mismatch"]
    declared = {"registered_capital": ElementKind.TEXT, "deposit": ElementKind.AMOUNT}
    online = compare_elements(asked, HeldElements(values=values, complete=True, kinds=declared))
    assert [result.outcome.value for result in online] == ["mismatch", "mismatch", "match_normalized"]
    assert kind_of("never_heard_of") is ElementKind.TEXT


def _in_words(amount: int) -> str:
    """Write a whole number as cheques do."""
    words = ""
    for power, unit in ((8, "亿"), (4, "万"), (0, "")):
        section = amount // 10**power % 10_000
        if section:
            gap = words and section < 1000
            words += ("零" if gap else "") + _section_in_words(section) + unit
    return words


def _section_in_words(section: int) -> str:
    words, gap = "", False
    for place, unit in ((1000, "仟"), (100, "佰"), (10, "拾"), (1, "")):
        digit = section // place % 10
        if digit:
            words += ("零" if gap and words else "") + "零壹贰叁肆伍陆柒捌玖"[digit] + unit
        gap = digit == 0
    return words
