"""Witnesses over HTTP: whose cosignatures count, and what the register then knows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.adapters.signers.private_keys import PrivateKeySigner
from app.api.schemas.transparency_log import CosignaturesAnswer
from app.bootstrap import open_root_keys
from app.domain.errors import DomainError
from app.main import create_app
from app.services.log_diagnosis import diagnose_logs
from app.services.log_witnesses import LogWitnessService
from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    Checkpoint,
    add_signature,
    cosign,
    cosigned_at,
    parse_note,
    sign_note,
    verifier_key,
)
from elicense.trust_list import ServiceUse
from tests.installation import ISSUER_URL
from tests.integration.http_service import HttpService, assert_problem, open_http

pytestmark = pytest.mark.anyio

ORIGIN = f"{ISSUER_URL.removeprefix('https://')}/log"
WITNESS = PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32))
STRANGER = PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([8]) * 32))
NAME = "witness.example"
VKEY = verifier_key(NAME, WITNESS.public_key, kind=NOTE_KEY_COSIGNATURE)


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def sequence(service: HttpService) -> None:
    await service.installation.services.log_sequencer.run_until_done()


async def add_witness(service: HttpService) -> None:
    root_keys = open_root_keys(service.installation.settings)
    await service.installation.services.ceremony.add_witness(NAME, VKEY, root_keys=root_keys)


async def hand_in(service: HttpService, note: str) -> Any:
    return await service.call(None, "POST", "/log/cosignature", json={"note": note})


async def test_a_registered_witness_is_heard(service: HttpService) -> None:
    await sequence(service)
    note = (await service.http.get("/log/checkpoint")).text
    now = service.installation.clock.now().replace(microsecond=0)
    signed = cosign(note, name=NAME, signer=WITNESS, time=now)
    assert_problem(await hand_in(service, signed), "cosignature_refused")
    await add_witness(service)
    response = await hand_in(service, signed)
    assert response.status_code == 200, response.text
    CosignaturesAnswer.model_validate(response.json())
    served = (await service.http.get("/logs/log/checkpoint")).text
    assert served == signed
    assert cosigned_at(parse_note(served), witnesses={NAME: WITNESS.public_key}) == {NAME: now}
    await sequence(service)
    assert (await service.http.get("/log/checkpoint")).text != signed, "it has grown by the trust list"
    assert (await service.http.get("/log/checkpoint?witnessed=1")).text == signed
    last = await service.installation.services.store.read(
        lambda unit: unit.transparency_log.last_witnessed(ORIGIN, before=now + timedelta(seconds=1))
    )
    assert last is not None and (last.note, last.witnessed_at) == (signed, now)


async def test_the_first_cosignature_of_a_witness_stands(service: HttpService) -> None:
    await add_witness(service)
    await sequence(service)
    note = (await service.http.get("/log/checkpoint")).text
    now = service.installation.clock.now().replace(microsecond=0)
    first = cosign(note, name=NAME, signer=WITNESS, time=now)
    later = cosign(note, name=NAME, signer=WITNESS, time=now + timedelta(seconds=60))
    answers = [(await hand_in(service, one)).json() for one in (first, later, first)]
    assert answers[0] == answers[1] == answers[2]
    assert (await service.http.get("/log/checkpoint")).text == first


async def test_two_witnesses_sign_one_checkpoint(service: HttpService) -> None:
    await add_witness(service)
    root_keys = open_root_keys(service.installation.settings)
    other = verifier_key("other.example", STRANGER.public_key, kind=NOTE_KEY_COSIGNATURE)
    await service.installation.services.ceremony.add_witness("other.example", other, root_keys=root_keys)
    await sequence(service)
    note = (await service.http.get("/log/checkpoint")).text
    now = service.installation.clock.now().replace(microsecond=0)
    for name, signer, seconds in ((NAME, WITNESS, 5), ("other.example", STRANGER, 2)):
        time = now + timedelta(seconds=seconds)
        assert (await hand_in(service, cosign(note, name=name, signer=signer, time=time))).status_code == 200
    keys = {NAME: WITNESS.public_key, "other.example": STRANGER.public_key}
    served = (await service.http.get("/log/checkpoint")).text
    assert set(cosigned_at(parse_note(served), witnesses=keys)) == set(keys)
    last = await service.installation.services.store.read(
        lambda unit: unit.transparency_log.last_witnessed(ORIGIN)
    )
    assert last is not None and last.witnessed_at == now + timedelta(seconds=2), "the earliest counts"


async def test_what_is_no_good_cosignature_is_refused(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    await add_witness(service)
    await sequence(service)
    note = (await service.http.get("/log/checkpoint")).text
    now = service.installation.clock.now().replace(microsecond=0)
    good = cosign(note, name=NAME, signer=WITNESS, time=now)
    text = parse_note(note).text
    line = parse_note(good).signatures[-1]
    cases = {
        "no cosignature": (note, "cosignature_refused"),
        "another key": (cosign(note, name=NAME, signer=STRANGER, time=now), "cosignature_refused"),
        "another name": (cosign(note, name="x.example", signer=WITNESS, time=now), "cosignature_refused"),
        "of another text": (add_signature("a\n1\n" + "A" * 43 + "=\n", line), "cosignature_refused"),
        "an hour early": (
            cosign(note, name=NAME, signer=WITNESS, time=now - timedelta(hours=1)),
            "cosignature_refused",
        ),
        "an hour late": (
            cosign(note, name=NAME, signer=WITNESS, time=now + timedelta(hours=1)),
            "cosignature_refused",
        ),
        "no note": ("nonsense", "invalid_request"),
        "no checkpoint": ("hello\n\n— x AAAAAAAA\n", "invalid_request"),
        "too long": ("x" * 70_000, "invalid_request"),
        "never published": (
            cosign(
                add_signature(Checkpoint(ORIGIN, 1, bytes(32)).text, parse_note(note).signatures[0]),
                name=NAME,
                signer=WITNESS,
                time=now,
            ),
            "not_found",
        ),
        "another root": (
            cosign(
                add_signature(
                    Checkpoint(ORIGIN, int(text.split("\n")[1]), bytes(32)).text,
                    parse_note(note).signatures[0],
                ),
                name=NAME,
                signer=WITNESS,
                time=now,
            ),
            "not_found",
        ),
    }
    for name, (sent, code) in cases.items():
        with subtests.test(case=name):
            assert_problem(await hand_in(service, sent), code)
    assert (await service.http.get("/log/checkpoint")).text == note
    assert_problem(await service.http.get("/log/checkpoint?witnessed=1"), "not_found")
    body = {"note": good, "more": 1}
    assert_problem(await service.call(None, "POST", "/log/cosignature", json=body), "invalid_request")
    queried = await service.call(None, "POST", "/log/cosignature?x=1", json={"note": good})
    assert_problem(queried, "invalid_request")
    bad_key = {"Idempotency-Key": "\u00e9".encode("latin-1")}
    refused = await service.call(None, "POST", "/log/cosignature", json={"note": good}, headers=bad_key)
    assert_problem(refused, "idempotency_key_invalid")


@asynccontextmanager
async def two_a_minute(service: HttpService) -> AsyncIterator[HttpService]:
    """Serve the same installation, but let each witness hand in two cosignatures a minute."""
    services = service.installation.services
    few = LogWitnessService(
        store=services.store,
        clock=service.installation.clock,
        keys=services.log_sequencer._keys,
        guard=services.guard,
        per_minute=2,
    )
    app = create_app(service.installation.settings, services=replace(services, log_witnesses=few))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
        yield HttpService(service.installation, http)


async def test_too_many_cosignatures_in_a_minute_are_refused_with_the_time_to_wait(
    service: HttpService,
) -> None:
    await add_witness(service)
    clock = service.installation.clock
    async with two_a_minute(service) as limited:

        async def grown() -> str:
            await service.installation.issue()
            await sequence(service)
            note = (await service.http.get("/log/checkpoint")).text
            return cosign(note, name=NAME, signer=WITNESS, time=clock.now().replace(microsecond=0))

        first, second, third = [await grown() for _ in range(3)]
        # Replays of others, and cosignatures of other logs, do not use up what the witness itself may say.
        assert (await hand_in(limited, first)).status_code == 200
        foreign = Checkpoint("other.example/log", 5, bytes(32)).text
        elsewhere = cosign(
            sign_note(foreign, name="other.example/log", signer=STRANGER),
            name=NAME,
            signer=WITNESS,
            time=clock.now(),
        )
        assert_problem(await hand_in(limited, elsewhere), "not_found")
        assert (await hand_in(limited, first)).status_code == 200
        for sent in (first, elsewhere):
            refused = await hand_in(limited, sent)
            assert_problem(refused, "rate_limited")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await hand_in(limited, second)).status_code == 200
        refused = await hand_in(limited, third)
        assert_problem(refused, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        # Of a stranger nothing is counted, and nothing looked up.
        stranger = cosign(first, name="nobody.example", signer=STRANGER, time=clock.now())
        nobody = add_signature(parse_note(first).text, parse_note(stranger).signatures[-1])
        for _ in range(4):
            assert_problem(await hand_in(limited, nobody), "cosignature_refused")
        clock.advance(seconds=61)
        assert (await hand_in(limited, third)).status_code == 200
        assert (await hand_in(limited, first)).status_code == 200
        huge = await hand_in(limited, third + "x" * (1 << 16))
        assert_problem(huge, "invalid_request")


async def test_a_witness_key_is_registered_once_and_only_if_it_is_one(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    ceremony = service.installation.services.ceremony
    root_keys = open_root_keys(service.installation.settings)
    log_kind = verifier_key(NAME, WITNESS.public_key)
    for name, vkey in ((NAME, "x"), ("other.example", VKEY), (NAME, log_kind)):
        with subtests.test(name=name, vkey=vkey[:30]), pytest.raises(DomainError, match="invalid_request"):
            await ceremony.add_witness(name, vkey, root_keys=root_keys)
    document = await ceremony.add_witness(NAME, VKEY, root_keys=root_keys)
    assert document.sequence == 2
    listed = (await service.installation.services.trust_list.evidence()).trust_list.services
    (witness,) = (one for one in listed if one.use is ServiceUse.WITNESS)
    assert (witness.origin, witness.key) == (NAME, WITNESS.public_key)
    second = verifier_key(NAME, STRANGER.public_key, kind=NOTE_KEY_COSIGNATURE)
    for vkey in (VKEY, second):
        with pytest.raises(DomainError, match="conflict"):
            await ceremony.add_witness(NAME, vkey, root_keys=root_keys)


async def test_doctor_tells_of_the_logs_and_warns_of_what_waits(service: HttpService) -> None:
    services, clock = service.installation.services, service.installation.clock

    async def findings() -> list[tuple[bool, str]]:
        found = await diagnose_logs(store=services.store, clock=clock)
        assert all(one.zh and one.en for one in found)
        return [(one.good, one.en) for one in found]

    await sequence(service)
    told = await findings()
    assert [good for good, _ in told] == [True] * 5
    assert f"log {ORIGIN}: 2 entries; oldest waiting 0 s." in told[0][1]
    assert f"checkpoint {ORIGIN}: 2 entries" in told[1][1]
    assert "0 registered, no cosignature yet" in told[4][1]
    await service.issue()
    clock.advance(seconds=61)
    good, text = (await findings())[0]
    assert not good and "is the worker running?" in text
    await add_witness(service)
    await sequence(service)
    assert (await findings())[4][0] is False, "registered and silent"
    note = (await service.http.get("/log/checkpoint")).text
    await hand_in(service, cosign(note, name=NAME, signer=WITNESS, time=clock.now()))
    assert (await findings())[4][0]
    clock.advance(days=2)
    assert not (await findings())[4][0]
