"""Files of `setup apply`: areas, license types and authorities as TOML, read strictly, every problem named at once."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

from app.domain.authority import (
    Area,
    Authority,
    AuthorityStatus,
    ElementDefinition,
    ElementKind,
    IssuingScope,
    LicenseType,
    SetupPlan,
)
from app.domain.order import ORDERS
from elicense.cn import uscc_problem
from elicense.credential import is_element_name
from elicense.element_kinds import kind_of

T = TypeVar("T")
_MOST_BYTES = 16 << 20
_AREA = re.compile(r"[0-9]{6}")
_AREA_PREFIX = re.compile(r"[0-9]{1,6}")
_LEVELS = ("national", "province", "city", "county")


class SetupFileError(Exception):
    """Name every problem of a setup file."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = tuple(problems)


class _Refused(Exception):
    """One problem; the reader goes on with the next definition."""


class _Table:
    """One table of the file: members are taken by name and kind, and what nobody took is a problem."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise _Refused(f"{where}: 不是表 not a table")
        self._left = dict(value)
        self.where = where

    def text(self, name: str, default: str | None = None) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str) or (default is None and not value.strip()):
            raise _Refused(f"{self.where}.{name}: 须为文字 text is needed")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self._left.pop(name, default)
        if not isinstance(value, bool):
            raise _Refused(f"{self.where}.{name}: true 或 or false")
        return value

    def number(self, name: str, default: int) -> int:
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
            raise _Refused(f"{self.where}.{name}: 须为 1 到 1000000 的整数 a whole number is needed")
        return value

    def day(self, name: str) -> date | None:
        value = self._left.pop(name, None)
        if isinstance(value, str):
            try:
                return date.fromisoformat(value)
            except ValueError:
                value = ""
        if value is not None and type(value) is not date:
            raise _Refused(f"{self.where}.{name}: 须为日期 a date is needed")
        return value

    def tables(self, name: str) -> list[object]:
        value = self._left.pop(name, [])
        if not isinstance(value, list):
            raise _Refused(f"{self.where}.{name}: 须为表的数组 an array of tables is needed")
        return value

    def texts(self, name: str, default: list[str] | None = None) -> tuple[str, ...]:
        value = self._left.pop(name, default)
        if (
            not isinstance(value, list)
            or (not value and default is None)
            or not all(isinstance(one, str) for one in value)
        ):
            raise _Refused(f"{self.where}.{name}: 须为文字数组 a list of texts is needed")
        return tuple(value)

    def done(self) -> None:
        if self._left:
            raise _Refused(f"{self.where}: 未知项 unknown members {', '.join(sorted(self._left))}")


def read_setup_file(path: Path) -> SetupPlan:
    """Read definitions. Raises SetupFileError naming all that is wrong, OSError for a file that cannot be read."""
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise SetupFileError([f"{path}: 超过 16 MiB larger than 16 MiB"])
    try:
        document = tomllib.loads(content.decode("utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupFileError([f"{path}: TOML {error}"]) from error
    except RecursionError as error:
        raise SetupFileError([f"{path}: TOML 嵌套过深 is nested too deeply"]) from error
    problems = [f"未知表 unknown table {name}" for name in sorted(set(document) - set(_READERS))]
    areas = _read_all(document, "areas", _area, problems)
    types = _read_all(document, "license_types", _license_type, problems)
    authorities = _read_all(document, "authorities", _authority, problems)
    for what, items in (("areas", areas), ("license_types", types), ("authorities", authorities)):
        codes = [item.code for item in items]
        problems += [
            f"{what}: {code} 重复 twice" for code in sorted({c for c in codes if codes.count(c) > 1})
        ]
    if problems:
        raise SetupFileError(problems)
    unversioned = frozenset(
        one["code"] for one in document.get("license_types", ()) if "schema_version" not in one
    )
    return SetupPlan(areas=areas, license_types=types, authorities=authorities, unversioned=unversioned)


def _read_all(
    document: Mapping[str, object], name: str, read: Callable[[_Table], T], problems: list[str]
) -> tuple[T, ...]:
    entries = document.get(name, [])
    if not isinstance(entries, list):
        problems.append(f"{name}: 须为表的数组 an array of tables is needed")
        return ()
    found = []
    for index, entry in enumerate(entries, start=1):
        try:
            table = _Table(entry, f"{name}[{index}]")
            found.append(read(table))
            table.done()
        except _Refused as refusal:
            problems.append(str(refusal))
    return tuple(found)


def _area(table: _Table) -> Area:
    return Area(code=_area_code(table, "code"), name=table.text("name"))


def _area_code(table: _Table, name: str) -> str:
    code = table.text(name)
    if not _AREA.fullmatch(code):
        raise _Refused(f"{table.where}.{name}: 须为六位数字 six digits are needed")
    return code


def _uscc(table: _Table, name: str) -> str:
    code = table.text(name)
    problem = uscc_problem(code)
    if problem is not None:
        raise _Refused(f"{table.where}.{name}: 统一社会信用代码不正确 not a well-formed USCC ({problem})")
    return code


def _license_type(table: _Table) -> LicenseType:
    code = table.text("code")
    defining = _uscc(table, "defining_authority")
    if len(code) != 21 or code[:18] != defining or not _AREA_PREFIX.fullmatch(code[18:]):
        raise _Refused(
            f"{table.where}.code: 须为定义机构代码加三位顺序号 the defining authority's code and three digits"
        )
    elements = []
    for index, entry in enumerate(table.tables("elements"), start=1):
        element = _Table(entry, f"{table.where}.elements[{index}]")
        elements.append(_element(element))
        element.done()
    return LicenseType(
        code=code,
        name=table.text("name"),
        name_en=table.text("name_en"),
        defining_authority=defining,
        schema_version=table.number("schema_version", 1),
        elements=tuple(elements),
        demonstration=table.flag("demonstration"),
        description=table.text("description", ""),
        two_person=_two_person(table),
    )


def _two_person(table: _Table) -> tuple[str, ...]:
    """Read which orders need a second person; written in one order, so that applying again changes nothing."""
    named = table.texts("two_person", [])
    if not set(named) <= set(ORDERS):
        raise _Refused(f"{table.where}.two_person: {', '.join(ORDERS)}")
    return tuple(order for order in ORDERS if order in named)


def _element(table: _Table) -> ElementDefinition:
    name = table.text("name")
    if not is_element_name(name):
        raise _Refused(
            f"{table.where}.name: 小写字母、数字和下划线,不得与声明同名 "
            "lower-case letters, digits, underscores; not the name of a claim"
        )
    kind = table.text("kind", kind_of(name).value)
    if kind not in set(ElementKind):
        raise _Refused(f"{table.where}.kind: {', '.join(ElementKind)}")
    return ElementDefinition(
        name=name,
        label=table.text("label"),
        label_en=table.text("label_en"),
        kind=ElementKind(kind),
        required=table.flag("required"),
        disclosable=table.flag("disclosable", default=True),
        max_length=table.number("max_length", 4000),
        personal=table.flag("personal"),
    )


def _authority(table: _Table) -> Authority:
    level = table.text("level")
    if level not in _LEVELS:
        raise _Refused(f"{table.where}.level: {', '.join(_LEVELS)}")
    status = table.text("status", AuthorityStatus.ACTIVE.value)
    if status not in set(AuthorityStatus):
        raise _Refused(f"{table.where}.status: {', '.join(AuthorityStatus)}")
    scopes = []
    for index, entry in enumerate(table.tables("scopes"), start=1):
        scope = _Table(entry, f"{table.where}.scopes[{index}]")
        scopes.append(_scope(scope))
        scope.done()
    parent = table.text("parent", "")
    return Authority(
        code=_uscc(table, "code"),
        name=table.text("name"),
        level=level,
        area_code=_area_code(table, "area_code"),
        parent=parent or None,
        status=AuthorityStatus(status),
        scopes=tuple(scopes),
    )


def _scope(table: _Table) -> IssuingScope:
    areas = table.texts("areas")
    if not all(_AREA_PREFIX.fullmatch(area) for area in areas):
        raise _Refused(f"{table.where}.areas: 须为区域代码前缀 prefixes of area codes are needed")
    return IssuingScope(
        type_code=table.text("type_code"),
        areas=areas,
        valid_from=table.day("valid_from"),
        valid_until=table.day("valid_until"),
    )


_READERS = ("areas", "license_types", "authorities")
