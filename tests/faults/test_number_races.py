"""The same numbers wanted by four processes at the same moment: each is issued once, by one of them."""

from collections import Counter

import pytest

from tests.faults.checker import check_register_now
from tests.faults.register import Register

PROCESSES = 4


def _race(register: Register, *, count: int) -> None:
    gun = register.folder / "start"
    racers = [register.start("race", "--count", count, "--start", gun) for _ in range(PROCESSES)]
    for racer in racers:
        racer.wait_ready()
    gun.touch()
    won: dict[str, str] = {}
    claims: Counter[str] = Counter()
    for racer in racers:
        for line in racer.finish():
            if line.startswith("won "):
                _, number, identifier = line.split()
                claims[number] += 1
                won[number] = identifier
    assert [number for number, times in claims.items() if times > 1] == []
    assert len(won) == count, "every number has a winner"
    assert check_register_now(register.database_url, won) == []


def test_of_four_processes_exactly_one_wins_each_number(register: Register) -> None:
    _race(register, count=120)


@pytest.mark.soak
def test_a_thousand_numbers_have_a_thousand_winners(register: Register) -> None:
    _race(register, count=1000)
