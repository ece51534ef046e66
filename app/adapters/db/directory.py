"""Areas, license types and authorities: small, read as a whole, cached by their revision."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import date
from typing import Any, Final

from sqlalchemy import select

from app.adapters.db.session import Session
from app.adapters.db.tables import areas, authorities, counters, license_types
from app.domain.authority import (
    Area,
    Authority,
    AuthorityStatus,
    ElementDefinition,
    ElementKind,
    IssuingScope,
    LicenseType,
)

_REVISION: Final = "directory"


class SqlDirectory:
    """Implements `ports.DirectoryRepository`. Every put raises the revision in the same transaction."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def areas(self) -> Sequence[Area]:
        """Return all areas by code."""
        rows = await self._session.rows(select(areas).order_by(areas.c.code))
        return [Area(code=row.code, name=row.name) for row in rows]

    async def license_types(self) -> Sequence[LicenseType]:
        """Return all license types by code."""
        rows = await self._session.rows(select(license_types).order_by(license_types.c.code))
        return [_type_from(row.code, row.definition) for row in rows]

    async def authorities(self) -> Sequence[Authority]:
        """Return all authorities by code."""
        rows = await self._session.rows(select(authorities).order_by(authorities.c.code))
        return [_authority_from(row.code, row.definition) for row in rows]

    async def put_area(self, area: Area) -> None:
        """Store or replace an area."""
        await self._session.put(areas, {"code": area.code, "name": area.name})
        await self._raise_revision()

    async def put_license_type(self, license_type: LicenseType) -> None:
        """Store or replace a license type."""
        definition = _type_definition(license_type)
        await self._session.put(license_types, {"code": license_type.code, "definition": definition})
        await self._raise_revision()

    async def put_authority(self, authority: Authority) -> None:
        """Store or replace an authority with its scopes."""
        definition = _authority_definition(authority)
        await self._session.put(authorities, {"code": authority.code, "definition": definition})
        await self._raise_revision()

    async def revision(self) -> int:
        """Return the number of puts so far."""
        statement = select(counters.c.value).where(counters.c.name == _REVISION)
        return int(await self._session.scalar(statement) or 0)

    async def _raise_revision(self) -> None:
        statement = self._session.insert(counters).values(name=_REVISION, value=1)
        grown = {"value": counters.c.value + 1}
        await self._session.run(statement.on_conflict_do_update(index_elements=["name"], set_=grown))


_TYPE_MEMBERS = frozenset(one.name for one in fields(LicenseType))
"""What a later version of the program adds to a stored definition is passed over: both run during an upgrade."""


def _type_definition(kind: LicenseType) -> dict[str, Any]:
    # Left out where there are none: processes of the version before these know no such member.
    earlier = {"earlier": [_type_definition(one) for one in kind.earlier]} if kind.earlier else {}
    return {
        "name": kind.name,
        "name_en": kind.name_en,
        "defining_authority": kind.defining_authority,
        "schema_version": kind.schema_version,
        "demonstration": kind.demonstration,
        "description": kind.description,
        "two_person": list(kind.two_person),
        "elements": [
            {
                "name": element.name,
                "label": element.label,
                "label_en": element.label_en,
                "kind": element.kind.value,
                "required": element.required,
                "disclosable": element.disclosable,
                "max_length": element.max_length,
                "personal": element.personal,
            }
            for element in kind.elements
        ],
        **earlier,
    }


def _type_from(code: str, definition: Mapping[str, Any]) -> LicenseType:
    elements = tuple(
        ElementDefinition(**{**element, "kind": ElementKind(element["kind"])})
        for element in definition["elements"]
    )
    two_person = tuple(definition.get("two_person", ()))  # stored types are older than the rule
    earlier = tuple(_type_from(code, one) for one in definition.get("earlier", ()))
    known = {name: value for name, value in definition.items() if name in _TYPE_MEMBERS}
    return LicenseType(
        **{**known, "code": code, "elements": elements, "two_person": two_person, "earlier": earlier}
    )


def _authority_definition(authority: Authority) -> dict[str, Any]:
    return {
        "name": authority.name,
        "level": authority.level,
        "area_code": authority.area_code,
        "parent": authority.parent,
        "status": authority.status.value,
        "scopes": [
            {
                "type_code": scope.type_code,
                "areas": list(scope.areas),
                "valid_from": scope.valid_from.isoformat() if scope.valid_from else None,
                "valid_until": scope.valid_until.isoformat() if scope.valid_until else None,
            }
            for scope in authority.scopes
        ],
    }


def _authority_from(code: str, definition: Mapping[str, Any]) -> Authority:
    scopes = tuple(
        IssuingScope(
            type_code=scope["type_code"],
            areas=tuple(scope["areas"]),
            valid_from=_date(scope["valid_from"]),
            valid_until=_date(scope["valid_until"]),
        )
        for scope in definition["scopes"]
    )
    return Authority(
        code=code,
        name=definition["name"],
        level=definition["level"],
        area_code=definition["area_code"],
        parent=definition["parent"],
        status=AuthorityStatus(definition["status"]),
        scopes=scopes,
    )


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
