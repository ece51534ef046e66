"""What the public log says of the receipts' log when nothing happens there."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from elicense.log_entry import EntryKind, parse_entry
from tests.installation import ISSUER_URL, open_again, open_installation
from tests.log_checks import log_faults

pytestmark = pytest.mark.anyio

PUBLIC = f"{ISSUER_URL.removeprefix('https://')}/log"


async def test_a_receipts_state_that_does_not_change_is_stated_hourly(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        services = installation.services

        async def stated() -> list[int]:
            await services.log_sequencer.run_until_done()
            entries = await services.store.read(
                lambda unit: unit.transparency_log.entries(PUBLIC, first=0, count=100)
            )
            contents = [one.content for one in map(parse_entry, entries) if one.kind is EntryKind.RECEIPTS]
            assert all(int(str(content["size"])) == 1 for content in contents)
            return [int(str(content["iat"])) for content in contents]

        for _ in range(2):
            installation.clock.advance(seconds=3600)
            assert await stated() == [], "no receipt yet: there is no state to tell"
        receipt = str((await installation.ask("x"))["id"])
        begun = await stated()
        assert len(begun) == 1
        for _ in range(6):
            installation.clock.advance(seconds=1200)
            await stated()
        moments = await stated()
        # The clock goes on while the test does.
        assert all(3600 <= after - before < 3660 for before, after in pairwise(moments))
        assert len(moments) == 3
        # Proofs lead to the first leaf that states it: the oldest is worth most.
        proof = await services.log_proofs.of_receipt(receipt, caller=await installation.caller("platform"))
        assert proof.anchored_at == begun[0]
        async with open_again(installation) as other:
            installation.clock.advance(seconds=3600)
            both = await asyncio.gather(
                services.log_sequencer.run(), other.services.log_sequencer.run(), return_exceptions=True
            )
            assert not [one for one in both if isinstance(one, BaseException)]
        assert len(await stated()) == 4, "of two workers one states it"
        assert await log_faults(database_url) == []
