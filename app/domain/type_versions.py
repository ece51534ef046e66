"""The published versions of a license type: what a credential's `vct` names is never taken back and never changes."""

from collections.abc import Mapping
from dataclasses import replace

from app.domain.authority import LicenseType, SetupPlan
from elicense.problems import Text


def at_version(license_type: LicenseType, schema_version: str) -> LicenseType | None:
    """Return the definition published under a schema version, as it is written in a `vct`; None for an unknown one."""
    known = (license_type, *license_type.earlier)
    return next((one for one in known if str(one.schema_version) == schema_version), None)


def version_problem(new: LicenseType, held: LicenseType) -> Text | None:
    """Return why a definition cannot follow the one that is held, or None.

    Refused: a lower schema version, and under the same one another content of its type metadata: names, description,
    the elements with their labels.
    """
    if new.schema_version < held.schema_version:
        return Text(
            f"不得低于现有版本 {held.schema_version}",
            f"must not be lower than {held.schema_version}, the present one",
        )
    if new.schema_version == held.schema_version and _published(new) != _published(held):
        return Text(
            f"名称、说明或要素有变,须大于 {held.schema_version}:已公布的类型元数据不得改变",
            f"must be raised above {held.schema_version}: names, description or elements differ, and published type "
            "metadata never changes",
        )
    return None


def settled(plan: SetupPlan, held: Mapping[str, LicenseType]) -> SetupPlan:
    """Return a plan in which every license type has its schema version, those that state none included."""
    types = tuple(
        replace(item, schema_version=_version_of(item, held.get(item.code)))
        if item.code in plan.unversioned
        else item
        for item in plan.license_types
    )
    return replace(plan, license_types=types, unversioned=frozenset())


def _version_of(new: LicenseType, held: LicenseType | None) -> int:
    if held is None:
        return 1
    return held.schema_version + (_published(new) != _published(held))


def following(new: LicenseType, held: LicenseType) -> LicenseType:
    """Return a definition with those that were published before it."""
    if new.schema_version == held.schema_version:
        return replace(new, earlier=held.earlier)
    return replace(new, earlier=(*held.earlier, replace(held, earlier=())))


def _published(license_type: LicenseType) -> object:
    elements = [(one.name, one.label, one.label_en) for one in license_type.elements]
    return license_type.name, license_type.name_en, license_type.description, elements
