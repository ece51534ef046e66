"""Several real processes on one database: every number has one winner, and nobody is turned away."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from app.adapters.db import SqlStore, open_store
from app.domain.errors import NumberTaken
from tests.builders import TYPE_CODE, make_intent, make_license

pytestmark = pytest.mark.anyio

CHECKOUT = Path(__file__).parents[2]
PROCESSES = 3
NUMBERS = [f"N-{n}" for n in range(40)]


async def _take_all(database_url: str, who: int) -> dict[str, str]:
    """Try to get every number, eight at a time; return the license ids of those that were won."""
    store = open_store(database_url)
    won: dict[str, str] = {}

    async def take(place: int, number: str) -> None:
        intent = make_intent(make_license(number), index=who * len(NUMBERS) + place)
        try:
            await store.write(lambda unit: unit.intents.add_many([intent]))
        except NumberTaken:
            return
        won[number] = intent.license.id

    for start in range(0, len(NUMBERS), 8):
        some = enumerate(NUMBERS[start : start + 8], start)
        await asyncio.gather(*(take(place, number) for place, number in some))
    await store.close()
    return won


async def test_each_number_has_one_winner_among_processes(store: SqlStore, database_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.test_processes",
            database_url,
            str(who),
            cwd=CHECKOUT,
            stdout=asyncio.subprocess.PIPE,
        )
        for who in range(PROCESSES)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [process.returncode for process in processes] == [0] * PROCESSES
    wins = [json.loads(output) for output, _ in outputs]
    assert sorted(number for won in wins for number in won) == sorted(NUMBERS)
    held = await store.read(lambda unit: unit.intents.held_numbers(type_code=TYPE_CODE, numbers=NUMBERS))
    assert held == set(NUMBERS)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_take_all(sys.argv[1], int(sys.argv[2])))))
