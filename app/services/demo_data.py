"""Believable licenses for the demonstration, the same for the same seed, and none of them real.

Holders carry invented organisation codes (MA0T… with both check characters right), names that say （演示）, and
persons whose names nobody bears. The stream is stable: more licenses never change the earlier ones, so that a
second run of the demonstration finds what the first one issued.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import islice

from app.domain.authority import Area
from app.domain.license import Holder, NewLicense
from app.services.demo_directory import (
    BUSINESS_LICENSE,
    CITIES,
    DISTRICTS,
    RIDE_HAILING,
    ROAD_TRANSPORT,
    demo_organisation_code,
    demo_plan,
    demonstration_type,
    issuing_authority,
)
from app.services.demo_draw import Draw
from elicense.cn import make_uscc

__all__ = ["DemoLicense", "Fate", "demo_licenses", "demo_plan"]

MOST_LICENSES = 200_000


class Fate(StrEnum):
    """What happens to a license after it was issued; expired ones are issued with an end in the past.

    Amended and renewed ones get a second version (`demo_changes`).
    """

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    AMENDED = "amended"
    RENEWED = "renewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoLicense:
    """A license to issue and what becomes of it. `sample` names the one shown for its kind, None for the others."""

    new: NewLicense
    fate: Fate
    sample: str | None = None


class _Kind(StrEnum):
    COMPANY = "company"
    SOLE_PROPRIETOR = "sole_proprietor"
    COOPERATIVE = "cooperative"
    BRANCH = "branch"


_USCC_KIND = {_Kind.COMPANY: "1", _Kind.SOLE_PROPRIETOR: "2", _Kind.COOPERATIVE: "3", _Kind.BRANCH: "1"}
_MIX = (
    *(_Kind.COMPANY,) * 55,
    *(_Kind.SOLE_PROPRIETOR,) * 30,
    *(_Kind.COOPERATIVE,) * 6,
    *(_Kind.BRANCH,) * 9,
)

_SURNAMES = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"
_GIVEN_FIRST = "例测范"  # "example", "test", "sample": nobody is called that
_GIVEN_LAST = "甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
_FIRST = "澄岚泽屹沐霁晟昱璟翊沅湛谌皓曜禾"
_SECOND = "川原舟岳帆舒谷蔚然越程汐麓野渡舆"
_RARE = ("𬭎岳", "㵘澜", "龑辉", "淼垚", "㛃阳")
_TRADES = (
    "科技",
    "商贸",
    "餐饮管理",
    "物流",
    "电子商务",
    "生物医药",
    "建材",
    "文化传媒",
    "农业发展",
    "信息技术",
)
_STREETS = ("演示大道", "示范路", "样例街", "测试巷", "模拟路", "例证街")
_CLUSTER = "演示大道1号集群注册托管中心A座101室"
_SCOPE_END = "(除依法须经批准的项目外,凭营业执照依法自主开展经营活动)"
_SCOPE_ITEMS = (
    "技术服务、技术开发、技术咨询、技术交流、技术转让、技术推广",
    "互联网销售(除销售需要许可的商品)",
    "食品互联网销售(仅销售预包装食品)",
    "日用百货销售",
    "家用电器销售",
    "计算机软硬件及辅助设备零售",
    "通信设备销售",
    "信息咨询服务(不含许可类信息咨询服务)",
    "企业管理咨询",
    "市场营销策划",
    "会议及展览服务",
    "广告设计、代理",
    "组织文化艺术交流活动",
    "国内货物运输代理",
    "普通货物仓储服务(不含危险化学品等需许可审批的项目)",
    "装卸搬运",
    "供应链管理服务",
    "机械设备租赁",
    "机械设备销售",
    "建筑材料销售",
    "五金产品批发",
    "金属材料销售",
    "新鲜水果零售",
    "新鲜蔬菜批发",
    "水产品零售",
    "农副产品销售",
    "初级农产品收购",
    "服装服饰零售",
    "针纺织品及原料销售",
    "化妆品零售",
    "母婴用品销售",
    "文具用品零售",
    "办公设备销售",
    "汽车零配件零售",
    "新能源汽车整车销售",
    "电动汽车充电基础设施运营",
    "物业管理",
    "停车场服务",
    "家政服务",
    "园林绿化工程施工",
    "城市绿化管理",
    "智能控制系统集成",
    "人工智能应用软件开发",
    "数据处理和存储支持服务",
    "物联网技术研发",
    "软件开发",
    "货物进出口",
    "技术进出口",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entity:
    """One invented market entity."""

    kind: _Kind
    code: str
    name: str
    person: str
    area: Area
    address: str
    established: date
    index: int


def demo_licenses(count: int, *, today: date, seed: str = "elicense-demo") -> Iterator[DemoLicense]:
    """Give `count` licenses of invented holders, samples first. Dates in force are relative to `today`.

    Numbers depend on seed and place alone. Raises ValueError for a count outside 0 to 200,000.
    """
    if not 0 <= count <= MOST_LICENSES:
        raise ValueError(f"the number of licenses is between 0 and {MOST_LICENSES}")
    return islice(_all_licenses(today=today, seed=seed), count)


def _all_licenses(*, today: date, seed: str) -> Iterator[DemoLicense]:
    index = 0
    while True:
        draw = Draw(f"{seed}|{index}")
        entity = _entity(index, draw)
        yield _business_license(entity, draw, today=today)
        yield from _permits(entity, draw, today=today)
        index += 1


# The first holders are fixed, so that the smallest demonstration shows one of everything.
_SAMPLES = {
    0: ("valid", Fate.ACTIVE),
    1: ("suspended", Fate.SUSPENDED),
    2: ("revoked", Fate.REVOKED),
    3: ("expired", Fate.EXPIRED),
    6: ("superseded", Fate.AMENDED),
}
_FIXED_FATES = {
    **{index: fate for index, (_, fate) in _SAMPLES.items()},
    4: Fate.CANCELLED,
    5: Fate.ACTIVE,
    7: Fate.RENEWED,
    8: Fate.ACTIVE,
}
_FIXED_KINDS = {
    0: _Kind.COMPANY,
    1: _Kind.COMPANY,
    2: _Kind.COMPANY,
    3: _Kind.COMPANY,
    5: _Kind.SOLE_PROPRIETOR,
    6: _Kind.COOPERATIVE,
    7: _Kind.BRANCH,
    8: _Kind.COMPANY,
}
_RARE_HOLDER = 5
_LONG_SCOPE_HOLDER = 8
_CLUSTER_HOLDERS = frozenset({4, 7, 8})


def _entity(index: int, draw: Draw) -> _Entity:
    kind = _FIXED_KINDS.get(index) or draw.one_of(_MIX)
    city = CITIES[0] if index in _SAMPLES else draw.one_of(CITIES)
    district = draw.one_of([area for area in DISTRICTS if area.code[:4] == city.code[:4]])
    rare = index == _RARE_HOLDER or draw.percent(4)
    trade_name = draw.one_of(_RARE) if rare else draw.one_of(_FIRST) + draw.one_of(_SECOND)
    person = draw.one_of(_SURNAMES) + draw.one_of(_GIVEN_FIRST) + draw.one_of(_GIVEN_LAST)
    clustered = index in _CLUSTER_HOLDERS or draw.percent(10)
    address = (
        _CLUSTER if clustered else f"{draw.one_of(_STREETS)}{draw.between(1, 399)}号{draw.between(1, 28)}幢"
    )
    if not clustered:
        address += f"{draw.between(1, 30)}{draw.between(1, 12):02d}室"
    return _Entity(
        kind=kind,
        code=make_uscc("9", _USCC_KIND[kind], district.code, demo_organisation_code(index)),
        name=_name(kind, city, district, trade_name, draw.one_of(_TRADES)),
        person="龑" + person[1:] if rare else person,
        area=district,
        address=f"江苏省{city.name}{district.name}{address}",
        established=date(1984, 1, 1) + timedelta(days=draw.below(15_300)),
        index=index,
    )


def _name(kind: _Kind, city: Area, district: Area, trade_name: str, trade: str) -> str:
    short = city.name.removesuffix("市")
    if kind is _Kind.SOLE_PROPRIETOR:
        return f"{city.name}{district.name}{trade_name}(演示){trade.removesuffix('管理')}店"
    if kind is _Kind.COOPERATIVE:
        return f"{short}{trade_name}(演示)果蔬种植农民专业合作社"
    if kind is _Kind.BRANCH:
        return f"江苏{trade_name}(演示){trade}有限公司{short}分公司"
    return f"{short}{trade_name}(演示){trade}有限公司"


def _fate(entity: _Entity, draw: Draw) -> Fate:
    fixed = _FIXED_FATES.get(entity.index)
    if fixed is not None:
        return fixed
    drawn = draw.below(100)
    limits = (
        (3, Fate.SUSPENDED),
        (6, Fate.REVOKED),
        (9, Fate.CANCELLED),
        (13, Fate.EXPIRED),
        (16, Fate.AMENDED),
        (18, Fate.RENEWED),
    )
    return next((fate for limit, fate in limits if drawn < limit), Fate.ACTIVE)


def _business_license(entity: _Entity, draw: Draw, *, today: date) -> DemoLicense:
    fate = _fate(entity, draw)
    valid_until: date | None = None
    if fate is Fate.EXPIRED:
        valid_until = today - timedelta(days=draw.between(1, 700))
    elif fate is Fate.RENEWED:
        valid_until = today + timedelta(days=draw.between(30, 300))
    elif entity.index not in _SAMPLES and draw.percent(40):
        valid_until = today + timedelta(days=draw.between(30, 9_000))
    first_day = min(entity.established, (valid_until or today) - timedelta(days=365))
    registered = min(first_day + timedelta(days=draw.below(360)), today)
    elements = _business_elements(entity, draw, first_day=first_day, registered=registered, until=valid_until)
    new = NewLicense(
        type_code=BUSINESS_LICENSE,
        number=entity.code,
        holder=Holder(code=entity.code, code_type="001", name=entity.name),
        area_code=entity.area.code,
        issue_date=registered,
        valid_from=first_day,
        valid_until=valid_until,
        elements=elements,
        authority_code=issuing_authority(BUSINESS_LICENSE, entity.area.code),
    )
    return DemoLicense(new=new, fate=fate, sample=_SAMPLES.get(entity.index, (None,))[0])


def _business_elements(
    entity: _Entity, draw: Draw, *, first_day: date, registered: date, until: date | None
) -> dict[str, str]:
    city = entity.area.code[:4] + "00"
    city_name = next(area.name for area in CITIES if area.code == city)
    elements = {
        "legal_representative": entity.person,
        "address": entity.address,
        "business_scope": _scope(draw, long=entity.index == _LONG_SCOPE_HOLDER or draw.percent(5)),
        "registration_authority": f"{city_name}市场监督管理局(演示)",
        "registered_on": registered.isoformat(),
        "established_date": first_day.isoformat(),
    }
    if entity.index in _FIXED_FATES or draw.percent(60):
        elements["company_type"] = _COMPANY_TYPES[entity.kind]
    if entity.kind in {_Kind.COMPANY, _Kind.COOPERATIVE}:
        elements["registered_capital"] = f"{draw.between(1, 999) * 10}万元人民币"
    if until is not None:
        elements["business_term"] = f"{first_day.isoformat()}至{until.isoformat()}"
    return elements


_COMPANY_TYPES = {
    _Kind.COMPANY: "有限责任公司(自然人投资或控股)",
    _Kind.SOLE_PROPRIETOR: "个体工商户",
    _Kind.COOPERATIVE: "农民专业合作社",
    _Kind.BRANCH: "有限责任公司分公司(自然人投资或控股)",
}


def _scope(draw: Draw, *, long: bool) -> str:
    items = draw.some_of(_SCOPE_ITEMS, len(_SCOPE_ITEMS) if long else draw.between(3, 9))
    text = "一般项目:" + ";".join(items) + _SCOPE_END
    if long:
        permitted = draw.some_of(_SCOPE_ITEMS, len(_SCOPE_ITEMS))
        text += "许可项目:" + ";".join(f"{item}(以许可证为准)" for item in permitted) + "。"
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _PermitKind:
    """One permit some entities hold beside their business license."""

    type_code: str
    prefix: str
    chance: int
    years: int
    extra: tuple[tuple[str, str], ...]


def _permit_kinds() -> tuple[_PermitKind, ...]:
    return (
        _PermitKind(
            type_code=demonstration_type(1),
            prefix="YS-SP",
            chance=34,
            years=5,
            extra=(("business_form", "餐饮服务经营者"), ("operating_items", "热食类食品制售;冷食类食品制售")),
        ),
        _PermitKind(
            type_code=ROAD_TRANSPORT,
            prefix="YS-DY",
            chance=12,
            years=4,
            extra=(("permitted_scope", "道路普通货物运输"),),
        ),
        _PermitKind(
            type_code=RIDE_HAILING,
            prefix="YS-WY",
            chance=6,
            years=4,
            extra=(("operating_area", "本市行政区域"), ("permitted_scope", "网络预约出租汽车客运")),
        ),
        _PermitKind(
            type_code=demonstration_type(2),
            prefix="YS-WS",
            chance=10,
            years=4,
            extra=(("permitted_scope", "美容店;理发店"),),
        ),
        _PermitKind(
            type_code=demonstration_type(3),
            prefix="YS-WH",
            chance=5,
            years=3,
            extra=(("operating_mode", "不带储存设施经营"), ("permitted_scope", "乙醇[无水]")),
        ),
        _PermitKind(
            type_code=demonstration_type(4),
            prefix="YS-YP",
            chance=8,
            years=5,
            extra=(("quality_manager", "钱例丙"), ("permitted_scope", "中成药;化学药制剂")),
        ),
    )


def _permits(entity: _Entity, draw: Draw, *, today: date) -> Iterator[DemoLicense]:
    for kind in _permit_kinds():
        drawn = draw.percent(kind.chance)
        # The first holder owns a food permit and the later fixed ones a permit of each kind in turn: 20 show all.
        wanted = entity.index == 0 and kind.type_code == demonstration_type(1)
        wanted = wanted or entity.index - 4 == _permit_order(kind.type_code)
        if entity.index in _FIXED_FATES:
            drawn = False
        if drawn or wanted:
            yield _permit(entity, kind, draw, today=today)


def _permit_order(type_code: str) -> int:
    order = [kind.type_code for kind in _permit_kinds() if kind.type_code != demonstration_type(1)]
    return order.index(type_code) if type_code in order else -1


def _permit(entity: _Entity, kind: _PermitKind, draw: Draw, *, today: date) -> DemoLicense:
    fate = Fate.ACTIVE if entity.index in _FIXED_FATES else _fate(entity, draw)
    length = kind.years * 365
    age = draw.between(length + 1, length + 400) if fate is Fate.EXPIRED else draw.between(1, length - 10)
    first_day = today - timedelta(days=age)
    elements = {"legal_representative": entity.person, "address": entity.address, **dict(kind.extra)}
    new = NewLicense(
        type_code=kind.type_code,
        number=f"{kind.prefix}{entity.area.code}{entity.index:08d}",
        holder=Holder(code=entity.code, code_type="001", name=entity.name),
        area_code=entity.area.code,
        issue_date=first_day,
        valid_from=first_day,
        valid_until=first_day + timedelta(days=length),
        elements=elements,
        authority_code=issuing_authority(kind.type_code, entity.area.code),
    )
    return DemoLicense(new=new, fate=fate)
