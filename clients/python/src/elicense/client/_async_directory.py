"""The public directories for asyncio: the calls of `_directory`, awaited."""

from elicense.client import _directory_calls as calls
from elicense.client._call import AsyncCaller, each_async
from elicense.client._directory_models import Area, Authority, CodeExplanation, LicenseType, Purpose


class AsyncDirectory:
    """What a service knows of license types, authorities, areas, purposes and codes. Public; each list is whole."""

    def __init__(self, client: AsyncCaller) -> None:
        self._client = client

    async def license_types(self) -> list[LicenseType]:
        """Fetch all license types, each with its elements."""
        return [one async for one in each_async(self._client, calls.license_types)]

    async def license_type(self, code: str) -> LicenseType:
        """Fetch one license type. Raises NotFoundError."""
        return await self._client._run(calls.license_type(code))

    async def authorities(self) -> list[Authority]:
        """Fetch all issuing authorities, and what each may issue where."""
        return [one async for one in each_async(self._client, calls.authorities)]

    async def areas(self) -> list[Area]:
        """Fetch all areas."""
        return [one async for one in each_async(self._client, calls.areas)]

    async def purposes(self) -> list[Purpose]:
        """Fetch the purposes a verification may be made for."""
        return [one async for one in each_async(self._client, calls.purposes)]

    async def reasons(self) -> list[CodeExplanation]:
        """Fetch every code the service answers with: what it says, who must act, whether to try again."""
        return [one async for one in each_async(self._client, calls.reasons)]
