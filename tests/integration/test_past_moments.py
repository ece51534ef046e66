"""Asking about a past moment: what held then answers, from the list of then, under what is known now."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.domain.amending import Amendment
from app.domain.errors import DomainError
from app.domain.license import Action, License, RevocationKind
from app.domain.verification import LicenseReference, Question
from elicense.encoding import b64url_decode, rfc3339
from elicense.receipt import question_digest, verify_receipt
from tests.amending import act, amend, old_credential
from tests.installation import BUSINESS_LICENSE, HOLDER, Installation, open_installation

pytestmark = pytest.mark.anyio

HOLDER_REFERENCE = LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE)


async def later(installation: Installation, **by: float) -> datetime:
    """Publish what is due, let time pass and return a moment in between, which the lists cover."""
    await installation.services.status_lists.publish_due()
    await installation.services.freshness.publish_due()
    moment = installation.clock.now().replace(microsecond=0) + timedelta(seconds=1)
    installation.clock.advance(**(by or {"seconds": 60}))
    return moment


async def ask_at(
    installation: Installation,
    way: str | LicenseReference,
    at: datetime,
    *,
    elements: dict[str, str] | None = None,
) -> dict[str, object]:
    named = {"credential": way} if isinstance(way, str) else {"license": way}
    return await installation.ask(Question(at=rfc3339(at), elements=elements, **named))  # type: ignore[arg-type]


async def revoke(installation: Installation, license: License, kind: RevocationKind | None = None) -> None:
    await installation.services.lifecycle.act(
        Action.REVOKE,
        license.id,
        reason_code="inspection",
        reason="x",
        kind=kind,
        caller=await installation.caller("authority"),
        call=None,
    )


async def test_a_revoked_license_was_valid_before_and_is_shown_by_the_list_of_then(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        before = await later(installation)
        await revoke(installation, license, RevocationKind.PENALTY)
        after = await later(installation)
        for way in (token, LicenseReference(identifier=license.identifier), HOLDER_REFERENCE):
            then = await ask_at(installation, way, before)
            assert (then["verdict"], then["historical"]) == ("valid", True), then["checks"]
            assert then["next_check_due"] is None
            assert then["evaluated_at"] == rfc3339(before)
            source = then["status_source"]
            assert isinstance(source, dict) and source["kind"] == "list"
            assert source["uri"].startswith("https://") and source["seq"] >= 1 and len(source["sha256"]) == 64
            assert source["as_of"] == then["status_as_of"] <= rfc3339(before)
            ended = await ask_at(installation, way, after)
            assert (ended["reason"], ended["historical"]) == ("revoked", True)
            status = next(check for check in ended["checks"] if check["id"] == "status")  # type: ignore[attr-defined]
            assert status["message"] == "证照已被吊销。", "the register's history names the exact end"
            now = await installation.ask(way)
            assert (now["reason"], now["historical"]) == ("revoked", False)


@pytest.mark.parametrize(("action", "reason"), [(Action.CANCEL, "cancelled"), (Action.SUSPEND, "suspended")])
async def test_the_exact_state_of_then_is_told(
    database_url: str, tmp_path: Path, action: Action, reason: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        before = await later(installation)
        await act(installation, action, license.id)
        after = await later(installation)
        if action is Action.SUSPEND:
            await act(installation, Action.RESUME, license.id)
        for way in (token, LicenseReference(identifier=license.identifier)):
            assert (await ask_at(installation, way, before))["reason"] == "ok"
            assert (await ask_at(installation, way, after))["reason"] == reason


async def test_what_is_annulled_by_now_was_void_at_every_moment(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        before = await later(installation)
        assert (await ask_at(installation, token, before))["verdict"] == "valid"
        await revoke(installation, license, RevocationKind.ANNULLED)
        long_before = before - timedelta(days=100)
        for way in (token, LicenseReference(identifier=license.identifier)):
            for moment in (before, long_before):
                assert (await ask_at(installation, way, moment))["reason"] == "revoked"


async def test_before_the_archive_begins_nothing_can_be_told(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        moment = await later(installation) - timedelta(days=1)
        for way in (token, LicenseReference(identifier=license.identifier), HOLDER_REFERENCE):
            body = await ask_at(installation, way, moment)
            assert (body["verdict"], body["reason"]) == ("indeterminate", "status_unavailable"), body
            assert body["result_code"] is None and body["historical"] is True


async def test_a_change_that_no_list_shows_yet_is_never_answered_as_valid(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        before = await later(installation)
        await revoke(installation, license)
        installation.clock.advance(seconds=30)
        between = installation.clock.now() - timedelta(seconds=1)
        assert (await ask_at(installation, token, before))["reason"] == "ok"
        assert (await ask_at(installation, token, between))["reason"] == "status_unavailable"


@pytest.mark.parametrize("way", ["credential", "identifier"])
async def test_nor_is_it_once_a_later_list_has_shown_the_change(
    database_url: str, tmp_path: Path, way: str
) -> None:
    """The worker was down for an hour."""
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        asked: str | LicenseReference = LicenseReference(identifier=license.identifier)
        if way == "credential":
            asked = await installation.credential(license)
        before = await later(installation)
        await act(installation, Action.SUSPEND, license.id)
        installation.clock.advance(seconds=1800)
        unseen = installation.clock.now() - timedelta(seconds=60)
        installation.clock.advance(seconds=1800)
        shown = await later(installation)
        await act(installation, Action.RESUME, license.id)
        installation.clock.advance(seconds=1800)
        resumed_unseen = installation.clock.now() - timedelta(seconds=60)
        resumed = await later(installation)
        moments = (before, unseen, shown, resumed_unseen, resumed)
        reasons = [(await ask_at(installation, asked, at))["reason"] for at in moments]
        assert reasons == ["ok", "status_unavailable", "suspended", "status_unavailable", "ok"]


async def test_a_list_of_too_long_ago_is_stale_for_the_moment_that_is_asked(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        covered = await later(installation, days=9)
        gap, past_the_end = covered + timedelta(days=3), covered + timedelta(days=8)
        assert (await ask_at(installation, token, covered))["reason"] == "ok"
        assert (await ask_at(installation, token, gap))["reason"] == "status_stale"
        assert (await ask_at(installation, token, past_the_end))["reason"] == "status_unavailable"


async def test_the_present_second_is_no_moment_still_to_come(database_url: str, tmp_path: Path) -> None:
    """A caller names its own present with a fraction, as most clocks are printed; answers count whole seconds."""
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        await later(installation)
        caller = await installation.caller("platform")
        for _ in range(3):
            at = installation.clock.now().isoformat(timespec="milliseconds")
            alone = await installation.ask(Question(credential=token, at=at))
            batch = await installation.services.verification.batch(
                [Question(credential=token, at=installation.clock.now().isoformat())],
                caller=caller,
                call=None,
            )
            assert batch.body is not None
            (item,) = batch.body["results"]  # type: ignore[misc]
            assert (alone["reason"], item["reason"]) == ("ok", "ok")
            assert alone["evaluated_at"] == rfc3339(datetime.fromisoformat(at))
        with pytest.raises(DomainError, match="at_in_future"):
            await ask_at(installation, token, installation.clock.now() + timedelta(seconds=2))


async def test_dates_are_judged_as_of_then(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        today = installation.services.licenses.today()
        license = await installation.issue(valid_until=today + timedelta(days=1))
        token = await installation.credential(license)
        moment = await later(installation, days=3)
        for way in (token, LicenseReference(identifier=license.identifier)):
            assert (await installation.ask(way))["reason"] == "expired"
            assert (await ask_at(installation, way, moment))["reason"] == "ok"


async def test_a_reference_is_answered_by_the_version_of_then_with_its_values(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first = await installation.issue()
        before = await later(installation)
        second = await amend(installation, first.id, Amendment(elements={"address": "南京市示例路2号"}))
        between = await later(installation)
        third = await amend(installation, first.id, Amendment(elements={"address": "南京市示例路3号"}))
        await later(installation)
        old = {"address": "南京市示例路1号(A座)"}
        body = await ask_at(installation, HOLDER_REFERENCE, before, elements=old)
        assert (body["reason"], body["superseded_by"]) == ("ok", None)
        body = await ask_at(installation, HOLDER_REFERENCE, between, elements={"address": "南京市示例路2号"})
        assert body["reason"] == "ok"
        body = await ask_at(installation, HOLDER_REFERENCE, between, elements=old)
        assert body["reason"] == "mismatch"
        assert body["elements"][0]["outcome"] == "former_value"  # type: ignore[index]
        token = await old_credential(installation, first.id, "001")
        body = await ask_at(installation, token, before, elements=old)
        assert (body["reason"], body["superseded_by"]) == ("ok", None)
        body = await ask_at(installation, token, between)
        assert (body["reason"], body["superseded_by"]) == ("superseded", second.identifier)
        body = await ask_at(installation, LicenseReference(identifier=third.identifier), between)
        assert body["reason"] == "status_unavailable", "that version was nobody's then"


async def test_a_later_license_does_not_make_the_one_of_then_ambiguous(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await installation.issue()
        alone = await later(installation)
        await installation.issue()
        both = await later(installation)
        assert (await ask_at(installation, HOLDER_REFERENCE, alone))["reason"] == "ok"
        assert (await ask_at(installation, HOLDER_REFERENCE, both))["reason"] == "ambiguous"


async def test_the_receipt_says_that_the_answer_is_historical_and_covers_the_moment_asked(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        at = rfc3339(await later(installation)).replace("Z", "+00:00")
        body = await installation.ask(Question(credential=token, at=at, purpose="account_opening"))
        trust = await installation.services.trust_list.evidence()
        receipt = verify_receipt(str(body["receipt"]), trust=trust)
        assert receipt.payload["historical"] is True
        assert receipt.payload["status_source"]["kind"] == "list"  # type: ignore[index,call-overload]
        asked = {"credential": token, "at": at, "purpose": "account_opening"}
        assert receipt.question == question_digest(asked, b64url_decode(str(body["question_salt"])))


async def test_batches_ask_about_moments_and_refuse_the_future_item_by_item(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        token = await installation.credential(license)
        before = await later(installation)
        await revoke(installation, license)
        after = await later(installation)
        future = installation.clock.now() + timedelta(minutes=5)
        answer = await installation.services.verification.batch(
            [Question(credential=token, at=rfc3339(moment)) for moment in (before, after, future)],
            caller=await installation.caller("platform"),
            call=None,
        )
        assert answer.body is not None
        reasons = [result["reason"] for result in answer.body["results"]]  # type: ignore[attr-defined]
        assert reasons == ["ok", "revoked", "malformed"]
        with pytest.raises(DomainError, match="at_in_future"):
            await ask_at(installation, token, future)
