"""`elicense keys rotate|compromise`: what cannot be meant is said before anything is opened."""

from argparse import Namespace
from pathlib import Path

import pytest

from app.cli import key_history
from app.cli.common import USAGE
from elicense.cli import main

ROTATE = {"use": "status", "at": None, "overlap": None, "authority": None, "list_keys": False}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"at": "tomorrow"}, "--at"),
        ({"at": "2027-01-01T00:00:00"}, "zone"),
        ({"overlap": "a day"}, "--overlap"),
        ({"use": "root", "at": "2027-01-01"}, "--at"),
        ({"use": "list", "authority": "X"}, "--authority"),
        ({"list_keys": True}, "--list-keys"),
        ({"use": "list", "list_keys": True}, "--list-keys"),
    ],
)
def test_a_rotation_that_cannot_be_meant_is_wrong_usage(
    changed: dict[str, object], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert key_history.rotate(Namespace(**{**ROTATE, **changed})) == USAGE
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("kid", ["-stcKIpOwI3MlWatA7sUd9lJekGtj_RkkpXxK7sxvAw", "-" * 43])
def test_a_key_id_may_begin_with_a_hyphen(
    kid: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["compromise", kid, "--since", "2026-11-24T00:00:00Z"], ["re-sign", "--kid", kid]):
        assert main(["keys", *words, "--data-dir", str(tmp_path / "none")]) != 2
    assert "usage" not in capsys.readouterr().err


def test_a_compromise_needs_a_time_with_its_zone_that_utc_has(capsys: pytest.CaptureFixture[str]) -> None:
    for since in ("2026-11-20T08:00:00", "0001-01-01", "9999-12-31T23:59:59-14:00"):
        assert key_history.compromise(Namespace(since=since, kid="x")) == USAGE
        assert "--since" in capsys.readouterr().err
