"""Revocations racing amendments in separate processes: the revocation wins, and no version stays in force."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.bootstrap import open_services
from app.domain.api_client import Caller
from app.domain.license import License
from app.domain.verification import Question
from app.services.container import Services
from elicense.policy import DEFAULT_POLICY
from elicense.verify import gather_offline, verify_credential
from tests.databases import run_apart
from tests.faults.checker import check_register_now
from tests.faults.process import new_license
from tests.faults.register import Register
from tests.installation import AREA, AUTHORITY, BUSINESS_LICENSE, test_settings

AMENDERS = 2


def _issue(register: Register, *, count: int, round_: int) -> dict[str, str]:
    """Issue licenses and return their numbers by id."""

    async def issue() -> dict[str, str]:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            rows = [
                new_license(
                    f"A{round_}-{index:05d}", authority=AUTHORITY, type_code=BUSINESS_LICENSE, area_code=AREA
                )
                for index in range(count)
            ]
            issued = await services.issuing.issue_many(rows, actor="fault-test")
            return {license_.id: license_.number for license_ in issued if isinstance(license_, License)}

    return run_apart(issue)


def _in_force(register: Register, license_ids: Sequence[str]) -> list[str]:
    """Ask about every version of every license, online and with a bundle published now; name those that are valid."""

    async def ask() -> list[str]:
        async with open_services(test_settings(register.database_url, register.folder)) as services:
            found = await services.api_clients.authenticate(register.keys["platform"])
            caller = Caller(client=found.client, key_handle=found.handle, request_id="fault-test")
            await services.status_lists.publish_due()
            await services.freshness.publish_due()
            return [line for id_ in license_ids for line in await _valid_versions(services, id_, caller)]

    return run_apart(ask)


async def _valid_versions(services: Services, license_id: str, caller: Caller) -> list[str]:
    evidence = gather_offline(
        trust_root=(await services.trust_list.root()).content,
        bundle=await services.freshness.bundle(),
        now=services.clock.now(),
    )
    valid = []
    for version in await services.store.read(lambda unit: unit.licenses.versions(license_id)):
        answer = await services.verification.verify(
            Question(credential=version.credential), caller=caller, call=None
        )
        assert answer.body is not None
        if answer.body["verdict"] != "invalid":
            valid.append(f"{version.identifier}: {answer.body['verdict']} online after its revocation")
        if verify_credential(version.credential, evidence=evidence, policy=DEFAULT_POLICY):
            valid.append(f"{version.identifier}: valid offline after its revocation")
    return valid


def _race(register: Register, *, count: int, twin: str, round_: int = 0) -> tuple[list[str], int]:
    """Amend all licenses over and over while they are revoked one by one; return faults and amendments made."""
    numbers = _issue(register, count=count, round_=round_)
    ids = "\n".join(numbers) + "\n"
    amenders = [
        register.start("amend", "--prefix", f"amender-{who}-", "--twin", twin) for who in range(AMENDERS)
    ]
    for amender in amenders:
        amender.wait_ready()
    with ThreadPoolExecutor(AMENDERS) as readers:
        # All are read as they speak: one that waits until its line is taken keeps its promise, and the others wait too.
        amending = [readers.submit(amender.finish, ids) for amender in amenders]
        lines = register.start("revoke", "--pause", 0.05).finish(ids)
        amended = [line for ended in amending for line in ended.result() if line.startswith("amended")]
    revoked = [line.split()[1] for line in lines if line.startswith("revoked")]
    assert len(revoked) == count
    newest: dict[str, str] = {}
    for line in amended:
        _, license_id, identifier = line.split()
        newest[numbers[license_id]] = identifier
    made = len(amended)
    faults = check_register_now(register.database_url, newest, [numbers[id_] for id_ in revoked])
    return faults + _in_force(register, revoked), made


async def _given_up(database_url: str) -> int:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return int(
                await connection.scalar(text("SELECT count(*) FROM intents WHERE state = 'voided'")) or 0
            )
    finally:
        await engine.dispose()


def test_a_revocation_wins_against_amendments_on_their_way(register: Register) -> None:
    faults, made = _race(register, count=30, twin="slow_writes")
    assert faults == []
    assert made > 0
    assert asyncio.run(_given_up(register.database_url)) > 0, "they never met: this race shows nothing"


@pytest.mark.soak
def test_500_revocations_win_against_amendments_on_their_way(register: Register) -> None:
    faults, made = _race(register, count=500, twin="slow_writes")
    assert faults == []
    assert made > 0


def test_the_check_finds_amendments_that_do_not_compare_their_predecessor(register: Register) -> None:
    for round_ in range(5):
        faults, _ = _race(register, count=20, twin="unchecked_amendment", round_=round_)
        if any("valid offline after its revocation" in line for line in faults):
            return
    raise AssertionError("five rounds of unchecked amendments, and no revoked license answers valid")
