"""Issuing authorities, areas, license types, and which authority may issue what, where and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from elicense.element_kinds import ElementKind as ElementKind


class AuthorityStatus(StrEnum):
    """States of an authority in the trust list."""

    ACTIVE = "active"
    ENDED = "ended"
    DISTRUSTED = "distrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One administrative division (GB/T 2260): six digits and its name."""

    code: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuingScope:
    """What an authority may issue: one type, in areas whose code has one of `areas` (code prefixes) in front."""

    type_code: str
    areas: tuple[str, ...]
    valid_from: date | None = None
    valid_until: date | None = None

    def covers(self, *, type_code: str, area_code: str, on: date) -> bool:
        """Tell whether this scope allows the type in the area on that civil day (both ends included)."""
        return (
            self.type_code == type_code
            and any(area_code.startswith(prefix) for prefix in self.areas)
            and (self.valid_from is None or self.valid_from <= on)
            and (self.valid_until is None or on <= self.valid_until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A department that issues licenses. `code` is its USCC; `level` is province, city or county."""

    code: str
    name: str
    level: str
    area_code: str
    parent: str | None = None
    status: AuthorityStatus = AuthorityStatus.ACTIVE
    scopes: tuple[IssuingScope, ...] = ()

    def may_issue(self, *, type_code: str, area_code: str, on: date) -> bool:
        """Tell whether this authority may issue the type in the area on that civil day."""
        return self.status is AuthorityStatus.ACTIVE and any(
            scope.covers(type_code=type_code, area_code=area_code, on=on) for scope in self.scopes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementDefinition:
    """One element of a license type: its stable name, the label people see, its kind, whether it is required.

    The kind is the normalization a comparison uses (`elicense.element_match`). `personal` marks what speaks of a person
    (a phone number, say): asked only for a purpose that names it. Names of persons are personal whatever the mark.
    """

    name: str
    label: str
    label_en: str
    kind: ElementKind = ElementKind.TEXT
    required: bool = False
    disclosable: bool = True
    max_length: int = 4000
    personal: bool = False

    @property
    def is_personal(self) -> bool:
        """Tell whether this element speaks of a person."""
        return self.personal or self.kind is ElementKind.PERSON_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseType:
    """A license type: 21-character code (GB/T 36904), its names, the defining authority, its elements.

    `holder_kinds` limits nothing when empty. `demonstration` marks types that no national catalog knows.
    `two_person` names the orders that need a second person's approval. `earlier` are the definitions published under
    lower schema versions: credentials name theirs for as long as they live.
    """

    code: str
    name: str
    name_en: str
    defining_authority: str
    schema_version: int = 1
    elements: tuple[ElementDefinition, ...] = ()
    demonstration: bool = False
    description: str = ""
    two_person: tuple[str, ...] = ()
    earlier: "tuple[LicenseType, ...]" = field(default=(), compare=False, repr=False)
    kinds: Mapping[str, ElementKind] = field(init=False, compare=False, repr=False)
    """The kind of each element by name."""

    def __post_init__(self) -> None:
        """Collect the kinds once: every question looks them up."""
        kinds = {element.name: element.kind for element in self.elements}
        object.__setattr__(self, "kinds", MappingProxyType(kinds))

    def element(self, name: str) -> ElementDefinition | None:
        """Return the definition of one element, or None."""
        for element in self.elements:  # a plain loop: asked for every element of every question
            if element.name == name:
                return element
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupPlan:
    """What `setup apply` brings: whole definitions, merged by code, never deleting.

    `unversioned` names the license types that state no schema version: such a one keeps the version it has, or takes
    the next where what is published of it differs.
    """

    areas: Sequence[Area] = field(default_factory=tuple)
    license_types: Sequence[LicenseType] = field(default_factory=tuple)
    authorities: Sequence[Authority] = field(default_factory=tuple)
    unversioned: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupOutcome:
    """What `setup apply` did (or would do): codes per verb and kind."""

    added: Mapping[str, Sequence[str]]
    changed: Mapping[str, Sequence[str]]
    unchanged: Mapping[str, Sequence[str]]
