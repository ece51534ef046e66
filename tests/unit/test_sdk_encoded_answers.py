"""Compressed answers: taken apart within bounds, and refused when they are made to burst."""

import gzip
import json
import subprocess
import sys
import zlib
from functools import cache

import pytest

from elicense import APIConnectionError, APIResponseError, ElicenseError
from tests.raw_service import Asked, http, serving
from tests.sdk_clients import LICENSE, over_http

PLAIN = json.dumps(LICENSE).encode()
ASK_AND_MEASURE = """
import asyncio, resource, sys
from elicense import AsyncElicense, Elicense, ElicenseError

async def ask():
    async with AsyncElicense(api_key="k", base_url=sys.argv[1], max_retries=0) as client:
        await client.licenses.get("0190")

before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    if sys.argv[2] == "asyncio":
        asyncio.run(ask())
    else:
        Elicense(api_key="k", base_url=sys.argv[1], max_retries=0).licenses.get("0190")
except ElicenseError as error:
    print(type(error).__name__, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before >> 10)
"""


@cache
def bomb(times: int) -> bytes:
    """Compress a gibibyte of zeros, once or what comes of it again."""
    if times == 2:
        return gzip.compress(bomb(1))
    squeezer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = bytes(1 << 20)
    return b"".join(squeezer.compress(block) for _ in range(1024)) + squeezer.flush()


@pytest.mark.parametrize("times", [1, 2])
def test_a_small_answer_that_swells_costs_no_more_than_a_large_one(kind: str, times: int) -> None:
    body = bomb(times)
    answer = http(body, "200 OK", "Content-Encoding: " + ", ".join(["gzip"] * times))
    with serving(lambda _: answer) as service:
        done = subprocess.run(
            [sys.executable, "-c", ASK_AND_MEASURE, service.url, kind],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    error, mebibytes = done.stdout.split()
    assert error in {"APIConnectionError", "APIResponseError"}
    assert int(mebibytes) < 300


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP ", "identity", ""])
def test_an_answer_as_it_is_or_compressed_once_is_read(kind: str, encoding: str) -> None:
    body = gzip.compress(PLAIN) if "gzip" in encoding.lower() else PLAIN
    with (
        serving(lambda _: http(body, "200 OK", f"Content-Encoding: {encoding}")) as service,
        over_http(kind, service.url) as client,
    ):
        assert client.licenses.get("0190").id == "0190"
    assert b"accept-encoding: gzip\r\n" in service.asked[0].head.lower()


@pytest.mark.parametrize("encoding", ["gzip, gzip", "gzip, identity", "deflate", "br", "zstd", "nonsense"])
def test_an_encoding_that_was_not_asked_for_is_refused(kind: str, encoding: str) -> None:
    with (
        serving(lambda _: http(PLAIN, "200 OK", f"Content-Encoding: {encoding}")) as service,
        over_http(kind, service.url, max_retries=2) as client,
        pytest.raises(APIResponseError, match="encoded"),
    ):
        client.licenses.get("0190")
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        PLAIN,
        gzip.compress(PLAIN)[:-4],
        gzip.compress(PLAIN) * 2,
        gzip.compress(PLAIN) + b"x",
        zlib.compress(PLAIN),
    ],
    ids=["plain", "cut", "twice", "more", "zlib"],
)
def test_a_gzip_that_is_none_or_cut_short_is_no_answer(kind: str, body: bytes) -> None:
    with (
        serving(lambda _: http(body, "200 OK", "Content-Encoding: gzip")) as service,
        over_http(kind, service.url) as client,
        pytest.raises(APIConnectionError),
    ):
        client.licenses.get("0190")


def test_an_empty_body_may_bear_the_encoding(kind: str) -> None:
    def empty(_: Asked) -> list[bytes]:
        return http(b"", "404 Not Found", "Content-Encoding: gzip")

    with (
        serving(empty) as service,
        over_http(kind, service.url) as client,
        pytest.raises(ElicenseError, match="404"),
    ):
        client.licenses.get("0190")
