"""`elicense clients` and `elicense plans` on a migrated database, as an operator types them."""

import json
import shutil
from pathlib import Path

import pytest

from app.adapters.db import open_store
from app.ports import UnitOfWork
from elicense.cli import main
from elicense.cn import make_uscc
from tests.builders import NOON
from tests.client_assertions import BankKey
from tests.databases import run_apart


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(sqlite_template, tmp_path / "elicense.db")
    monkeypatch.setenv("ELICENSE_ENV", "development")
    return tmp_path


def run(data_dir: Path, *words: str) -> int:
    return main([*words, "--data-dir", str(data_dir)])


def test_an_operator_manages_plans_networks_and_keys(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    market = ("--calls-per-minute", "600", "--burst", "50", "--calls-per-day", "9000", "--batch-limit", "20")
    assert run(data_dir, "plans", "set", "market", *market) == 0
    assert run(data_dir, "plans", "set", "Not a name", *market) == 1
    assert run(data_dir, "clients", "create", "a-bank", "--kind", "bank", "--plan", "market", "--json") == 0
    assert run(data_dir, "clients", "create", "b", "--kind", "bank", "--plan", "none") == 1
    assert run(data_dir, "clients", "plan", "a-bank", "trial") == 0
    networks = ("--network", "203.0.113.0/24", "--network", "2001:db8::/32")
    assert run(data_dir, "clients", "networks", "a-bank", *networks) == 0
    assert run(data_dir, "clients", "networks", "a-bank", "--network", "203.0.113.7/24") == 1
    key = BankKey()
    file = data_dir / "bank.jwk.json"
    file.write_text(json.dumps(key.jwk))
    assert run(data_dir, "clients", "add-jwk", "a-bank", str(file)) == 0
    assert run(data_dir, "clients", "add-jwk", "nobody", str(file)) == 1
    file.write_text("{")
    assert run(data_dir, "clients", "add-jwk", "a-bank", str(file)) == 2
    assert run(data_dir, "clients", "add-jwk", "a-bank", str(data_dir / "nothing")) == 4
    capsys.readouterr()
    assert run(data_dir, "clients", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["plan"] == "trial" and listed["networks"] == "203.0.113.0/24,2001:db8::/32"
    assert listed["jwks"] == key.kid and listed["last_used_at"] == ""
    assert run(data_dir, "clients", "end-jwk", "a-bank", key.kid) == 0
    assert run(data_dir, "clients", "end-jwk", "a-bank", key.kid) == 1
    assert run(data_dir, "clients", "networks", "a-bank", "--anywhere") == 0
    capsys.readouterr()
    assert run(data_dir, "plans", "list", "--json") == 0
    plans = {plan["name"]: plan for plan in json.loads(capsys.readouterr().out)}
    assert plans["market"]["calls_per_day"] == 9000 and {"standard", "trial", "bulk"} < set(plans)


def test_the_list_shows_when_a_client_last_used_its_public_keys(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data_dir, "clients", "create", "a-bank", "--kind", "bank") == 0
    key, file = BankKey(), data_dir / "bank.jwk.json"
    file.write_text(json.dumps(key.jwk))
    assert run(data_dir, "clients", "add-jwk", "a-bank", str(file)) == 0

    async def use(unit: UnitOfWork) -> None:
        client = await unit.api_clients.by_name("a-bank")
        assert client is not None
        await unit.request_log.mark_used({}, jwks={(client.id, key.kid): NOON})

    async def work() -> None:
        store = open_store(f"sqlite+aiosqlite:///{data_dir / 'elicense.db'}")
        await store.write(use)
        await store.close()

    run_apart(work)
    capsys.readouterr()
    assert run(data_dir, "clients", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["last_used_at"] == NOON.isoformat(timespec="seconds")


def test_keys_beyond_two_stop_counting_in_the_list(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data_dir, "clients", "create", "a-bank", "--kind", "bank") == 0
    for _ in range(3):
        assert run(data_dir, "clients", "rotate", "a-bank", "--overlap", "1h") == 0
    capsys.readouterr()
    assert run(data_dir, "clients", "list", "--json") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert len(listed["keys"].split(",")) == 2


def test_a_holder_has_a_code_that_a_license_can_have(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = make_uscc("9", "1", "320100", "MA0T0000")
    broken = good[:17] + ("0" if good[17] != "0" else "1")
    create = ("clients", "create", "shop", "--kind", "holder", "--holder")
    for code in ("123", broken, ""):
        assert run(data_dir, *create, code) == 2
        assert "统一社会信用代码" in capsys.readouterr().err
    # The code of a citizen, or one that is meant to be a social credit code, is no other code either.
    for code in ("11010519491231002X", broken, ""):
        assert run(data_dir, *create, code, "--holder-code-type", "099") == 1
        assert "/holder_code" in capsys.readouterr().err
    assert run(data_dir, *create, "123", "--holder-code-type", "099") == 0
    assert run(data_dir, "clients", "create", "another", *create[3:], f" {good.lower()}") == 0


def test_wrong_options_are_told_in_chinese_first(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    create = ("clients", "create", "x", "--kind")
    for words, told in (
        ((*create, "bank", "--holder", "x"), "--holder: 仅用于"),
        ((*create, "authority"), "--authority: 仅用于"),
        ((*create, "bank", "--purpose", "none-such"), "未知用途"),
        ((*create, "bank", "--scope", "none-such"), "未知权限"),
    ):
        assert run(data_dir, *words) == 2
        assert capsys.readouterr().err.startswith(f"用法错误 usage: {told}")
