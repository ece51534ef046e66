"""515 naughty strings in every text field of every body, path and query of the OpenAPI document: each time a documented
answer, never one from inside, always JSON.

Each string is put into each field by itself, the rest of the request being good, so that it gets as far as it can.
"""

import json
import re
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.integration.attacked import Attacked, attacked
from tests.integration.naughty import (
    body_schema,
    escaped,
    naughty_strings,
    parameters,
    placed,
    text_fields,
)
from tests.integration.test_hostile_bodies import Watch

STRINGS = naughty_strings()
BATCH = "/v1/verifications/batch"


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Attacked]:
    with attacked(database_url, tmp_path) as opened:
        yield opened


class StrictWatch(Watch):
    """Judges successes too: their media type is documented, and what claims to be JSON is."""

    sent = ""
    """The string under test: an answer may repeat it, and it may look like a word from inside."""

    elsewhere = False
    """Whether the path itself was changed: it may then belong to another operation, or to none."""

    def _fault(
        self,
        method: str,
        template: str,
        path_changed: bool,
        status: int,
        headers: dict[bytes, bytes],
        content: bytes,
    ) -> str | None:
        media_type = headers.get(b"content-type", b"").decode().partition(";")[0]
        if status < 300:
            success = self.document["paths"][template][method.lower()]["responses"].get(str(status), {})
            if not self.elsewhere and media_type not in success.get("content", {}):
                return f"undocumented media type {media_type}: {content[:200]!r}"
            if media_type == "text/html" and self.sent and self.sent.encode("utf-8", "replace") in content:
                return "a page that repeats the string"
        if media_type.endswith("json"):
            json.loads(content)
            repeated = json.dumps(self.sent, ensure_ascii=False)[1:-1].encode("utf-8", "surrogatepass")
            if len(repeated) > 3:
                content = content.replace(repeated, b"...")
        return super()._fault(method, template, self.elsewhere, status, headers, content)


class Attack:
    """Puts strings into fields: each `stride`-th string into each field, beginning elsewhere for each."""

    def __init__(self, service: Attacked, *, stride: int, app: ASGIApp | None = None) -> None:
        self._service = service
        self._stride = stride
        self._offset = 0
        self.watch = StrictWatch(service.service)
        if app is not None:
            self.watch.app = app
        self.fields = 0
        self.used: set[str] = set()

    async def run(self, only: str = "") -> None:
        """Attack every operation whose path begins so."""
        for template, methods in self.watch.document["paths"].items():
            if template.startswith(only):
                for method, operation in methods.items():
                    await self._attack(method.upper(), template, operation)

    async def _attack(self, method: str, template: str, operation: dict[str, Any]) -> None:
        role, good = self._service.good.get(template, (self._service.role_for(operation), {}))
        known = {**self._service.known, "license_id": (await self._service.service.issue())["id"]}
        path = re.sub(r"\{(\w+)(:\w+)?\}", lambda name: known.get(name[1], "none"), template).encode()
        schema = body_schema(operation)
        body = b"" if schema is None else _json(good)
        for name in parameters(operation, "path"):
            before, _, after = template.partition(f"{{{name}}}")
            for text in self._next_strings():
                changed = before.encode() + escaped(text) + after.encode()
                changed = re.sub(
                    rb"\{(\w+)\}", lambda one: known.get(one[1].decode(), "none").encode(), changed
                )
                await self._send(text, role, method, template, path=changed, elsewhere=True, body=body)
        for name in parameters(operation, "query"):
            for text in self._next_strings():
                query = name.encode() + b"=" + escaped(text)
                await self._send(text, role, method, template, path=path, query=query, body=body)
        if schema is None:
            return
        for field in dict.fromkeys(text_fields(self.watch.document, schema)):
            if template == BATCH:
                question = good["items"][0] if good else {}
                items = [placed(question, field[2:], text) for text in STRINGS if _clean(text)]
                await self._send("", role, method, template, path=path, body=_json({"items": items}))
            for index, text in enumerate(self._next_strings()):
                # Alone as well, for fields that exclude each other.
                changed = placed({} if index % 2 else good, field, text)
                await self._send(text, role, method, template, path=path, body=_json(changed))

    async def _send(
        self,
        text: str,
        role: str | None,
        method: str,
        template: str,
        *,
        path: bytes,
        elsewhere: bool = False,
        **rest: bytes,
    ) -> None:
        self.watch.sent, self.watch.elsewhere = text, elsewhere
        self.used.add(text)
        await self.watch.send(role, method, template, path=path, **rest)

    def _next_strings(self) -> list[str]:
        self.fields += 1
        self._offset += 1
        return list(islice(cycle(STRINGS), self._offset % self._stride, len(STRINGS), self._stride))


def _json(body: object) -> bytes:
    return json.dumps(body).encode()


def _clean(text: str) -> bool:
    return not any(0xD800 <= ord(character) < 0xE000 for character in text)


class Fragile:
    """Broken twin: fails on right-to-left marks, and shows a page with whatever looks like a script."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        body: bytes = message.get("body", b"")
        shown = body + scope["query_string"]

        async def again() -> Any:
            return message

        if b"\\u202e" in body:
            await _answer(send, 500, b"text/plain", b"Internal Server Error")
        elif b"script" in shown:
            await _answer(send, 200, b"text/html", shown)
        else:
            await self._app(scope, again, send)


async def _answer(send: Send, status: int, media_type: bytes, body: bytes) -> None:
    headers = [(b"content-type", media_type)]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def test_there_are_515_strings_and_the_document_has_fields_for_them() -> None:
    assert len(STRINGS) >= 515
    document = {"components": {"schemas": {"S": {"type": "string"}}}}
    schema = {
        "properties": {
            "a": {"anyOf": [{"$ref": "#/components/schemas/S"}, {"type": "null"}]},
            "b": {"type": "object", "additionalProperties": {"type": "string"}},
            "c": {"type": "array", "items": {"properties": {"d": {"type": "string"}}}},
            "e": {"type": "integer"},
        }
    }
    assert list(text_fields(document, schema)) == [("a",), ("b", "address"), ("c", 0, "d")]
    assert placed({"a": "x"}, ("c", 0, "d"), "!") == {"a": "x", "c": [{"d": "!"}]}
    assert placed({"c": ["x", "y"]}, ("c", 0), "!") == {"c": ["!", "y"]}


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_naughty_strings_in_every_field_get_documented_answers(service: Attacked) -> None:
    attack = Attack(service, stride=40)
    service.portal.call(attack.run)
    assert attack.watch.faults == []
    assert attack.used >= set(STRINGS)
    assert attack.fields >= 100


@pytest.mark.soak
def test_every_naughty_string_in_every_field_gets_a_documented_answer(service: Attacked) -> None:
    attack = Attack(service, stride=1)
    service.portal.call(attack.run)
    assert attack.watch.faults == []


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_the_attack_finds_a_fragile_service(service: Attacked) -> None:
    attack = Attack(service, stride=1, app=Fragile(service.app))
    service.portal.call(attack.run, "/v1/scheduled-changes")
    assert any("status 500" in fault for fault in attack.watch.faults)
    assert any("undocumented media type text/html" in fault for fault in attack.watch.faults)
