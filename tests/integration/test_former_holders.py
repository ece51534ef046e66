"""A license of then is found under the holder of then, also where the register was filled before it kept them apart."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore, migrate, open_store
from app.adapters.db.license_rows import license_values, version_values
from app.adapters.db.migrate import _config
from app.adapters.db.tables import license_versions, licenses
from app.domain.amending import Amendment, HolderChange
from app.domain.api_client import ClientKind
from app.domain.license import Holder, License, LicenseVersion, State
from app.domain.verification import LicenseReference
from tests.amending import amend
from tests.builders import make_license, make_version
from tests.installation import BUSINESS_LICENSE, HOLDER, open_installation, uscc
from tests.integration.http_service import HttpService, assert_problem, open_http
from tests.integration.test_past_moments import ask_at, later
from tests.integration.test_versions_repository import add_version, next_of, stored

pytestmark = pytest.mark.anyio

TAKER = Holder(code=uscc(2), code_type="001", name="示例受让商贸有限公司")


def to(holder: Holder) -> HolderChange:
    return HolderChange(code=holder.code, name=holder.name)


def held_by(code: str) -> LicenseReference:
    return LicenseReference(holder_code=code, type_code=BUSINESS_LICENSE)


async def test_a_license_is_found_under_the_holder_of_the_moment_asked_about(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        before = await later(installation)
        await amend(installation, license.id, Amendment(holder=to(TAKER)))
        after = await later(installation)
        old = {"holder_name": HOLDER.name}
        body = await ask_at(installation, held_by(HOLDER.code), before, elements=old)
        assert (body["reason"], body["superseded_by"]) == ("ok", None), body["checks"]
        spaced = f"{HOLDER.code[:8]} {HOLDER.code[8:].lower()}"
        assert (await ask_at(installation, held_by(spaced), before))["reason"] == "ok"
        assert (await ask_at(installation, held_by(TAKER.code), after))["reason"] == "ok"
        assert (await ask_at(installation, held_by(HOLDER.code), after))["reason"] == "not_found"
        assert (await ask_at(installation, held_by(TAKER.code), before))["reason"] == "not_found"
        assert (await installation.ask(held_by(HOLDER.code)))["reason"] == "not_found"
        assert (await installation.ask(held_by(TAKER.code)))["reason"] == "ok"


async def test_a_license_that_came_back_to_its_holder_is_one_license(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        first = await later(installation)
        await amend(installation, license.id, Amendment(holder=to(TAKER)))
        between = await later(installation)
        await amend(installation, license.id, Amendment(holder=to(HOLDER)))
        again = await later(installation)
        for moment, holder, other in (
            (first, HOLDER, TAKER),
            (between, TAKER, HOLDER),
            (again, HOLDER, TAKER),
        ):
            assert (await ask_at(installation, held_by(holder.code), moment))["reason"] == "ok"
            assert (await ask_at(installation, held_by(other.code), moment))["reason"] == "not_found"


async def test_the_replaced_version_keeps_its_holder_and_the_one_in_force_has_none(
    store: SqlStore,
) -> None:
    before = await stored(store)
    assert not await store.read(
        lambda unit: unit.licenses.find_by_former_holder(before.holder.code, type_code=before.type_code)
    )
    assert await add_version(store, before)
    found = await store.read(
        lambda unit: unit.licenses.find_by_former_holder(before.holder.code, type_code=before.type_code)
    )
    assert [snapshot.license for snapshot in found] == [next_of(before)]
    for holder, type_code in ((TAKER.code, before.type_code), (before.holder.code, "other")):
        assert not await store.read(
            lambda unit, holder=holder, type_code=type_code: unit.licenses.find_by_former_holder(
                holder, type_code=type_code
            )
        )


def _file_of(license: License) -> str:
    claims = {
        "license": {"holder": {"code": license.holder.code, "name": "示例"}},
        "pad": "?" * len(license.id),
    }
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhIjoxfQ.{payload}.c2ln~WyJh.Il0~"


def _of_two(number: str, *, index: int, file: str | None = None) -> tuple[License, list[LicenseVersion]]:
    """Return a license at its second version, which changed the holder."""
    first = make_license(number)
    after = replace(next_of(first), holder=TAKER)
    old = replace(
        make_version(first, index=index), state=State.SUPERSEDED, credential=file or _file_of(first)
    )
    return after, [old, replace(make_version(after, index=index + 1), credential=_file_of(after))]


async def test_replaced_versions_of_an_older_register_get_their_holder_from_their_own_files(
    empty_database_url: str,
) -> None:
    """Damaged files stop nothing: such a version is merely not found under its holder of then."""
    whole = [_of_two(f"N-{number}", index=2 * number) for number in range(3)]
    damaged, damaged_versions = _of_two("N-9", index=90, file="header.pay-load.signature~")
    alone = make_license("N-10")
    rows = [*whole, (damaged, damaged_versions), (alone, [make_version(alone, index=99)])]

    def fill(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0009")
        values = [license_values(license) for license, _ in rows]
        for value in values:
            del value["holder_key"]  # a column of later
        connection.execute(licenses.insert(), values)
        versions = [version_values(version) for _, versions in rows for version in versions]
        connection.execute(license_versions.insert(), versions)

    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.run_sync(fill)
    await migrate(empty_database_url)
    async with engine.connect() as connection:
        kept = await connection.execute(
            text("SELECT license_id, version FROM license_versions WHERE former_holder_code IS NOT NULL")
        )
        assert {tuple(row) for row in kept} == {(license.id, "001") for license, _ in whole}
    await engine.dispose()
    store = open_store(empty_database_url)
    found = await store.read(
        lambda unit: unit.licenses.find_by_former_holder(alone.holder.code, type_code=alone.type_code)
    )
    assert {snapshot.license.id for snapshot in found} == {license.id for license, _ in whole}
    await store.close()


async def test_a_holder_reads_what_named_it_and_nothing_of_who_held_it_before(
    database_url: str, tmp_path: Path
) -> None:
    async with open_http(database_url, tmp_path) as service:
        await service.add_client("taker", kind=ClientKind.HOLDER, holder_code=TAKER.code)
        issued = await service.issue()
        holders = (TAKER, TAKER, HOLDER)
        for number, holder in enumerate(holders):
            named = {"code": holder.code, "name": f"{holder.name}{number}"}
            why = {"reason_code": "transfer", "reason": f"第{number}次"}
            path = f"/v1/licenses/{issued['id']}/amend"
            await service.call("authority", "POST", path, json={**why, "holder": named})
            readers = {"authority": ["001", "002", "003", "004"][: number + 2]}
            readers["taker"] = [] if holder is HOLDER else ["002", "003"][: number + 1]
            readers["holder"] = ["001", "004"] if holder is HOLDER else []
            for role, versions in readers.items():
                assert await _readable(service, role, issued["id"]) == versions, (number, role)


async def _readable(service: HttpService, role: str, license_id: str) -> list[str]:
    """Return the versions whose file a role may read; history and proofs must tell of the same ones."""
    path, readable = f"/v1/licenses/{license_id}", []
    for version in ("001", "002", "003", "004"):
        bare = await service.call(role, "GET", f"{path}/credential", params={"version": version})
        proven = await service.call(
            role, "GET", f"{path}/credential", params={"version": version, "proof": "1"}
        )
        if bare.status_code == 200:
            readable.append(version)
            assert proven.json().get("code", "not_logged_yet") == "not_logged_yet"
        else:
            assert_problem(bare, "not_found")
            assert_problem(proven, "not_found")
    history = await service.call(role, "GET", f"{path}/history")
    told = [entry["version"] for entry in history.json()["data"]] if history.status_code == 200 else []
    assert told == readable
    return readable
