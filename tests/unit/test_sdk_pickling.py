"""Errors, reports and verifiers pass between processes, and can be copied."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from elicense import (
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
    ElicenseError,
    OfflineVerifier,
    TrustError,
)
from elicense.client._order_models import ApprovalPendingError, Proposal
from elicense.client.errors import PROBLEM_ERRORS, APIStatusError, FieldProblem, Problem
from elicense.problems import FormatError, Reason
from elicense.report import Verdict
from elicense.status_list import Status
from tests.offline_bank import Clock, verifier
from tests.sdk_clients import FakeTransport, MakeClient, problem
from tests.simulator import Installation

WAYS: list[Callable[[Any], Any]] = [
    copy.copy,
    copy.deepcopy,
    *(
        lambda value, protocol=protocol: pickle.loads(pickle.dumps(value, protocol))
        for protocol in range(2, 6)
    ),
]
PROBLEM = Problem(
    type="t",
    title="title",
    status=404,
    code="not_found",
    detail="d",
    request_id="r",
    errors=(FieldProblem(pointer="/x", detail="wrong"),),
)
PROPOSAL = Proposal(
    id="p",
    license_id="l",
    action="revoke",
    effective_at=None,
    status="open",
    reason_code="x",
    reason="y",
    arguments={},
    proposed_by="a",
    proposed_at=datetime(2026, 11, 23),
    expires_at=datetime(2026, 11, 24),
    decided_by=None,
    decided_at=None,
    decision_reason=None,
    scheduled_change_id=None,
)
ERRORS = [
    *(
        kind(status_code=404, problem=PROBLEM, request_id="r", retry_after=1.5)
        for kind in [APIStatusError, *PROBLEM_ERRORS.values()]
    ),
    ApprovalPendingError(PROPOSAL),
    TrustError("rolled_back", "older"),
    FormatError(Reason.MALFORMED, "not a token"),
    *(kind("text") for kind in (ElicenseError, ConfigurationError, APITimeoutError, APIResponseError)),
]


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_left(error: Exception, way: Callable[[Any], Any]) -> None:
    error.add_note("a note")
    made = way(error)
    assert type(made) is type(error)
    assert (str(made), made.args, vars(made)) == (str(error), error.args, vars(error))


def refuse() -> None:
    raise ERRORS[0]


def test_an_error_in_a_pool_of_processes_breaks_nothing() -> None:
    with (
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        pytest.raises(APIStatusError, match="not_found"),
    ):
        pool.submit(refuse).result(60)


def test_the_error_of_a_call_can_be_pickled(client: MakeClient) -> None:
    with pytest.raises(APIStatusError) as refused:
        client(FakeTransport(problem(404, "not_found"))).licenses.get("0190")
    assert pickle.loads(pickle.dumps(refused.value)).problem == refused.value.problem


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_a_report_arrives_whole_with_what_it_rests_on(way: Callable[[Any], Any], tmp_path: Path) -> None:
    installation = Installation()
    bank = verifier(installation)
    bank.reload()  # so that there is something to remember
    for credential in (installation.credential(), "noise"):
        report = bank.verify(credential, elements={"holder_name": "x"})
        made = way(report)
        assert made == report
        assert (made.judgement, made.evidence_ages(), made.limits) == (
            report.judgement,
            report.evidence_ages(),
            report.limits,
        )
        assert made.to_json() == report.to_json()
        made.save_evidence(tmp_path / "evidence.json")


@pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))
def test_a_verifier_takes_its_bundle_and_its_memory_along(way: Callable[[Any], Any], tmp_path: Path) -> None:
    installation = Installation()
    path, token = tmp_path / "bundle.json", installation.credential()
    older = installation.bundle()
    installation.set_status(5, Status.INVALID)
    path.write_bytes(installation.bundle())
    clock = Clock(installation.now + timedelta(hours=1))
    bank = OfflineVerifier(trust_root=installation.trust_root(), bundle=path, clock=clock)
    path.write_bytes(older)
    made = way(bank)
    assert made.verify(token).reason is Reason.REVOKED
    assert made.verify(token) == bank.verify(token)
    made.reload()
    assert made.verify(token).verdict is Verdict.INDETERMINATE, "the older bundle was taken"
