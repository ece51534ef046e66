"""The import on a real database: every good row issued and signed, every other listed, a second run changes nothing."""

import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys, open_services
from app.demo.seeding import authority_caller
from app.domain.amending import Amendment
from app.domain.import_batch import ImportFileError
from app.domain.license import Action
from app.services.container import Services
from app.services.demo_directory import authority_code, demo_plan
from app.settings import DEMO_ISSUER_URL, load_settings
from elicense.policy import DEFAULT_POLICY
from elicense.verify import gather_offline, verify_credential
from tests.importing import NANJING as AUTHORITY
from tests.importing import all_issued, run_import
from tests.register_file import make_register

pytestmark = pytest.mark.anyio


@pytest.fixture
async def services(database_url: str, tmp_path: Path) -> AsyncIterator[Services]:
    settings = load_settings(
        tmp_path,
        environ={},
        environment="development",
        database_url=database_url,
        default_environment="development",
    )
    async with open_services(settings, uninitialized=True) as opened:
        await opened.directory.apply(demo_plan(), dry_run=False, actor="test")
        await opened.ceremony.init(root_keys=open_root_keys(settings), issuer_url=DEMO_ISSUER_URL)
    async with open_services(settings) as opened:
        yield opened


async def test_a_real_register_is_issued_signed_and_listed(services: Services, tmp_path: Path) -> None:
    register = make_register()
    run = await run_import(services, tmp_path, register.text)
    assert run.summary.rows == register.rows == 828
    assert {row.row.line: row.code for row in run.refused} == register.refused
    assert run.summary.accepted == len(register.numbers) == 828 - len(register.refused)
    assert (run.summary.unchanged, run.summary.amended) == (0, 0)

    issued = await all_issued(services)
    assert {one.license.number for one in issued} == set(register.numbers)
    await services.status_lists.publish_due()
    await services.freshness.publish_due()
    evidence = gather_offline(
        trust_root=(await services.trust_list.root()).content,
        bundle=await services.freshness.bundle(),
        now=services.clock.now(),
    )
    reports = [
        verify_credential(one.version.credential, evidence=evidence, policy=DEFAULT_POLICY) for one in issued
    ]
    assert [report.reason for report in reports if not report] == []

    listed = list(csv.reader(io.StringIO(run.errors)))
    assert len(listed) == 1 + len(register.refused)
    assert listed[1][5:][0] == str(run.refused[0].row.line - 1), "the row follows as it came"


async def test_running_it_again_changes_nothing(services: Services, tmp_path: Path) -> None:
    register = make_register(rows=120)
    await run_import(services, tmp_path, register.text)
    before = await all_issued(services)
    again = await run_import(services, tmp_path, register.text)
    assert again.summary.accepted == 0
    assert again.summary.unchanged == len(register.numbers)
    assert {row.row.line: row.code for row in again.refused} == register.refused
    assert await all_issued(services) == before


async def test_a_row_that_differs_from_the_live_license_amends_it(services: Services, tmp_path: Path) -> None:
    register = make_register(rows=5)
    await run_import(services, tmp_path, register.text)
    before = {one.license.number: one.license for one in await all_issued(services)}
    text = register.text.replace("样例2号", "改名2号")
    dry = await run_import(services, tmp_path, text, dry_run=True)
    assert (dry.summary.amended, dry.summary.unchanged, dry.refused) == (1, 4, [])
    assert {one.license.number: one.license for one in await all_issued(services)} == before
    changed = await run_import(services, tmp_path, text)
    assert (changed.summary.amended, changed.summary.unchanged, changed.refused) == (1, 4, [])
    after = {one.license.number: one.license for one in await all_issued(services)}
    (amended,) = [license for number, license in after.items() if license != before[number]]
    assert (amended.version, amended.holder.name) == (
        "002",
        before[amended.number].holder.name.replace("样例2号", "改名2号"),
    )
    caller = authority_caller(AUTHORITY, created_at=amended.created_at)
    entry = (await services.licenses.history(amended.id, caller=caller))[1]
    assert (entry.action, entry.reason_code, entry.actor) == ("amend", "import", "test")
    again = await run_import(services, tmp_path, text)
    assert (again.summary.amended, again.summary.unchanged) == (0, 5)


async def test_a_file_takes_away_only_what_it_has_a_column_for(services: Services, tmp_path: Path) -> None:
    header = "number,holder.code,holder.name,issue_date,area_code,elements.address,elements.business_scope\n"
    row = "C1,91320102MAXXX0015L,甲,2020-01-01,320100,一号,零售\n"
    await run_import(services, tmp_path, header + row, mapping=None)
    narrow = "number,holder.code,holder.name,issue_date,elements.business_scope\n"
    run = await run_import(
        services, tmp_path, narrow + "C1,91320102MAXXX0015L,乙,2020-01-01,\n", mapping=None
    )
    assert (run.summary.amended, run.refused) == (1, [])
    (held,) = await all_issued(services)
    assert dict(held.license.elements) == {"address": "一号"}
    assert (held.license.holder.name, held.license.area_code, held.license.version) == ("乙", "320100", "002")


async def test_the_same_file_again_does_not_undo_what_a_department_amended(
    services: Services, tmp_path: Path
) -> None:
    header = "number,holder.code,holder.name,issue_date,elements.address\n"
    text = f"{header}C1,91320102MAXXX0015L,甲,2020-01-01,一号\n"
    await run_import(services, tmp_path, text, mapping=None)
    (held,) = await all_issued(services)
    caller = authority_caller(AUTHORITY, created_at=held.license.created_at)
    await services.amending.amend(
        held.license.id,
        Amendment(elements={"address": "二号"}),
        reason_code="change_of_address",
        reason="x",
        caller=caller,
        call=None,
    )
    again = await run_import(services, tmp_path, text, mapping=None)
    assert (again.summary.amended, again.summary.unchanged) == (0, 1)
    (held,) = await all_issued(services)
    assert held.license.elements["address"] == "二号"


async def test_a_row_whose_amendment_breaks_a_rule_is_listed(services: Services, tmp_path: Path) -> None:
    header = "number,holder.code,holder.name,issue_date,area_code,elements.address\n"
    await run_import(
        services, tmp_path, header + "C1,91320102MAXXX0015L,甲,2020-01-01,320100,一号\n", mapping=None
    )
    text = header + "C1,91320102MAXXX0015L,甲,2020-01-01,320500,一号\n"
    for dry_run in (True, False):
        run = await run_import(services, tmp_path, text, mapping=None, dry_run=dry_run)
        assert [(row.code, run.summary.amended) for row in run.refused] == [("not_authorized_to_issue", 0)]
    assert [one.license.version for one in await all_issued(services)] == ["001"]


async def test_a_number_of_another_authority_is_taken(services: Services, tmp_path: Path) -> None:
    header = "number,holder.code,holder.name,issue_date,area_code\n"
    row = "C1,91320102MAXXX0015L,甲,2020-01-01"
    other = authority_code("market", "320500")
    await run_import(services, tmp_path, f"{header}{row},320500\n", mapping=None, authority=other)
    run = await run_import(services, tmp_path, f"{header}{row},320100\n", mapping=None)
    assert [(one.code, one.column) for one in run.refused] == [("number_taken", "number")]


async def test_an_ended_license_keeps_its_number(services: Services, tmp_path: Path) -> None:
    register = make_register(rows=3)
    await run_import(services, tmp_path, register.text)
    ended = (await all_issued(services))[0].license
    caller = authority_caller(AUTHORITY, created_at=ended.created_at)
    await services.lifecycle.act(
        Action.CANCEL, ended.id, reason_code="holder_request", reason="x", caller=caller, call=None
    )
    assert (await run_import(services, tmp_path, register.text)).summary.unchanged == 3
    changed = await run_import(services, tmp_path, register.text.replace("(演示)", "(另)"))
    assert [row.code for row in changed.refused] == ["number_taken"]
    assert changed.summary.amended == 2


async def test_a_dry_run_judges_alike_and_issues_nothing(services: Services, tmp_path: Path) -> None:
    register = make_register(rows=120)
    dry = await run_import(services, tmp_path, register.text, dry_run=True)
    assert dry.summary.accepted == len(register.numbers)
    assert {row.row.line: row.code for row in dry.refused} == register.refused
    assert await all_issued(services) == []


async def test_an_area_outside_the_authoritys_scope_is_listed(services: Services, tmp_path: Path) -> None:
    text = (
        "number,holder.code,holder.name,issue_date,area_code\n"
        "A1,91320102MAXXX0015L,甲,2020-01-01,320500\n"
        "A2,91320102MAXXX0015L,甲,2020-01-01,320100\n"
    )
    run = await run_import(services, tmp_path, text, mapping=None)
    assert [(row.row.line, row.code) for row in run.refused] == [(2, "not_authorized_to_issue")]
    assert run.summary.accepted == 1
    dry = await run_import(services, tmp_path, text, mapping=None, dry_run=True)
    assert [(row.row.line, row.code) for row in dry.refused] == [(2, "not_authorized_to_issue")]


@pytest.mark.parametrize(
    ("header", "match"),
    [
        ("number,holder.code,issue_date", "holder.name"),
        ("number,holder.code,holder.name", "issue_date"),
        ("number,holder.code,holder.name,issue_date,elements.nothing", "nothing"),
    ],
)
async def test_a_file_that_cannot_be_used_at_all_is_refused_before_any_row(
    services: Services, tmp_path: Path, header: str, match: str
) -> None:
    with pytest.raises(ImportFileError, match=match):
        await run_import(services, tmp_path, header + "\n1,2,3\n", mapping=None)


async def test_what_cannot_be_signed_is_listed_and_a_line_break_is_no_such_thing(
    services: Services, tmp_path: Path
) -> None:
    header = "number,holder.code,holder.name,issue_date,elements.business_scope\n"
    good = 'B1,91320102MAXXX0015L,甲,2020-01-01,"食品销售;\n日用百货"\n'
    bad = (
        "B2,91320102MAXXX0015L,甲\u202e乙,2020-01-01,x\n"
        "B3,91320102MAXXX0015L,甲,1820-01-01,x\n"
        "B4,91320102MAXXX0015L,甲,2020-01-01,a\x07b\n"
    )
    expected = [
        (4, "text_invalid", "holder.name"),
        (5, "date_invalid", "issue_date"),
        (6, "invalid_elements", "elements.business_scope"),
    ]
    for dry_run in (True, False):
        run = await run_import(services, tmp_path, header + good + bad, mapping=None, dry_run=dry_run)
        assert [(row.row.line, row.code, row.column) for row in run.refused] == expected
        assert run.summary.accepted == 1
    (issued,) = await all_issued(services)
    assert issued.license.elements["business_scope"] == "食品销售; 日用百货"
