"""What was signed of a log is remembered outside the database, and never less than before."""

from pathlib import Path

import pytest

from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.state_file import StateFile
from elicense.signed_note import Checkpoint

LOG, RECEIPTS = "license.example/log", "license.example/receipt-log"


def head(size: int, origin: str = LOG) -> Checkpoint:
    return Checkpoint(origin, size, size.to_bytes(32, "big"))


def test_nothing_is_remembered_before_the_first(tmp_path: Path) -> None:
    assert SignedHeadsFile(tmp_path).load() == {}


def test_the_newest_head_of_each_log_is_kept(tmp_path: Path) -> None:
    assert SignedHeadsFile(tmp_path).raise_to(head(3), after=None)
    assert SignedHeadsFile(tmp_path).raise_to(head(9), after=head(3))
    assert SignedHeadsFile(tmp_path).raise_to(head(4, RECEIPTS), after=None)
    assert SignedHeadsFile(tmp_path).raise_to(head(9), after=head(9)), "signed again after a crash"
    assert SignedHeadsFile(tmp_path).load() == {LOG: head(9), RECEIPTS: head(4, RECEIPTS)}
    assert (tmp_path / "log-heads.json").stat().st_mode & 0o777 == 0o600


def test_who_looked_at_an_older_memory_remembers_nothing(tmp_path: Path) -> None:
    memory = SignedHeadsFile(tmp_path)
    assert memory.raise_to(head(3), after=None)
    assert memory.raise_to(head(9), after=head(3))
    fork = Checkpoint(LOG, 12, bytes(32))
    for after in (None, head(3), Checkpoint(LOG, 9, bytes(32))):
        assert not memory.raise_to(fork, after=after)
    assert memory.load() == {LOG: head(9)}


@pytest.mark.parametrize("content", ['{"fmt": 2}', "[]", '{"fmt": 1}', '{"fmt": 1, "logs": []}', "x"])
def test_a_file_that_is_not_ours_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "log-heads.json").write_text(content)
    with pytest.raises(ValueError):
        SignedHeadsFile(tmp_path).load()


def test_a_write_that_was_cut_off_leaves_what_stood_there(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "state.json", fmt=1)
    file.replace({"a": 1})
    (tmp_path / "state.json.tmp").write_text('{"fmt": 1, "a"')
    assert file.load() == {"fmt": 1, "a": 1}
    file.replace({"a": 2})
    assert file.load() == {"fmt": 1, "a": 2}


def test_nothing_that_stands_in_the_temporary_files_place_is_written_through(tmp_path: Path) -> None:
    file, temporary = StateFile(tmp_path / "state.json", fmt=1), tmp_path / "state.json.tmp"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("not ours")
    temporary.symlink_to(elsewhere)
    file.replace({"a": 1})
    assert elsewhere.read_text() == "not ours"
    assert not (tmp_path / "state.json").is_symlink()
    temporary.write_text("left by somebody")
    temporary.chmod(0o644)
    file.replace({"a": 2})
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert file.load() == {"fmt": 1, "a": 2}
