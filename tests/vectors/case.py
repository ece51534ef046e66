"""Write one case: what stays the same in most vectors is said here once."""

from datetime import datetime
from typing import Any

from elicense.report import rfc3339
from tests.simulator import NOW
from tests.vectors.vector import TRUST_ROOT
from tests.vectors.worlds import DAY, World

ISSUED = NOW - 10 * DAY
EXIT = {"valid": 0, "invalid": 1, "indeterminate": 3}
NO_FILE = "the command asks about files; a question by reference needs the register"

Members = dict[str, Any]


def registered(
    *tokens: str, changes: list[Members] | None = None, log: Members | None = None, at: datetime = ISSUED
) -> Members:
    """Describe one license of the register: its versions, the first first, and what happened to it since."""
    versions = [
        {"credential": token, "recorded_at": rfc3339(at + number * DAY), "log": log}
        for number, token in enumerate(tokens)
    ]
    return {"versions": versions, "changes": changes or []}


def changed(state: str, *, at: datetime = NOW - DAY / 2, revocation: str | None = None) -> Members:
    """Describe one change of a license's state."""
    return {"state": state, "at": rfc3339(at), "revocation": revocation}


def failed(code: str, check: str) -> Members:
    """Expect one check to fail for a reason."""
    return {check: {"outcome": "failed", "code": code}}


def unknown(code: str, check: str) -> Members:
    """Expect one check that cannot tell, for a reason."""
    return {check: {"outcome": "cannot_tell", "code": code}}


def passed(*checks: str) -> Members:
    """Expect checks to pass."""
    return {check: {"outcome": "passed", "code": "ok"} for check in checks}


def answer(
    verdict: str, reason: str, codes: tuple[int | None, int | None], checks: Members, **elements: str
) -> Members:
    """Say what is answered; `codes` are GB/T 36906's: of the information, and of the file; `elements` by outcome."""
    compared = [{"name": name, "outcome": outcome} for name, outcome in elements.items()]
    return {
        "verdict": verdict,
        "reason": reason,
        "result_code": codes[0],
        "file_result_code": codes[1],
        "checks": checks,
        **({"elements": compared} if compared else {}),
        "exit": EXIT[verdict],
        "status": 200,
    }


def case(
    id: str,
    why: tuple[str, str],
    *,
    world: World,
    question: Members,
    expected: Members,
    at: datetime | None = None,
    now: datetime = NOW,
    bundle: bool = True,
    policy: str | Members = "platform-default",
    elements: dict[str, str] | None = None,
    register: list[Members] | None = None,
    by: Members | None = None,
    core_asks: str = "bundle",
    not_by: dict[str, str] | None = None,
) -> Members:
    """Give the members of one vector's file."""
    made: Members = {
        "id": id,
        "why": {"zh": why[0], "en": why[1]},
        "at": None if at is None else rfc3339(at),
        "inputs": {
            "now": rfc3339(now),
            "env": world.installation.env,
            "issuer_url": world.installation.issuer_url,
            "trust_root": TRUST_ROOT,
            "bundle": world.file if bundle else None,
            "policy": policy,
            "question": question,
            "elements": elements,
            "register": register or [],
            "core_asks": core_asks,
        },
        "expected": {**expected, "by": by} if by else expected,
    }
    return {**made, "not_by": not_by} if not_by else made
