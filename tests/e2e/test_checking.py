"""What the service signs is checked as the page says, with a shell alone; whatever was bent stops the script."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.debian import install
from tests.e2e.demo_process import RunningDemo, running_demo
from tests.readme import CHECKING, examples

# What is bent, and after which line of the script.
BENT = {
    "trust list": (">list.json\n", 'jq \'.payload |= sub("A"; "B")\' list.json >bent; mv bent list.json'),
    "one signature thrice": (
        ">list.json\n",
        "jq '.signatures |= [.[0], .[0], .[0]]' list.json >bent; mv bent list.json",
    ),
    "claims of a credential": ('demo.json")")\n', "TOKEN=${TOKEN/.eyJpc3MiOiJodHRw/.eyJpc3MiOiJodHRx}"),
    "a disclosure of one's own": ('demo.json")")\n', "TOKEN=${TOKEN}WyJhIiwiYiIsImMiXQ~"),
    "a compromised key": (
        "cd checking\n",
        'jq() { command jq "${@//.compromised == null/.compromised != null}"; }',
    ),
    "status list": ('URI#https://*/}")\n', 'STATUS=$(curl -sS "$BASE/v1/freshness")'),
    "salt of an entry": (
        ">proof.json\n",
        "jq '.salt = \"AAAAAAAAAAAAAAAAAAAAAA\"' proof.json >bent; mv bent proof.json",
    ),
    "checkpoint": (
        ">proof.json\n",
        'jq \'.checkpoint |= sub("\\n[0-9]+\\n"; "\\n9\\n")\' proof.json >bent; mv bent proof.json',
    ),
    "answer": ("answer.json)\n", "jq '.verdict = \"invalid\"' answer.json >bent; mv bent answer.json"),
    "question": (
        "answer.json)\n",
        "jq '.reference = \"another\"' question.json >bent; mv bent question.json",
    ),
    "anchor": (">anchor.json\n", "jq '.anchor.iat += 1' log.json >bent; mv bent log.json"),
}


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    missing = [name for name in ("bash", "openssl", "jq", "curl") if shutil.which(name) is None]
    if missing:
        install(*missing)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    folder = tmp_path_factory.mktemp("auditor") / ".elicense"
    with running_demo(folder, "--licenses", "20") as running:
        yield running


def script(demo: RunningDemo) -> str:
    text = "".join(example.text for example in examples(CHECKING[0], "bash"))
    return text.replace("http://127.0.0.1:8000", demo.facts["base_url"]).replace(
        "$PWD/.elicense", str(demo.folder)
    )


def run(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", text], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def test_what_is_signed_is_checked_with_a_shell_alone(
    demo: RunningDemo, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    text = script(demo)
    done = run(text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "\nstatus: 0\nlogged: entry " in done.stdout
    assert done.stdout.endswith("receipt: valid, fixed in the public log\n")
    for what, (after, bend) in BENT.items():
        with subtests.test(bent=what):
            assert after in text, "the page has changed"
            bent = run(text.replace(after, f"{after}{bend}\n", 1), tmp_path)
            assert bent.returncode == 1, "what was bent must stop the script"
            assert "syntax" not in bent.stderr and "not found" not in bent.stderr, bent.stderr
            assert "fixed in the public log" not in bent.stdout
