"""A witness as a process of its own, beside a running demonstration: key, registration, cosignature, refusal."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    cosigned_at,
    parse_note,
    parse_verifier_key,
    verifier_key,
)
from tests.e2e.demo_process import COMMAND, ROOT, RunningDemo, elicense, environment, running_demo
from tests.simulated_signers import SimulatedSigner

NAME = "witness.example"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    folder = tmp_path_factory.mktemp("witnessed-demo")
    with running_demo(folder, "--licenses", 20) as running:
        yield running


def _words(demo: RunningDemo, folder: Path) -> list[str]:
    base_url = str(demo.facts["base_url"])
    files = ["--key", str(folder / "w.pem"), "--name", NAME, "--state", str(folder / "state.json")]
    return ["log", "witness", "--base-url", base_url, *files]


def test_a_witness_watches_a_running_service(demo: RunningDemo, tmp_path: Path) -> None:
    made = elicense("log", "witness-key", "--key", tmp_path / "w.pem", "--name", NAME)
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "w.pem").stat().st_mode & 0o777 == 0o600
    shown = elicense("log", "witness-key", "--key", tmp_path / "w.pem", "--name", NAME)
    assert shown.stdout == made.stdout, "an existing key is shown, never replaced"
    vkey = made.stdout.strip()
    _, _, key = parse_verifier_key(vkey)

    once = [*_words(demo, tmp_path), "--once"]
    early = elicense(*once)
    assert early.returncode == 4 and "cosignature_refused" in early.stderr, "not registered yet"
    added = elicense("keys", "add-witness", NAME, vkey, "--data-dir", demo.folder)
    assert added.returncode == 0, added.stderr
    twice = elicense("keys", "add-witness", NAME, vkey, "--data-dir", demo.folder)
    assert twice.returncode == 1
    heard = _until_heard(once)
    assert list(cosigned_at(parse_note(heard), witnesses={NAME: key})) == [NAME]

    told = elicense("doctor", "--data-dir", demo.folder)
    assert "log witnesses: 1 registered; last saw" in told.stdout, told.stdout
    listed = json.loads(elicense("keys", "list", "--json", "--data-dir", demo.folder).stdout)
    (log_key,) = (row["vkey"] for row in listed if row["use"] == "log")
    (witness_key,) = (row["vkey"] for row in listed if row["use"] == "witness")
    assert witness_key == vkey

    named = elicense(*once, "--log-key", log_key)
    assert named.returncode == 0, named.stderr
    other_log = elicense(*once, "--log-key", vkey)
    assert other_log.returncode == 2, "a witness's key is no log's"


def test_a_witness_is_retired_by_its_name(demo: RunningDemo) -> None:
    name, where = "retired.example", ["--data-dir", demo.folder]
    vkey = verifier_key(name, SimulatedSigner("eddsa").public_key, kind=NOTE_KEY_COSIGNATURE)
    added = elicense("keys", "add-witness", name, vkey, *where)
    assert added.returncode == 0, added.stderr
    done = elicense("keys", "retire-witness", name, *where)
    assert done.returncode == 0 and "retired witness retired.example" in done.stdout, done


def _until_heard(once: list[str]) -> str:
    """Look until the service takes the cosignature: it reads a new witness's key within a second."""
    for _ in range(10):
        done = elicense(*once)
        if done.returncode == 0 and done.stdout:
            return done.stdout.rstrip("\n") + "\n"
        time.sleep(0.5)
    raise AssertionError(f"exit {done.returncode}: {done.stdout} {done.stderr}")


def test_a_witness_runs_until_it_is_told_to_stop(demo: RunningDemo, tmp_path: Path) -> None:
    elicense("log", "witness-key", "--key", tmp_path / "w.pem", "--name", "other.example")
    words = [*_words(demo, tmp_path), "--every", "1s"]
    running = subprocess.Popen(
        [str(COMMAND), *words], env=environment(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "state.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 0, errors
    assert json.loads((tmp_path / "state.json").read_text())["size"] > 20


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"size": 5, "root": "00" * 32}, "fork"), ({"size": 10**9, "root": "00" * 32}, "step_back")],
)
def test_a_witness_that_remembers_otherwise_ends_with_the_evidence(
    demo: RunningDemo, tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    elicense("log", "witness-key", "--key", tmp_path / "w.pem", "--name", NAME)
    once = [*_words(demo, tmp_path), "--once"]
    elicense(*once)
    state = tmp_path / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), **change}))
    before = state.read_bytes()
    refused = elicense(*once)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"[{reason}]" in refused.stderr
    assert refused.stderr.count("demo.elicense.example/log\n") >= 2, "both notes are shown"
    assert state.read_bytes() == before


def test_what_cannot_be_meant_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "w.pem").touch(mode=0o644)
    files = ["--key", tmp_path / "w.pem", "--name", NAME, "--state", tmp_path / "s.json", "--once"]
    for where in (["--base-url", "http://127.0.0.1:1"], ["--base-url", "nonsense"], ["--log-dir", tmp_path]):
        assert elicense("log", "witness", *where, *files).returncode == 2
    assert elicense("log", "witness-key", "--key", tmp_path / "k.pem", "--name", "a b").returncode == 2
    assert elicense("log", "witness-key", "--key", tmp_path / "k.pem", "--name", NAME).returncode == 0
    files[1] = tmp_path / "k.pem"
    assert elicense("log", "witness", "--base-url", "http://127.0.0.1:1", *files).returncode == 4
    assert elicense("log", "witness", "--log-dir", tmp_path, *files).returncode == 4
