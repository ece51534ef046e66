"""What a verification over HTTP costs at least: a server that does only what cannot be left out.

On the same uvicorn, event loop and HTTP protocol as `elicense serve` it reads the body, looks the license up, checks a
credential's signature (once: it remembers every credential it has read) or compares two elements as they are written,
signs a receipt and stores the rows of a verification: on the driver itself, and in one transaction for all calls that
meet. It knows no key, quota, policy, budget, check, report, log of requests or metrics; its answer is one that the
service gave, with another id and receipt.
What the service takes beyond this is what the product costs, and a floor below it cannot be reached on this stack.
"""

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import Receive, Scope, Send

from app.adapters.signers.private_keys import PrivateKeySigner
from app.api.arrival import TAKE_BODY
from app.cli.processes import server_options
from app.domain.ids import new_id, new_salt
from app.services.grouped import Grouped
from app.settings import load_settings
from elicense.credential import Credential, parse_credential
from elicense.encoding import b64url_encode, dump_finite_json, read_own_json
from elicense.jws import sign_compact
from elicense.keys import PublicKey
from elicense.receipt import RECEIPT_TYP

NEEDS = "BENCH_LEAST"
"""The variable with what it needs, as JSON: database `url`, an `answer`, the key (`jwk`, `profile`) of credentials."""
TABLES = ("verifications", "audit", "log_leaves")
"""The tables it writes to copies of, `least_` before their names."""

_LICENSE = "l.id, l.state, l.number, l.holder_name, l.elements, v.identifier, v.signing_input_sha256"
_BY_IDENTIFIER = f"""SELECT {_LICENSE} FROM licenses l JOIN license_versions v ON v.license_id = l.id
    WHERE v.identifier = ANY($1::text[])"""
_BY_NUMBER = f"""SELECT {_LICENSE} FROM licenses l
    JOIN license_versions v ON v.license_id = l.id AND v.version = l.version
    WHERE l.type_code = $1 AND l.number = ANY($2::text[])"""
_VERIFICATION = """INSERT INTO least_verifications (id, client_id, kind, purpose, verdict, reason, license_id,
    verified_at, next_check_due, answer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"""
_AUDIT = """INSERT INTO least_audit (id, at, actor, action, subject, outcome, request_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7)"""
_LEAF = """INSERT INTO least_log_leaves (id, log, kind, subject, entry, recorded_at)
    VALUES ($1, $2, $3, $4, $5, $6)"""


class Least:
    """The ASGI application."""

    def __init__(self, needs: Mapping[str, Any]) -> None:
        self._url = needs["url"]
        self._answer = needs["answer"]
        self._key = PublicKey.from_jwk(needs["jwk"], profile=needs["profile"])
        self._signer = PrivateKeySigner(ec.generate_private_key(ec.SECP256R1()))
        self._seen: dict[str, tuple[Credential, bool]] = {}
        self._connection: Any = None
        self._answering = Grouped(self._answer_group)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._live(receive, send)
            return
        body = scope[TAKE_BODY]() or await _whole(receive)
        content = await self._answering.add(read_own_json(body))
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._connection = await asyncpg.connect(self._url)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._connection.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer_group(self, questions: Sequence[Any]) -> Sequence[bytes]:
        shown = [self._read(one["credential"]) if "credential" in one else None for one in questions]
        contents: list[bytes] = []
        rows: list[Any] = []
        async with self._connection.transaction(isolation="repeatable_read"):
            found = await self._look_up(questions, shown)
            for question, credential in zip(questions, shown, strict=True):
                name = question["license"]["number"] if credential is None else _identifier(credential)
                content, made = self._answer_one(question, credential, found[name])
                contents.append(content)
                rows.append(made)
            for statement, table in zip((_VERIFICATION, _AUDIT, _LEAF), zip(*rows, strict=True), strict=True):
                await self._connection.executemany(statement, table)
        return contents

    def _read(self, token: str) -> tuple[Credential, bool]:
        known = self._seen.get(token)
        if known is None:
            credential = parse_credential(token)
            good = self._key.verify(
                credential.signature, credential.signing_input, digest=credential.signed_digest
            )
            known = self._seen[token] = credential, good
        return known

    async def _look_up(
        self, questions: Sequence[Any], shown: Sequence[tuple[Credential, bool] | None]
    ) -> dict[str, Any]:
        named = [_identifier(one) for one in shown if one is not None]
        if named:
            return {row["identifier"]: row for row in await self._connection.fetch(_BY_IDENTIFIER, named)}
        numbers = [one["license"]["number"] for one in questions]
        type_code = questions[0]["license"]["type_code"]
        return {row["number"]: row for row in await self._connection.fetch(_BY_NUMBER, type_code, numbers)}

    def _answer_one(
        self, question: Any, shown: tuple[Credential, bool] | None, row: Any
    ) -> tuple[bytes, tuple[Any, ...]]:
        good = row["state"] == "active"
        if shown is not None:
            credential, signed = shown
            good &= signed and row["signing_input_sha256"] == credential.signed_digest.hex()
        else:
            held, asked = read_own_json(row["elements"]), question["elements"]
            good &= (row["holder_name"], held["address"]) == (asked["holder_name"], asked["address"])
        now, name, salt = datetime.now(UTC), new_id(), b64url_encode(new_salt())
        receipt = self._receipt(name, question, salt)
        told = {**self._answer, "id": name, "verdict": "valid" if good else "invalid", "receipt": receipt}
        verdict = told["verdict"]
        kept = dump_finite_json(told).decode()
        rows = (
            (name, "bench", "credential", "bench", verdict, "ok", row["id"], now, now, kept),
            (new_id(), now, "bench", "verification.create", name, f"{verdict}:ok", name),
            (name, "receipts", "receipt", name, hashlib.sha256(receipt.encode()).digest(), now),
        )
        return dump_finite_json({**told, "question_salt": salt}), rows

    def _receipt(self, name: str, question: Any, salt: str) -> str:
        asked = hashlib.sha256(dump_finite_json({"question": question, "salt": salt})).digest()
        stated = {part: self._answer[part] for part in ("policy", "trust_list", "status_source", "elements")}
        payload = dump_finite_json(
            {"jti": name, "question": b64url_encode(asked), "verdict": "valid", "reason": "ok", **stated}
        )
        return sign_compact(typ=RECEIPT_TYP, payload=payload, signer=self._signer)


def _identifier(shown: tuple[Credential, bool]) -> str:
    return shown[0].claims.license.identifier


async def _whole(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


def application() -> Least:
    """Build it from the environment."""
    return Least(json.loads(os.environ[NEEDS]))


if __name__ == "__main__":
    settings = load_settings(
        Path.cwd(), environ={}, default_environment="development", port=int(sys.argv[1]), log_level="warning"
    )
    uvicorn.run("tests.bench.least_server:application", factory=True, **server_options(settings))
