"""An outside look at a register: reads only the database's rows, shares no code with the server that wrote them.

Signatures are checked with PyJWT's key classes on the published public keys, digests with hashlib. Every finding is
one line that names the license; an empty list means the register is consistent.
"""

import asyncio
import base64
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jwt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

_STATUS_VALUE = {"active": 0, "revoked": 1, "cancelled": 1, "transferred": 1, "suspended": 2, "superseded": 3}
_TABLES = (
    "licenses",
    "license_versions",
    "license_numbers",
    "license_history",
    "intents",
    "status_entries",
    "events",
    "log_leaves",
    "audit",
    "service_keys",
    "idempotency",
)
_SIGNED = ("identifier", "credential", "signing_input_sha256", "kid", "status_index")
"""The columns a signature is held against."""

Rows = list[dict[str, Any]]


async def read_register(database_url: str) -> dict[str, Rows]:
    """Read all rows as they were at one moment."""
    options = {"isolation_level": "REPEATABLE READ"} if database_url.startswith("postgresql") else {}
    engine = create_async_engine(database_url, **options)
    try:
        async with engine.connect() as connection:
            tables = {}
            for table in _TABLES:
                result = await connection.execute(text(f"SELECT * FROM {table}"))
                tables[table] = [dict(row._mapping) for row in result]
            return tables
    finally:
        await engine.dispose()


def _unpadded(text_: str) -> bytes:
    return base64.urlsafe_b64decode(text_ + "=" * (-len(text_) % 4))


def _json(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value


def _signature_faults(version: dict[str, Any], keys: Mapping[str, Any]) -> list[str]:
    name = version["identifier"]
    issuer_signed = version["credential"].split("~", 1)[0]
    if issuer_signed.count(".") != 2:
        return [f"{name}: the credential is not signed"]
    signing_input, _, signature = issuer_signed.rpartition(".")
    faults = []
    if hashlib.sha256(signing_input.encode()).hexdigest() != version["signing_input_sha256"]:
        faults.append(f"{name}: the stored digest is not that of the signing input")
    header = json.loads(_unpadded(signing_input.split(".", 1)[0]))
    if header["kid"] != version["kid"] or version["kid"] not in keys:
        return [*faults, f"{name}: signed by an unknown key"]
    algorithm = jwt.get_algorithm_by_name(header["alg"])
    if not algorithm.verify(signing_input.encode(), keys[version["kid"]], _unpadded(signature)):
        faults.append(f"{name}: the signature is wrong")
    claims = json.loads(_unpadded(signing_input.split(".", 1)[1]))
    if claims["license"]["identifier"] != name:
        faults.append(f"{name}: the credential names another identifier")
    if claims["status"]["status_list"]["idx"] != version["status_index"]:
        faults.append(f"{name}: the credential names another status index")
    return faults


def _doubles(what: str, values: list[Any]) -> list[str]:
    return [f"{what} stands {count} times: {value}" for value, count in Counter(values).items() if count > 1]


def _row_faults(tables: dict[str, Rows]) -> list[str]:
    faults = []
    versions = _by_license(tables["license_versions"], "version")
    numbers = {(row["type_code"], row["number"]): row["license_id"] for row in tables["license_numbers"]}
    history = _by_license(tables["license_history"], "row_version")
    made = _made(tables)
    leaves = Counter(row["subject"] for row in tables["log_leaves"])
    events = Counter(row["license_id"] for row in tables["events"])
    audited = Counter(row["subject"] for row in tables["audit"] if row["outcome"] == "ok")
    voided = Counter(_json(row["license"])["id"] for row in tables["intents"] if row["state"] == "voided")
    for license_ in tables["licenses"]:
        name, id_ = license_["number"], license_["id"]
        held = versions.get(id_, [])
        if not held or held[-1]["version"] != license_["version"]:
            faults.append(f"{name}: the license has no signed version, or not its newest")
            continue
        if numbers.get((license_["type_code"], license_["number"])) != id_:
            faults.append(f"{name}: the number is not held by its license")
        expected = license_["row_version"]
        if [row["row_version"] for row in history.get(id_, [])] != list(range(1, expected + 1)):
            faults.append(f"{name}: the history has gaps, or other entries than {expected} changes")
        # A further version is one change of the license and two entries: one version ends, the next one begins. A
        # promise that was given up is an entry too.
        told = expected + len(held) - 1 + voided[id_]
        for kind, counts in (("log leaves", leaves), ("events", events)):
            if counts[id_] != told:
                faults.append(f"{name}: {counts[id_]} {kind} for {expected} changes, {told} expected")
        if audited[id_] < expected:
            faults.append(f"{name}: {audited[id_]} audit entries for {expected} changes")
        faults += _version_faults(license_, held, history.get(id_, []), made)
    return faults


def _by_license(rows: Rows, order: str) -> dict[str, Rows]:
    grouped: dict[str, Rows] = {}
    for row in sorted(rows, key=lambda row: row[order]):
        grouped.setdefault(row["license_id"], []).append(row)
    return grouped


class _Made(NamedTuple):
    """What stands beside versions: values by status index, issuances in the log and events of ends by identifier."""

    entries: dict[tuple[str, int], int]
    issued: Counter[str]
    ended: Counter[str]


def _made(tables: dict[str, Rows]) -> _Made:
    return _Made(
        {(row["list_id"], row["idx"]): row["value"] for row in tables["status_entries"]},
        Counter(row["identifier"] for row in tables["log_leaves"] if row["kind"] == "issuance"),
        Counter(
            _json(row["payload"])["identifier"]
            for row in tables["events"]
            if row["kind"] == "license.superseded"
        ),
    )


def _version_faults(license_: dict[str, Any], held: Rows, history: Rows, made: _Made) -> list[str]:
    """Hold every version of a license against its state, status entry, history and log."""
    name, faults = license_["number"], []
    entries, issued, ended = made
    told = [row["version"] for row in history if row["action"] in ("issue", "amend", "renew")]
    if told != [version["version"] for version in held]:
        faults.append(f"{name}: the history made versions {told}")
    for version in held:
        current = version is held[-1]
        state = license_["state"] if current else "superseded"
        if version["state"] != state:
            faults.append(f"{version['identifier']}: state {version['state']}, its license says {state}")
        published = entries.get((version["status_list_id"], version["status_index"]), 0)
        if published != _STATUS_VALUE[state]:
            faults.append(f"{version['identifier']}: status value {published} for state {state}")
        if issued[version["identifier"]] != 1:
            faults.append(f"{version['identifier']}: {issued[version['identifier']]} issuance log leaves")
        if ended[version["identifier"]] != (0 if current else 1):
            faults.append(f"{version['identifier']}: {ended[version['identifier']]} events of its end")
    return faults


def _intent_faults(tables: dict[str, Rows], *, promises_open: bool) -> list[str]:
    identifiers = {row["identifier"] for row in tables["license_versions"]}
    voided_values = {(row["list_id"], row["idx"]): row["value"] for row in tables["status_entries"]}
    faults = []
    for intent in tables["intents"]:
        if intent["state"] == "open" and not promises_open:
            faults.append(f"{intent['identifier']}: the intent is still open")
        elif intent["state"] == "done" and intent["identifier"] not in identifiers:
            faults.append(f"{intent['identifier']}: done, but no license")
        elif intent["state"] == "voided":
            if intent["identifier"] in identifiers:
                faults.append(f"{intent['identifier']}: voided, but issued")
            if voided_values.get((intent["status_list_id"], intent["status_index"])) != 1:
                faults.append(f"{intent['identifier']}: voided, but its status index is not set to 1")
    return faults


async def check_register(
    database_url: str, acknowledged: Mapping[str, str] | None = None, revoked: Iterable[str] = ()
) -> list[str]:
    """Return every inconsistency of a register at rest.

    `acknowledged` maps the numbers that were answered to the newest identifier answered for each, `revoked` names those
    whose revocation was answered.
    """
    return check_rows(await read_register(database_url), acknowledged, revoked)


def check_rows(
    tables: dict[str, Rows],
    acknowledged: Mapping[str, str] | None = None,
    revoked: Iterable[str] = (),
    *,
    promises_open: bool = False,
    signed: set[str] | None = None,
) -> list[str]:
    """Return every inconsistency of a register's rows, as `check_register` does.

    `promises_open` allows promises nobody has ended yet, as a killed server leaves them. `signed` remembers, from one
    look to the next, credentials that were found well signed.
    """
    signed = set() if signed is None else signed
    keys = {
        row["kid"]: jwt.PyJWK(_json(row["jwk"]) | {"kty": "EC"}, algorithm="ES256").key
        for row in tables["service_keys"]
        if row["use"] == "credential"
    }
    faults = []
    for version in tables["license_versions"]:
        seen = json.dumps([version[name] for name in _SIGNED])
        if seen in signed:
            continue
        found = _signature_faults(version, keys)
        faults += found
        if not found:
            signed.add(seen)
    faults += _doubles("number", [(row["type_code"], row["number"]) for row in tables["licenses"]])
    faults += _doubles("identifier", [row["identifier"] for row in tables["license_versions"]])
    indices = [(row["status_list_id"], row["status_index"]) for row in tables["license_versions"]]
    faults += _doubles("status index", indices)
    faults += _row_faults(tables) + _intent_faults(tables, promises_open=promises_open)
    ids = {row["number"]: row["id"] for row in tables["licenses"]}
    made = {row["identifier"]: row["license_id"] for row in tables["license_versions"]}
    for number, identifier in (acknowledged or {}).items():
        if number not in ids or made.get(identifier) != ids[number]:
            faults.append(f"{number}: acknowledged as {identifier}, which is no version of its license")
    states = {row["number"]: row["state"] for row in tables["licenses"]}
    for number in revoked:
        if states.get(number) != "revoked":
            faults.append(f"{number}: its revocation was acknowledged, its state is {states.get(number)}")
    return faults


def check_register_now(
    database_url: str, acknowledged: Mapping[str, str] | None = None, revoked: Iterable[str] = ()
) -> list[str]:
    """Run `check_register` from code that has no event loop."""
    return asyncio.run(check_register(database_url, acknowledged, revoked))
