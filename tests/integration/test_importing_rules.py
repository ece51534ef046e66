"""What an import must never do: sign the wrong thing, take away in silence, promise what it cannot keep."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from elicense.credential import parse_credential
from tests.importing import Run, all_issued, run_import
from tests.installation import AUTHORITY, HOLDER, Installation, open_installation
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
