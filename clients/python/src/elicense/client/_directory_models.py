"""Answers of the public directories as frozen values: license types, authorities, areas, purposes, codes."""

from dataclasses import dataclass
from datetime import date

from elicense.client._models import (
    Json,
    _day,
    _integer,
    _maybe_integer,
    _maybe_text,
    _object,
    _objects,
    _optional,
    _text,
    _texts,
)
from elicense.client.errors import APIResponseError


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementDefinition:
    """One element of a license type. `kind` says how values are compared, `personal` that purposes may exclude it."""

    name: str
    label: str
    label_en: str
    kind: str
    required: bool
    disclosable: bool
    max_length: int
    personal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseType:
    """A license type and its elements.

    `demonstration` marks one that no national catalog knows; `two_person` names the actions that need two clients.
    """

    code: str
    name: str
    name_en: str
    defining_authority: str
    schema_version: int
    demonstration: bool
    description: str
    two_person: tuple[str, ...]
    elements: tuple[ElementDefinition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityScope:
    """What an authority may issue: one type, in areas whose codes begin with one of `areas`, from and until a day."""

    type_code: str
    areas: tuple[str, ...]
    valid_from: date | None
    valid_until: date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """An issuing authority; `status` is active, ended or distrusted."""

    code: str
    name: str
    level: str
    area_code: str
    parent: str | None
    status: str
    scopes: tuple[AuthorityScope, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """An area (GB/T 2260)."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Purpose:
    """A purpose of verifying and its legal basis.

    `elements` may be asked for it (`*`: all that is not personal); a verification is kept for `retention_days`.
    """

    code: str
    text_zh: str
    text_en: str
    legal_basis: str
    elements: tuple[str, ...]
    retention_days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeExplanation:
    """What one code says, who must act, and whether to send the same again can help (`retry`).

    `kind` is verification (with its `verdict`), problem (with its HTTP `status`), service or import; the same code may
    stand under several of them.
    """

    code: str
    kind: str
    text_zh: str
    text_en: str
    action_zh: str
    action_en: str
    retry: bool
    verdict: str | None
    status: int | None


def license_type_of(value: Json) -> LicenseType:
    """Read a license type. Raises APIResponseError for a missing or wrongly typed member."""
    return LicenseType(
        code=_text(value, "code"),
        name=_text(value, "name"),
        name_en=_text(value, "name_en"),
        defining_authority=_text(value, "defining_authority"),
        schema_version=_integer(value, "schema_version"),
        demonstration=_flag(value, "demonstration"),
        description=_text(value, "description"),
        two_person=_texts(value, "two_person"),
        elements=tuple(_element_of(element) for element in _objects(value, "elements")),
    )


def authority_of(value: Json) -> Authority:
    """Read an authority. Raises APIResponseError as `license_type_of`."""
    return Authority(
        code=_text(value, "code"),
        name=_text(value, "name"),
        level=_text(value, "level"),
        area_code=_text(value, "area_code"),
        parent=_maybe_text(value, "parent"),
        status=_text(value, "status"),
        scopes=tuple(
            AuthorityScope(
                type_code=_text(scope, "type_code"),
                areas=_texts(scope, "areas"),
                valid_from=_optional(_day, _maybe_text(scope, "from")),
                valid_until=_optional(_day, _maybe_text(scope, "until")),
            )
            for scope in _objects(value, "scopes")
        ),
    )


def area_of(value: Json) -> Area:
    """Read an area. Raises APIResponseError as `license_type_of`."""
    return Area(code=_text(value, "code"), name=_text(value, "name"))


def purpose_of(value: Json) -> Purpose:
    """Read a purpose. Raises APIResponseError as `license_type_of`."""
    text = _object(value, "text")
    return Purpose(
        code=_text(value, "code"),
        text_zh=_text(text, "zh"),
        text_en=_text(text, "en"),
        legal_basis=_text(value, "legal_basis"),
        elements=_texts(value, "elements"),
        retention_days=_integer(value, "retention_days"),
    )


def explanation_of(value: Json) -> CodeExplanation:
    """Read what a code says. Raises APIResponseError as `license_type_of`."""
    text, action = _object(value, "text"), _object(value, "action")
    return CodeExplanation(
        code=_text(value, "code"),
        kind=_text(value, "kind"),
        text_zh=_text(text, "zh"),
        text_en=_text(text, "en"),
        action_zh=_text(action, "zh"),
        action_en=_text(action, "en"),
        retry=_flag(value, "retry"),
        verdict=_maybe_text(value, "verdict"),
        status=_maybe_integer(value, "status"),
    )


def _element_of(value: Json) -> ElementDefinition:
    return ElementDefinition(
        name=_text(value, "name"),
        label=_text(value, "label"),
        label_en=_text(value, "label_en"),
        kind=_text(value, "kind"),
        required=_flag(value, "required"),
        disclosable=_flag(value, "disclosable"),
        max_length=_integer(value, "max_length"),
        personal=_flag(value, "personal"),
    )


def _flag(value: Json, name: str) -> bool:
    found = value.get(name)
    if not isinstance(found, bool):
        raise APIResponseError(f"the answer lacks {name}")
    return found
