"""Files, settings and databases as an operator gets them wrong: what is said, and how the command exits."""

import asyncio
import os
import shutil
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from threading import Thread

import pytest
from fastapi import FastAPI
from sqlalchemy.engine import URL, make_url
from starlette.types import Receive, Scope, Send

from app.cli.processes import application, run_server
from elicense.cli import main
from tests.databases import PostgreSQL
from tests.installation import ISSUER_URL

ZERO = "/dev/zero"


@pytest.fixture
def data_dir(sqlite_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copyfile(sqlite_template, tmp_path / "elicense.db")
    for name in [name for name in os.environ if name.startswith("ELICENSE_")]:
        monkeypatch.delenv(name)
    return tmp_path


def run(data_dir: Path, *words: object) -> int:
    return main([*map(str, words), "--data-dir", str(data_dir)])


NAMING_A_FILE = (
    ("setup", "apply", "FILE"),
    ("clients", "add-jwk", "a-bank", "FILE"),
    ("log", "audit", "--trust-root", "FILE"),
    ("recover", "--trust-root", "FILE"),
    ("import", "small.csv", "--map", "FILE", "--authority", "x", "--type", "y"),
)


@pytest.mark.parametrize("words", NAMING_A_FILE, ids=" ".join)
def test_an_endless_file_is_wrong_usage_and_an_absent_one_an_error(
    data_dir: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    (data_dir / "small.csv").write_text("number\n1\n", encoding="utf-8")
    named = [word.replace("small.csv", str(data_dir / "small.csv")) for word in words]
    assert run(data_dir, *[word.replace("FILE", ZERO) for word in named]) == 2
    capsys.readouterr()
    absent = str(data_dir / "absent")
    assert run(data_dir, *[word.replace("FILE", absent) for word in named]) == 4
    said = capsys.readouterr().err
    assert absent in said and said.count("\n") == 1


def test_a_list_whose_reader_goes_away_ends_quietly(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert run(data_dir, "doctor") == 4
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_migrating_postgresql_needs_no_folder(
    empty_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").write_text("no folder can be made below this")
    monkeypatch.setenv("ELICENSE_DATABASE_URL", empty_database_url)
    assert run(tmp_path / "file" / "data", "migrate") == 0, capsys.readouterr().err


def said_of(data_dir: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert run(data_dir, *words) == 4, capsys.readouterr()
    said = "".join(capsys.readouterr())
    assert "Traceback" not in said
    return said


def test_a_sqlite_file_that_cannot_be_used_is_told_by_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELICENSE_DATABASE_URL", f"sqlite+aiosqlite:///{tmp_path / 'x.db'}")
    absent = said_of(tmp_path, capsys, "clients", "list")
    assert "SQLITE_CANTOPEN" in absent and "run elicense migrate" in absent
    (tmp_path / "x.db").mkdir()
    folder = said_of(tmp_path, capsys, "migrate")
    assert "no folder stand in its place" in folder and "run elicense migrate" not in folder
    (tmp_path / "x.db").rmdir()
    (tmp_path / "x.db").write_bytes(b"a letter, no database. " * 200)
    for words in (("migrate",), ("clients", "list"), ("doctor",)):
        assert "SQLITE_NOTADB" in said_of(tmp_path, capsys, *words)


def test_a_database_of_a_newer_program_asks_for_that_program(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(data_dir / "elicense.db")) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    for words in (("migrate",), ("doctor",), ("serve", "--port", "0"), ("clients", "list")):
        said = said_of(data_dir, capsys, *words)
        assert "newer version (9999)" in said and "install the newer program" in said
        assert "elicense migrate" not in said


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_a_postgresql_that_cannot_be_used_is_told_by_its_cause(
    empty_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def said(url: URL, *words: str) -> str:
        monkeypatch.setenv("ELICENSE_DATABASE_URL", url.render_as_string(hide_password=False))
        told = said_of(tmp_path, capsys, *words)
        assert "hunter2" not in told
        return told

    good = make_url(empty_database_url)
    plain = URL.create("postgresql+asyncpg", "u", "hunter2", "127.0.0.1", 1, "x")
    assert "run `elicense migrate`" in said(good, "clients", "list")
    missing = said(good.set(database="no_such_database", password="hunter2"), "migrate")
    assert "3D000" in missing and "createdb" in missing
    assert "28000" in said(good.set(username="nobody-here", password="hunter2"), "migrate")
    closed = said(plain, "migrate")
    assert "ConnectionRefusedError" in closed and "see whether the database server runs" in closed.lower()
    assert "host name is not known" in said(plain.set(host="no-such-host.invalid"), "migrate")
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_refuse_encryption, args=(server,), daemon=True).start()
        without = plain.set(port=server.getsockname()[1]).update_query_dict({"ssl": "require"})
        assert "option ssl" in said(without, "migrate")


def _refuse_encryption(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        with connection:
            connection.recv(8)
            connection.sendall(b"N")


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_tables_and_rights_that_do_not_fit_are_told(
    empty_database_url: str,
    postgresql_server: PostgreSQL,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = make_url(empty_database_url)
    there = PostgreSQL(url)
    there.execute("CREATE TABLE licenses (id text)")
    monkeypatch.setenv("ELICENSE_DATABASE_URL", empty_database_url)
    foreign = said_of(tmp_path, capsys, "migrate")
    assert "42P07" in foreign and "another, empty database" in foreign
    there.execute(
        "DROP TABLE licenses", "REVOKE CREATE ON SCHEMA public FROM public", "CREATE ROLE a_clerk LOGIN"
    )
    try:
        clerk = url.set(username="a_clerk").render_as_string(hide_password=False)
        monkeypatch.setenv("ELICENSE_DATABASE_URL", clerk)
        refused = said_of(tmp_path, capsys, "migrate")
        assert "42501" in refused and "grant this user" in refused
    finally:
        there.execute("DROP ROLE a_clerk")


@pytest.mark.anyio
async def test_a_process_of_serve_on_a_sandbox_has_the_settings_of_its_parent(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def set_up() -> None:
        assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
        assert run(data_dir, "sandbox", "init") == 0

    await asyncio.to_thread(set_up)
    monkeypatch.setenv("ELICENSE_DATA_DIR", str(data_dir / "sandbox"))
    served = application()
    assert isinstance(served, FastAPI)
    async with served.router.lifespan_context(served):
        pass  # its own database, keys and issuer, or it had not started


def unable_to_start() -> object:
    """Make an application that gives up at its start."""

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": ""})

    return app


def test_a_server_that_cannot_start_is_an_error() -> None:
    assert run_server(f"{__name__}:unable_to_start", host="127.0.0.1", port=0, log_config=None) == 4


def test_a_witness_whose_memory_is_damaged_reports_no_fork(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key, state, log = tmp_path / "w.pem", tmp_path / "state.json", tmp_path / "log"
    log.mkdir()
    assert main(["log", "witness-key", "--key", str(key), "--name", "w.example"]) == 0
    words = ["log", "witness", "--log-dir", str(log), "--key", str(key), "--name", "w.example", "--once"]
    damaged = (b"", b"[]", b'{"fmt": 1}', b'{"fmt": 1, "log_key": "x"}', b"\xff", b"[" * 100_000)
    for content in damaged:
        state.write_bytes(content)
        capsys.readouterr()
        assert main([*words, "--state", str(state)]) == 4
        said = capsys.readouterr().err
        assert said.startswith(f"运行错误 error: {state}") and "do not simply delete it" in said, content
        assert said.count("\n") == 1
        assert state.read_bytes() == content
    assert main([*words, "--state", str(tmp_path)]) == 4
    assert "do not simply delete it" in capsys.readouterr().err


def test_doctor_complains_about_a_missing_folder_instead_of_making_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
    capsys.readouterr()
    run(data_dir, "doctor")
    assert "! 根密钥目录在联机密钥目录中" in capsys.readouterr().out
    monkeypatch.setenv("ELICENSE_KEYS_DIR", str(data_dir / "mistyped"))
    assert run(data_dir, "doctor") == 2
    assert f"key folder {data_dir / 'mistyped'} does not exist" in capsys.readouterr().err
    assert not (data_dir / "mistyped").exists()
    monkeypatch.setenv("ELICENSE_KEYS_DIR", str(data_dir / "keys"))
    (data_dir / "keys" / "root").rename(data_dir / "offline")
    run(data_dir, "doctor")
    assert "! " not in capsys.readouterr().out


def test_an_audit_with_a_wrong_file_or_of_nothing_finds_no_faults(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = data_dir / "s.toml"
    wrong.write_text("[[areas]]")
    assert "not initialized" in said_of(data_dir, capsys, "log", "audit")
    assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
    capsys.readouterr()
    assert run(data_dir, "log", "audit", "--trust-root", wrong) == 2
    assert "no trust root" in capsys.readouterr().err
    assert run(data_dir, "log", "audit") == 0


def test_a_misspelled_variable_is_named_and_stops_nothing(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELICENSE_DATABSE_URL", "sqlite+aiosqlite:///elsewhere.db")
    assert run(data_dir, "migrate") == 0
    assert "unknown variable without effect: ELICENSE_DATABSE_URL\n" in capsys.readouterr().err
    for command in ("serve", "worker"):
        assert "unknown variable without effect: ELICENSE_DATABSE_URL\n" in said_of(data_dir, capsys, command)
    assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
    assert run(data_dir, "doctor") == 1
    assert "✗ 未知变量 ELICENSE_DATABSE_URL" in capsys.readouterr().out


def test_a_worker_says_that_it_started_once_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "worker started" not in said_of(tmp_path, capsys, "worker")


def test_an_option_out_of_range_is_named(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(data_dir, "serve", "--port", "99999") == 2
    assert capsys.readouterr().err.startswith("设置错误 setting: --port 须为 0 到 65535 的整数")


def test_a_witness_without_its_key_file_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = str(tmp_path / "absent.pem")
    words = ("--name", "w.example", "--state", str(tmp_path / "s.json"), "--once", "--log-dir", str(tmp_path))
    assert main(["log", "witness", "--key", absent, *words]) == 4
    assert absent in capsys.readouterr().err


def test_what_a_command_could_not_do_is_told_in_words_alone(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
    mark = data_dir / "keys" / "high-water.json"
    in_its_place = mark.with_suffix(".json.tmp")
    in_its_place.mkdir()
    said = said_of(data_dir, capsys, "doctor", "--accept-time")
    assert "high-water.json" in said and '{"' not in said
    in_its_place.rmdir()
    held = mark.read_text(encoding="utf-8")
    mark.write_text(held.replace('"kept": ', '"kept": 9'), encoding="utf-8")
    assert run(data_dir, "recover") == 1
    assert capsys.readouterr().err == ""


def test_a_development_installation_is_named_as_the_demonstration_where_nothing_was_said(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELICENSE_ENV", "development")
    assert run(data_dir, "keys", "init") == 0, capsys.readouterr().err
    monkeypatch.setenv("ELICENSE_ISSUER_URL", ISSUER_URL)
    assert run(data_dir, "keys", "list") == 2
    assert "must stay https://demo.elicense.example" in capsys.readouterr().err


def test_a_development_installation_keeps_the_issuer_url_of_its_first_init(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ELICENSE_ENV", "development")
    assert run(data_dir, "keys", "init", "--issuer-url", ISSUER_URL) == 0
    assert run(data_dir, "keys", "list") == 0, capsys.readouterr().err
    monkeypatch.setenv("ELICENSE_ISSUER_URL", "https://demo.elicense.example")
    assert run(data_dir, "keys", "list") == 2
    assert f"must stay {ISSUER_URL}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("clients", "rotate", "x", "--overlap", "1y"),
        ("keys", "rotate", "status", "--overlap", "1y"),
    ],
    ids=" ".join,
)
def test_a_length_of_time_that_cannot_be_read_is_told_in_both_languages(
    data_dir: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(data_dir, *words) == 2
    said = capsys.readouterr().err
    assert "--overlap: 时长须为" in said and "a duration is digits" in said and said.count("\n") == 1
