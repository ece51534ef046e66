"""Credentials: the signed files, handed to the authority that issued them and to their holder."""

from collections.abc import Sequence

from app.domain.api_client import Caller, ClientKind
from app.domain.errors import DomainError, NotFound
from app.domain.license import LicenseFilter
from app.ports import Clock, Store, UnitOfWork
from app.services.answers import Holding, credential_path
from app.services.licenses import may_read_version, read_own
from elicense.encoding import civil_today


class CredentialService:
    """Hands out credentials as stored, byte for byte."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def get(self, license_id: str, *, version: str | None, caller: Caller) -> str:
        """Return the credential of the current version or the one asked for.

        Raises NotFound, also for a version that named another holder than the one who asks.
        """

        async def work(unit: UnitOfWork) -> str:
            license = await read_own(unit, license_id, caller)
            wanted = version if version is not None else license.version
            held = await unit.licenses.version(license_id, wanted)
            if held is None or not may_read_version(held, caller):
                raise NotFound("version of this license")
            return held.credential

        return await self._store.read(work)

    async def holdings(
        self, *, caller: Caller, cursor: str | None, limit: int
    ) -> tuple[Sequence[Holding], str | None]:
        """Return one page of the calling holder's licenses and the next page's cursor, None at the end.

        Raises DomainError `forbidden` for any other client, `invalid_request` for a bad cursor.
        """
        holder_code = caller.client.holder_code
        if caller.client.kind is not ClientKind.HOLDER or holder_code is None:
            raise DomainError("forbidden", "only a holder's key has holdings")
        where = LicenseFilter(holder_code=holder_code, today=civil_today(self._clock.now()))
        page, following = await self._store.read(
            lambda unit: unit.licenses.page(where, cursor=cursor, limit=limit)
        )
        return [Holding(license=item, credential_path=credential_path(item.id)) for item in page], following
