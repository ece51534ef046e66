"""The calls for the public directories: no key goes with them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from elicense.client._call import Call
from elicense.client._directory_models import (
    Area,
    Authority,
    CodeExplanation,
    LicenseType,
    Purpose,
    area_of,
    authority_of,
    explanation_of,
    license_type_of,
    purpose_of,
)
from elicense.client._models import Json, Page, page_of
from elicense.client._protocol import json_object

T = TypeVar("T")


def license_types(cursor: str | None) -> Call[Page[LicenseType]]:
    """Fetch one page of license types."""
    return _page("license-types", license_type_of, cursor)


def license_type(code: str) -> Call[LicenseType]:
    """Fetch one license type."""
    return _public(["v1", "license-types", code], license_type_of)


def authorities(cursor: str | None) -> Call[Page[Authority]]:
    """Fetch one page of authorities."""
    return _page("authorities", authority_of, cursor)


def areas(cursor: str | None) -> Call[Page[Area]]:
    """Fetch one page of areas."""
    return _page("areas", area_of, cursor)


def purposes(cursor: str | None) -> Call[Page[Purpose]]:
    """Fetch one page of purposes."""
    return _page("purposes", purpose_of, cursor)


def reasons(cursor: str | None) -> Call[Page[CodeExplanation]]:
    """Fetch one page of codes."""
    return _page("reasons", explanation_of, cursor)


def _page(name: str, read: Callable[[Json], T], cursor: str | None) -> Call[Page[T]]:
    return _public(["v1", name], lambda page: page_of(page, read), cursor=cursor)


def _public(path: Sequence[str], read: Callable[[Json], T], *, cursor: str | None = None) -> Call[T]:
    return Call(
        method="GET",
        path=path,
        read=lambda answer: read(json_object(answer)),
        query={"cursor": cursor},
        needs_key=False,
    )
