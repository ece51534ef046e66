"""The drill: every kind of key is renewed and lost under a running service, and no verification is wrong meanwhile."""

import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from elicense.credential import parse_credential
from elicense.evidence import gather_offline
from elicense.policy import policy_by_name
from elicense.stapled import take_apart
from elicense.verify import verify_credential
from tests.e2e.demo_process import COMMAND, ROOT
from tests.faults.key_drill import Drill, drill, judge_offline, witness_vkey
from tests.faults.register import Register
from tests.installation import AUTHORITY
from tests.integration.bystander import WITNESS_NAME

ROTATED = ("credential", "status", "receipt", "freshness", "log", "receipt_log")
LOST = ("credential", "status", "receipt", "freshness", "receipt_log", "log")


def register_witness(running: Drill) -> None:
    vkey = witness_vkey(running.register.folder)
    done = subprocess.run(
        [str(COMMAND), "keys", "add-witness", WITNESS_NAME, vkey, "--data-dir", str(running.register.folder)],
        capture_output=True,
        text=True,
        check=False,
        env=running.environment,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    running.start_witness()


def authority_of(use: str) -> tuple[str, ...]:
    return ("--authority", AUTHORITY) if use == "credential" else ()


def lose(running: Drill, use: str) -> dict[str, object]:
    """Let a thief copy the newest key of a use, wait until it is noticed, declare it compromised."""
    rows = [row for row in running.keys(use) if row["authority"] in ("", AUTHORITY)]
    key = rows[-1]
    witnessed = running.wait_until_witnessed()
    since = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=1)
    time.sleep(2)
    with running.watch.lock:
        running.watch.stolen.add(key["kid"])
        if use == "credential":
            running.watch.safe |= witnessed
    if use == "credential":
        begins = datetime.fromisoformat(key["valid_from"])
        dated = max(begins, since - timedelta(seconds=9))
        with running.watch.lock:
            running.watch.thieves.append((running.steal(key["private"]), dated))
        running.pass_time(3)
    declared = running.command("keys", "compromise", key["kid"], "--since", since.isoformat())
    with running.watch.lock:
        running.watch.known_stolen.add(key["kid"])
    return declared


def test_no_verification_is_wrong_while_every_kind_of_key_is_renewed_and_lost(register: Register) -> None:
    with drill(register) as running:
        register_witness(running)
        running.pass_time(3)
        for use in ROTATED:
            new = running.command("keys", "rotate", use, *authority_of(use))
            assert new["use"] == use
        running.pass_time(5)
        assert running.command("keys", "rotate", "list")["root"] == 2
        assert running.command("keys", "rotate", "root", "--list-keys")["root"] == 3
        running.pass_time(2)
        for use in LOST:
            declared = lose(running, use)
            assert declared["witnessed"] or use == "receipt_log", declared
            if use == "credential":
                running.pass_time(
                    2
                )  # within a second every process has heard of it and issues with another key
                assert running.command("keys", "re-sign")["refused"] == []
                assert running.command("keys", "re-sign", "--dry-run")["affected"] == 0
            if use == "log":
                assert str(declared["next_origin"]).endswith("/log/2")
                running.start_witness("witness-2")
            running.pass_time(2)
        assert running.command("keys", "rotate", "root")["root"] == 4
        running.pass_time(4)
    watch = running.watch
    assert watch.wrong == [], "\n".join(watch.wrong[:20])
    assert {"issued", "online", "offline", "receipts", "forged online", "forged offline"} <= set(watch.asked)
    assert all(count >= 5 for count in watch.asked.values()), watch.asked


def believe_iat(root: bytes, bundle: bytes, text: str, policy: str) -> str:
    """Judge as one would who believes the time a credential names: what is dated before the theft stays good."""
    evidence = gather_offline(trust_root=root, bundle=bundle, now=datetime.now(UTC))
    token, proof = take_apart(text)
    credential = parse_credential(token)
    trust = evidence.trust
    assert trust is not None
    authority = trust.trust_list.authority_by_issuer(credential.claims.issuer)
    assert authority is not None
    entry = authority.key(credential.kid)
    if entry is None or entry.compromised is None or credential.claims.issued_at >= entry.compromised.since:
        return judge_offline(root, bundle, text, policy)
    believed = replace(authority, keys=tuple(replace(one, compromised=None) for one in authority.keys))
    listed = replace(trust.trust_list, authorities={**trust.trust_list.authorities, authority.code: believed})
    fooled = replace(evidence, trust=replace(trust, trust_list=listed))
    report = verify_credential(token, evidence=fooled, policy=policy_by_name(policy), proof=proof)
    return report.reason.value


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_drill_catches_a_judge_that_believes_the_time_a_stolen_key_has_signed(register: Register) -> None:
    with drill(register, judge=believe_iat) as running:
        register_witness(running)
        running.pass_time(3)
        lose(running, "credential")
        _until_wrong(running, "offline: a forged credential is valid")


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_drill_catches_a_service_that_signs_with_a_key_before_it_is_listed(register: Register) -> None:
    eager = [sys.executable, "-m", "tests.faults.eager_keys"]
    with drill(register, serve=eager) as running:
        running.pass_time(3)
        subprocess.run(
            [*eager, "--register", "receipt"], check=True, env=running.environment, cwd=ROOT, timeout=60
        )
        _until_wrong(running, "receipt:")


def _until_wrong(running: Drill, start: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with running.watch.lock:
            if any(line.startswith(start) for line in running.watch.wrong):
                return
        running.pass_time(0.5)
    raise AssertionError(f"not caught: {running.watch.wrong} {running.watch.asked}")
