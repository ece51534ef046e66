"""The examples of both README files, run as they stand against a live demonstration."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.e2e.demo_process import COMMAND, RunningDemo, environment, running_demo
from tests.readme import NAMES, examples


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    folder = tmp_path_factory.mktemp("reader") / ".elicense"
    with running_demo(folder, "--licenses", "20") as running:
        yield running


def run(command: list[str], demo: RunningDemo, **settings: str) -> str:
    done = subprocess.run(
        command,
        cwd=demo.folder.parent,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def as_typed(text: str, demo: RunningDemo) -> str:
    """Put this run's port and command where a reader has the usual ones."""
    return text.replace("http://127.0.0.1:8000", demo.facts["base_url"]).replace(
        "uv run elicense", str(COMMAND)
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_work_as_printed(name: str, demo: RunningDemo) -> None:
    assert shutil.which("curl"), "the README's example needs curl"
    curl, update, checkpoint = (
        example.text
        for example in examples(name, "bash")
        if "curl" in example.text or "trust update" in example.text
    )
    answer = run(["bash", "-euc", as_typed(curl, demo)], demo)
    assert '"verdict":"valid"' in answer.replace(" ", "")
    run(["bash", "-euc", as_typed(update, demo)], demo)
    assert run(["bash", "-euc", as_typed(checkpoint, demo)], demo).startswith("demo.elicense.example/log\n")

    platform, batch, tasks, sandbox, bank, department = (
        run([sys.executable, "-c", example.text], demo) for example in examples(name, "python")
    )
    assert platform.startswith("valid ok ")
    assert batch.split("\n")[:3] == [
        "shop-8812 valid ok",
        "shop-8813 invalid mismatch",
        "shop-8814 invalid revoked",
    ]
    assert {"valid valid ok", "revoked invalid revoked", "expired invalid expired"} <= set(tasks.splitlines())
    assert sandbox.split() == ["ok", "expired"]
    assert bank.startswith("valid ok ")
    assert "failed" not in bank
    counted, last = department.splitlines()
    assert counted.startswith("relying_parties=0 licenses_of_holder=0 ")
    assert last == "revoked"
    (audit,) = (example.text for example in examples(name, "bash") if "--evidence" in example.text)
    kept = run(["bash", "-euc", as_typed(audit, demo)], demo)
    assert "回执成立" in kept
    assert "与当时保存的结论一致" in kept


def test_the_example_for_asyncio_of_the_sdk_works_as_printed(demo: RunningDemo) -> None:
    (example,) = (one.text for one in examples("clients/python/README.md", "python") if "asyncio" in one.text)
    settings = {
        "ELICENSE_BASE_URL": demo.facts["base_url"],
        "ELICENSE_API_KEY": demo.facts["keys"]["platform"],
    }
    samples = demo.facts["samples"]
    files = [str(demo.folder / samples[name]["credential"]) for name in ("valid", "revoked")]
    printed = run([sys.executable, "-c", example, *files], demo, **settings).splitlines()
    assert printed == [f"{files[0]} valid ok", f"{files[1]} invalid revoked"]


def test_the_shown_output_is_what_the_demonstration_prints(demo: RunningDemo) -> None:
    """Labels only: ports, keys and paths differ from run to run."""
    demo.printed("Ctrl-C")
    printed = {line.split("  ")[0] for line in demo.lines if line and not line.startswith((" ", "curl"))}
    for name in NAMES:
        (shown,) = (example.text for example in examples(name, "text"))
        labels = {line.split("  ")[0] for line in shown.splitlines() if line and not line.startswith(" ")}
        labels = {label for label in labels if not label.startswith(("curl", "uv run", "签发"))}
        assert labels <= printed, f"{name}: {labels - printed}"
