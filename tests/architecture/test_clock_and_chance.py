"""Time comes through one door and chance through another; everything else is handed values."""

import pytest

from tests.architecture.source import PACKAGES, python_files, used_names

CLOCK = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.localtime",
    "time.gmtime",
}
CHANCE = ("random", "secrets", "uuid", "os.urandom", "os.getrandom")

DOORS = {
    "app/adapters/clock.py": "the server's clock",
    "app/domain/ids.py": "the server's identifiers, salts and secrets",
    "clients/python/src/elicense/client/_system.py": "the client's clock, jitter and idempotency keys",
}


def strays(text: str) -> list[tuple[int, str]]:
    """Return line and name of each use of the wall clock or of a source of randomness."""
    return sorted(
        {
            (line, name)
            for line, name in used_names(text)
            if name in CLOCK or any(name == source or name.startswith(f"{source}.") for source in CHANCE)
        }
    )


def test_only_the_doors_read_the_clock_or_draw_chance() -> None:
    found = {name: strays(text) for name, text in python_files(*PACKAGES) if name not in DOORS}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_every_door_is_in_use() -> None:
    files = dict(python_files(*PACKAGES))
    assert [door for door in DOORS if door not in files or not strays(files[door])] == []


@pytest.mark.parametrize(
    "planted",
    [
        "from datetime import datetime\nx = datetime.now()",
        "import datetime as dt\nx = dt.datetime.utcnow()",
        "import time\nx = time.time()",
        "from time import time as clock\nx = clock()",
        "from datetime import date\nx = date.today()",
        "import uuid\nx = uuid.uuid4()",
        "from uuid import uuid4\nx = uuid4()",
        "import random\nx = random.choice([1])",
        "from secrets import token_bytes\nx = token_bytes(16)",
        "import os\nx = os.urandom(16)",
        "from datetime import datetime\nfield(default_factory=datetime.now)",
    ],
)
def test_the_detector_catches_what_is_planted(planted: str) -> None:
    assert strays(planted)


def test_the_detector_leaves_durations_and_values_alone() -> None:
    planted = "import time\nfrom datetime import datetime\ntime.monotonic()\ndatetime.fromtimestamp(0)"
    assert strays(planted) == []
