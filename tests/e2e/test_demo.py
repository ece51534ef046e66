"""The demonstration as a visitor meets it, and one license's whole story: issue, fetch, verify, revoke, offline."""

import asyncio
import json
import shlex
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from elicense import AsyncElicense, Elicense, OfflineVerifier, TrustError, Verdict
from elicense.client.errors import (
    NotFoundError,
    NumberTakenError,
    StateConflictError,
    UnauthenticatedError,
)
from elicense.cn import make_uscc
from tests.e2e.demo_process import RunningDemo, elicense, environment, running_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with running_demo(tmp_path_factory.mktemp("demo") / "data", "--licenses", 30) as running:
        yield running
        assert running.stop() == 0


def client(demo: RunningDemo, kind: str) -> Elicense:
    return Elicense(
        base_url=demo.facts["base_url"], api_key=demo.facts["keys"][kind], trust_root=demo.trust_root
    )


_numbers = iter(range(7000, 7999))


def issue(demo: RunningDemo) -> tuple[str, str]:
    """Issue a fresh license; return its id and its holder's code."""
    code = make_uscc("9", "1", demo.facts["area_code"], f"MA0T{next(_numbers)}")
    with client(demo, "authority") as department:
        license = department.licenses.issue(
            type_code=demo.facts["type_code"],
            number=code,
            holder={"code": code, "code_type": "001", "name": "南京演示(测试)有限公司"},
            area_code=demo.facts["area_code"],
            issue_date="1980-05-06",
            valid_from="1980-05-06",
            elements={"legal_representative": "赵例甲", "address": "演示大道1号"},
        )
        assert license.status == "active"
        return license.id, code


def update_bundle(demo: RunningDemo, out: Path) -> int:
    done = elicense(
        "trust",
        "update",
        "--base-url",
        demo.facts["base_url"],
        "--trust-root",
        demo.trust_root,
        "--bundle",
        out,
    )
    return done.returncode


def verify_offline(
    demo: RunningDemo, file: Path, bundle: Path | None, *words: str
) -> tuple[int, dict[str, object]]:
    root = () if bundle is None else ("--bundle", bundle)
    done = elicense("verify", file, "--trust-root", demo.trust_root, *root, "--json", *words)
    return done.returncode, json.loads(done.stdout)


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.1)
    return holds()


def test_demo_json_is_complete(demo: RunningDemo) -> None:
    facts = demo.facts
    assert set(facts["keys"]) == {"operator", "authority", "platform", "bank", "holder", "sandbox"}
    for name, key in facts["keys"].items():
        assert key.startswith("elk_test_" if name == "sandbox" else "elk_live_")
    assert (demo.folder / facts["sandbox"]["trust_root"]).is_file()
    assert set(facts["samples"]) >= {"valid", "suspended", "revoked", "expired", "superseded"}
    for sample in facts["samples"].values():
        assert set(sample) == {"license_id", "identifier", "holder_code", "credential"}
        assert (demo.folder / sample["credential"]).is_file()
    assert facts["type_code"] == "11100000MB0143028R001"
    assert demo.trust_root.is_file()
    assert stat.S_IMODE((demo.folder / "demo.json").stat().st_mode) == 0o600


def test_the_printed_curl_works_as_printed(demo: RunningDemo) -> None:
    command = demo.printed("curl ")
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, text=True, check=True, env=environment(), timeout=30
    )
    assert json.loads(done.stdout)["verdict"] == "valid"


def test_the_sandbox_is_an_installation_of_its_own(demo: RunningDemo) -> None:
    sandbox, key = demo.facts["sandbox"], demo.facts["keys"]["sandbox"]
    root = demo.folder / sandbox["trust_root"]
    with Elicense(base_url=sandbox["base_url"], api_key=key, trust_root=root) as tester:
        for code in tester.sandbox.codes():
            if code.status == 200 and code.scenario not in ("slow", "unavailable_once"):
                found = tester.verifications.create(
                    license={"holder_code": code.holder_code, "type_code": code.type_code},
                    elements=dict(code.elements) or None,
                )
                assert (found.verdict, found.reason) == (code.verdict, code.reason), code
        tester.verify_receipt(found.receipt)
    with (
        Elicense(base_url=demo.facts["base_url"], api_key=key, trust_root=demo.trust_root) as live,
        pytest.raises(TrustError),
    ):
        live.verify_receipt(found.receipt)


def test_the_printed_verify_works_as_printed(demo: RunningDemo) -> None:
    command = demo.printed("elicense verify ")
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, env=environment(), timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


@pytest.mark.parametrize(
    ("sample", "reason"),
    [("valid", "ok"), ("suspended", "suspended"), ("revoked", "revoked"), ("expired", "expired")],
)
def test_each_sample_answers_as_it_is_called_online_and_offline(
    demo: RunningDemo, tmp_path: Path, sample: str, reason: str
) -> None:
    with client(demo, "platform") as platform:
        answer = platform.verifications.create(credential=demo.credential(sample).read_text())
        assert answer.reason == reason
        assert answer.receipt
        by_reference = platform.verifications.create(
            license={
                "holder_code": demo.facts["samples"][sample]["holder_code"],
                "type_code": demo.facts["type_code"],
            }
        )
        assert by_reference.reason == reason
    bundle = tmp_path / "bundle.json"
    assert update_bundle(demo, bundle) == 0
    code, report = verify_offline(demo, demo.credential(sample), bundle)
    assert (code, report["reason"]) == (0 if sample == "valid" else 1, reason)


def test_the_superseded_sample_names_the_version_in_force_and_tells_no_content(
    demo: RunningDemo, tmp_path: Path
) -> None:
    sample = demo.facts["samples"]["superseded"]
    with client(demo, "platform") as platform, client(demo, "authority") as department:
        in_force = department.licenses.get(sample["license_id"])
        assert in_force.identifier != sample["identifier"]
        file = demo.credential("superseded").read_text()
        for answer in (
            platform.verifications.create(credential=file),
            platform.verifications.create(license={"identifier": sample["identifier"]}),
        ):
            assert (answer.verdict, answer.reason) == ("invalid", "superseded")
            assert answer.superseded_by == in_force.identifier
        current = {"holder_code": sample["holder_code"], "type_code": demo.facts["type_code"]}
        assert platform.verifications.create(license=current).reason == "ok"
        assert department.licenses.credential(in_force.id, version="001") == file
    bundle = tmp_path / "bundle.json"
    assert update_bundle(demo, bundle) == 0
    code, report = verify_offline(demo, demo.credential("superseded"), bundle)
    assert (code, report["reason"], report["superseded_by"]) == (1, "superseded", None)


def test_the_whole_story_of_one_license(demo: RunningDemo, tmp_path: Path) -> None:
    license_id, _ = issue(demo)
    file, bundle = tmp_path / "license.sdjwt", tmp_path / "bundle.json"
    with client(demo, "authority") as department, client(demo, "platform") as platform:
        token = department.licenses.credential(license_id)
        file.write_text(token)

        online = platform.verifications.create(credential=token, reference="shop-8812")
        assert online, online
        assert platform.verify_receipt(online.receipt or "")
        assert [one.id for one in platform.verifications.list(reference="shop-8812")] == [online.id]

        assert verify_offline(demo, file, None)[0] == 3, "no bundle"
        assert wait_until(
            lambda: update_bundle(demo, bundle) == 0 and verify_offline(demo, file, bundle)[0] == 0, 60
        )

        for position in (3, 60, len(token) // 3, len(token) // 2, len(token) - 20):
            changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
            assert platform.verifications.create(credential=changed).verdict == "invalid"
            bank = OfflineVerifier(trust_root=demo.trust_root, bundle=bundle)
            assert bank.verify(changed).verdict is Verdict.INVALID

        department.licenses.suspend(license_id, reason_code="inspection", reason="检查")
        assert platform.verifications.create(credential=token).reason == "suspended"
        department.licenses.resume(license_id, reason_code="inspection_passed", reason="通过")
        assert platform.verifications.create(credential=token)

        department.licenses.revoke(license_id, reason_code="fraud", reason="查实造假")
        assert wait_until(lambda: platform.verifications.create(credential=token).reason == "revoked", 1.0)
        with pytest.raises(StateConflictError):
            department.licenses.resume(license_id, reason_code="x", reason="y")

        def revoked_offline() -> bool:
            return (
                update_bundle(demo, bundle) == 0
                and verify_offline(demo, file, bundle)[1]["reason"] == "revoked"
            )

        assert wait_until(revoked_offline, 60)
        assert verify_offline(demo, file, bundle)[0] == 1
        actions = [entry.action for entry in department.licenses.history(license_id)]
        assert actions == ["issue", "suspend", "resume", "revoke"]


def test_what_an_auditor_needs_can_be_kept_and_repeated(demo: RunningDemo, tmp_path: Path) -> None:
    license_id, _ = issue(demo)
    bundle, evidence, answer = (tmp_path / name for name in ("bundle.json", "evidence.json", "answer.json"))
    assert wait_until(lambda: update_bundle(demo, bundle) == 0, 60)
    with client(demo, "authority") as department, client(demo, "platform") as platform:
        department.licenses.suspend(license_id, reason_code="inspection", reason="检查")
        kept = platform.verifications.create(credential=demo.credential("valid").read_text(), reference="r-1")
        answer.write_text(json.dumps(kept.raw, ensure_ascii=False))
    words = ("--base-url", demo.facts["base_url"], "--trust-root", demo.trust_root, "--bundle", bundle)

    def changed_by_delta() -> bool:
        done = elicense("trust", "update", *words, "--lang", "en")
        assert done.returncode == 0
        assert "the changes alone" in done.stdout
        return done.stdout.startswith("updated")

    assert wait_until(changed_by_delta, 60)
    trust = ("--trust-root", demo.trust_root, "--bundle", bundle)
    assert elicense("verify-receipt", answer, *trust).returncode == 0
    answer.write_text(answer.read_text().replace('"ok"', '"revoked"', 1))
    assert elicense("verify-receipt", answer, *trust).returncode == 1
    sample = demo.credential("valid")
    assert elicense("verify", sample, *trust, "--save-evidence", evidence).returncode == 0
    bundle.unlink()
    assert elicense("verify", "--evidence", evidence, "--trust-root", demo.trust_root).returncode == 0
    assert elicense("verify", "--evidence", evidence).returncode == 3


def test_a_bundle_older_than_the_caller_allows_is_stale(demo: RunningDemo, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    assert update_bundle(demo, bundle) == 0
    time.sleep(2.1)
    code, report = verify_offline(demo, demo.credential("valid"), bundle, "--max-status-age", "1s")
    assert (code, report["reason"]) == (3, "status_stale")


def test_elements_are_compared_and_never_told(demo: RunningDemo) -> None:
    _, holder_code = issue(demo)
    question = {"holder_code": holder_code, "type_code": demo.facts["type_code"]}
    with client(demo, "bank") as bank:
        right = bank.verifications.create(license=question, elements={"legal_representative": "赵例甲"})
        assert (right.reason, right.elements[0].outcome) == ("ok", "match")
        wrong = bank.verifications.create(license=question, elements={"legal_representative": "别人"})
        assert (wrong.reason, wrong.elements[0].outcome) == ("mismatch", "mismatch")
        assert "赵例甲" not in json.dumps(wrong.raw, ensure_ascii=False)


def test_a_batch_answers_in_order_under_one_receipt(demo: RunningDemo) -> None:
    items = [{"credential": demo.credential(name).read_text()} for name in ("valid", "revoked")]
    with client(demo, "platform") as platform:
        batch = platform.verifications.batch([*items, {"credential": "noise"}])
    assert [one.reason for one in batch.results] == ["ok", "revoked", "malformed"]
    assert batch.receipt


def test_a_number_is_issued_once(demo: RunningDemo) -> None:
    _, code = issue(demo)
    with client(demo, "authority") as department, pytest.raises(NumberTakenError):
        department.licenses.issue(
            type_code=demo.facts["type_code"],
            number=code,
            holder={"code": code, "code_type": "001", "name": "南京演示(测试)有限公司"},
            area_code=demo.facts["area_code"],
            issue_date="1980-05-06",
            valid_from="1980-05-06",
        )


def test_each_caller_sees_its_own_only(demo: RunningDemo) -> None:
    sample = demo.facts["samples"]["valid"]
    with client(demo, "holder") as holder:
        holdings = holder.holdings()
        assert sample["license_id"] in {one.license.id for one in holdings}
        assert {one.license.holder.code for one in holdings} == {sample["holder_code"]}
        with pytest.raises(NotFoundError):
            holder.licenses.get(demo.facts["samples"]["revoked"]["license_id"])
    nobody = Elicense(base_url=demo.facts["base_url"], api_key="elk_live_000000000000_x")
    with nobody, pytest.raises(UnauthenticatedError):
        nobody.licenses.get(sample["license_id"])


@pytest.mark.anyio
async def test_a_platform_asks_many_questions_at_once_and_checks_the_receipts(demo: RunningDemo) -> None:
    samples = demo.facts["samples"]
    async with AsyncElicense(
        base_url=demo.facts["base_url"], api_key=demo.facts["keys"]["platform"], trust_root=demo.trust_root
    ) as platform:
        names = [
            name for _ in range(10) for name in ("valid", "suspended", "revoked", "expired", "superseded")
        ]
        answers = await asyncio.gather(
            *(
                platform.verifications.create(
                    credential=(demo.folder / samples[name]["credential"]).read_text(), reference=name
                )
                for name in names
            )
        )
        assert [one.reference for one in answers] == names
        assert [one.reason for one in answers] == ["ok" if name == "valid" else name for name in names]
        receipt = await platform.verify_receipt(answers[0].receipt)
        assert receipt.verdict == "valid"
        assert (await platform.verifications.get(answers[1].id)).verdict == "invalid"
    async with AsyncElicense(
        base_url=demo.facts["base_url"], api_key=demo.facts["keys"]["authority"]
    ) as department:
        first = await department.licenses.list(limit=5)
        second = await department.licenses.list(limit=5, cursor=first.next_cursor)
        found = [one.id async for one in department.licenses.iterate()]
    assert [one.id for one in (*first, *second)] == found[: len(first) + len(second)]
    assert (len(first), len(set(found))) == (5, len(found))


def test_a_second_demonstration_in_the_same_directory_is_refused(demo: RunningDemo) -> None:
    done = elicense("demo", "--data-dir", demo.folder, "--port", "0", env=environment())
    assert done.returncode == 4


def test_running_it_again_keeps_keys_and_licenses_and_reset_does_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with running_demo(folder, "--licenses", 20) as first:
        assert first.stop(signal.SIGTERM) == 0
        before = first.facts
    with running_demo(folder, "--licenses", 20) as second:
        assert second.stop() == 0
        assert second.facts["keys"] == before["keys"]
        assert second.facts["samples"] == before["samples"]
        root = second.trust_root.read_bytes()
    with running_demo(folder, "--licenses", 20, "--reset") as third:
        assert third.stop() == 0
        assert third.facts["keys"] != before["keys"]
        assert third.trust_root.read_bytes() != root


def test_what_was_called_is_in_the_request_log_after_the_demonstration_has_ended(tmp_path: Path) -> None:
    def callers(demo: RunningDemo) -> tuple[Elicense, Elicense]:
        sandbox = demo.facts["sandbox"]
        tester = Elicense(
            base_url=sandbox["base_url"],
            api_key=demo.facts["keys"]["sandbox"],
            trust_root=demo.folder / sandbox["trust_root"],
        )
        return client(demo, "platform"), tester

    folder = tmp_path / "data"
    with running_demo(folder, "--licenses", 20) as first:
        for caller in callers(first):
            with caller:
                assert list(caller.policies.list())
        assert first.stop() == 0
    with running_demo(folder, "--licenses", 20) as second:
        for caller in callers(second):
            with caller:
                assert "/v1/policies" in [one.route for one in caller.requests()]
        assert second.stop() == 0


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    done = elicense("demo", "--data-dir", tmp_path, "--port", "0", "--reset")
    assert done.returncode == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letters.txt"]


def test_printed_commands_are_whole_shell_lines(demo: RunningDemo) -> None:
    for start in ("curl ", "elicense verify ", "elicense trust update "):
        assert len(shlex.split(demo.printed(start))) > 3
