"""What becomes of a report when its purpose does not cover everything that was asked."""

from dataclasses import replace
from datetime import date
from typing import Any

from app.domain.authority import ElementDefinition, ElementKind, LicenseType
from app.domain.purpose import PURPOSES
from app.services.purpose_elements import AskedElements, cover
from elicense.policy import DEFAULT_POLICY
from elicense.problems import Reason
from elicense.report import CheckId, Outcome, Verdict, VerificationReport
from elicense.verify import LicenseFacts, verify_license
from tests.builders import NOON

TYPE = LicenseType(
    code="T",
    name="演示",
    name_en="demo",
    defining_authority="A",
    elements=(
        ElementDefinition(name="address", label="住所", label_en="address"),
        ElementDefinition(name="phone", label="电话", label_en="phone", personal=True),
        ElementDefinition(name="owner", label="经营者", label_en="owner", kind=ElementKind.PERSON_NAME),
    ),
)
ASKED = {"phone": "1", "address": "示范路1号", "holder_name": "演示", "owner": "张三", "colour": "红"}
FACTS = LicenseFacts(
    identifier="X",
    state="active",
    valid_from=date(2020, 1, 1),
    valid_until=None,
    elements={"address": "示范路1号", "holder_name": "演示", "phone": "2"},
)


def covered(license_type: LicenseType | None, asked: dict[str, str] = ASKED) -> Any:
    return cover(asked, purpose=PURPOSES["government_service"], license_type=license_type).covered


def ask(elements: dict[str, str], *facts: LicenseFacts) -> VerificationReport:
    now = NOON.replace(microsecond=0)
    return verify_license(
        facts, now=now, as_of=now, event_seq=1, env="test", policy=DEFAULT_POLICY, elements=elements
    )


def test_what_is_personal_is_covered_only_where_the_purpose_names_it() -> None:
    assert set(covered(TYPE)) == {"address", "holder_name", "colour"}
    assert set(covered(TYPE, {"quality_manager": "x", "legal_representative": "y"})) == {
        "quality_manager",
        "legal_representative",
    }


def test_of_an_unknown_type_only_metadata_and_what_is_named_is_covered() -> None:
    assert set(covered(None)) == {"holder_name"}
    assert set(covered(None, {"legal_representative": "x"})) == {"legal_representative"}


def test_where_nothing_was_asked_nothing_is_covered_or_told() -> None:
    for asked in (None, {}):
        elements = cover(asked, purpose=PURPOSES["credit_review"], license_type=TYPE)
        assert (elements.asked, elements.covered) == ({}, asked)
        report = ask({}, FACTS)
        assert elements.tell(report) is report


def test_a_report_on_everything_that_was_asked_stays_as_it_is() -> None:
    report = ask({"address": "别处"}, FACTS)
    assert AskedElements({"address": "别处"}, {"address": "别处"}).tell(report) is report


def test_what_is_not_covered_cannot_be_told_in_the_order_asked_and_leaves_the_question_incomplete() -> None:
    asked = {"phone": "2", "address": "示范路1号"}
    report = ask({"address": "示范路1号"}, FACTS)
    assert report
    told = AskedElements(asked, {"address": "示范路1号"}).tell(report)
    assert [(one.name, one.outcome.value) for one in told.elements] == [
        ("phone", "cannot_tell"),
        ("address", "match"),
    ]
    assert (told.verdict, told.reason, told.result_code) == (Verdict.INDETERMINATE, Reason.INCOMPLETE, 4)
    check = told.check(CheckId.ELEMENTS)
    assert (check.outcome, check.detail) == (Outcome.CANNOT_TELL, "not covered by the purpose: phone")
    assert [one for one in told.checks if one.id is not CheckId.ELEMENTS] == [
        one for one in report.checks if one.id is not CheckId.ELEMENTS
    ]


def test_a_mismatch_beside_what_is_not_covered_is_told_of_its_element_and_the_question_stays_incomplete() -> (
    None
):
    told = AskedElements({"phone": "2", "address": "别处"}, {"address": "别处"}).tell(
        ask({"address": "别处"}, FACTS)
    )
    assert [one.outcome.value for one in told.elements] == ["cannot_tell", "mismatch"]
    assert told.reason is Reason.INCOMPLETE


def test_nothing_covered_at_all_is_incomplete_and_a_license_that_is_not_there_still_leads() -> None:
    nothing = AskedElements({"phone": "2"}, {})
    assert nothing.tell(ask({}, FACTS)).reason is Reason.INCOMPLETE
    missing = nothing.tell(ask({}))
    assert missing.reason is Reason.NOT_FOUND
    assert missing.check(CheckId.ELEMENTS).outcome is Outcome.SKIPPED
    revoked = nothing.tell(ask({}, replace(FACTS, state="revoked")))
    assert revoked.check(CheckId.STATUS).code is Reason.REVOKED
    assert revoked.check(CheckId.ELEMENTS).outcome is Outcome.CANNOT_TELL
