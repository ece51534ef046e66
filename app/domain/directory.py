"""The directory as one read saw it: areas, license types and authorities by code."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.authority import Area, Authority, ElementKind, LicenseType


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """Configuration data at one revision, ready for look-ups."""

    revision: int
    areas: Mapping[str, Area]
    license_types: Mapping[str, LicenseType]
    authorities: Mapping[str, Authority]

    def kinds(self, type_code: str) -> Mapping[str, ElementKind]:
        """Return the kind of each element a license type declares; nothing for an unknown type."""
        license_type = self.license_types.get(type_code)
        return {} if license_type is None else license_type.kinds
