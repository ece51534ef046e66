"""Run a vector through the core and the command line, as their users do, and compare with what it expects."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from datetime import date, datetime
from io import StringIO
from pathlib import Path
from typing import Any

from elicense import OfflineVerifier
from elicense.cli import main
from elicense.client import _system
from elicense.credential import Credential, parse_credential
from elicense.elements import HeldElements, metadata_elements
from elicense.evidence import Evidence, LiveStatus, RegisterEvidence, gather_offline
from elicense.report import VerificationReport
from elicense.verify import LicenseFacts, verify_credential, verify_license
from tests.vectors.vector import FOLDER, Vector

COMPARED = ("verdict", "reason", "result_code", "file_result_code", "elements", "exit", "status", "problem")
OF_RUNNER = {"core": {"exit", "status"}, "cli": {"status"}, "http": {"exit"}}
"""What a runner has no say about: the core has no exit code, the command no HTTP status."""


def differences(vector: Vector, runner: str, got: Mapping[str, Any]) -> list[str]:
    """Name everything in an answer that is not as the vector says; nothing when all of it is."""
    expected = vector.expected(runner)
    if "problem" in expected:
        expected = {name: expected[name] for name in ("status", "problem")}
    told = [
        f"{name}: {got.get(name)!r} instead of {expected[name]!r}"
        for name in COMPARED
        if name in expected and name not in OF_RUNNER[runner] and got.get(name) != expected[name]
    ]
    checks = {check["id"]: check for check in got.get("checks", ())}
    for name, wanted in expected.get("checks", {}).items():
        shown = {member: checks.get(name, {}).get(member) for member in wanted}
        if shown != wanted:
            told.append(f"check {name}: {shown} instead of {wanted}")
    return told


def run_core(vector: Vector) -> Mapping[str, Any]:
    """Answer with the core: offline from root and bundle, or from the register where the vector says so."""
    if vector.inputs["core_asks"] == "bundle":
        file = vector.file_of()
        assert file is not None, "only a file can be judged from a bundle"
        report: VerificationReport = _verifier(vector).verify(
            file, at=vector.at, elements=vector.elements, **vector.binding
        )
    elif vector.question.get("license") is not None:
        report = _by_reference(vector)
    else:
        report = _by_register(vector)
    assert bool(report) == (report.verdict.value == "valid")
    return report.to_json()


def run_cli(vector: Vector, folder: Path) -> Mapping[str, Any]:
    """Answer with `elicense verify` in this process, its clock at the vector's moment."""
    with _clock_at(vector.now), redirect_stdout(StringIO()) as printed:
        exit_code = main(command_line(vector, folder))
    return {**json.loads(printed.getvalue()), "exit": exit_code}


def command_line(vector: Vector, folder: Path) -> list[str]:
    """Write the vector's files and give the words that ask about them.

    Values to compare are no option of the command: there, the evidence that the SDK kept with them is judged again.
    """
    if vector.elements is not None:
        return repeating(vector, folder)
    file, root = folder / "license", folder / "trust-root.json"
    file.write_bytes(vector.file_of() or b"")
    root.write_bytes(vector.trust_root)
    policy = vector.inputs["policy"]
    if not isinstance(policy, str):
        policy = str(folder / "policy.json")
        Path(policy).write_text(json.dumps(vector.inputs["policy"]), encoding="utf-8")
    words = ["verify", str(file), "--trust-root", str(root), "--policy", policy, "--json"]
    for name, value in vector.binding.items():
        words += [f"--{name}", value]
    if vector.inputs["bundle"] is not None:
        words += ["--bundle", str(FOLDER / vector.inputs["bundle"])]
    return words if vector.at is None else [*words, "--at", vector.at.isoformat()]


def repeating(vector: Vector, folder: Path) -> list[str]:
    """Keep the evidence of the vector's case and give the words that judge it again: at its own moment, any day."""
    report = _verifier(vector).verify(vector.file_of() or b"", at=vector.at, elements=vector.elements)
    kept, root = folder / "evidence.json", folder / "trust-root.json"
    with _clock_at(vector.now):
        report.save_evidence(kept)
    root.write_bytes(vector.trust_root)
    return ["verify", "--evidence", str(kept), "--trust-root", str(root), "--json"]


def _verifier(vector: Vector) -> OfflineVerifier:
    return OfflineVerifier(
        trust_root=vector.trust_root,
        bundle=vector.bundle,
        policy=vector.policy,
        clock=lambda: vector.now,
    )


@contextmanager
def _clock_at(now: datetime) -> Iterator[None]:
    # The client reads time through this one door.
    real = _system.now
    _system.now = lambda: now
    try:
        yield
    finally:
        _system.now = real


def _by_register(vector: Vector) -> VerificationReport:
    credential = parse_credential(vector.question["credential"])
    evidence = _online(vector)
    for license in vector.inputs["register"]:
        versions = [parse_credential(version["credential"]) for version in license["versions"]]
        if credential.signing_input in [version.signing_input for version in versions]:
            evidence = replace(
                evidence,
                register=RegisterEvidence(known=True, elements=_held(versions[-1])),
                status=LiveStatus(state=state_of(license), as_of=vector.now, event_seq=0),
            )
    return verify_credential(
        vector.question["credential"],
        evidence=evidence,
        policy=vector.policy,
        at=vector.at,
        elements=vector.elements,
    )


def _online(vector: Vector) -> Evidence:
    gathered = gather_offline(trust_root=vector.trust_root, bundle=vector.bundle, now=vector.now)
    assert gathered.trust is not None
    return replace(
        gathered, trust=replace(gathered.trust, fresh=True), register=RegisterEvidence(known=False)
    )


def _by_reference(vector: Vector) -> VerificationReport:
    asked = vector.question["license"]
    facts = [_facts(license) for license in vector.inputs["register"]]
    fitting = [fact for fact in facts if all(fact.elements.get(name) == asked[name] for name in asked)]
    return verify_license(
        fitting,
        now=vector.now,
        as_of=vector.now,
        event_seq=0,
        env=vector.inputs["env"],
        policy=vector.policy,
        at=vector.at,
        elements=vector.elements,
    )


def _facts(license: Mapping[str, Any]) -> LicenseFacts:
    credential = parse_credential(license["versions"][-1]["credential"])
    claims = credential.claims.license
    until: date | None = claims.valid_until
    return LicenseFacts(
        identifier=claims.identifier,
        state=state_of(license),
        valid_from=claims.valid_from,
        valid_until=until,
        elements={**_held(credential).values, "type_code": claims.type_code},
    )


def _held(credential: Credential) -> HeldElements:
    values = {**metadata_elements(credential.claims.license), **credential.elements}
    return HeldElements(values=values, complete=True)


def state_of(license: Mapping[str, Any]) -> str:
    """Give the state a register's license is in now."""
    return str(license["changes"][-1]["state"]) if license["changes"] else "active"
