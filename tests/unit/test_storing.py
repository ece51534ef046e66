"""Files that are replaced whole, whoever else writes beside, and two runs of `trust update` at once."""

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from elicense.client._storing import PRIVATE, PUBLIC, sole_writer, store_file
from elicense.status_list import Status
from tests.offline_bank import verifier
from tests.offline_kit import OfflineKit
from tests.raw_service import Asked, RawService, http, serving
from tests.simulator import Installation


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def in_threads(*works: Callable[[], None]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_whoever_writes_at_once_the_file_is_whole(tmp_path: Path) -> None:
    path, contents = tmp_path / "bundle.json", [b"a" * 3_000_000, b"b" * 1_000_000]
    store_file(path, contents[0], mode=PUBLIC)
    failed: list[Exception] = []

    def write(content: bytes) -> None:
        try:
            for _ in range(20):
                store_file(path, content, mode=PUBLIC)
                assert path.read_bytes() in contents
        except (OSError, AssertionError) as error:
            failed.append(error)

    in_threads(lambda: write(contents[0]), lambda: write(contents[1]))
    assert failed == []
    assert [found.name for found in tmp_path.iterdir()] == ["bundle.json"]


def test_a_link_laid_beside_leads_the_bytes_nowhere(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "bundle.json"
    victim.write_bytes(b"precious")
    (tmp_path / "bundle.json.new").symlink_to(victim)
    store_file(path, b"new", mode=PUBLIC)
    assert (path.read_bytes(), victim.read_bytes()) == (b"new", b"precious")


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    folder, link = tmp_path / "current", tmp_path / "bundle.json"
    folder.mkdir()
    link.symlink_to(folder / "bundle.json")
    for content in (b"first", b"second"):
        store_file(link, content, mode=PUBLIC)
        assert link.is_symlink()
        assert (folder / "bundle.json").read_bytes() == content


@pytest.mark.parametrize("kept", [0o640, 0o600, 0o664])
def test_an_existing_file_keeps_who_may_read_it(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(b"old")
    path.chmod(kept)
    store_file(path, b"new", mode=PUBLIC)
    assert mode_of(path) == kept


@pytest.mark.parametrize("mode", [PUBLIC, PRIVATE])
def test_a_new_file_is_as_open_as_it_was_asked_for(tmp_path: Path, mode: int) -> None:
    store_file(tmp_path / "new", b"x", mode=mode)
    assert mode_of(tmp_path / "new") == mode


def test_evidence_is_for_its_owner_alone_to_read(tmp_path: Path) -> None:
    installation = Installation()
    verifier(installation).verify(installation.credential()).save_evidence(tmp_path / "evidence.json")
    assert mode_of(tmp_path / "evidence.json") == 0o600


def test_what_is_no_file_is_refused_and_nothing_left_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe", "missing/file"):
        with pytest.raises(OSError):
            store_file(tmp_path / name, b"x", mode=PUBLIC)
    assert [found.name for found in tmp_path.iterdir()] == ["pipe"]


def test_one_writes_while_the_others_wait(tmp_path: Path) -> None:
    path = tmp_path / "count"

    def add_one() -> None:
        for _ in range(50):
            with sole_writer(path):
                held = int(path.read_bytes()) if path.exists() else 0
                store_file(path, b"%d" % (held + 1), mode=PUBLIC)

    in_threads(add_one, add_one)
    assert path.read_bytes() == b"100"


def update(kit: OfflineKit, service: RawService) -> "subprocess.Popen[bytes]":
    words = ["trust", "update", "--lang", "en", "--base-url", service.url]
    files = ["--trust-root", str(kit.root_path), "--bundle", str(kit.bundle_path)]
    return subprocess.Popen(
        [sys.executable, "-m", "elicense.cli", *words, *files],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONPATH": "clients/python/src", "PATH": "", "LANG": "C.UTF-8"},
    )


def test_of_two_updates_at_once_the_older_bundle_never_replaces_the_newer(tmp_path: Path) -> None:
    kit = OfflineKit(folder=tmp_path)
    kit.write()
    older = kit.bundle_path.read_bytes()
    kit.bundle_path.unlink()
    kit.seq, kit.status = kit.seq + 1, Status.INVALID
    newer = kit.bundle_bytes()
    is_stored, is_asked = threading.Event(), threading.Event()

    def slow_and_stale_first(asked: Asked) -> list[bytes]:
        if not asked.path.startswith("/v1/bundle"):
            return http({"code": "not_found"}, "404 Not Found")
        if is_asked.is_set():
            return http(newer)
        is_asked.set()
        is_stored.wait(30)
        return http(older)

    with serving(slow_and_stale_first) as service:
        first = update(kit, service)
        assert is_asked.wait(30)
        second = update(kit, service)
        assert second.communicate(timeout=30)[1] == b""
        assert (second.returncode, kit.bundle_path.read_bytes()) == (0, newer)
        is_stored.set()
        first.communicate(timeout=30)
    assert (first.returncode, kit.bundle_path.read_bytes()) == (0, newer)


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Be a user whom the modes of files bind, as root is not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def is_locked(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize(("mode", "held"), [(0o444, True), (0o000, False)])
def test_the_lock_of_another_user_is_shared_where_it_can_be_read_and_keeps_nobody_out(
    mode: int, held: bool
) -> None:
    with TemporaryDirectory() as name:  # not pytest's own folder, which is for its user alone
        folder = Path(name)
        folder.chmod(0o755)
        path, lock = folder / "bundle.json", folder / "bundle.json.lock"
        lock.touch()
        lock.chmod(mode)
        with as_somebody_else(), sole_writer(path):
            inside = mode == 0o444 and is_locked(lock)
        assert inside is held
