"""Verifying on real databases: what each forgery, state and question answers, and that every answer is kept."""

import asyncio
from calendar import monthrange
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.ids import new_salt
from app.domain.license import Action
from app.domain.verification import LicenseReference, MalformedQuestion, Question
from app.services.receipts import ReceiptPen
from elicense.credential import CredentialClaims, parse_credential, prepare_credential, select_disclosures
from elicense.encoding import CHINA, b64url_decode
from elicense.keys import Signer
from elicense.receipt import covers_statement, verify_receipt
from tests.installation import (
    AUTHORITY,
    BUSINESS_LICENSE,
    HOLDER,
    OTHER_AUTHORITY,
    TRANSPORT_TYPE,
    Installation,
    idempotent,
    open_again,
    open_installation,
)

pytestmark = pytest.mark.anyio


async def authority_signer(installation: Installation, code: str) -> Signer:
    """Steal an authority's key: what a burglar of the keys folder could sign with."""
    keys = await installation.services.ceremony.keys()
    key = next(key for key in keys if key.authority_code == code)
    return FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True)).signer(key)


def forge(claims: CredentialClaims, elements: Mapping[str, str], signer: Signer) -> str:
    """Sign claims of one's own choosing."""
    prepared = prepare_credential(
        claims=claims,
        elements=elements,
        kid=signer.kid,
        profile=signer.profile.name,
        salts=[new_salt() for _ in elements],
        env="test",
    )
    return prepared.assemble(signer.sign(prepared.signing_input))


async def act(installation: Installation, action: Action, license_id: str) -> None:
    await installation.services.lifecycle.act(
        action,
        license_id,
        reason_code="inspection",
        reason="x",
        caller=await installation.caller("authority"),
        call=None,
    )


async def test_forgeries_are_told_apart(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        genuine = parse_credential(token)
        claims, elements = genuine.claims, genuine.elements
        signer = await authority_signer(installation, AUTHORITY)
        other = await authority_signer(installation, OTHER_AUTHORITY)
        stranger = KeyFolder(path=tmp_path / "stranger", development=False).make("k", profile="es256")
        identifier = claims.license.identifier
        invented = f"{identifier[:-25]}{'0' * 4}{identifier[-21:]}"
        cases = {
            "signature_invalid": f"{token[:300]}{'A' if token[300] != 'A' else 'B'}{token[301:]}",
            "issuer_unknown": forge(claims, elements, stranger),
            "not_registered": forge(
                replace(claims, license=replace(claims.license, number="X-1")), elements, signer
            ),
            "claims_inconsistent": forge(replace(claims, subject="91320100MA0T0002X1"), elements, signer),
            "malformed": token.replace("~", ".", 1),
        }
        for reason, forged in cases.items():
            body = await installation.ask(forged)
            found = (
                {body["reason"]} if reason != "signature_invalid" else {body["reason"], reason, "malformed"}
            )
            assert body["verdict"] == "invalid" and reason in found, (reason, body["reason"])
        borrowed = forge(
            replace(
                claims,
                issuer=claims.issuer.replace(AUTHORITY, OTHER_AUTHORITY),
                license=replace(
                    claims.license,
                    authority_code=OTHER_AUTHORITY,
                    identifier=identifier.replace(AUTHORITY, OTHER_AUTHORITY),
                ),
            ),
            elements,
            other,
        )
        assert (await installation.ask(borrowed))["reason"] == "issuer_not_authorized"
        assert invented != identifier


async def test_a_stolen_key_cannot_borrow_a_healthy_licenses_index(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        healthy = parse_credential(await installation.credential(await installation.issue()))
        revoked_license = await installation.issue()
        revoked = parse_credential(await installation.credential(revoked_license))
        await act(installation, Action.REVOKE, revoked_license.id)
        signer = await authority_signer(installation, AUTHORITY)
        claims = replace(revoked.claims, status_index=healthy.claims.status_index)
        body = await installation.ask(forge(claims, revoked.elements, signer))
        assert body["reason"] == "not_registered"


async def test_a_credential_with_disclosures_removed_still_verifies_and_compares(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = select_disclosures(await installation.credential(await installation.issue()), [])
        body = await installation.ask(
            Question(
                credential=token,
                elements={"legal_representative": "张示例", "holder_name": "南京示例商贸有限公司 "},
            )
        )
        assert body["reason"] == "ok", body
        outcomes = {e["name"]: e["outcome"] for e in body["elements"]}  # type: ignore[attr-defined]
        assert outcomes == {"legal_representative": "match", "holder_name": "match_normalized"}
        assert body["license"]["elements"] == {}  # type: ignore[index]


async def test_a_reference_answers_outcomes_and_never_content(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue(number=HOLDER.code)
        ways = (
            LicenseReference(identifier=license.identifier),
            LicenseReference(number=license.number, type_code=license.type_code),
            LicenseReference(number=f"{license.number.lower()} ", type_code=license.type_code),
            LicenseReference(holder_code=f" {HOLDER.code.lower()} ", type_code=license.type_code),
        )
        for way in ways:
            question = Question(
                license=way, elements={"address": "南京市示例路1号【A座】", "registered_capital": "1"}
            )
            body = await installation.ask(question)
            assert (body["reason"], body["result_code"], body["license"]) == ("mismatch", 6, None)
            outcomes = [e["outcome"] for e in body["elements"]]  # type: ignore[attr-defined]
            assert outcomes == ["match_normalized", "not_on_license"]
            assert "示例路" not in str(body)
        body = await installation.ask(ways[1])
        assert (body["verdict"], body["file_result_code"]) == ("valid", None)


async def test_several_live_licenses_are_ambiguous_and_none_is_not_found(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        way = LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE)
        assert (await installation.ask(way))["reason"] == "not_found"
        first = await installation.issue()
        await installation.issue()
        body = await installation.ask(way)
        assert (body["verdict"], body["reason"], body["result_code"], body["candidates"]) == (
            "indeterminate",
            "ambiguous",
            4,
            2,
        )
        await act(installation, Action.CANCEL, first.id)
        assert (await installation.ask(way))["reason"] == "ok"


async def test_licenses_past_their_end_crowd_out_none_that_is_in_force(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        way = LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE)
        await installation.issue()
        await installation.issue()
        for _ in range(50):
            await installation.issue(valid_until=date(2025, 1, 1))
        body = await installation.ask(way)
        assert (body["reason"], body["candidates"]) == ("ambiguous", 2)


async def test_a_repeated_question_is_bound_to_the_license_it_was_answered_from(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        way = LicenseReference(holder_code=HOLDER.code, type_code=BUSINESS_LICENSE)
        in_force = await installation.issue()
        await installation.issue(valid_until=date(2025, 1, 1))
        caller = await installation.caller("platform")
        call = idempotent("k", path="/v1/verifications")
        verify = installation.services.verification.verify
        first = await verify(Question(license=way), caller=caller, call=call)
        assert first.record is not None
        assert (first.record.reason, first.record.license_id) == ("ok", in_force.id)
        await act(installation, Action.REVOKE, in_force.id)
        again = await verify(Question(license=way), caller=caller, call=call)
        assert again.record is not None and again.record.verdict == "invalid"


async def test_dates_are_judged_when_asked(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        expired = await installation.issue(valid_until=date(2025, 1, 1))
        later = await installation.issue(
            valid_from=installation.services.licenses.today() + timedelta(days=40)
        )
        assert (await installation.ask(await installation.credential(expired)))["reason"] == "expired"
        assert (await installation.ask(await installation.credential(later)))["reason"] == "not_yet_valid"


async def test_an_answer_that_cannot_be_written_fails_its_own_caller_alone(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        bank, platform = await installation.caller("bank"), await installation.caller("platform")
        whole = installation.services.receipts.pen

        class Blotting(ReceiptPen):
            def sign(self, *arguments: Any, audience: str, **options: Any) -> str:
                if audience == bank.client.id:
                    raise DomainError("unavailable", "the pen is dry")
                return super().sign(*arguments, audience=audience, **options)

        async def pen(*, now: datetime) -> ReceiptPen:
            good = await whole(now=now)
            return Blotting(
                signer=good.signer, checkpoint=good.checkpoint, issuer_url=good.issuer_url, env=good.env
            )

        monkeypatch.setattr(installation.services.receipts, "pen", pen)
        verify = installation.services.verification.verify
        callers = [platform, bank, platform, bank, platform]
        answers = await asyncio.gather(
            *(verify(Question(credential=token), caller=caller, call=None) for caller in callers),
            return_exceptions=True,
        )
        told = [
            answer.code if isinstance(answer, DomainError) else answer.record.verdict for answer in answers
        ]
        assert told == ["valid", "unavailable", "valid", "unavailable", "valid"]
        page, _ = await installation.services.verification.list(
            caller=platform, reference=None, due_before=None, cursor=None, limit=10
        )
        assert len(page) == 3


async def test_codes_are_unknown_until_there_are_any(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        body = await installation.ask(Question(code="123456", elements={"holder_name": "甲"}))
        assert (body["verdict"], body["reason"]) == ("invalid", "code_unknown")
        assert body["elements"] == [{"name": "holder_name", "outcome": "cannot_tell"}]
        assert body["receipt"]


async def test_terms_that_cannot_be_met_are_refused_by_name(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        for question, code in (
            (Question(code="1", at="2999-01-01T00:00:00Z"), "at_in_future"),
            (Question(code="1", policy="my-own"), "unknown_policy"),
            (Question(code="1", purpose="curiosity"), "purpose_not_allowed"),
        ):
            with pytest.raises(DomainError) as caught:
                await installation.ask(question)
            assert caught.value.code == code and caught.value.errors


async def test_every_answer_is_kept_for_its_client_alone_without_salt_or_asked_values(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        body = await installation.ask(
            Question(credential=token, elements={"holder_name": "问的名字"}, reference="shop-1")
        )
        verification = installation.services.verification
        platform, bank = await installation.caller("platform"), await installation.caller("bank")
        record = await verification.get(str(body["id"]), caller=platform)
        kept_apart = {"question_salt", "license"}
        assert {k: v for k, v in record.answer.items() if k != "license"} == {
            k: v for k, v in body.items() if k not in kept_apart
        }
        assert "张示例" in str(body["license"]) and "张示例" not in str(record.answer)
        assert "问的名字" not in str(record)
        with pytest.raises(NotFound):
            await verification.get(str(body["id"]), caller=bank)
        page, cursor = await verification.list(
            caller=platform, reference="shop-1", due_before=None, cursor=None, limit=10
        )
        assert ([item.id for item in page], cursor) == ([record.id], None)
        audit, _ = await installation.services.audit.page(cursor=None, limit=100)
        kept = [(e.subject, e.actor, e.outcome) for e in audit if e.action == "verification.create"]
        assert kept == [(record.id, platform.client.id, "invalid:mismatch")]


async def test_a_valid_answer_is_due_again_in_six_months_and_others_never(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        body = await installation.ask(await installation.credential(license))
        record = await installation.services.verification.get(
            str(body["id"]), caller=await installation.caller("platform")
        )
        assert record.next_check_due is not None
        due, asked = record.next_check_due.astimezone(CHINA), record.verified_at.astimezone(CHINA)
        assert due.time() == asked.time()
        assert (due.year * 12 + due.month) - (asked.year * 12 + asked.month) == 6
        assert due.day == min(asked.day, monthrange(due.year, due.month)[1])
        await act(installation, Action.SUSPEND, license.id)
        assert (await installation.ask(await installation.credential(license)))["next_check_due"] is None


async def test_a_repeated_question_ends_with_ten_minutes_or_any_change(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        question = Question(credential=await installation.credential(license))
        caller = await installation.caller("platform")
        call = idempotent("k", path="/v1/verifications")
        verify = installation.services.verification.verify
        first = await verify(question, caller=caller, call=call)
        again = await verify(question, caller=caller, call=call)
        assert first.body is not None and again.replayed is not None
        assert str(first.body["id"]).encode() in again.replayed.body
        await act(installation, Action.REVOKE, license.id)
        changed = await verify(question, caller=caller, call=call)
        assert changed.body is not None and changed.body["reason"] == "revoked"
        installation.clock.advance(seconds=601)
        later = await verify(question, caller=caller, call=call)
        assert later.body is not None and later.body["id"] != changed.body["id"]


async def test_a_batch_answers_in_order_under_one_receipt(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        token = await installation.credential(await installation.issue())
        items = [
            Question(credential=token),
            MalformedQuestion(errors=(FieldError("/credential", "must be text", "应为字符串"),)),
            Question(credential="nonsense"),
            Question(code="1", policy="my-own"),
            Question(license=LicenseReference(number="none", type_code=TRANSPORT_TYPE)),
        ]
        caller = await installation.caller("platform")
        answer = await installation.services.verification.batch(items, caller=caller, call=None)
        assert answer.body is not None
        results = answer.body["results"]
        assert isinstance(results, list)
        assert [item["reason"] for item in results] == [
            "ok",
            "malformed",
            "malformed",
            "malformed",
            "not_found",
        ]
        assert [item["errors"][0]["pointer"] for item in (results[1], results[3])] == [
            "/credential",
            "/policy",
        ]
        assert [item["result_code"] for item in results] == [0, 6, 6, 6, 5]
        assert answer.body["summary"] == {"total": 5, "valid": 1, "invalid": 4, "indeterminate": 0}
        trust = await installation.services.trust_list.evidence()
        receipt = verify_receipt(str(answer.body["receipt"]), trust=trust)
        for index, item in enumerate(results):
            path = [b64url_decode(node) for node in item["path"]]
            assert covers_statement(receipt, item["statement"], index=index, path=path)
            bent = {**item["statement"], "verdict": "indeterminate"}
            assert not covers_statement(receipt, bent, index=index, path=path)
        record = await installation.services.verification.get(results[0]["id"], caller=caller)
        assert record.batch_id == answer.body["id"] and record.answer["receipt"] == answer.body["receipt"]


async def test_a_batch_beyond_the_clients_limit_is_refused(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        caller = await installation.caller("platform")
        with pytest.raises(DomainError, match="too_large"):
            await installation.services.verification.batch(
                [Question(code="1")] * 1001, caller=caller, call=None
            )
        with pytest.raises(DomainError, match="invalid_request"):
            await installation.services.verification.batch([], caller=caller, call=None)


async def test_the_next_answer_anywhere_sees_a_change(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        licenses = [await installation.issue() for _ in range(10)]
        tokens = [await installation.credential(license) for license in licenses]

        async def revoke_and_ask(position: int) -> object:
            await other.ask(tokens[position])
            await act(installation, Action.REVOKE, licenses[position].id)
            return (await other.ask(tokens[position]))["reason"]

        reasons = await asyncio.gather(*(revoke_and_ask(position) for position in range(10)))
        assert reasons == ["revoked"] * 10
