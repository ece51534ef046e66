"""What must hold of definitions before they are applied: none may make a later issue fail, or read falsely."""

from collections import Counter
from collections.abc import Iterator, Mapping

from app.domain.authority import Authority, IssuingScope, LicenseType, SetupPlan
from app.domain.directory import Directory
from app.domain.errors import FieldError
from app.domain.issuing_rules import MAX_NAME_LENGTH
from app.domain.texts import text_problem
from app.domain.type_versions import version_problem
from elicense.problems import Text

MAX_LABEL_LENGTH = 100
MAX_DESCRIPTION_LENGTH = 2000

_NO_AREA = Text("未定义的区域", "names no defined area")
_NO_AUTHORITY = Text("未定义的颁发机构", "names no defined authority")
_CIRCLE = Text("上级机构成环", "the parents lead in a circle")
_REVERSED = Text("有效期止早于有效期起", "valid_until is before valid_from")


def plan_problems(plan: SetupPlan, directory: Directory) -> list[FieldError]:
    """Return all that is wrong with definitions as they would stand beside those that are there already.

    Names, labels and descriptions that cannot be signed or shown, elements named twice, scopes that end before they
    begin, references to nothing, authorities whose parents lead back to themselves, a change of what is published of a
    license type without a new `schema_version`.
    """
    return [FieldError(pointer, text.en, text.zh) for pointer, text in _problems(plan, directory)]


def _problems(plan: SetupPlan, directory: Directory) -> Iterator[tuple[str, Text]]:
    for area in plan.areas:
        yield from _name(f"/areas/{area.code}/name", area.name, MAX_NAME_LENGTH)
    for license_type in plan.license_types:
        yield from _license_type_problems(license_type)
        held = directory.license_types.get(license_type.code)
        problem = None if held is None else version_problem(license_type, held)
        if problem is not None:
            yield f"/license_types/{license_type.code}/schema_version", problem
    areas = {*directory.areas, *(area.code for area in plan.areas)}
    types = {*directory.license_types, *(item.code for item in plan.license_types)}
    authorities = {**directory.authorities, **{item.code: item for item in plan.authorities}}
    for authority in plan.authorities:
        where = f"/authorities/{authority.code}"
        yield from _name(f"{where}/name", authority.name, MAX_NAME_LENGTH)
        if authority.area_code not in areas:
            yield f"{where}/area_code", _NO_AREA
        yield from _parent_problems(authority, authorities)
        for scope in authority.scopes:
            yield from _scope_problems(f"{where}/scopes", scope, types)


def _license_type_problems(license_type: LicenseType) -> Iterator[tuple[str, Text]]:
    where = f"/license_types/{license_type.code}"
    yield from _name(f"{where}/name", license_type.name, MAX_NAME_LENGTH)
    yield from _name(f"{where}/name_en", license_type.name_en, MAX_NAME_LENGTH)
    if license_type.description:
        # Never signed and shown as a paragraph: its lines may break.
        lines = " ".join(license_type.description.split("\n")).strip(" ")
        yield from _name(f"{where}/description", lines, MAX_DESCRIPTION_LENGTH)
    for element in license_type.elements:
        yield from _name(f"{where}/elements/{element.name}/label", element.label, MAX_LABEL_LENGTH)
        yield from _name(f"{where}/elements/{element.name}/label_en", element.label_en, MAX_LABEL_LENGTH)
    for name, count in Counter(element.name for element in license_type.elements).items():
        if count > 1:
            yield f"{where}/elements/{name}", Text("重复", "is defined twice")


def _scope_problems(where: str, scope: IssuingScope, types: set[str]) -> Iterator[tuple[str, Text]]:
    if scope.type_code not in types:
        yield (
            where,
            Text(f"未定义的证照类型:{scope.type_code}", f"names no defined license type: {scope.type_code}"),
        )
    if (
        scope.valid_from is not None
        and scope.valid_until is not None
        and scope.valid_until < scope.valid_from
    ):
        yield f"{where}/{scope.type_code}", _REVERSED


def _parent_problems(
    authority: Authority, authorities: Mapping[str, Authority]
) -> Iterator[tuple[str, Text]]:
    where = f"/authorities/{authority.code}/parent"
    if authority.parent is not None and authority.parent not in authorities:
        yield where, _NO_AUTHORITY
    above, seen = authority.parent, {authority.code}
    while above is not None and above not in seen:
        seen.add(above)
        found = authorities.get(above)
        above = None if found is None else found.parent
    if above == authority.code:
        yield where, _CIRCLE


def _name(pointer: str, text: str, max_length: int) -> Iterator[tuple[str, Text]]:
    problem = text_problem(text, max_length=max_length)
    if problem is not None:
        yield pointer, problem
