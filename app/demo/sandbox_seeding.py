"""Fill the sandbox with the licenses of its magic codes: through the same services that a department uses."""

from datetime import date
from typing import Final

from app.demo.seeding import authority_caller, issue_missing
from app.domain.amending import Renewal
from app.domain.license import License, State
from app.domain.sandbox import Scenario
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


async def seed_sandbox(services: Services) -> None:
    """Issue what is missing and bring each license into its state; doing it again changes nothing.

    But for the license that expires: it is renewed when its end comes near. Raises DomainError as issuing does.
    """
    today = civil_today(services.clock.now())
    wanted = list(sandbox_licenses(today=today))
    held = await issue_missing(services, [one.new for one in wanted], actor=_ACTOR)
    for one in wanted:
        await _bring_about(services, one, held[one.new.type_code, one.new.number], today=today)


async def _bring_about(services: Services, one: SandboxLicense, held: License, *, today: date) -> None:
    caller = authority_caller(held.authority_code, created_at=held.created_at, actor=_ACTOR)
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
