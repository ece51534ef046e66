"""A production installation without the demonstration: migrate, setup, keys, clients, two API workers, one worker."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import httpx

from elicense import Elicense, OfflineVerifier
from elicense.cn import make_uscc
from elicense.encoding import civil_today
from tests.e2e.demo_process import COMMAND, ROOT, elicense, environment, free_port

AUTHORITY = make_uscc("1", "1", "320100", "MA0T9001")
TYPE = "11100000MB0143028R001"
ISSUER_URL = "https://license.province.example"
SETUP = f"""
[[areas]]
code = "320100"
name = "南京市"

[[license_types]]
code = "{TYPE}"
name = "营业执照"
name_en = "Business license"
defining_authority = "11100000MB0143028R"
[[license_types.elements]]
name = "address"
label = "住所"
label_en = "address"
kind = "address"

[[authorities]]
code = "{AUTHORITY}"
name = "南京市样例局(演示)"
level = "city"
area_code = "320100"
[[authorities.scopes]]
type_code = "{TYPE}"
areas = ["3201"]
"""


@contextmanager
def process(
    words: Sequence[str], env: dict[str, str], *, stderr: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([str(COMMAND), *words], env=env, cwd=ROOT, stderr=stderr)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        try:
            running.wait(timeout=30)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def wait_for(client: Elicense) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            client.trust.root()
            return
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_an_installation_is_built_and_serves_with_several_processes(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    env = environment(ELICENSE_ISSUER_URL=ISSUER_URL)

    def run(*words: object, code: int = 0) -> str:
        done = elicense(*words, "--data-dir", data, env=env)
        assert done.returncode == code, f"{words}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout

    run("serve", "--port", port, code=4)
    run("migrate")
    (tmp_path / "setup.toml").write_text(SETUP, encoding="utf-8")
    run("setup", "apply", tmp_path / "setup.toml", "--dry-run")
    run("setup", "apply", tmp_path / "setup.toml")
    assert "不变 unchanged 1" in run("setup", "apply", tmp_path / "setup.toml")
    run("keys", "init")
    run("keys", "publish-trust-list")
    kids = json.loads(run("keys", "list", "--json"))
    assert {key["use"] for key in kids} == {
        "credential",
        "status",
        "receipt",
        "freshness",
        "log",
        "receipt_log",
    }

    keys = {}
    for kind, bound in (("authority", ["--authority", AUTHORITY]), ("platform", [])):
        made = json.loads(run("clients", "create", f"the-{kind}", "--kind", kind, *bound, "--json"))
        assert made["secret"].startswith("elk_live_")
        keys[kind] = made["secret"]
    run("clients", "create", "the-platform", "--kind", "platform", code=1)
    run("clients", "create", "nobody", "--kind", "authority", code=2)
    listing = run("clients", "list")
    assert "the-platform" in listing
    assert keys["platform"] not in listing
    rotated = json.loads(run("clients", "rotate", "the-platform", "--overlap", "1h", "--json"))["secret"]

    run("sandbox", "init")
    trial = json.loads(
        elicense(
            *("clients", "create", "trial", "--kind", "bank", "--json", "--data-dir", data / "sandbox"),
            env=env,
        ).stdout
    )["secret"]
    assert trial.startswith("elk_test_")

    base_url = f"http://127.0.0.1:{port}"
    directory = ["--data-dir", str(data)]
    with (
        process(["serve", "--port", str(port), "--workers", "2", *directory], env),
        process(["worker", *directory], env),
    ):
        department = Elicense(base_url=base_url, api_key=keys["authority"])
        wait_for(department)
        root = department.trust.root()
        platforms = [Elicense(base_url=base_url, api_key=key) for key in (keys["platform"], rotated)]
        code = make_uscc("9", "1", "320102", "MA0T9002")
        license = department.licenses.issue(
            type_code=TYPE,
            number=code,
            holder={"code": code, "code_type": "001", "name": "样例(演示)公司"},
            area_code="320100",
            issue_date="1980-01-02",
            valid_from="1980-01-02",
            elements={"address": "演示大道1号"},
        )
        token = department.licenses.credential(license.id)
        for platform in platforms:
            answer = platform.verifications.create(credential=token)
            assert (answer.reason, answer.env) == ("ok", "live")

        deadline = time.monotonic() + 60
        while not OfflineVerifier(trust_root=root, bundle=department.trust.bundle()).verify(token):
            assert time.monotonic() < deadline, "the worker publishes the new list within a minute"
            time.sleep(0.2)

        department.licenses.revoke(license.id, reason_code="penalty", reason="吊销")
        time.sleep(1)
        # Fresh connections reach either API process.
        for _ in range(8):
            with Elicense(base_url=base_url, api_key=rotated) as fresh:
                assert fresh.verifications.create(credential=token).reason == "revoked"
        with Elicense(base_url=base_url, api_key=trial) as tester:
            revoked = next(code for code in tester.sandbox.codes() if code.scenario == "revoked")
            tried = tester.verifications.create(credential=revoked.credential)
            assert (tried.reason, tried.env) == ("revoked", "test")
        assert platforms[0].verifications.create(credential=revoked.credential).reason == "issuer_unknown"

        run("plans", "set", "small", "--calls-per-minute", "6000", "--calls-per-day", "40")
        made = run("clients", "create", "small", "--kind", "platform", "--plan", "small", "--json")
        _spend_over_both_processes(base_url, json.loads(made)["secret"], a_day=40)

        deadline = time.monotonic() + 60
        while (
            OfflineVerifier(trust_root=root, bundle=department.trust.bundle()).verify(token).reason
            != "revoked"
        ):
            assert time.monotonic() < deadline, "the list says so within a minute"
            time.sleep(0.2)
        report = run("doctor")
        assert "✗" not in report
        assert rotated not in report
        assert "无缺失 nothing is missing" in run("recover")

    accepted = run("doctor", "--accept-time")
    assert "已接受时间 time accepted" in accepted and "✗" not in accepted
    run("recover", "--trust-root", tmp_path / "none", code=4)
    run("recover", "--trust-root", data / "keys" / "high-water.json", code=1)
    mark = data / "keys" / "high-water.json"
    held = mark.read_text(encoding="utf-8")
    mark.write_text(held.replace('"kept": ', '"kept": 9'), encoding="utf-8")
    assert "rollback_detected" in run("doctor", code=1)
    assert "留痕次数" in run("recover", code=1)
    assert (
        "rollback_detected"
        in elicense("clients", "revoke", "the-platform", "--data-dir", data, env=env).stderr
    )
    run("recover", "--accept-loss")
    assert "✗" not in run("doctor")

    run("clients", "revoke", "the-platform")


def _spend_over_both_processes(base_url: str, key: str, *, a_day: int) -> None:
    """Call three times as often as a day's quota allows, each call on its own connection: either process may get it.

    If each process counted by itself, up to twice the quota would be admitted.
    """

    def call(_: int) -> int:
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.get(f"{base_url}/v1/requests", headers=headers, timeout=30).status_code

    began = civil_today(datetime.now(UTC))
    with ThreadPoolExecutor(16) as callers:
        statuses = list(callers.map(call, range(3 * a_day)))
    days = 1 + (civil_today(datetime.now(UTC)) > began)
    assert set(statuses) <= {200, 429}
    assert a_day <= statuses.count(200) <= days * a_day


def test_all_wrong_settings_are_named_at_once_and_exit_2(tmp_path: Path) -> None:
    wrong = {"ELICENSE_ENV": "staging", "ELICENSE_DATABASE_URL": "mysql://x", "ELICENSE_ISSUER_URL": "x"}
    done = elicense("doctor", "--data-dir", tmp_path, env=environment(**wrong))
    assert done.returncode == 2
    assert [name for name in wrong if name not in done.stderr] == []


def test_before_anything_is_set_up_every_command_names_the_next_step(tmp_path: Path) -> None:
    env = environment(ELICENSE_ISSUER_URL=ISSUER_URL)
    for words in (("serve",), ("worker",), ("doctor",), ("clients", "list"), ("keys", "init")):
        done = elicense(*words, "--data-dir", tmp_path / "new", env=env)
        assert done.returncode == 4, words
        assert "elicense migrate" in done.stdout + done.stderr, words


def test_a_port_in_use_is_named_and_exits_4(tmp_path: Path) -> None:
    data, env = tmp_path / "data", environment(ELICENSE_ISSUER_URL=ISSUER_URL)
    for words in (("migrate",), ("keys", "init")):
        assert elicense(*words, "--data-dir", data, env=env).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words in (("serve", "--data-dir", data), ("demo", "--data-dir", tmp_path / "demo")):
            done = elicense(*words, "--port", port, env=environment() if words[0] == "demo" else env)
            assert done.returncode == 4, words
            assert f"127.0.0.1:{port}" in done.stderr


SLOW_START = """
import sys, time
if any("spawn_main" in word for word in sys.orig_argv):
    time.sleep(8)
"""


def test_processes_that_are_slow_to_begin_are_waited_for(tmp_path: Path) -> None:
    """A cold disk or a busy machine: uvicorn would kill each after five silent seconds, and none would ever serve."""
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(SLOW_START, encoding="utf-8")
    data, port, said = tmp_path / "data", free_port(), tmp_path / "said.txt"
    env = environment(ELICENSE_ISSUER_URL=ISSUER_URL)
    for words in (("migrate",), ("keys", "init")):
        assert elicense(*words, "--data-dir", data, env=env).returncode == 0
    serve = ("serve", "--port", str(port), "--workers", "2", "--data-dir", str(data))
    slow = {**env, "PYTHONPATH": str(tmp_path / "slow")}
    with said.open("wb") as stderr, process(serve, slow, stderr=stderr):
        wait_for(Elicense(base_url=f"http://127.0.0.1:{port}", max_retries=0))
    assert "died" not in said.read_text(encoding="utf-8")
