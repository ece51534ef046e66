"""Every vector through core, HTTP and command line: the same case, the same answer, whoever is asked."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from elicense.problems import Reason
from elicense.profiles import PROFILES
from tests.architecture.source import PACKAGES, python_files
from tests.offline_kit import elicense
from tests.vectors.generate import make_files
from tests.vectors.http_runner import run_http
from tests.vectors.runners import command_line, differences, repeating, run_cli, run_core
from tests.vectors.vector import FOLDER, OTHER_FILES, RUNNERS, Vector, read_vectors

pytestmark = pytest.mark.anyio

VECTORS = {vector.id: vector for vector in read_vectors()}
CASES = [(id, runner) for id, vector in VECTORS.items() for runner in RUNNERS if runner not in vector.not_by]

NOT_YET = {
    Reason.CODE_USED: "no presentation code is given out yet",
    Reason.CODE_EXPIRED: "no presentation code is given out yet",
    Reason.ALGORITHM_SUNSET: "no algorithm of the table has a last day yet",
}
"""Reasons that nothing can lead to yet, and why. One that can occur needs a vector instead."""

SPEAK_OF_ALL = {"clients/python/src/elicense/problems.py"}
"""Files that name every reason and give none."""


async def run(vector: Vector, runner: str, folder: Path, template: Path) -> list[str]:
    """Run a vector with one runner; name what is not as it says."""
    if runner == "core":
        got = run_core(vector)
    elif runner == "cli":
        got = run_cli(vector, folder)
    else:
        got = await run_http(vector, folder, template)
    return differences(vector, runner, got)


@pytest.mark.parametrize(("id", "runner"), CASES)
async def test_every_runner_answers_as_the_vector_says(
    id: str, runner: str, tmp_path: Path, sqlite_template: Path
) -> None:
    assert await run(VECTORS[id], runner, tmp_path, sqlite_template) == []


# --- the vectors are complete, and what they were made as


def missing(vectors: dict[str, Vector]) -> set[str]:
    """Name the reasons that can occur by now and that no vector leads to."""
    shown = {vector.reason for vector in vectors.values()}
    return {reason.value for reason in Reason if reason not in NOT_YET} - shown


def test_every_reason_that_can_occur_has_its_vector() -> None:
    assert missing(VECTORS) == set()
    assert missing({id: vector for id, vector in VECTORS.items() if vector.reason != "revoked"}) == {
        "revoked"
    }


def test_what_is_called_impossible_is_given_nowhere_in_the_product() -> None:
    given = {
        reason
        for name, text in python_files(*PACKAGES)
        for reason in NOT_YET
        if name not in SPEAK_OF_ALL and f"Reason.{reason.name}" in text
    }
    assert given <= {Reason.ALGORITHM_SUNSET}
    assert [one.name for one in PROFILES.values() if one.sign_until or one.verify_until] == []


def test_a_vector_is_named_after_its_reason_and_says_why_in_both_languages() -> None:
    for id, vector in VECTORS.items():
        assert json.loads((FOLDER / f"{id}.json").read_text())["id"] == id
        good = vector.members["expected"]["verdict"] == "valid"
        assert id.startswith("ok") if good else id.startswith(vector.reason) and id.endswith("_fail")
        assert all(vector.members["why"][language] for language in ("zh", "en"))


def test_every_vector_is_run_and_most_of_them_by_all_three() -> None:
    runners = {id: [runner for case, runner in CASES if case == id] for id in VECTORS}
    assert [id for id, names in runners.items() if not names] == []
    assert sum(len(names) == len(RUNNERS) for names in runners.values()) * 10 > len(runners) * 8
    assert all(why for vector in VECTORS.values() for why in vector.not_by.values())


def test_the_files_are_exactly_what_the_cases_make() -> None:
    made = make_files()
    held = (*FOLDER.glob("*.json"), *FOLDER.glob("trust/*.json"))
    names = {path.relative_to(FOLDER).as_posix() for path in held} - OTHER_FILES
    assert names == set(made), "run: uv run python -m tests.vectors.generate"
    assert [name for name in made if (FOLDER / name).read_bytes() != made[name]] == []


@pytest.mark.parametrize("id", ["ok", "ok_past_moment", "revoked_fail", "status_stale_fail"])
def test_kept_evidence_of_a_vector_reads_the_same_in_a_process_of_its_own_on_any_day(
    id: str, tmp_path: Path
) -> None:
    done = elicense(*repeating(VECTORS[id], tmp_path))
    shown = json.loads(done.stdout)
    assert differences(VECTORS[id], "cli", {**shown, "exit": done.returncode}) == []


@pytest.mark.parametrize(
    "id", ["malformed_fail", "signature_invalid_fail", "claims_inconsistent_fail", "issuer_unknown_fail"]
)
def test_what_no_day_can_mend_reads_the_same_in_a_process_of_its_own(id: str, tmp_path: Path) -> None:
    done = elicense(*command_line(VECTORS[id], tmp_path))
    assert differences(VECTORS[id], "cli", {**json.loads(done.stdout), "exit": done.returncode}) == []


# --- the harness notices what is wrong


def with_expectation(vector: Vector, **wrong: object) -> Vector:
    members = deepcopy(dict(vector.members))
    members["expected"].update(wrong)
    return Vector(members)


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize(
    "wrong",
    [
        {"verdict": "valid"},
        {"reason": "suspended"},
        {"result_code": 2},
        {"file_result_code": 1},
        {"checks": {"dates": {"outcome": "failed", "code": "expired"}}},
        {"checks": {"no_such_check": {"outcome": "passed"}}},
        {"elements": [{"name": "address", "outcome": "match"}]},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_wrong_expectation_fails_in_every_runner(
    runner: str, wrong: dict[str, object], tmp_path: Path, sqlite_template: Path
) -> None:
    twin = with_expectation(VECTORS["revoked_fail"], **wrong)
    told = await run(twin, runner, tmp_path, sqlite_template)
    assert len(told) == 1, told


@pytest.mark.parametrize(("runner", "wrong"), [("cli", {"exit": 0}), ("http", {"status": 422})])
async def test_a_wrong_exit_code_or_status_fails_where_there_is_one(
    runner: str, wrong: dict[str, object], tmp_path: Path, sqlite_template: Path
) -> None:
    twin = with_expectation(VECTORS["revoked_fail"], **wrong)
    assert len(await run(twin, runner, tmp_path, sqlite_template)) == 1


@pytest.mark.parametrize("runner", RUNNERS)
async def test_another_input_fails_in_every_runner(
    runner: str, tmp_path: Path, sqlite_template: Path
) -> None:
    members = deepcopy(dict(VECTORS["revoked_fail"].members))
    members["inputs"]["question"] = {"credential": "another text"}
    told = await run(Vector(members), runner, tmp_path, sqlite_template)
    assert any(line.startswith("reason: 'malformed'") for line in told)


async def test_a_register_that_was_not_filled_is_noticed(tmp_path: Path, sqlite_template: Path) -> None:
    members = deepcopy(dict(VECTORS["ok"].members))
    members["inputs"]["register"] = []
    told = await run(Vector(members), "http", tmp_path, sqlite_template)
    assert any(line.startswith("reason: 'not_registered'") for line in told)
