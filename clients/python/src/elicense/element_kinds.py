"""What an element holds, and so how a comparison folds it.

Online the license type declares the kind of each of its elements. Whoever verifies offline has no such declaration:
the kind then comes from the element's well-known name, in the table here; any other name is plain text.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class ElementKind(StrEnum):
    """What an element holds; it decides how a comparison folds it."""

    TEXT = "text"
    NAME = "name"
    PERSON_NAME = "person_name"
    CODE = "code"
    DATE = "date"
    AMOUNT = "amount"
    ADDRESS = "address"
    SCOPE = "scope"


NO_KINDS: Mapping[str, ElementKind] = MappingProxyType({})
"""What a license type declares that declares nothing."""

_NAMES_OF_KIND = {
    ElementKind.NAME: "holder_name type_name name authority_name registration_authority",
    ElementKind.PERSON_NAME: (
        "legal_representative person_in_charge operator investor executive_partner quality_manager"
    ),
    ElementKind.CODE: "holder_code identifier number type_code authority_code area_code",
    ElementKind.DATE: "issue_date valid_from valid_until established_date registered_on",
    ElementKind.AMOUNT: "registered_capital",
    ElementKind.ADDRESS: "address business_address",
    ElementKind.SCOPE: "business_scope permitted_scope operating_items",
}

WELL_KNOWN_KINDS: Mapping[str, ElementKind] = MappingProxyType(
    {name: kind for kind, names in _NAMES_OF_KIND.items() for name in names.split()}
)
"""The kinds of the elements whose names mean the same everywhere: metadata (GB/T 36903) and common elements."""


def kind_of(name: str, declared: Mapping[str, ElementKind] = NO_KINDS) -> ElementKind:
    """Return the kind of an element: as declared, else by its well-known name, else text."""
    kind = declared.get(name)
    return kind if kind is not None else WELL_KNOWN_KINDS.get(name, ElementKind.TEXT)
