"""Fill the sandbox with the licenses of its magic codes: through the same services that a department uses."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final

from app.domain.amending import Renewal
from app.domain.api_client import DEFAULT_SCOPES, ApiClient, Caller, ClientKind
from app.domain.errors import DomainError
from app.domain.ids import ClientId
from app.domain.license import License, State
from app.domain.sandbox import CODE_TYPE, Scenario
from app.services.container import Services
from app.services.credential_maker import FIRST_VERSION
from app.services.sandbox_licenses import (
    AMENDMENT,
    EXPIRING_AT_LEAST,
    EXPIRING_FOR,
    SandboxLicense,
    sandbox_licenses,
)
from elicense.encoding import civil_today

_ACTOR: Final = "sandbox"
_ROUNDS: Final = 60
_PAUSE: Final = 1.0


async def seed_sandbox(services: Services) -> None:
    """Issue what is missing and bring each license into its state; doing it again changes nothing.

    But for the license that expires: it is renewed when its end comes near. Raises DomainError as issuing does.
    """
    today = civil_today(services.clock.now())
    wanted = list(sandbox_licenses(today=today))
    held = await _issue_missing(services, wanted)
    for one in wanted:
        await _bring_about(services, one, held[one.new.number], today=today)


async def _issue_missing(services: Services, wanted: Sequence[SandboxLicense]) -> Mapping[str, License]:
    """Return the license of each number. A run that was killed leaves promises: recovery finishes them."""
    numbers = [one.new.number for one in wanted]
    for _ in range(_ROUNDS):
        held = await services.store.read(
            lambda unit: unit.licenses.by_numbers(type_code=CODE_TYPE, numbers=numbers)
        )
        missing = [one.new for one in wanted if one.new.number not in held]
        if not missing:
            return held
        answers = await services.issuing.issue_many(missing, actor=_ACTOR)
        refusals = [answer for answer in answers if isinstance(answer, DomainError)]
        if any(refusal.code != "number_taken" for refusal in refusals):
            raise refusals[0]
        if refusals:
            await asyncio.sleep(_PAUSE)
            while await services.issuing.recover():
                pass
    raise DomainError("unavailable", "the sandbox's licenses are promised to a process that has not finished")


async def _bring_about(services: Services, one: SandboxLicense, held: License, *, today: date) -> None:
    caller = _department(held.authority_code, created_at=held.created_at)
    if one.action is not None and held.state is State.ACTIVE:
        await services.lifecycle.act(
            one.action, held.id, reason_code=one.reason_code, reason=one.reason, caller=caller, call=None
        )
    elif one.scenario is Scenario.SUPERSEDED and held.version == FIRST_VERSION:
        await services.amending.amend(
            held.id,
            AMENDMENT,
            reason_code="change_of_address",
            reason="沙箱:住所变更",
            caller=caller,
            call=None,
        )
    elif one.scenario is Scenario.EXPIRING and _ends_soon(held, today=today):
        await services.amending.renew(
            held.id,
            Renewal(valid_until=today + EXPIRING_FOR),
            reason_code="renewal",
            reason="沙箱:延续",
            caller=caller,
            call=None,
        )


def _ends_soon(held: License, *, today: date) -> bool:
    return held.valid_until is not None and held.valid_until < today + EXPIRING_AT_LEAST


def _department(authority_code: str, *, created_at: datetime) -> Caller:
    """Return the sandbox acting for an authority; it is no client and has no key."""
    client = ApiClient(
        id=ClientId(_ACTOR),
        name=_ACTOR,
        kind=ClientKind.AUTHORITY,
        authority_code=authority_code,
        holder_code=None,
        scopes=DEFAULT_SCOPES[ClientKind.AUTHORITY],
        purposes=(),
        default_purpose="",
        calls_per_minute=0,
        batch_limit=0,
        created_at=created_at,
    )
    return Caller(client=client, key_handle=_ACTOR, request_id=_ACTOR)
