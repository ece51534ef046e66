"""The archive of status lists over HTTP: the version of a moment, or one by its number."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from elicense.status_list import parse_status_list
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def publish_three(service: HttpService) -> tuple[str, list[int]]:
    """Publish three versions of a list, an hour or two apart; return its path and the time of each."""
    installation = service.installation
    license = await service.issue()
    for change in (None, "suspend", "revoke"):
        if change is not None:
            installation.clock.advance(seconds=5000)
            await service.act(license["id"], change)
        await installation.services.status_lists.publish_due()
    uris = (await service.http.get("/v1/status-lists")).json()["status_lists"]
    path = "/v1/status-lists/" + uris[0].rsplit("/", 1)[-1]
    times = []
    for seq in (1, 2, 3):
        answer = await service.http.get(path, params={"seq": str(seq)})
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        claims = parse_status_list(answer.text).claims
        assert claims.seq == seq
        times.append(int(claims.issued_at.timestamp()))
    return path, times


async def test_the_version_that_was_the_newest_at_a_moment_is_served(service: HttpService) -> None:
    path, (first, second, third) = await publish_three(service)
    for time, seq in ((first, 1), (second - 1, 1), (second, 2), (third - 1, 2), (third, 3)):
        answer = await service.http.get(path, params={"time": str(time)})
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/statuslist+jwt"
        claims = parse_status_list(answer.text).claims
        assert claims.seq == seq
        assert claims.issued_at.timestamp() <= time < claims.expires_at.timestamp()
        lasting = answer.headers["cache-control"].endswith("immutable")
        assert lasting == (seq < 3), "what has no successor yet may get one"
    current = await service.http.get(path)
    assert parse_status_list(current.text).claims.seq == 3


async def test_moments_that_no_version_covers_are_not_found(service: HttpService) -> None:
    path, (first, _, third) = await publish_three(service)
    service.installation.clock.advance(days=9)
    past_its_end = third + 8 * 86_400
    still_to_come = third + 20 * 86_400
    for time in (first - 1, 0, past_its_end, still_to_come, 253_402_300_799):
        assert_problem(await service.http.get(path, params={"time": str(time)}), "not_found")
    assert_problem(await service.http.get(path, params={"seq": "4"}), "not_found")
    assert_problem(await service.http.get("/v1/status-lists/none", params={"time": str(first)}), "not_found")


async def test_what_is_no_moment_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    path, _ = await publish_three(service)
    for query in ("time=-1", "time=x", "time=1.5", "time=999999999999", "seq=0", "time=1&seq=1", "at=1"):
        with subtests.test(query=query):
            assert_problem(await service.http.get(f"{path}?{query}"), "invalid_request")
