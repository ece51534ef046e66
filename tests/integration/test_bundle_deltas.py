"""Deltas between published bundles: over real databases, by the service and over HTTP, taken up by the client."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys
from app.domain.authority import SetupPlan
from app.services.bundle_deltas import AT_ONCE, KEPT, BundleDeltaService
from elicense.bundle import parse_bundle
from elicense.bundle_delta import BUNDLE_DELTA_TYPE, apply_delta, make_delta
from elicense.client._evidence import update_bundle
from elicense.encoding import sha256_hex
from elicense.folding import deflate_fingerprint
from tests.installation import open_again, test_plan
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def publish(service: HttpService) -> bytes:
    """Do what the worker does, and return the bundle."""
    await service.installation.services.status_lists.publish_due()
    await service.installation.services.freshness.publish_due()
    return await whole(service)


async def whole(service: HttpService) -> bytes:
    answer = await service.http.get("/v1/bundle")
    assert answer.headers["content-type"] == "application/json"
    return answer.content


def statement(bundle: bytes) -> str:
    return sha256_hex((parse_bundle(bundle).freshness or "").encode())


async def delta(service: HttpService, held: bytes, *, deflate: str | None = None) -> bytes:
    params = {"since": statement(held), **({"deflate": deflate} if deflate is not None else {})}
    answer = await service.http.get("/v1/bundle", params=params)
    assert answer.headers["content-type"] == BUNDLE_DELTA_TYPE, answer.text[:200]
    return answer.content


async def test_yesterdays_bundle_becomes_todays_by_a_delta(service: HttpService) -> None:
    issued = [await service.issue() for _ in range(3)]
    yesterday = await publish(service)
    service.installation.clock.advance(days=1)
    await service.act(issued[1]["id"], "suspend")
    today = await publish(service)
    assert today != yesterday
    for deflate in (deflate_fingerprint(), "0" * 16, None):
        found = await delta(service, yesterday, deflate=deflate)
        assert len(found) < len(today)
        assert apply_delta(yesterday, found) == today
    root = (await service.http.get("/v1/trust-root")).content
    now = service.installation.clock.now()
    made = apply_delta(yesterday, await delta(service, yesterday, deflate=deflate_fingerprint()))
    assert update_bundle(made, trust_root=root, held=yesterday, now=now).changed


async def test_the_current_bundle_is_told_to_be_current(service: HttpService) -> None:
    held = await publish(service)
    found = await delta(service, held)
    assert apply_delta(held, found) == held
    assert len(found) < 500


async def test_a_bundle_under_an_earlier_trust_list_is_followed_by_the_newest(service: HttpService) -> None:
    installation = service.installation
    held = await publish(service)
    plan = SetupPlan(authorities=[replace(test_plan().authorities[1], name="苏州市改名局")])
    await installation.services.directory.apply(plan, dry_run=False, actor="test")
    await installation.services.ceremony.publish_trust_list(root_keys=open_root_keys(installation.settings))
    installation.clock.advance(seconds=40)
    newest = await publish(service)
    assert parse_bundle(newest).trust_list != parse_bundle(held).trust_list
    assert apply_delta(held, await delta(service, held)) == newest


async def test_every_earlier_bundle_leads_to_the_newest(service: HttpService) -> None:
    issued = await service.issue()
    held = [await publish(service)]
    for action in ("suspend", "resume", "suspend", "revoke"):
        service.installation.clock.advance(seconds=70)
        await service.act(issued["id"], action)
        held.append(await publish(service))
    assert len({statement(bundle) for bundle in held}) == 5
    for bundle in held:
        assert apply_delta(bundle, await delta(service, bundle, deflate=deflate_fingerprint())) == held[-1]


async def test_an_unknown_statement_is_answered_with_the_whole_bundle(service: HttpService) -> None:
    current = await publish(service)
    answer = await service.http.get("/v1/bundle", params={"since": "0" * 64})
    assert (answer.headers["content-type"], answer.content) == ("application/json", current)
    # The digest of another kind of document names no bundle.
    other = sha256_hex(parse_bundle(current).trust_list)
    answer = await service.http.get("/v1/bundle", params={"since": other})
    assert answer.content == current


async def test_what_cannot_be_asked_is_refused(service: HttpService) -> None:
    for query in ("since=x", f"since={'A' * 64}", f"since={'0' * 63}", "deflate=zlib", "till=1"):
        assert_problem(await service.http.get(f"/v1/bundle?{query}"), "invalid_request")


async def test_before_the_first_publication_there_is_no_delta(service: HttpService) -> None:
    answer = await service.http.get("/v1/bundle", params={"since": "0" * 64})
    assert answer.status_code in (200, 404)
    assert answer.status_code == (await service.http.get("/v1/bundle")).status_code


async def test_a_delta_may_be_cached_and_is_revalidated(service: HttpService) -> None:
    held = await publish(service)
    params = {"since": statement(held)}
    first = await service.http.get("/v1/bundle", params=params)
    again = await service.http.get(
        "/v1/bundle", params=params, headers={"if-none-match": first.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "public, max-age=30"


async def test_another_process_makes_the_same_delta(service: HttpService) -> None:
    issued = await service.issue()
    held = await publish(service)
    await service.act(issued["id"], "suspend")
    newest = await publish(service)
    async with open_again(service.installation) as second:
        found = await second.services.bundle_deltas.since(statement(held), deflate=None)
    assert found is not None and found.content == await delta(service, held)
    assert apply_delta(held, found.content) == newest


class Comparing:
    """Compares bundles as the product does, counts them, and waits where it is told to."""

    def __init__(self) -> None:
        self.made: list[bytes] = []
        self.go = threading.Event()
        self.go.set()

    def __call__(self, held: bytes, wanted: bytes, *, deflate: str | None) -> bytes:
        self.made.append(held)
        assert self.go.wait(timeout=30)
        return make_delta(held, wanted, deflate=deflate)


def deltas_with(service: HttpService, comparing: Comparing) -> BundleDeltaService:
    services = service.installation.services
    return BundleDeltaService(
        store=services.store, freshness=services.freshness, env="test", compare=comparing
    )


async def test_many_clients_of_one_bundle_share_one_comparison(service: HttpService) -> None:
    held = await publish(service)
    deltas = deltas_with(service, comparing := Comparing())
    found = await asyncio.gather(*(deltas.since(statement(held), deflate=None) for _ in range(20)))
    assert len(set(found)) == 1
    await deltas.since(statement(held), deflate=None)
    assert comparing.made == [held]


async def test_made_up_statements_take_no_turn_and_push_nothing_out(service: HttpService) -> None:
    issued = await service.issue()
    held = await publish(service)
    service.installation.clock.advance(seconds=70)
    await service.act(issued["id"], "suspend")
    await publish(service)
    deltas = deltas_with(service, comparing := Comparing())
    assert await deltas.since(statement(held), deflate=None) is not None
    for number in range(KEPT + 1):
        assert await deltas.since(sha256_hex(str(number).encode()), deflate=None) is None
    made_up = [deltas.since(sha256_hex(f"x{number}".encode()), deflate=None) for number in range(AT_ONCE)]
    *nothing, found = await asyncio.gather(
        *made_up, deltas.since(statement(held), deflate=deflate_fingerprint())
    )
    assert nothing == [None] * AT_ONCE and found is not None
    assert await deltas.since(statement(held), deflate=None) is not None
    assert len(comparing.made) == 2, "one for each way to compress: the first is still kept"


async def test_a_rush_of_different_bundles_gets_whole_ones(service: HttpService) -> None:
    issued = await service.issue()
    held = [await publish(service)]
    for action in ("suspend", "resume") * 2:
        service.installation.clock.advance(seconds=70)
        await service.act(issued["id"], action)
        held.append(await publish(service))
    deltas = deltas_with(service, comparing := Comparing())
    comparing.go.clear()
    asked = [asyncio.create_task(deltas.since(statement(one), deflate=None)) for one in held]
    for done in islice(asyncio.as_completed(asked), len(held) - AT_ONCE):
        assert await done is None
    comparing.go.set()
    found = await asyncio.gather(*asked)
    assert sum(one is not None for one in found) == AT_ONCE
    assert await deltas.since(statement(held[-1]), deflate=None) is not None
