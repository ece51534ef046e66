"""Receipts as an auditor checks them: offline, from files, years later."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import Evidence, gather_offline
from elicense.log_proof import ReceiptProof
from elicense.problems import Reason
from elicense.receipt_check import ReceiptCheckId, ReceiptReport, check_receipt_bytes
from elicense.receipt_texts import RECEIPT_TEXTS
from elicense.report import Outcome, Verdict
from elicense.signed_note import Checkpoint
from elicense.trust_list import ServiceUse
from tests.receipt_kit import QUESTION, SALT, answer, batch_answer, to_file
from tests.simulator import NOW, Installation, NamedAs, SimulatedSigner

QUESTIONS = [{**QUESTION, "reference": f"shop-{number}"} for number in range(5)]


@pytest.fixture
def installation() -> Installation:
    made = Installation()
    for number in range(5):
        made.receipt_log.add(b"an earlier receipt %d" % number)
    return made


def check(
    installation: Installation, value: object, *, evidence: Evidence | None = None, **more: Any
) -> ReceiptReport:
    data = value if isinstance(value, bytes) else to_file(value)
    report = check_receipt_bytes(data, evidence=evidence or installation.evidence(), **more)
    assert report.reason in RECEIPT_TEXTS, "a receipt is spoken of in texts of its own"
    assert report.to_json("en")["message"] == RECEIPT_TEXTS[report.reason].en
    return report


def outcome(report: ReceiptReport, check_id: ReceiptCheckId) -> Outcome:
    return report.check(check_id).outcome


def test_a_receipt_alone_and_with_its_answer_holds(installation: Installation) -> None:
    whole = answer(installation)
    alone = check(installation, whole["receipt"].encode() + b"\n")
    assert alone
    assert outcome(alone, ReceiptCheckId.ANSWER) is Outcome.SKIPPED
    report = check(installation, whole)
    assert report
    assert outcome(report, ReceiptCheckId.ANSWER) is Outcome.PASSED
    assert report.receipt is not None
    assert (report.receipt.verdict, report.receipt.audience) == ("invalid", "platform")
    shown = report.to_json("en")
    assert shown["verdict"] == "valid"
    assert shown["states"] == dict(report.receipt.payload)


def test_a_receipt_still_holds_after_its_key_has_reached_its_end(installation: Installation) -> None:
    """Seven years on: the key's window is long over, the receipt was signed inside it."""
    kept = answer(installation)
    later = NOW + timedelta(days=7 * 365)
    installation.change_service(ServiceUse.RECEIPT, valid_until=NOW + timedelta(days=60))
    installation.now = later
    installation.root_expires = later + timedelta(days=100)
    installation.change_service(ServiceUse.FRESHNESS, valid_until=later + timedelta(days=60))
    evidence = installation.evidence()
    assert check(installation, kept, evidence=evidence)
    too_late = answer(installation, issued_at=NOW + timedelta(days=61))
    report = check(installation, too_late["receipt"].encode(), evidence=evidence)
    assert report.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    "signer",
    [
        pytest.param(lambda i: SimulatedSigner(), id="unknown key"),
        pytest.param(lambda i: i.status_signer, id="key of another use"),
        pytest.param(lambda i: NamedAs(SimulatedSigner(), i.receipt_signer.kid), id="forged"),
    ],
)
def test_a_receipt_of_another_key_does_not_hold(
    installation: Installation, signer: Callable[[Installation], Any]
) -> None:
    report = check(installation, answer(installation, signer=signer(installation)))
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.SIGNATURE_INVALID)
    assert report.to_json()["states"] is None, "what nobody vouches for is not shown as stated"


@pytest.mark.parametrize(
    "data",
    [b"", b"x", b"\xff", b"{", b"{}", b'{"receipt": 7}', b'{"receipt": "a.b.c"}', b'{"results": []}', b"[]"],
)
def test_what_is_no_receipt_is_an_answer(installation: Installation, data: bytes) -> None:
    report = check(installation, data)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MALFORMED)


def test_without_current_trust_it_cannot_tell(installation: Installation) -> None:
    kept = answer(installation)
    root, bundle = installation.trust_root(), installation.bundle()
    for evidence, reason in (
        (gather_offline(trust_root=root, bundle=None, now=NOW), Reason.TRUST_UNAVAILABLE),
        (gather_offline(trust_root=b"", bundle=bundle, now=NOW), Reason.TRUST_UNAVAILABLE),
        (gather_offline(trust_root=root, bundle=bundle, now=NOW + timedelta(days=8)), Reason.TRUST_STALE),
        (
            gather_offline(trust_root=root, bundle=bundle, now=NOW - timedelta(hours=1)),
            Reason.CLOCK_UNRELIABLE,
        ),
    ):
        report = check(installation, kept, evidence=evidence)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, reason)


def test_a_clock_behind_the_trust_documents_is_not_relied_on_for_a_receipt_of_long_ago_either(
    installation: Installation,
) -> None:
    kept = answer(installation, issued_at=NOW - timedelta(days=3))
    assert check(installation, kept, evidence=installation.evidence(now=NOW - timedelta(seconds=120)))
    behind = installation.evidence(now=NOW - timedelta(seconds=121))
    for evidence in (behind, replace(installation.evidence(), clock_reliable=False)):
        report = check(installation, kept, evidence=evidence)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.CLOCK_UNRELIABLE)
        assert outcome(report, ReceiptCheckId.TRUST) is Outcome.CANNOT_TELL


def test_trust_documents_count_up_to_the_second_they_end(installation: Installation) -> None:
    kept, week = answer(installation), timedelta(days=7)
    assert check(installation, kept, evidence=installation.evidence(now=NOW + week - timedelta(seconds=1)))
    over = check(installation, kept, evidence=installation.evidence(now=NOW + week))
    assert over.reason is Reason.TRUST_STALE


def test_a_receipt_from_the_future_says_something_about_the_clock(installation: Installation) -> None:
    report = check(installation, answer(installation, issued_at=NOW + timedelta(hours=1)))
    assert report.reason is Reason.CLOCK_UNRELIABLE


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("verdict", "valid"),
        ("reason", "ok"),
        ("elements", []),
        ("elements", [{"name": "address", "outcome": "match"}]),
        ("policy", {"id": "bank-strict", "version": 1, "sha256": "0"}),
        ("status_source", None),
        ("purpose", "other"),
        ("env", "live"),
        ("trust_list", {"sequence": 9, "sha256": "0"}),
        ("evaluated_at", "2026-11-02T04:00:01Z"),
        ("reference", "shop-1"),
        ("reference", None),
        ("id", "0191"),
        ("historical", True),
        ("log", {"origin": "one.example/log", "index": 1}),
    ],
)
def test_an_answer_that_says_something_else_is_noticed(
    installation: Installation, member: str, value: object
) -> None:
    report = check(installation, {**answer(installation), member: value})
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MISMATCH)
    assert outcome(report, ReceiptCheckId.SIGNATURE) is Outcome.PASSED


def test_a_receipt_speaks_of_its_question_alone(installation: Installation) -> None:
    whole = answer(installation)
    asked = {**QUESTION, "policy": None, "license": None}
    assert check(installation, whole, question=asked), "what was not asked may stand there as null"
    for other in ({**QUESTION, "elements": {}}, {**QUESTION, "purpose": "x"}, {}):
        report = check(installation, whole, question=other)
        assert report.reason is Reason.MISMATCH
        assert outcome(report, ReceiptCheckId.QUESTION) is Outcome.FAILED
    token = whole["receipt"].encode()
    assert check(installation, token, question=QUESTION, salt=SALT)
    assert not check(installation, token, question=QUESTION, salt=bytes(16))
    with pytest.raises(ValueError, match="salt"):
        check(installation, token, question=QUESTION)


def test_nulls_inside_a_reference_to_a_license_do_not_count(installation: Installation) -> None:
    asked = {"license": {"identifier": "1.2"}}
    whole = answer(installation, question=asked)
    assert check(installation, whole, question={"license": {"identifier": "1.2", "number": None}})


def test_every_result_of_a_batch_lies_under_its_receipt(installation: Installation) -> None:
    batch = batch_answer(installation, QUESTIONS)
    report = check(installation, batch, question={"items": QUESTIONS})
    assert report
    assert report.results == 5
    other = {"items": [*QUESTIONS[:4], {**QUESTION, "reference": "x"}]}
    assert check(installation, batch, question=other).reason is Reason.MISMATCH
    assert check(installation, batch, question={"items": QUESTIONS[:4]}).reason is Reason.MISMATCH


def test_one_result_with_the_batchs_receipt_holds_alone(installation: Installation) -> None:
    batch = batch_answer(installation, QUESTIONS)
    one = {**batch["results"][3], "receipt": batch["receipt"]}
    assert check(installation, one, question=QUESTIONS[3])
    assert not check(installation, one, question=QUESTIONS[2])
    assert check(installation, batch["results"][3]).reason is Reason.MALFORMED, "its receipt is missing"


def _swap(results: list[Any]) -> None:
    results[0], results[1] = results[1], results[0]


def _borrow_statement(results: list[Any]) -> None:
    results[2]["statement"] = results[1]["statement"]


BENT: dict[str, Callable[[list[Any]], object]] = {
    "one dropped": lambda results: results.pop(),
    "one twice": lambda results: results.append(deepcopy(results[0])),
    "two swapped": _swap,
    "a verdict": lambda results: results[1].update(verdict="valid"),
    "a statement": lambda results: results[1]["statement"].update(verdict="valid"),
    "a statement borrowed": _borrow_statement,
    "an index": lambda results: results[1].update(index=0),
    "one in the place of another": lambda results: results.__setitem__(1, deepcopy(results[0])),
    "all dropped": lambda results: results.clear(),
    "a path": lambda results: results[1].update(path=results[0]["path"]),
    "a reference": lambda results: results[4].update(reference="shop-0"),
}


@pytest.mark.parametrize("name", BENT)
def test_a_bent_batch_does_not_hold(installation: Installation, name: str) -> None:
    batch = batch_answer(installation, QUESTIONS)
    BENT[name](batch["results"])
    report = check(installation, batch)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MISMATCH)


def test_the_receipt_of_one_answer_does_not_cover_a_batch(installation: Installation) -> None:
    batch = batch_answer(installation, QUESTIONS)
    single = answer(installation)
    assert not check(installation, {**batch, "receipt": single["receipt"]})
    assert not check(installation, {**single, "receipt": batch["receipt"]})


ADDED: dict[str, Callable[[dict[str, Any]], object]] = {
    "no results": lambda batch: [],
    "the results of a batch": lambda batch: batch["results"],
    "one result of a batch": lambda batch: batch["results"][:1],
    "null and a batch's place": lambda batch: None,
}


@pytest.mark.parametrize("name", ADDED)
def test_results_beside_a_single_answer_never_switch_its_comparison_off(
    installation: Installation, name: str
) -> None:
    """The receipt is good and of one answer; whatever stands in `results`, a bent verdict is noticed."""
    results = ADDED[name](batch_answer(installation, QUESTIONS))
    bent = {**answer(installation), "verdict": "valid", "reason": "ok", "results": results}
    report = check(installation, bent)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MISMATCH)
    assert outcome(report, ReceiptCheckId.ANSWER) is Outcome.FAILED
    asked = check(installation, bent, question=QUESTION, salt=SALT)
    assert not asked


@pytest.mark.parametrize("results", [{}, "", 0, False, True, "x", [None], [[]], [{}], [{"statement": None}]])
def test_results_that_are_no_list_of_results_are_malformed(
    installation: Installation, results: object
) -> None:
    for whole in (answer(installation), batch_answer(installation, QUESTIONS)):
        report = check(installation, {**whole, "results": results})
        assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MALFORMED)


@pytest.mark.parametrize("results", [None, []])
def test_a_batch_without_its_results_does_not_hold(installation: Installation, results: object) -> None:
    batch = batch_answer(installation, QUESTIONS)
    for bent in ({**batch, "results": results}, {**batch, "results": results, "verdict": "valid"}):
        report = check(installation, bent, question={"items": []}, salt=SALT)
        assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MISMATCH)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("verdict", "valid"),
        ("reason", "ok"),
        ("elements", []),
        ("evaluated_at", "2026-11-02T04:00:00Z"),
        ("statement", {"verdict": "valid"}),
        ("license", {"name": "x"}),
        ("id", "0191"),
        ("env", "live"),
        ("summary", {"total": 5, "valid": 5}),
        ("summary", None),
    ],
)
def test_a_batch_shows_nothing_beside_its_results_that_its_receipt_does_not_state(
    installation: Installation, member: str, value: object
) -> None:
    report = check(installation, {**batch_answer(installation, QUESTIONS), member: value})
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.MISMATCH)


# --- the log


def test_a_logged_receipt_is_shown_in_both_logs(installation: Installation) -> None:
    whole = answer(installation)
    proof = installation.prove_receipt(whole["receipt"])
    report = check(installation, whole, proof=proof)
    assert report
    assert report.logged == installation.receipt_log.checkpoint()
    assert report.anchored == installation.log.checkpoint()
    assert report.to_json()["anchored"] == {
        "origin": "one.example/log",
        "size": report.anchored.size,
        "root": report.anchored.root.hex(),
    }


def test_a_young_receipt_is_logged_and_not_yet_fixed(installation: Installation) -> None:
    whole = answer(installation)
    report = check(installation, whole, proof=installation.prove_receipt(whole["receipt"], anchored=False))
    assert report
    assert outcome(report, ReceiptCheckId.ANCHOR) is Outcome.CANNOT_TELL


def test_a_proof_that_does_not_hold_is_noticed(installation: Installation) -> None:
    whole = answer(installation)
    good = installation.prove_receipt(whole["receipt"])
    anchor = good.anchor
    assert anchor is not None
    other = installation.prove_receipt(answer(installation, receipt_id="0200")["receipt"])
    bent: list[ReceiptProof] = [
        other,
        replace(good, env="live"),
        replace(good, anchored_at=(good.anchored_at or 0) + 1),
        replace(good, anchor=replace(anchor, index=anchor.index - 1)),
        replace(good, anchor=replace(anchor, path=anchor.path[1:])),
        replace(good, anchor=good.inclusion),
        replace(good, anchor=other.anchor),
        replace(good, inclusion=replace(good.inclusion, index=0)),
        replace(good, inclusion=replace(good.inclusion, origin="one.example/log")),
        replace(good, inclusion=replace(good.inclusion, checkpoint=other.inclusion.checkpoint)),
    ]
    for number, proof in enumerate(bent):
        report = check(installation, whole, proof=proof)
        assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.LOG_PROOF_FAILED), number


def test_a_log_the_trust_list_does_not_name_proves_nothing(installation: Installation) -> None:
    whole = answer(installation)
    proof = installation.prove_receipt(whole["receipt"])
    installation.services = [s for s in installation.services if s.origin != installation.receipt_log.origin]
    report = check(installation, whole, proof=proof)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.LOG_PROOF_FAILED)


def test_a_receipt_of_a_stolen_key_holds_where_the_log_shows_it_to_be_older(
    installation: Installation,
) -> None:
    whole = answer(installation)
    fixed = installation.prove_receipt(whole["receipt"])
    bare = replace(fixed, anchor=None, anchored_at=None)
    installation.compromise(installation.receipt_signer, installation.log.checkpoint())
    assert check(installation, whole, proof=fixed)
    for proof in (None, bare):
        report = check(installation, whole, proof=proof)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.LOG_PROOF_MISSING)
        assert report.to_json()["states"] is None
    bent = replace(fixed, anchored_at=(fixed.anchored_at or 0) + 1)
    report = check(installation, whole, proof=bent)
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.LOG_PROOF_FAILED)
    late = answer(installation, receipt_id="0200")
    report = check(installation, late["receipt"].encode(), proof=installation.prove_receipt(late["receipt"]))
    assert (report.verdict, report.reason) == (Verdict.INVALID, Reason.KEY_COMPROMISED)


def test_a_log_that_contradicts_what_was_seen_of_it_proves_nothing(installation: Installation) -> None:
    whole = answer(installation)
    proof = installation.prove_receipt(whole["receipt"])
    evidence = installation.evidence()
    assert check(installation, whole, proof=proof, evidence=evidence)
    assert evidence.log is not None
    origin = installation.log.origin
    seen = Checkpoint(origin, len(installation.log.entries), bytes(32))
    forked = replace(evidence, log=replace(evidence.log, checkpoints={origin: seen}))
    assert check(installation, whole, proof=proof, evidence=forked).reason is Reason.LOG_PROOF_FAILED


def test_the_report_is_json_in_both_languages(installation: Installation) -> None:
    report = check(installation, answer(installation))
    zh, en = report.to_json("zh"), report.to_json("en")
    assert json.loads(json.dumps(zh))["checks"][0]["title"] != en["checks"][0]["title"]  # type: ignore[index,call-overload]
