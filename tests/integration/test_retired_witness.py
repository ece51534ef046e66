"""A witness that is retired cosigns nothing more; what it saw before keeps its worth."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.bootstrap import open_root_keys
from app.domain.errors import NotFound
from elicense.log_trust import witnessed_at
from elicense.signed_note import NOTE_KEY_COSIGNATURE, cosign, parse_note, verifier_key
from elicense.trust_list import ServiceUse
from tests.installation import AUTHORITY, Installation
from tests.integration.bystander import WITNESS, WITNESS_NAME, add_witness, key_of, witness
from tests.integration.http_service import HttpService, assert_problem, open_http
from tests.integration.test_http_log_witnesses import ORIGIN, STRANGER, hand_in, sequence
from tests.integration.test_key_compromise import declare

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def retire(installation: Installation, name: str = WITNESS_NAME) -> int:
    root_keys = open_root_keys(installation.settings)
    return (await installation.services.ceremony.retire_witness(name, root_keys=root_keys)).sequence


async def test_a_retired_witness_is_heard_no_more_and_what_it_saw_before_counts(service: HttpService) -> None:
    installation, services = service.installation, service.installation.services
    clock = installation.clock
    await add_witness(installation)
    clock.advance(seconds=10)
    size = await witness(installation)
    seen = (await service.http.get("/log/checkpoint?witnessed=1")).text
    before = (await services.trust_list.evidence()).trust_list.sequence
    clock.advance(seconds=10)
    assert await retire(installation) == before + 1
    trust_list = (await services.trust_list.evidence()).trust_list
    (listed,) = (one for one in trust_list.services if one.use is ServiceUse.WITNESS)
    assert listed.valid_until is not None and listed.valid_until <= clock.now()
    # No new word of it is taken.
    clock.advance(seconds=10)
    await installation.issue()
    await sequence(service)
    note = (await service.http.get("/log/checkpoint")).text
    now = clock.now().replace(microsecond=0)
    late = cosign(note, name=WITNESS_NAME, signer=WITNESS, time=now)
    assert_problem(await hand_in(service, late), "cosignature_refused")
    assert witnessed_at(parse_note(late), trust_list, known=now) == {}, "nor by anybody who holds the list"
    # What it said before stands: for the register, for who holds the list, and when a key turns out to be lost.
    assert (await service.http.get("/log/checkpoint?witnessed=1")).text == seen
    assert list(witnessed_at(parse_note(seen), trust_list, known=now)) == [WITNESS_NAME]
    for unknown in (WITNESS_NAME, "nobody.example"):
        with pytest.raises(NotFound):
            await retire(installation, unknown)
    # The name may get another key, and the moment the first one saw stays the earliest.
    vkey = verifier_key(WITNESS_NAME, STRANGER.public_key, kind=NOTE_KEY_COSIGNATURE)
    root_keys = open_root_keys(installation.settings)
    await services.ceremony.add_witness(WITNESS_NAME, vkey, root_keys=root_keys)
    again = cosign(seen, name=WITNESS_NAME, signer=STRANGER, time=now)
    assert (await hand_in(service, again)).status_code == 200
    held = await services.store.read(
        lambda unit: unit.transparency_log.last_witnessed(ORIGIN, before=now - timedelta(seconds=5))
    )
    assert held is not None and held.size == size
    key = await key_of(installation, "credential", AUTHORITY)
    declared = await declare(installation, key.kid, since=now - timedelta(seconds=5))
    assert declared.compromise is not None
    assert (declared.compromise.witnessed, declared.compromise.log_size) == (True, size)
