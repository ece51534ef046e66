"""What the demonstration prints for its visitor: commands that run as they stand, however it was started."""

import shlex
import sys
from pathlib import Path

import pytest

from app.demo.files import DemoFiles
from app.demo.running import visitor_lines

FACTS = {
    "base_url": "http://127.0.0.1:8000",
    "licenses": 20,
    "keys": {"platform": "elk_live_x"},
    "samples": {"valid": {"holder_code": "91320106MA0T7TC07X", "credential": "samples/valid.sdjwt"}},
}


def _printed_commands(folder: Path) -> list[list[str]]:
    lines = visitor_lines(FACTS, DemoFiles(folder))
    return [shlex.split(line) for line in lines if " --bundle " in line]


def test_a_command_that_is_not_on_the_path_is_printed_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_RUN_RECURSION_DEPTH", raising=False)
    monkeypatch.setattr(sys, "argv", ["/srv/venv/bin/elicense", "demo"])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert [words[0] for words in _printed_commands(tmp_path)] == ["/srv/venv/bin/elicense"] * 2
    installed = tmp_path / "elicense"
    installed.touch(mode=0o755)
    assert [words[:2] for words in _printed_commands(tmp_path)] == [
        ["elicense", "verify"],
        ["elicense", "trust"],
    ]
