"""Hold what departments ordered against the rows of their register, and every version against what it answers."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from elicense import OfflineVerifier
from tests.faults.checker import Rows
from tests.faults.killable import Killable
from tests.faults.mix import Kind, Order

BATCH = 500
_SIGNED = {"ok", "revoked", "superseded", "suspended"}
"""The reasons of a credential whose signature holds and which the register knows: the judge came to its state."""


def order_faults(orders: Sequence[Order], tables: Mapping[str, Rows]) -> list[str]:
    """Tell of every order that was acknowledged and is lost, was done twice, was refused and done, or never given."""
    licenses = {row["id"]: row for row in tables["licenses"]}
    issued = Counter(row["number"] for row in tables["licenses"])
    changes: dict[str, Rows] = defaultdict(list)
    for row in tables["license_history"]:
        if row["action"] != "issue":
            changes[row["reason"]].append(row)
    versions = {(row["license_id"], row["version"]): row for row in tables["license_versions"]}
    given = {order.key for order in orders}
    faults = [f"{key}: nobody ordered this" for key in [*issued, *changes] if key not in given]
    for order in orders:
        done = issued[order.key] if order.kind is Kind.ISSUE else len(changes[order.key])
        if done > 1:
            faults.append(f"{order.key}: {order.kind} was done {done} times")
        elif done and order.refused is not None:
            faults.append(f"{order.key}: {order.kind} was refused, and done")
        elif order.answer is not None:
            faults += _answer_faults(order, changes[order.key], licenses, versions)
    return faults


def _answer_faults(
    order: Order,
    changes: Rows,
    licenses: Mapping[str, Mapping[str, Any]],
    versions: Mapping[tuple[str, str], Mapping[str, Any]],
) -> list[str]:
    """Hold an acknowledged order against the license it was about."""
    answer = order.answer
    assert answer is not None
    if order.kind is not Kind.ISSUE and [row["action"] for row in changes] != [order.kind.value]:
        return [f"{order.key}: {order.kind} was acknowledged, and is not in the history"]
    license_ = licenses.get(answer["id"])
    if license_ is None or (order.license_id or answer["id"]) != answer["id"]:
        return [f"{order.key}: {order.kind} was acknowledged, and its license is not there"]
    faults = []
    if order.kind is Kind.REVOKE and license_["state"] != "revoked":
        faults.append(f"{order.key}: its revocation was acknowledged, its state is {license_['state']}")
    if order.kind in (Kind.ISSUE, Kind.AMEND):
        made = versions.get((answer["id"], answer["version"]))
        if made is None or made["identifier"] != answer["identifier"]:
            faults.append(f"{order.key}: {answer['identifier']} was acknowledged, and is no version")
        elif _address(made["credential"]) != order.key:
            faults.append(f"{order.key}: {answer['identifier']} says something else")
        if order.kind is Kind.ISSUE and license_["number"] != order.key:
            faults.append(f"{order.key}: the license has another number")
    return faults


def _address(credential: str) -> str | None:
    """Return the address a credential discloses."""
    for disclosure in credential.split("~")[1:-1]:
        _, name, value = json.loads(base64.urlsafe_b64decode(disclosure + "=" * (-len(disclosure) % 4)))
        if name == "address":
            return str(value)
    return None


def told_states(tables: Mapping[str, Rows]) -> dict[str, str]:
    """Return what every version must answer by the rows: `valid` or `invalid` by its credential.

    Versions whose license has a promise under way are left out: recovery ends it at any moment.
    """
    moving = {row["predecessor_id"] for row in tables["intents"] if row["state"] == "open"}
    states = {row["id"]: row["state"] for row in tables["licenses"]}
    return {
        row["credential"]: "valid"
        if (row["state"], states[row["license_id"]]) == ("active", "active")
        else "invalid"
        for row in tables["license_versions"]
        if states[row["license_id"]] == "revoked" or row["license_id"] not in moving
    }


def online_faults(base_url: str, key: str, expected: Mapping[str, str]) -> list[str]:
    """Ask the running service about versions; tell of every one that answers otherwise than its state."""
    faults = []
    credentials = list(expected)
    with httpx.Client(base_url=base_url, headers={"Authorization": f"Bearer {key}"}, timeout=120) as client:
        for start in range(0, len(credentials), BATCH):
            some = credentials[start : start + BATCH]
            response = client.post(
                "/v1/verifications/batch", json={"items": [{"credential": one} for one in some]}
            )
            assert response.status_code == 200, response.text
            for credential, result in zip(some, response.json()["results"], strict=True):
                name = _identifier(credential)
                if result["reason"] not in _SIGNED:
                    faults.append(f"{name}: does not verify: {result['reason']}")
                elif result["verdict"] != expected[credential]:
                    faults.append(f"{name}: answers {result['verdict']}, {expected[credential]} expected")
    return faults


def offline_faults(base_url: str, expected: Mapping[str, str]) -> list[str]:
    """Judge versions as a bank does, with what the service publishes now and nothing else."""
    root = httpx.get(f"{base_url}/v1/trust-root", timeout=30)
    bundle = httpx.get(f"{base_url}/v1/bundle", timeout=30)
    verifier = OfflineVerifier(trust_root=root.content, bundle=bundle.content)
    faults = []
    for credential, verdict in expected.items():
        report = verifier.verify(credential)
        if report.reason.value not in _SIGNED or report.verdict.value != verdict:
            faults.append(
                f"{_identifier(credential)}: {report.verdict} offline ({report.reason}), {verdict} expected"
            )
    return faults


def _identifier(credential: str) -> str:
    payload = credential.split(".")[1]
    return str(
        json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["license"]["identifier"]
    )


def audit_faults(installation: Killable) -> list[str]:
    """Run `elicense log audit` and return what it finds; it must speak of this register, in the words agreed."""
    code, out = installation.run("log", "audit", "--json")
    found = json.loads(out.strip().splitlines()[-1])
    assert found["fmt"] == 1, found
    assert found["clean"] is (found["faults"] == []), found
    assert code == (0 if found["clean"] else 1), f"exit {code}: {found}"
    return [f"audit: {json.dumps(fault, ensure_ascii=False)}" for fault in found["faults"]]
