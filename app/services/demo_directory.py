"""The demonstration's areas, license types and issuing authorities.

Codes of authorities are invented (organisation codes MA0T…, both check characters right) and their names end in
（演示）. Three license types carry the national codes that are known; every other type is defined by the
demonstration province itself and named as a demonstration type.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.domain.authority import (
    Area,
    Authority,
    ElementDefinition,
    ElementKind,
    IssuingScope,
    LicenseType,
    SetupPlan,
)
from elicense.cn import make_uscc

BUSINESS_LICENSE = "11100000MB0143028R001"
ROAD_TRANSPORT = "11100000000019713D008"
RIDE_HAILING = "11100000000019713D074"
_MARKET_REGULATION_AUTHORITY = "11100000MB0143028R"
_TRANSPORT_MINISTRY = "11100000000019713D"

_ORGANISATION_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_ORGANISATION_COUNT = len(_ORGANISATION_ALPHABET) ** 4
_FIRST_AUTHORITY = 900_000

PROVINCE = Area(code="320000", name="江苏省")
CITIES: tuple[Area, ...] = tuple(
    Area(code=code, name=name)
    for code, name in (
        ("320100", "南京市"),
        ("320200", "无锡市"),
        ("320300", "徐州市"),
        ("320400", "常州市"),
        ("320500", "苏州市"),
        ("320600", "南通市"),
        ("320700", "连云港市"),
        ("320800", "淮安市"),
        ("320900", "盐城市"),
        ("321000", "扬州市"),
        ("321100", "镇江市"),
        ("321200", "泰州市"),
        ("321300", "宿迁市"),
    )
)
DISTRICTS: tuple[Area, ...] = tuple(
    Area(code=code, name=name)
    for code, name in (
        ("320102", "玄武区"),
        ("320104", "秦淮区"),
        ("320106", "鼓楼区"),
        ("320115", "江宁区"),
        ("320206", "惠山区"),
        ("320211", "滨湖区"),
        ("320302", "鼓楼区"),
        ("320311", "泉山区"),
        ("320402", "天宁区"),
        ("320404", "钟楼区"),
        ("320506", "吴中区"),
        ("320508", "姑苏区"),
        ("320602", "崇川区"),
        ("320682", "如皋市"),
        ("320703", "连云区"),
        ("320706", "海州区"),
        ("320803", "淮安区"),
        ("320812", "清江浦区"),
        ("320902", "亭湖区"),
        ("320903", "盐都区"),
        ("321002", "广陵区"),
        ("321003", "邗江区"),
        ("321102", "京口区"),
        ("321111", "润州区"),
        ("321202", "海陵区"),
        ("321203", "高港区"),
        ("321302", "宿城区"),
        ("321311", "宿豫区"),
    )
)


def demo_organisation_code(index: int) -> str:
    """Return the first 8 characters of the invented organisation code with this index, MA0T and four more.

    The map is one to one below 31^4 (48271 and 31 share no factor), so that no two indices collide.
    """
    value = (index * 48_271 + 12_345) % _ORGANISATION_COUNT
    characters = ""
    for _ in range(4):
        value, digit = divmod(value, len(_ORGANISATION_ALPHABET))
        characters += _ORGANISATION_ALPHABET[digit]
    return "MA0T" + characters


@dataclass(frozen=True, slots=True, kw_only=True)
class _Department:
    """One kind of department that the province and each city have."""

    key: str
    name: str


_DEPARTMENTS: tuple[_Department, ...] = (
    _Department(key="market", name="市场监督管理局"),
    _Department(key="transport", name="交通运输局"),
    _Department(key="health", name="卫生健康委员会"),
    _Department(key="emergency", name="应急管理局"),
)


@lru_cache
def authority_code(department: str, area_code: str) -> str:
    """Return the invented USCC of a department (market, transport, health, emergency) of an area's city or province.

    `area_code` may be any area inside; 320000 is the province. Raises ValueError for others.
    """
    seat = PROVINCE.code if area_code == PROVINCE.code else area_code[:4] + "00"
    seats = [PROVINCE.code, *(city.code for city in CITIES)]
    keys = [one.key for one in _DEPARTMENTS]
    index = _FIRST_AUTHORITY + keys.index(department) * 100 + seats.index(seat)
    return make_uscc("1", "1", seat, demo_organisation_code(index))


@lru_cache
def province_code() -> str:
    """Return the invented USCC under which the demonstration province defines its own license types."""
    return make_uscc("1", "1", PROVINCE.code, demo_organisation_code(_FIRST_AUTHORITY - 1))


@lru_cache
def demonstration_type(sequence: int) -> str:
    """Return the code of the province's own type with this three-digit sequence (GB/T 36904)."""
    return f"{province_code()}{sequence:03d}"


def _element(name: str, label: str, label_en: str, kind: ElementKind = ElementKind.TEXT) -> ElementDefinition:
    return ElementDefinition(name=name, label=label, label_en=label_en, kind=kind)


_COMMON: tuple[ElementDefinition, ...] = (
    _element(
        "legal_representative",
        "法定代表人(负责人、经营者)",
        "legal representative",
        ElementKind.PERSON_NAME,
    ),
    _element("address", "住所(经营场所)", "address", ElementKind.ADDRESS),
)


def _business_license() -> LicenseType:
    # No element is required: real registers leave even the company type empty in most rows.
    return LicenseType(
        code=BUSINESS_LICENSE,
        name="营业执照",
        name_en="Business license",
        defining_authority=_MARKET_REGULATION_AUTHORITY,
        elements=(
            _element("company_type", "类型", "company type"),
            *_COMMON,
            _element("registered_capital", "注册资本", "registered capital", ElementKind.AMOUNT),
            _element("established_date", "成立日期", "date of establishment", ElementKind.DATE),
            _element("business_term", "营业期限", "business term"),
            ElementDefinition(
                name="business_scope",
                label="经营范围",
                label_en="business scope",
                kind=ElementKind.SCOPE,
                max_length=20_000,
            ),
            _element("registration_authority", "登记机关", "registration authority", ElementKind.NAME),
            _element("registered_on", "核准日期", "registered on", ElementKind.DATE),
        ),
        description="市场主体的营业执照。",
    )


def _permit(
    code: str, name: str, name_en: str, definer: str, *elements: ElementDefinition, demonstration: bool
) -> LicenseType:
    return LicenseType(
        code=code,
        name=name,
        name_en=name_en,
        defining_authority=definer,
        elements=(*_COMMON, *elements),
        demonstration=demonstration,
        description="演示用证照类型,未列入国家目录。" if demonstration else "",
    )


def license_types() -> tuple[LicenseType, ...]:
    """Return the license types: three with known national codes, four of the demonstration province's own."""
    scope = _element("permitted_scope", "许可范围", "permitted scope", ElementKind.SCOPE)
    own = province_code()
    return (
        _business_license(),
        _permit(
            ROAD_TRANSPORT,
            "道路运输经营许可证",
            "Road transport operation permit",
            _TRANSPORT_MINISTRY,
            scope,
            demonstration=False,
        ),
        _permit(
            RIDE_HAILING,
            "网络预约出租汽车经营许可证",
            "Online ride-hailing operation permit",
            _TRANSPORT_MINISTRY,
            _element("operating_area", "经营区域", "operating area"),
            scope,
            demonstration=False,
        ),
        _permit(
            demonstration_type(1),
            "食品经营许可证(演示)",
            "Food operation permit (demonstration)",
            own,
            _element("business_form", "主体业态", "form of business"),
            _element("operating_items", "经营项目", "operating items", ElementKind.SCOPE),
            demonstration=True,
        ),
        _permit(
            demonstration_type(2),
            "公共场所卫生许可证(演示)",
            "Public place hygiene permit (demonstration)",
            own,
            scope,
            demonstration=True,
        ),
        _permit(
            demonstration_type(3),
            "危险化学品经营许可证(演示)",
            "Dangerous chemicals operation permit (demonstration)",
            own,
            _element("operating_mode", "经营方式", "operating mode"),
            scope,
            demonstration=True,
        ),
        _permit(
            demonstration_type(4),
            "药品经营许可证(演示)",
            "Drug operation permit (demonstration)",
            own,
            _element("quality_manager", "质量负责人", "quality manager", ElementKind.PERSON_NAME),
            scope,
            demonstration=True,
        ),
    )


def _types_of() -> Mapping[str, Sequence[str]]:
    return {
        "market": (BUSINESS_LICENSE, demonstration_type(1), demonstration_type(4)),
        "transport": (ROAD_TRANSPORT, RIDE_HAILING),
        "health": (demonstration_type(2),),
        "emergency": (demonstration_type(3),),
    }


def issuing_authority(type_code: str, area_code: str) -> str:
    """Return the code of the city's department that issues a type in an area. Raises KeyError for unknown types."""
    for department, codes in _types_of().items():
        if type_code in codes:
            return authority_code(department, area_code)
    raise KeyError(type_code)


def _authorities() -> Iterator[Authority]:
    for department in _DEPARTMENTS:
        provincial = authority_code(department.key, PROVINCE.code)
        for seat in (PROVINCE, *CITIES):
            prefix = seat.code[:2] if seat is PROVINCE else seat.code[:4]
            yield Authority(
                code=authority_code(department.key, seat.code),
                name=_department_name(seat, department),
                level="province" if seat is PROVINCE else "city",
                area_code=seat.code,
                parent=None if seat is PROVINCE else provincial,
                scopes=tuple(
                    IssuingScope(type_code=code, areas=(prefix,)) for code in _types_of()[department.key]
                ),
            )


def _department_name(seat: Area, department: _Department) -> str:
    name = department.name
    if seat is PROVINCE and name.endswith("局"):
        name = {"交通运输局": "交通运输厅", "应急管理局": "应急管理厅"}.get(name, name)
    return f"{seat.name}{name}(演示)"


def demo_plan() -> SetupPlan:
    """Return all areas, license types and authorities of the demonstration."""
    types = license_types()
    return SetupPlan(
        areas=(PROVINCE, *CITIES, *DISTRICTS),
        license_types=types,
        authorities=tuple(_authorities()),
        unversioned=frozenset(one.code for one in types),
    )
