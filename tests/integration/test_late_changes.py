"""No worker at work: what a late scheduled change is about is not called in force, and nothing else suffers."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from app.domain.verification import LicenseReference, Question
from app.services.late_changes import LATE
from tests.amending import amend, old_credential
from tests.installation import BUSINESS_LICENSE, HOLDER, open_again, open_installation, uscc
from tests.integration.ordering import schedule, set_clock

pytestmark = pytest.mark.anyio


async def test_while_a_change_is_late_its_license_cannot_be_told(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        of_other = {"code": uscc(2), "code_type": "001", "name": "样例公司"}
        license = await amend(installation, (await installation.issue()).id)
        bystander = await installation.issue(holder=type(HOLDER)(**of_other))
        change = await schedule(installation, "revoke", license.id, seconds=60)
        ways = (
            Question(credential=await installation.credential(license)),
            Question(license=LicenseReference(identifier=license.identifier)),
            Question(license=LicenseReference(number=license.number, type_code=BUSINESS_LICENSE)),
            Question(license=LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE)),
        )
        old = Question(credential=await old_credential(installation, license.id, "001"))
        untouched = Question(credential=await installation.credential(bystander))
        asked = [*ways, old, untouched]

        async def reasons() -> list[str]:
            alone = [str((await installation.ask(question))["reason"]) for question in asked]
            caller = await other.caller("platform")
            batch = await other.services.verification.batch(asked, caller=caller, call=None)
            assert batch.body is not None
            assert alone == [one["reason"] for one in batch.body["results"]]  # type: ignore[attr-defined]
            return alone

        set_clock(installation, change.effective_at + LATE - timedelta(seconds=5))
        assert await reasons() == [*["ok"] * 4, "superseded", "ok"]
        set_clock(installation, change.effective_at + LATE + timedelta(seconds=1))
        assert await reasons() == [*["status_unavailable"] * 4, "superseded", "ok"]
        answer = await installation.ask(ways[0])
        assert (answer["verdict"], answer["result_code"], answer["next_check_due"]) == (
            "indeterminate",
            None,
            None,
        )
        assert "尚未执行" in str(answer["checks"])
        assert await installation.services.due_changes.perform_due() == 1
        assert await reasons() == [*["revoked"] * 4, "superseded", "ok"]


async def test_a_process_that_has_not_looked_yet_lets_nobody_ask_before_it_has(
    database_url: str, tmp_path: Path, statements: list[tuple[str, object]]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        change = await schedule(installation, "revoke", license.id, seconds=60)
        by_identifier = Question(license=LicenseReference(identifier=license.identifier))
        by_file = Question(credential=await installation.credential(license))
        set_clock(installation, change.effective_at + LATE + timedelta(seconds=1))
        async with open_again(installation) as other:
            caller = await other.caller("platform")
            answers = await asyncio.gather(*(other.ask(by_identifier) for _ in range(8)))
            assert {str(answer["reason"]) for answer in answers} == {"status_unavailable"}
            del statements[:]
            await other.services.verification.batch([by_identifier, by_file] * 20, caller=caller, call=None)
            looked = [sql for sql, _ in statements if "scheduled_changes" in sql and "DISTINCT" in sql]
            assert len(looked) == 1, "one look for all questions of a batch"
