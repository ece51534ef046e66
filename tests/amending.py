"""What tests of further versions say again and again: amend, renew, change, and look at what came of it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.adapters.db import open_store
from app.domain.amending import Amendment, Renewal
from app.domain.errors import DomainError
from app.domain.license import Action, HistoryEntry, License, LicenseVersion
from app.domain.publication import ServiceKey
from app.services.lifecycle import Changed
from elicense.keys import Signer
from tests.installation import Installation, idempotent, services_over

MOVE = Amendment(elements={"address": "南京市示例路2号"})


async def amend(
    installation: Installation,
    license_id: str,
    amendment: Amendment = MOVE,
    *,
    role: str = "authority",
    key: str | None = None,
    reason: str = "住所变更",
) -> License:
    changed = await amend_call(installation, license_id, amendment, role=role, key=key, reason=reason)
    assert changed.license is not None
    return changed.license


async def amend_call(
    installation: Installation,
    license_id: str,
    amendment: Amendment = MOVE,
    *,
    role: str = "authority",
    key: str | None = None,
    reason: str = "住所变更",
) -> Changed:
    return await installation.services.amending.amend(
        license_id,
        amendment,
        reason_code="change_of_address",
        reason=reason,
        caller=await installation.caller(role),
        call=idempotent(key, path=f"/v1/licenses/{license_id}/amend") if key else None,
    )


async def renew(installation: Installation, license_id: str, renewal: Renewal) -> License:
    changed = await installation.services.amending.renew(
        license_id,
        renewal,
        reason_code="renewal",
        reason="到期延续",
        caller=await installation.caller("authority"),
        call=None,
    )
    assert changed.license is not None
    return changed.license


async def act(
    installation: Installation, action: Action, license_id: str, *, role: str = "authority"
) -> None:
    await installation.services.lifecycle.act(
        action,
        license_id,
        reason_code="inspection",
        reason="x",
        caller=await installation.caller(role),
        call=None,
    )


async def versions_of(installation: Installation, license_id: str) -> Sequence[LicenseVersion]:
    return await installation.services.store.read(lambda unit: unit.licenses.versions(license_id))


async def history_of(installation: Installation, license_id: str) -> Sequence[HistoryEntry]:
    return await installation.services.licenses.history(
        license_id, caller=await installation.caller("authority")
    )


async def status_values(installation: Installation, license_id: str) -> list[int | None]:
    async def value(version: LicenseVersion) -> int | None:
        return await installation.services.store.read(
            lambda unit: unit.status.value(list_id=version.status_list_id, index=version.status_index)
        )

    return [await value(version) for version in await versions_of(installation, license_id)]


async def old_credential(installation: Installation, license_id: str, version: str) -> str:
    return await installation.services.credentials.get(
        license_id, version=version, caller=await installation.caller("authority")
    )


class BrokenSigners:
    """Signers whose credential keys are gone, as when a process dies before it signs."""

    def signer(self, key: ServiceKey) -> Signer:
        raise DomainError("unavailable", "the key is not here")


async def crash_while_amending(
    installation: Installation, license_id: str, *, key: str | None = None
) -> None:
    """Amend in a process that dies between the promise and the signature."""
    store = open_store(installation.settings.database_url)
    services = services_over(installation, store, BrokenSigners())
    with pytest.raises(DomainError, match="unavailable"):
        await amend_call(replace(installation, services=services), license_id, key=key)
    await store.close()
