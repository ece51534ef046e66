"""Clients that were made before a fork, as servers do that load first and fork then."""

import json
import subprocess
import sys

import pytest

from elicense import APIResponseError
from tests.raw_service import Asked, http, serving
from tests.sdk_clients import LICENSE, VERIFICATION, FakeTransport, MakeClient, json_answer

BLOCKING = """
import os, sys
from elicense import Elicense

def ports(client, name, calls=2):
    return [client.licenses.get(name).number for _ in range(calls)]

client = Elicense(api_key="k", base_url=sys.argv[1], max_retries=0)
before = ports(client, "parent")
child = os.fork()
if not child:
    print("child", *ports(client, "child"), flush=True)
    client.close()
    os._exit(0)
os.waitpid(child, 0)
print("parent", *before, *ports(client, "parent"), flush=True)
"""
ASYNCIO = """
import asyncio, os, sys
from elicense import AsyncElicense

async def ports(client, name, calls=2):
    return [(await client.licenses.get(name)).number for _ in range(calls)]

async def close():
    await client.aclose()

client = AsyncElicense(api_key="k", base_url=sys.argv[1], max_retries=0)
loop = asyncio.new_event_loop()
before = loop.run_until_complete(ports(client, "parent"))
child = os.fork()
if not child:
    own = asyncio.new_event_loop()
    print("child", *own.run_until_complete(ports(client, "child")), flush=True)
    own.run_until_complete(client.aclose())
    os._exit(0)
os.waitpid(child, 0)
print("parent", *before, *loop.run_until_complete(ports(client, "parent")), flush=True)
loop.run_until_complete(client.aclose())
loop.close()
"""


def license_with_the_port(asked: Asked) -> list[bytes]:
    return http({**LICENSE, "number": str(asked.port)})


@pytest.mark.parametrize("program", [BLOCKING, ASYNCIO], ids=["blocking", "asyncio"])
def test_a_child_opens_connections_of_its_own_and_leaves_its_parents_alone(program: str) -> None:
    """On a shared connection one process reads the verdict that the other asked for."""
    with serving(license_with_the_port) as service:
        done = subprocess.run(
            [sys.executable, "-c", program, service.url],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    ports = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert len(set(ports["parent"])) == 1
    assert len(ports["parent"]) == 4
    assert len(set(ports["child"])) == 1
    assert set(ports["child"]).isdisjoint(ports["parent"])


@pytest.mark.parametrize("reference", ["another", ""])
def test_an_answer_with_another_reference_than_the_question_is_refused(
    client: MakeClient, reference: str
) -> None:
    transport = FakeTransport(json_answer({**VERIFICATION, "reference": reference}))
    with pytest.raises(APIResponseError, match="reference"):
        client(transport).verifications.create(code="x", reference="mine")


def test_an_answer_with_a_reference_to_a_question_without_one_is_refused(client: MakeClient) -> None:
    transport = FakeTransport(json_answer({**VERIFICATION, "reference": "another"}))
    with pytest.raises(APIResponseError, match="reference"):
        client(transport).verifications.create(code="x")
    assert json.loads(transport.requests[0].body or b"") == {"code": "x"}


def test_an_answer_that_repeats_no_reference_is_taken(client: MakeClient) -> None:
    transport = FakeTransport(json_answer({**VERIFICATION, "reference": None}))
    assert client(transport).verifications.create(code="x", reference="mine").id == VERIFICATION["id"]
