"""The public directories of a service, which need no key."""

from elicense.client import _directory_calls as calls
from elicense.client._call import Caller, each
from elicense.client._directory_models import Area, Authority, CodeExplanation, LicenseType, Purpose


class Directory:
    """What a service knows of license types, authorities, areas, purposes and codes. Public; each list is whole."""

    def __init__(self, client: Caller) -> None:
        self._client = client

    def license_types(self) -> list[LicenseType]:
        """Fetch all license types, each with its elements."""
        return list(each(self._client, calls.license_types))

    def license_type(self, code: str) -> LicenseType:
        """Fetch one license type. Raises NotFoundError."""
        return self._client._run(calls.license_type(code))

    def authorities(self) -> list[Authority]:
        """Fetch all issuing authorities, and what each may issue where."""
        return list(each(self._client, calls.authorities))

    def areas(self) -> list[Area]:
        """Fetch all areas."""
        return list(each(self._client, calls.areas))

    def purposes(self) -> list[Purpose]:
        """Fetch the purposes a verification may be made for."""
        return list(each(self._client, calls.purposes))

    def reasons(self) -> list[CodeExplanation]:
        """Fetch every code the service answers with: what it says, who must act, whether to try again."""
        return list(each(self._client, calls.reasons))
