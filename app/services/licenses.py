"""Reading licenses: an authority its own, a holder its own, nobody else any.

Of a license that came to it from another holder, a holder reads what named it alone: the versions that do, and what was
done while they were in force. Who held it before, with which elements and why it changed, is not the new holder's.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import structlog

from app.domain.api_client import Caller, ClientKind
from app.domain.errors import DomainError, NotFound
from app.domain.license import HistoryEntry, License, LicenseFilter, LicenseVersion
from app.ports import Clock, Store, UnitOfWork
from elicense.credential import parse_credential
from elicense.encoding import civil_today
from elicense.problems import FormatError

log = structlog.get_logger()


class LicenseService:
    """Answers who may read what of the register."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def today(self) -> date:
        """Return the civil day (+08:00) on which statuses are computed now."""
        return civil_today(self._clock.now())

    async def get(self, license_id: str, *, caller: Caller) -> License:
        """Return a license. Raises NotFound for one that does not exist or is not the caller's."""
        return await self._store.read(lambda unit: read_own(unit, license_id, caller))

    async def list(
        self, where: LicenseFilter, *, caller: Caller, cursor: str | None, limit: int
    ) -> tuple[Sequence[License], str | None]:
        """Return one page of the caller's licenses and the next page's cursor, None at the end.

        Raises DomainError `forbidden` for callers that may read no license, `invalid_request` for a bad cursor.
        """
        own = replace(narrow(where, caller), today=where.today or self.today())
        return await self._store.read(lambda unit: unit.licenses.page(own, cursor=cursor, limit=limit))

    async def history(self, license_id: str, *, caller: Caller) -> Sequence[HistoryEntry]:
        """Return every event of a license, the first first; for a holder those of the versions that name it.

        Raises NotFound as `get`.
        """

        async def work(unit: UnitOfWork) -> Sequence[HistoryEntry]:
            await read_own(unit, license_id, caller)
            entries = await unit.licenses.history(license_id)
            if caller.client.kind is not ClientKind.HOLDER:
                return entries
            versions = await unit.licenses.versions(license_id)
            own = {held.version for held in versions if may_read_version(held, caller)}
            return [entry for entry in entries if entry.version in own]

        return await self._store.read(work)


def may_read(license: License, caller: Caller) -> bool:
    """Tell whether the caller may read this license."""
    client = caller.client
    if client.kind is ClientKind.AUTHORITY:
        return client.authority_code is not None and license.authority_code == client.authority_code
    if client.kind is ClientKind.HOLDER:
        return client.holder_code is not None and license.holder.code == client.holder_code
    return False


def may_read_version(held: LicenseVersion, caller: Caller) -> bool:
    """Tell whether a caller that may read a license may read this version of it: a holder those that name it."""
    if caller.client.kind is not ClientKind.HOLDER:
        return True
    try:
        return parse_credential(held.credential).claims.subject == caller.client.holder_code
    except FormatError:
        log.error("stored_credential_unreadable", identifier=held.identifier)
        return False


def narrow(where: LicenseFilter, caller: Caller) -> LicenseFilter:
    """Limit a filter to the caller's own licenses. Raises DomainError `forbidden` when it can have none.

    Asking for somebody else's gives an empty page, as if there were none.
    """
    client = caller.client
    if client.kind is ClientKind.AUTHORITY and client.authority_code is not None:
        if where.authority_code not in (None, client.authority_code):
            return replace(where, authority_code="")
        return replace(where, authority_code=client.authority_code)
    if client.kind is ClientKind.HOLDER and client.holder_code is not None:
        if where.holder_code not in (None, client.holder_code):
            return replace(where, holder_code="")
        return replace(where, holder_code=client.holder_code)
    raise DomainError("forbidden", "this client may read no licenses")


async def read_own(unit: UnitOfWork, license_id: str, caller: Caller) -> License:
    """Read a license inside a unit of work. Raises NotFound unless it exists and is the caller's."""
    license = await unit.licenses.get(license_id)
    if license is None or not may_read(license, caller):
        raise NotFound("license")
    return license
