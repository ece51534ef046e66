"""The SDK against the OpenAPI document: it asks for every route, with every parameter, and reads every member.

Each method is called with an answer made from its schema, once more for each member with another value in it: what the
method returns must then differ, or the member does not reach the caller.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from app.main import create_app
from app.settings import load_settings
from elicense import APIResponseError, ApprovalPendingError, Elicense
from elicense.client._protocol import Response
from tests.sdk_clients import BASE_URL, FakeTransport
from tests.unit.test_async_sdk_parity import surface

FOR_OPERATORS = "an operator's work is done with the commands of the service"
FOR_MONITORS = "read as files by monitors and witnesses, as C2SP lays them out"
BY_ADDRESS = "read by its address, which other documents name"
OF_THE_INSTALLATION = "asked by the machines around an installation"
NOT_OFFERED = {
    "GET /types/{type_code}/{schema_version}": BY_ADDRESS,
    "GET /.well-known/jwt-vc-issuer/authorities/{authority_code}": BY_ADDRESS,
    "GET /.well-known/oauth-authorization-server": "asked for by the client itself, with its private key",
    "POST /oauth/token": "asked for by the client itself, with its private key",
    "GET /log/checkpoint": FOR_MONITORS,
    "GET /log/tile/{tile}": FOR_MONITORS,
    "GET /logs/{name}/checkpoint": FOR_MONITORS,
    "GET /logs/{name}/tile/{tile}": FOR_MONITORS,
    "POST /log/cosignature": FOR_MONITORS,
    "GET /v1/clients": FOR_OPERATORS,
    "POST /v1/clients": FOR_OPERATORS,
    "GET /v1/clients/{client_id}": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/rotate": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/revoke": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/plan": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/networks": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/jwks": FOR_OPERATORS,
    "POST /v1/clients/{client_id}/jwks/{kid}/end": FOR_OPERATORS,
    "GET /v1/plans": FOR_OPERATORS,
    "POST /v1/plans": FOR_OPERATORS,
    "GET /v1/audit": FOR_OPERATORS,
    "GET /healthz": OF_THE_INSTALLATION,
    "GET /readyz": OF_THE_INSTALLATION,
    "GET /metrics": OF_THE_INSTALLATION,
    "GET /openapi.json": OF_THE_INSTALLATION,
}

WHOLE = {"limit", "cursor"}
NOT_ASKED = {
    "GET /v1/holdings": WHOLE,
    "GET /v1/license-types": WHOLE,
    "GET /v1/authorities": WHOLE,
    "GET /v1/areas": WHOLE,
    "GET /v1/purposes": WHOLE,
    "GET /v1/reasons": WHOLE,
}
"""Parameters no method has: these lists are always fetched whole."""

NOT_READ = {
    "StoredPolicyAnswer.fmt": "stands in the policy file, `document`",
    "ScheduledChangeAnswer.kind": "the class tells it",
    "ProposalAnswer.kind": "the class tells it",
    "CodePage.next_cursor": "the sandbox's codes are one page",
}

NO_CALLS = {"close", "verify_receipt", "__enter__", "__exit__"}
AS_IT_COMES = {"licenses.credential", "trust.bundle", "trust.bundle_since", "trust.root", "trust.trust_list"}
"""Signed documents, handed on as they are."""

MOMENT = datetime(2026, 3, 4, tzinfo=UTC)
ARGUMENTS: Mapping[str, object] = {
    "at": MOMENT,
    "code": "code",
    "due_before": MOMENT,
    "effective_at": MOMENT,
    "elements": {"name": "value"},
    "holder": {"code": "c", "code_type": "001", "name": "n"},
    "holder_key": {"kty": "EC"},
    "items": [{"code": "x", "reference": "reference"}],
    "key_binding": {"nonce": "n", "audience": "a"},
    "license": {"identifier": "i"},
    "limit": 7,
    "new_size": 9,
    "old_size": 8,
    "parts": {"areas": ["32"]},
    "path": ["v1", "status-lists", "list_id"],
    "proof": False,
    "seq": 3,
    "sequence": 3,
    "since": MOMENT,
    "successors": ["i"],
    "time": 4,
    "to": MOMENT,
    "trust_list": 5,
    "trust_root": 6,
    "until": MOMENT,
    "version": 2,
    "allow_proposal": True,
}
"""A value for each parameter; any other is given its own name."""

Schema = Mapping[str, Any]
TEXT: Schema = {"type": "string"}
FREE: Mapping[str, Sequence[str]] = {"warnings": ["code", "message"]}
"""Members of objects that the document leaves open; an object that is not named here gets one of its own name."""


@dataclass(frozen=True)
class Document:
    """The OpenAPI document, with its references followed."""

    paths: Mapping[str, Any]
    schemas: Mapping[str, Any]

    def operation(self, method: str, path: str) -> str:
        """Return the name of the operation a request goes to: of two that fit, the one with fewer parameters."""
        fitting = [
            template
            for template, methods in self.paths.items()
            if method.lower() in methods
            and re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template)), path)
        ]
        return f"{method} {min(fitting, key=lambda template: template.count('{'))}"

    def described(self, operation: str) -> Mapping[str, Any]:
        """Return the description of an operation."""
        method, path = operation.split(" ")
        described: Mapping[str, Any] = self.paths[path][method.lower()]
        return described

    def answers(self, operation: str) -> list[tuple[int, Schema]]:
        """Return the JSON answers of an operation, with every alternative."""
        return [
            (int(status), self.resolved(one))
            for status, answer in self.described(operation)["responses"].items()
            if status < "300"
            for schema in [answer.get("content", {}).get("application/json", {}).get("schema")]
            if schema is not None
            for one in schema.get("oneOf", [schema])
        ]

    def resolved(self, schema: Schema) -> Schema:
        """Follow a reference; a schema that is named keeps its name as its title."""
        if "$ref" not in schema:
            return schema
        name = schema["$ref"].rpartition("/")[2]
        return {**self.schemas[name], "title": name}

    def choices(self, schema: Schema) -> list[Schema]:
        """Return what a value may be, null excepted."""
        schema = self.resolved(schema)
        if "anyOf" not in schema:
            return [schema]
        return [
            found for one in schema["anyOf"] for found in self.choices(one) if found.get("type") != "null"
        ]

    def sample(self, schema: Schema, name: str, choice: int = 0) -> object:
        """Make a value of this schema for the member of this name."""
        choices = self.choices(schema)
        schema = choices[choice % len(choices)]
        match schema.get("type"):
            case _ if "const" in schema:
                return schema["const"]
            case _ if "enum" in schema:
                return schema["enum"][0]
            case "object":
                members = schema.get("properties") or dict.fromkeys(FREE.get(name, [name]), TEXT)
                return {
                    one: self.sample(member, _kind(one, members), choice) for one, member in members.items()
                }
            case "array":
                return [self.sample(schema["items"], name, choice)]
            case "integer":
                return 0 if name == "index" else 1
            case "number":
                return 1.5
            case "boolean":
                return False
            case "null":
                return None
            case _:
                return _text(name)

    def variants(
        self, schema: Schema, value: Any, name: str, choice: int = 0
    ) -> Iterator[tuple[str, object]]:
        """Give the value again for each of its members with another value in it, and that member's name."""
        choices = self.choices(schema)
        schema = choices[choice % len(choices)]
        if "const" in schema or schema.get("type") == "null":
            return
        if isinstance(value, dict):
            members = schema.get("properties") or dict.fromkeys(value, TEXT)
            for one, member in members.items():
                for label, other in self.variants(member, value[one], _kind(one, members), choice):
                    own = f"{schema.get('title')}.{one}"
                    yield own if "." not in label else label, {**value, one: other}
        elif isinstance(value, list):
            for label, other in self.variants(schema["items"], value[0], name, choice):
                yield label, [other]
        elif "enum" in schema:
            yield name, schema["enum"][1]
        elif isinstance(value, bool):
            yield name, not value
        elif isinstance(value, str):
            yield name, _text(name, more=1)
        else:
            yield name, value + 1


def _kind(name: str, members: Mapping[str, object]) -> str:
    """Tell a period of days from the moments of a dry run."""
    return "valid_until" if name in {"from", "until"} and "until" in members else name


_MOMENTS = {"at", "from", "to", "now", "true_time", "as_of", "next_check_due", "status_as_of"}
_DAYS = {"issue_date", "valid_from", "valid_until", "changed_on"}


def _text(name: str, *, more: int = 0) -> str:
    if name in _MOMENTS or name.endswith("_at"):
        return f"2026-01-0{1 + more}T00:00:00Z"
    if name in _DAYS:
        return f"2026-01-0{1 + more}"
    return ("ok" if name == "reason" else name) + more * "-other"


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Document:
    folder: Path = tmp_path_factory.mktemp("sdk")
    app = create_app(load_settings(folder, environ={}, default_environment="development"))
    described = app.openapi()
    return Document(described["paths"], described["components"]["schemas"])


def arguments(method: Callable[..., object], **instead: object) -> dict[str, object]:
    given = {name: ARGUMENTS.get(name, name) for name in signature(method).parameters if name not in {"self"}}
    return {**given, **{name: value for name, value in instead.items() if name in given}}


def call(name: str, answer: object, status: int = 200, **instead: object) -> tuple[object, FakeTransport]:
    """Call a method of a client that is given this answer; return what it returned, and what it sent."""
    transport = FakeTransport(Response(status=status, headers={}, body=json.dumps(answer).encode()))
    holder: Any = Elicense(api_key="k", base_url=BASE_URL, transport=transport)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    method = getattr(holder, last)
    try:
        outcome = method(**arguments(method, **instead))
        return list(outcome) if isinstance(outcome, Iterator) else outcome, transport
    except (APIResponseError, ApprovalPendingError) as error:
        return error, transport


METHODS = sorted(set(surface(Elicense(api_key="k", transport=FakeTransport()))) - NO_CALLS)


def sent(document: Document, name: str) -> tuple[str, set[str]]:
    """Return the operation a method asks for, and with which parameters."""
    _, transport = call(name, {})
    (request,) = transport.requests
    url = urlsplit(request.url)
    return document.operation(request.method, url.path), {one for one, _ in parse_qsl(url.query)}


def test_every_route_is_offered_or_named_with_the_reason_why_not(document: Document) -> None:
    routes = {f"{method.upper()} {path}" for path, methods in document.paths.items() for method in methods}
    offered = {sent(document, name)[0] for name in METHODS}
    assert routes - offered == set(NOT_OFFERED)


def test_every_parameter_of_a_route_can_be_given(document: Document) -> None:
    given: dict[str, set[str]] = {}
    for name in METHODS:
        operation, parameters = sent(document, name)
        given.setdefault(operation, set()).update(parameters)
    # Fetched with `proof`, a credential comes in another form.
    given["GET /v1/licenses/{license_id}/credential"].add("proof")
    for operation, parameters in given.items():
        described = {
            one["name"] for one in document.described(operation)["parameters"] if one["in"] == "query"
        }
        assert described - parameters == NOT_ASKED.get(operation, set()), operation
        assert parameters <= described, operation


def test_every_list_can_be_gone_through(document: Document) -> None:
    paged = {
        operation
        for operation in (sent(document, name)[0] for name in METHODS)
        for _, schema in document.answers(operation)
        if {"data", "next_cursor"} == set(schema.get("properties", ())) and not operation.endswith("/codes")
    }
    wholes = {sent(document, name)[0] for name in METHODS if name.rpartition(".")[2].startswith("iterate")}
    assert paged - wholes == set(NOT_ASKED)


def plain(value: object) -> object:
    """Take a value apart, without what holds the whole answer."""
    if isinstance(value, ApprovalPendingError):
        return plain(value.proposal)
    if isinstance(value, Exception):
        return repr(value)
    if is_dataclass(value) and not isinstance(value, type):
        named = {one.name: getattr(value, one.name) for one in fields(value)}
        return {
            name: plain(member)
            for name, member in {"class": type(value).__name__, **named}.items()
            if name not in {"raw", "document"}
        }
    if isinstance(value, Mapping):
        return {name: plain(member) for name, member in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [plain(member) for member in value]
    return value


def lost(document: Document, name: str) -> list[str]:
    """Name the members of a method's answers that do not reach its caller."""
    missing = []
    operation, _ = sent(document, name)
    for status, schema in document.answers(operation):
        at_once = {"effective_at": None} if schema["title"] == "LicenseAnswer" else {}
        last = {"next_cursor": {"type": "null"}}
        if name.rpartition(".")[2].startswith("iterate") or operation in NOT_ASKED:
            schema = {**schema, "properties": {**schema["properties"], **last}}
        for choice in (0, 1):
            answer = document.sample(schema, "answer", choice)
            outcome, _ = call(name, answer, status, **at_once)
            assert not isinstance(outcome, APIResponseError), (name, outcome)
            for label, other in document.variants(schema, answer, "answer", choice):
                if plain(call(name, other, status, **at_once)[0]) == plain(outcome):
                    missing.append(label)
    return sorted(set(missing) - set(NOT_READ))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in AS_IT_COMES])
def test_every_member_of_an_answer_reaches_the_caller(document: Document, name: str) -> None:
    assert lost(document, name) == []


def test_the_comparison_catches_what_is_not_read(document: Document) -> None:
    schema = {
        "type": "object",
        "title": "T",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
    }
    assert document.sample(schema, "x") == {"a": "a", "b": 1}
    assert list(document.variants(schema, {"a": "a", "b": 1}, "x")) == [
        ("T.a", {"a": "a-other", "b": 1}),
        ("T.b", {"a": "a", "b": 2}),
    ]
    assert plain({"a": "a"}) != plain({"a": "a-other"})
