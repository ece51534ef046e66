"""What an import must never do: sign the wrong thing, take away in silence, promise what it cannot keep."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.amending import Amendment, HolderChange, Renewal
from app.domain.authority import IssuingScope
from app.domain.license import License
from elicense.credential import parse_credential
from tests.importing import Run, all_issued, run_import
from tests.installation import (
    AREA,
    AUTHORITY,
    HOLDER,
    TRANSPORT_TYPE,
    Installation,
    open_again,
    open_installation,
    uscc,
)
from tests.installation import test_plan as setup
from tests.simulated_signers import SimulatedSigner

pytestmark = pytest.mark.anyio
HOLDER_KEY = dict(SimulatedSigner().public_key.jwk)
HEADER = "number,holder.code,holder.name,issue_date,valid_until,elements.address\n"


@pytest.fixture
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    async with open_installation(database_url, tmp_path) as opened:
        yield opened


def row(number: str, address: str = "一号", *, until: str = "2030-01-01", holder: str = HOLDER.code) -> str:
    return f"{number},{holder},{HOLDER.name},2024-01-01,{until},{address}\n"


async def take(office: Installation, folder: Path, text: str | bytes, *, dry_run: bool = False) -> Run:
    return await run_import(office.services, folder, text, mapping=None, dry_run=dry_run, authority=AUTHORITY)


async def addresses(office: Installation) -> dict[str, str]:
    held = await all_issued(office.services, authority=AUTHORITY)
    return {one.license.number: one.license.elements.get("address", "") for one in held}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_unclosed_quote_signs_nobodys_data_into_anothers_license(
    office: Installation, tmp_path: Path, *, dry_run: bool
) -> None:
    text = HEADER + row("Q1", "一号") + row("Q2", '"二号') + row("Q3", "三号") + row("Q4", "四号")
    run = await take(office, tmp_path, text, dry_run=dry_run)
    assert run.listed == [(3, "", "quotes_unpaired")]
    assert (run.summary.rows, run.summary.accepted) == (4, 3)
    assert await addresses(office) == ({} if dry_run else {"Q1": "一号", "Q3": "三号", "Q4": "四号"})


async def test_an_amendment_by_a_file_keeps_the_holders_key(office: Installation, tmp_path: Path) -> None:
    before = await office.issue(number="K1", holder_key=HOLDER_KEY)
    run = await take(office, tmp_path, HEADER + row("K1", "二号"))
    assert (run.summary.amended, run.refused) == (1, [])
    (held,) = await all_issued(office.services, authority=AUTHORITY)
    assert (held.license.version, held.license.holder_key) == ("002", before.holder_key)
    assert parse_credential(held.version.credential).cnf == {"jwk": before.holder_key}


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_number_that_no_database_takes_is_listed_and_stops_no_other_row(
    office: Installation, tmp_path: Path, *, dry_run: bool
) -> None:
    text = HEADER + row("Z1") + row("Z\x002") + row("Z3")
    run = await take(office, tmp_path, text, dry_run=dry_run)
    assert run.listed == [(3, "number", "text_invalid")]
    assert run.summary.accepted == 2


async def both(office: Installation, folder: Path, text: str, **options: Any) -> Run:
    """Import for trial and in truth, demand one answer, and return it."""
    dry = await run_import(
        office.services, folder, text, mapping=None, dry_run=True, authority=AUTHORITY, **options
    )
    true = await run_import(office.services, folder, text, mapping=None, authority=AUTHORITY, **options)
    assert (dry.summary, dry.listed, dry.errors) == (true.summary, true.listed, true.errors)
    return true


async def test_a_dry_run_refuses_what_the_published_trust_list_does_not_name(
    office: Installation, tmp_path: Path
) -> None:
    plan = setup()
    scope = IssuingScope(type_code=TRANSPORT_TYPE, areas=(AREA[:4],))
    wider = replace(plan.authorities[0], scopes=(*plan.authorities[0].scopes, scope))
    await office.services.directory.apply(
        replace(plan, authorities=(wider, *plan.authorities[1:])), dry_run=False, actor="test"
    )
    text = f"number,holder.code,holder.name,valid_from\nT1,{HOLDER.code},{HOLDER.name},2024-01-01\n"
    run = await both(office, tmp_path, text, type_code=TRANSPORT_TYPE)
    assert run.listed == [(2, "area_code", "not_authorized_to_issue")]


async def test_a_dry_run_refuses_what_does_not_fit_into_a_credential(
    office: Installation, tmp_path: Path
) -> None:
    long = "".join(f",{'长' * 4000}" for _ in range(4))
    header = "number,holder.code,holder.name,issue_date"
    named = ",elements.address,elements.business_scope,elements.company_type,elements.legal_representative\n"
    text = f"{header}{named}L1,{HOLDER.code},{HOLDER.name},2024-01-01{long}\n"
    run = await both(office, tmp_path, text)
    assert run.listed == [(2, "elements", "invalid_elements")]


async def test_a_dry_run_of_good_rows_reserves_nothing(office: Installation, tmp_path: Path) -> None:
    async def reserved() -> list[int]:
        lists = await office.services.store.read(lambda unit: unit.status.lists())
        return [one.allocated for one in lists]

    before = await reserved()
    await office.issue(number="D0")
    first = await reserved()
    for text in (row("D0", "二号"), row("D1")):
        # Another process has no places left over from earlier.
        async with open_again(office) as other:
            run = await take(other, tmp_path, HEADER + text, dry_run=True)
        assert (run.summary.accepted + run.summary.amended, run.refused) == (1, [])
    assert before != first == await reserved()
    assert await addresses(office) == {"D0": "南京市示例路1号(A座)"}


async def test_a_dry_run_refuses_the_version_after_the_last(office: Installation, tmp_path: Path) -> None:
    license = await office.issue(number="V1")
    engine = create_async_engine(office.settings.database_url)
    async with engine.begin() as connection:
        for table, column in (("licenses", "id"), ("license_versions", "license_id")):
            await connection.execute(
                sql(f"UPDATE {table} SET version = '999' WHERE {column} = :id"), {"id": license.id}
            )
    await engine.dispose()
    run = await both(office, tmp_path, HEADER + row("V1", "二号"))
    assert run.listed == [(2, "number", "versions_exhausted")]


async def the_license(office: Installation) -> License:
    (held,) = await all_issued(office.services, authority=AUTHORITY)
    return held.license


async def amend(office: Installation, license: License, amendment: Amendment) -> None:
    await office.services.amending.amend(
        license.id,
        amendment,
        reason_code="change",
        reason="x",
        caller=await office.caller("authority"),
        call=None,
    )


async def test_a_corrected_cell_undoes_nothing_that_the_department_did_since(
    office: Installation, tmp_path: Path
) -> None:
    await take(office, tmp_path, HEADER + row("C1", "一号", until="2027-01-01"))
    issued = await the_license(office)
    await office.services.amending.renew(
        issued.id,
        Renewal(valid_until=date(2033, 1, 1)),
        reason_code="renewal",
        reason="x",
        caller=await office.caller("authority"),
        call=None,
    )
    renewed = await the_license(office)
    for address in ("二号", "三号"):
        run = await both(office, tmp_path, HEADER + row("C1", address, until="2027-01-01"))
        assert (run.summary.amended, run.refused) == (1, [])
        held = await the_license(office)
        assert (held.valid_until, held.elements["address"]) == (date(2033, 1, 1), address)
        assert held.issue_date == renewed.issue_date


async def test_what_file_and_department_both_changed_is_refused(office: Installation, tmp_path: Path) -> None:
    await take(office, tmp_path, HEADER + row("C1", "一号"))
    await amend(office, await the_license(office), Amendment(elements={"address": "二号"}))
    run = await both(office, tmp_path, HEADER + row("C1", "三号"))
    assert run.listed == [(2, "elements.address", "conflict")]
    agreed = await both(office, tmp_path, HEADER + row("C1", "二号"))
    assert (agreed.summary.unchanged, agreed.refused) == (1, [])
    narrow = f"number,holder.code,holder.name,issue_date\nC1,{HOLDER.code},改名公司,2024-01-01\n"
    assert (await both(office, tmp_path, narrow)).summary.amended == 1
    run = await both(office, tmp_path, HEADER + row("C1", "四号").replace(HOLDER.name, "改名公司"))
    assert run.listed == [(2, "elements.address", "conflict")], (
        "a file without the column has not forgotten it"
    )


async def test_a_row_names_another_holder_only_where_that_is_allowed(
    office: Installation, tmp_path: Path
) -> None:
    await office.issue(number="H1", holder_key=HOLDER_KEY)
    text = HEADER + row("H1", "二号", holder=uscc(2))
    run = await both(office, tmp_path, text)
    assert run.listed == [(2, "holder.code", "holder_differs")]
    allowed = await both(office, tmp_path, text, allow_holder_change=True)
    assert (allowed.summary.amended, allowed.refused) == (1, [])
    held = await the_license(office)
    assert (held.holder.code, held.holder_key) == (uscc(2), None)


async def test_a_holder_that_the_department_changed_stays_when_the_file_says_nothing_new_of_it(
    office: Installation, tmp_path: Path
) -> None:
    await take(office, tmp_path, HEADER + row("H1", "一号"))
    await amend(
        office, await the_license(office), Amendment(holder=HolderChange(code=uscc(2), name="另一家"))
    )
    run = await both(office, tmp_path, HEADER + row("H1", "二号"))
    assert (run.summary.amended, run.refused) == (1, [])
    held = await the_license(office)
    assert (held.holder.code, held.holder.name, held.elements["address"]) == (uscc(2), "另一家", "二号")


async def test_a_corrected_list_of_refused_rows_is_imported_as_the_file_it_came_from(
    office: Installation, tmp_path: Path
) -> None:
    refused = await take(
        office, tmp_path, HEADER + row("E1", "=一号", until="soon") + row("E2", "-", until="x")
    )
    corrected = refused.errors.replace("soon", "2030-01-01").replace(",x,", ",2031-01-01,")
    run = await both(office, tmp_path, corrected)
    assert (run.summary.accepted, run.refused) == (2, [])
    assert await addresses(office) == {"E1": "=一号", "E2": "-"}


async def test_of_rows_with_one_number_the_first_good_one_is_taken(
    office: Installation, tmp_path: Path
) -> None:
    early = row("N1", "一号").replace("2024-01-01", "1890-01-01")
    text = HEADER + early + row("N2") + row("N1", "二号") + row("N1", "三号") + early + row("N2", until="x")
    run = await both(office, tmp_path, text)
    assert run.listed == [
        (2, "issue_date", "date_invalid"),
        (5, "number", "duplicate_in_file"),
        (6, "number", "duplicate_in_file"),
        (7, "valid_until", "date_invalid"),
    ]
    assert (run.summary.accepted, run.summary.rows) == (2, 6)
    assert await addresses(office) == {"N1": "二号", "N2": "一号"}
