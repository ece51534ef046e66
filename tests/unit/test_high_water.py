"""The high-water mark: what is higher, what is missing, and how it is kept in a file."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.adapters.high_water import HighWaterFile
from app.domain.errors import ServiceRefusal
from app.domain.good_time import ClockState
from app.domain.high_water import (
    GIVEN_UP,
    ClockTrouble,
    HighWaterMark,
    KeptOutside,
    ListMark,
    LogMark,
    Part,
    TimeAcceptance,
)
from app.domain.standing import Standing
from elicense.service_reasons import ServiceReason

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
LIST = ListMark(authority_code="A", allocated=2048, seq=7)
LOG = LogMark(size=100, root="aa")
MARK = HighWaterMark(
    time=NOON,
    kept=9,
    trust_root_version=1,
    trust_list_sequence=3,
    freshness_sequence=40,
    event_seq=500,
    status_lists={"a-1": LIST},
    logs={"x.example/log": LOG},
    rows={"licenses": 12},
)
KEPT = replace(MARK, logs={})  # of the logs log-heads.json remembers what was signed


def standing(
    outside: HighWaterMark | None = MARK, inside: HighWaterMark | None = MARK, **more: object
) -> Standing:
    kept = None if outside is None else KeptOutside(mark=outside, **more)  # type: ignore[arg-type]
    clock = ClockState(shown=NOON, expected=NOON, reliable=True)
    logs = {} if outside is None else outside.logs
    return Standing(outside=kept, inside=inside, clock=clock, logs=logs)


def test_merging_takes_the_higher_of_each_part_and_never_less() -> None:
    other = HighWaterMark(
        time=NOON - timedelta(days=1),
        kept=10,
        freshness_sequence=2,
        status_lists={
            "a-1": ListMark(authority_code="A", allocated=3072),
            "b-1": ListMark(authority_code="B"),
        },
        logs={"x.example/log": LogMark(size=99, root="bb"), "x.example/log/2": LogMark(size=1, root="cc")},
        rows={"licenses": 11, "license_history": 5},
    )
    merged = MARK.merged(other)
    assert merged == other.merged(MARK)
    assert (merged.time, merged.kept, merged.freshness_sequence) == (NOON, 10, 40)
    assert merged.status_lists["a-1"] == ListMark(authority_code="A", allocated=3072, seq=7)
    assert merged.logs == {"x.example/log": LOG, "x.example/log/2": LogMark(size=1, root="cc")}
    assert merged.rows == {"licenses": 12, "license_history": 5}
    assert MARK.missing_in(merged) == ()


@pytest.mark.parametrize(
    ("lower", "part"),
    [
        ({"kept": 8}, Part.KEPT),
        ({"trust_root_version": 0}, Part.TRUST_ROOT),
        ({"trust_list_sequence": 2}, Part.TRUST_LIST),
        ({"freshness_sequence": 39}, Part.FRESHNESS),
        ({"event_seq": 499}, Part.EVENTS),
        ({"status_lists": {"a-1": replace(LIST, seq=6)}}, Part.STATUS_LIST),
        ({"status_lists": {"a-1": replace(LIST, allocated=1024)}}, Part.STATUS_INDICES),
        ({"logs": {"x.example/log": LogMark(size=99, root="aa")}}, Part.LOG),
        ({"logs": {}}, Part.LOG),
        ({"logs": {"x.example/log": LogMark(size=100, root="bb")}}, Part.LOG_ROOT),
    ],
)
def test_each_number_that_a_database_lacks_is_named(lower: dict[str, object], part: Part) -> None:
    inside = replace(MARK, **lower)  # type: ignore[arg-type]
    (missing,) = MARK.missing_in(inside)
    assert missing.part is part
    assert missing.zh != missing.en
    restriction = standing(inside=inside).rollback()
    assert restriction is not None
    assert restriction.reason is ServiceReason.ROLLBACK_DETECTED
    assert missing.en in restriction.en and missing.zh in restriction.zh
    assert restriction.needs_trust_list is (part is Part.TRUST_LIST)
    assert ("--trust-root" in restriction.en) is (part is Part.TRUST_ROOT)


def test_a_list_that_is_gone_lacks_its_version_and_its_indices() -> None:
    missing = MARK.missing_in(replace(MARK, status_lists={}))
    assert [(one.part, one.name, one.have, one.seen) for one in missing] == [
        (Part.STATUS_LIST, "a-1", 0, 7),
        (Part.STATUS_INDICES, "a-1", 0, 2048),
    ]


def test_a_longer_log_or_one_given_up_lacks_nothing() -> None:
    for head in (LogMark(size=101, root="zz"), LogMark(size=100, root=GIVEN_UP)):
        assert MARK.missing_in(replace(MARK, logs={"x.example/log": head})) == ()


def test_fewer_rows_alone_are_no_rollback() -> None:
    assert standing(inside=replace(MARK, rows={"licenses": 1})).rollback() is None


def test_many_missing_numbers_are_named_in_a_sentence_that_ends() -> None:
    lists = {f"a-{number}": LIST for number in range(100)}
    restriction = standing(outside=replace(MARK, status_lists=lists)).rollback()
    assert restriction is not None
    assert len(restriction.en) < 1000
    assert restriction.en.endswith("and 192 more")


def test_an_empty_database_beside_a_mark_is_a_rollback_and_beside_none_a_beginning() -> None:
    assert standing(inside=None).rollback() is not None
    assert standing(outside=None, inside=None).rollback() is None
    assert standing(outside=HighWaterMark(time=NOON), inside=None).rollback() is None


def test_the_latest_time_known_is_the_mark_or_what_the_database_signed() -> None:
    signed_later = replace(MARK, time=NOON + timedelta(hours=1))
    assert standing().known == NOON
    assert standing(inside=signed_later).known == NOON + timedelta(hours=1)
    assert standing(outside=None).known == NOON
    assert standing(outside=None, inside=None).known is None


def test_what_an_operator_disregarded_is_not_known_any_more() -> None:
    wrong = NOON + timedelta(days=1000)
    accepted = TimeAcceptance(number=1, time=NOON, disregarded=wrong)
    assert standing(inside=replace(MARK, time=wrong), acceptance=accepted).known == NOON
    beyond = wrong + timedelta(seconds=1)
    assert standing(inside=replace(MARK, time=beyond), acceptance=accepted).known == beyond


def test_a_file_gives_back_what_was_kept(tmp_path: Path) -> None:
    kept = KeptOutside(
        mark=KEPT,
        acceptance=TimeAcceptance(number=2, time=NOON, disregarded=NOON + timedelta(days=3)),
        trouble=ClockTrouble(expected=NOON, deviation=-3600),
    )
    HighWaterFile(tmp_path).change(lambda held: kept if held is None else held)
    assert HighWaterFile(tmp_path).load() == kept
    assert stat.S_IMODE((tmp_path / "high-water.json").stat().st_mode) == 0o600


def test_a_file_is_raised_and_never_lowered(tmp_path: Path) -> None:
    keeper = HighWaterFile(tmp_path)
    assert keeper.load() is None
    keeper.raise_to(KEPT)
    keeper.raise_to(HighWaterMark(time=NOON - timedelta(days=9), freshness_sequence=41))
    held = keeper.load()
    assert held is not None
    assert held.mark == replace(KEPT, freshness_sequence=41)


def test_the_first_format_is_read_and_written_anew(tmp_path: Path) -> None:
    old = {"fmt": 1, "time": int(NOON.timestamp()), "trust_list_sequence": 3, "freshness_sequence": 40}
    (tmp_path / "high-water.json").write_text(json.dumps(old))
    keeper = HighWaterFile(tmp_path)
    held = keeper.load()
    assert held is not None
    assert held.mark == HighWaterMark(time=NOON, trust_list_sequence=3, freshness_sequence=40)
    keeper.raise_to(KEPT)
    assert json.loads((tmp_path / "high-water.json").read_text())["fmt"] == 2


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"fmt": 3}', '{"fmt": 2}', '{"fmt": 2, "time": 1e400}', "\x00"]
)
def test_a_file_that_cannot_be_understood_is_refused_and_never_overwritten(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "high-water.json").write_text(content)
    keeper = HighWaterFile(tmp_path)
    for work in (keeper.load, lambda: keeper.raise_to(KEPT)):
        with pytest.raises(ServiceRefusal, match="anchor_unavailable"):
            work()
    assert (tmp_path / "high-water.json").read_text() == content


def test_a_temporary_file_left_by_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / "high-water.json.tmp").write_text("half")
    HighWaterFile(tmp_path).raise_to(KEPT)
    assert HighWaterFile(tmp_path).load() == KeptOutside(mark=KEPT)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["high-water.json", "high-water.lock"]


def test_what_cannot_be_written_is_an_error_and_leaves_the_old_content(tmp_path: Path) -> None:
    keeper = HighWaterFile(tmp_path)
    keeper.raise_to(KEPT)
    (tmp_path / "high-water.json.tmp").mkdir()  # neither written nor removed as a file
    with pytest.raises(OSError):
        keeper.raise_to(replace(KEPT, kept=10))
    assert keeper.load() == KeptOutside(mark=KEPT)


def test_processes_that_raise_it_at_once_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from app.adapters.high_water import HighWaterFile; from app.domain.high_water import *\n"
        "name, keeper = sys.argv[1], HighWaterFile(Path(sys.argv[2]))\n"
        "for seq in range(1, 41):\n"
        "    lists = {name: ListMark(authority_code='A', seq=seq)}\n"
        "    keeper.raise_to(HighWaterMark(time=datetime.fromtimestamp(seq, UTC), status_lists=lists))\n"
    )
    names = ["a-1", "b-1", "c-1", "d-1"]
    running = [
        subprocess.Popen([sys.executable, "-c", program, name, str(tmp_path)], env=dict(os.environ))
        for name in names
    ]
    assert [process.wait() for process in running] == [0] * len(names)
    held = HighWaterFile(tmp_path).load()
    assert held is not None
    assert {name: one.seq for name, one in held.mark.status_lists.items()} == dict.fromkeys(names, 40)
