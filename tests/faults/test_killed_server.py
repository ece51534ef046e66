"""kill -9 of the server again and again while departments issue, amend, revoke and suspend, and revocations race
amendments: what was acknowledged is there, once and signed, no revoked license is in force in any version, and
`log audit` finds the register clean each time.
"""

from collections.abc import Iterator

import pytest

from app.domain.ids import jitter
from tests.faults.killable import Forked, Installed
from tests.faults.register import Register
from tests.faults.siege import Siege

KILLS = 10  # on each database: twenty in every run
MOST_KILLS = 20
"""A twin that kept its moment by chance is killed until it is caught, up to so many times."""
ANSWERS = 40
"""At most so many answers between two kills."""


@pytest.fixture
def seed() -> Iterator[int]:
    """Draw the lot of one run; it is shown when the run fails."""
    drawn = int(jitter() * 10_000)
    print(f"seed {drawn}")
    yield drawn


def test_a_server_killed_10_times_loses_and_doubles_nothing(register: Register, seed: int) -> None:
    server = Forked(register)
    try:
        siege = Siege(register, server, seed)
        assert siege.run(kills=KILLS, most_answers=ANSWERS) == []
    finally:
        server.close()
    assert siege.mix.met > 0, "no amendment came after the revocation it raced with: this run shows nothing"


@pytest.mark.soak
def test_a_server_killed_200_times_loses_and_doubles_nothing(register: Register, seed: int) -> None:
    """The real commands, and ten thousand orders."""
    server = Installed(register)
    try:
        siege = Siege(register, server, seed)
        assert siege.run(kills=200, most_answers=180) == []
    finally:
        server.close()
    assert len(siege.mix.orders) >= 10_000


@pytest.mark.parametrize(
    ("twin", "words"),
    [
        ("commit_after_answer", ["was acknowledged"]),
        ("leaf_in_second_transaction", ["log leaves", "audit: "]),
        ("unchecked_amendment", ["status value 0 for state revoked", "audit: "]),
    ],
)
def test_the_checks_find_a_broken_server(register: Register, seed: int, twin: str, words: list[str]) -> None:
    server = Forked(register, twin=twin)
    try:
        found = Siege(register, server, seed).run(kills=MOST_KILLS, most_answers=ANSWERS, sought=words[0])
    finally:
        server.close()
    for wanted in words:
        assert any(wanted in line for line in found), found
