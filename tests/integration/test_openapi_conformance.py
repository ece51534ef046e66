"""Requests made from the OpenAPI document by schemathesis, well-formed and not, with the keys of every role: each
answer has a documented status, media type and shape, each refusal a documented code, and none a word from inside.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from elicense.problems import PROBLEMS
from tests.integration.attacked import Attacked, attacked
from tests.integration.http_service import ROLES
from tests.integration.test_hostile_bodies import INTERNAL


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Attacked]:
    with attacked(database_url, tmp_path) as opened:
        yield opened


_REQUEST_ID = re.compile(rb'"request_id":"[^"]*"')
_CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2}")


class Generated:
    """Generates requests for every operation, sends them, and keeps what is wrong with the answers."""

    def __init__(self, service: Attacked, *, examples: int, app: ASGIApp | None = None) -> None:
        # Imported here: the package takes a second to import, which every other run of a test would pay.
        from schemathesis import GenerationMode, checks, openapi

        self._service = service
        self._app = app
        self._examples = examples
        self._document = service.app.openapi()
        self._schema = openapi.from_dict(self._document)
        self._modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        checks.load_all_checks()
        self._checks = [checks.CHECKS.get_one(name) for name in _CHECKS]
        self.faults: dict[str, str] = {}
        self.answered: Counter[int] = Counter()

    def run(self, only: str | None = None) -> "Generated":
        """Attack every operation, or the one of that label."""
        for found in self._schema.get_all_operations():
            operation = found.ok()
            if only in (None, operation.label):
                self._attack(operation)
        return self

    def _attack(self, operation: Any) -> None:
        described = self._document["paths"][operation.path][operation.method]
        right = self._service.role_for(described)
        others = st.sampled_from([None, *ROLES])

        @settings(
            max_examples=self._examples,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            deadline=None,
        )
        @given(
            case=st.one_of(operation.as_strategy(generation_mode=mode) for mode in self._modes),
            role=st.one_of(st.just(right), st.just(right), others),
            known=st.booleans(),
            field=st.one_of(st.none(), st.integers(0, 15)),
        )
        def attack(case: Any, role: str | None, known: bool, field: int | None) -> None:
            if known:
                _name_what_exists(case, self._service.known)
            if field is not None and operation.path in self._service.good:
                _mend(case, self._service.good[operation.path][1], field)
            self._send(case, role)

        attack()

    def _send(self, case: Any, role: str | None) -> None:
        request = case.as_transport_kwargs(base_url="http://service.example")
        request["headers"].pop("Authorization", None)
        if role is not None:
            request["headers"]["Authorization"] = f"Bearer {self._service.keys[role]}"
        request["headers"] = {
            name: value.encode("utf-8", "surrogateescape") for name, value in request["headers"].items()
        }
        content = request.pop("data", None)
        if isinstance(content, dict):  # a form, as schemathesis gives it to requests
            content = urlencode(content, doseq=True, errors="surrogatepass").encode("ascii")
        request["content"] = content
        request.pop("cookies", None)
        response = self._service.request(self._app, **request)
        self.answered[response.status_code] += 1
        fault = self._fault(case, response)
        if fault:
            where = f"{case.operation.label} {response.status_code}"
            sent = {**request, "headers": {**request["headers"], "Authorization": role}}
            self.faults.setdefault(f"{where}: {fault[:300]}", str(sent)[:500])

    def _fault(self, case: Any, response: Any) -> str | None:
        checks = self._checks
        if response.headers.get("content-type") == "application/jwt":  # which schemathesis takes for JSON
            if not _COMPACT_JWS.fullmatch(response.text):
                return f"no JWT: {response.text[:200]}"
            checks = checks[:-1]
        try:
            case.validate_response(response, checks=checks)
        except BaseExceptionGroup as group:
            return "; ".join(str(error) for error in group.exceptions)
        except AssertionError as error:
            return str(error)
        # The caller's own X-Request-Id comes back, whatever word it chose.
        if INTERNAL.search(_REQUEST_ID.sub(b"", response.content)) and not response.is_success:
            return f"internal text: {response.text[:200]}"
        if response.is_client_error:
            document = json.loads(response.content)
            if case.operation.path == "/oauth/token" and "error" in document:  # RFC 6749, section 5.2
                return None
            code = document["code"]
            if code not in PROBLEMS or PROBLEMS[code].status != response.status_code:
                return f"code {code}"
            repeated = "idempotent-replayed" in response.headers  # with the id of the first call
            if not repeated and document["request_id"] != response.headers["x-request-id"]:
                return "another request id"
        return None


def _name_what_exists(case: Any, known: dict[str, str]) -> None:
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]


def _mend(case: Any, good: dict[str, Any], field: int) -> None:
    """Put one generated field into a body that is good but for it."""
    generated = case.body if isinstance(case.body, dict) else {}
    names = sorted(generated)
    kept = {} if not names else {names[field % len(names)]: generated[names[field % len(names)]]}
    case.body = {**good, **kept}
    case.media_type = "application/json"


class Bent:
    """Broken twin: the application, with the answers of one status changed on their way out."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        on: int,
        status: int | None = None,
        media_type: bytes | None = None,
        words: tuple[bytes, bytes] = (b"", b""),
    ) -> None:
        self._app = app
        self._on = on
        self._status = status or on
        self._media_type = media_type
        self._words = words

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        bent = False

        async def change(message: Message) -> None:
            nonlocal bent
            if message["type"] == "http.response.start":
                bent = message["status"] == self._on
                if bent:
                    kept = [header for header in message["headers"] if header[0] != b"content-length"]
                    if self._media_type is not None:
                        kept = [header for header in kept if header[0] != b"content-type"]
                        kept.append((b"content-type", self._media_type))
                    message = {**message, "status": self._status, "headers": kept}
            elif bent:
                message = {**message, "body": message["body"].replace(*self._words)}
            await send(message)

        await self._app(scope, receive, change)


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
def test_generated_requests_get_documented_answers(service: Attacked) -> None:
    generated = Generated(service, examples=8).run()
    assert generated.faults == {}
    assert {200, 401, 403, 404, 422} <= set(generated.answered)


@pytest.mark.soak
def test_many_generated_requests_get_documented_answers(service: Attacked) -> None:
    generated = Generated(service, examples=400).run()
    assert generated.faults == {}
    assert sum(generated.answered.values()) > 10_000


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("bend", "found"),
    [
        ({"on": 404, "status": 418}, "Undocumented status code"),
        ({"on": 404, "media_type": b"text/html"}, "Undocumented Content-Type"),
        ({"on": 200, "words": (b'"verdict"', b'"outcome"')}, "Response violates schema"),
        ({"on": 404, "words": (b'"code":"not_found"', b'"code":"no_table"')}, "Response violates schema"),
        ({"on": 404, "words": (b'"detail":"', b'"detail":"sqlalchemy.exc ')}, "internal text"),
        ({"on": 200, "status": 500}, "Server error"),
    ],
)
def test_the_generated_requests_find_what_is_planted(
    service: Attacked, bend: dict[str, Any], found: str
) -> None:
    generated = Generated(service, examples=8, app=Bent(service.app, **bend))
    generated.run(only="GET /v1/verifications/{verification_id}").run(only="GET /v1/verifications")
    assert any(found in fault for fault in generated.faults), generated.faults
