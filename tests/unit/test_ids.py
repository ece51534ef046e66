"""Identifiers: UUIDs of version 7, never the same twice, in no thread and in no child process."""

import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

from app.domain.ids import new_id

_FORKING = """
import os, sys
from app.domain.ids import new_id
new_id()  # what is drawn ahead is drawn now
child = os.fork()
sys.stdout.write(" ".join(new_id() for _ in range(50)) + "\\n")
sys.stdout.flush()
if child:
    os.wait()
"""


def test_an_id_is_a_version_7_uuid_of_this_moment() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_every_random_bit_varies() -> None:
    made = [uuid.UUID(new_id()).int for _ in range(500)]
    varying = 0
    for one in made:
        varying |= one ^ made[0]
    fixed = 0xF << 76 | 0b11 << 62  # version and variant
    assert varying | fixed | ~((1 << 80) - 1) == -1
    assert not varying & fixed


def test_threads_never_get_the_same_id() -> None:
    with ThreadPoolExecutor(8) as pool:
        made = [id_ for some in pool.map(lambda _: [new_id() for _ in range(2000)], range(8)) for id_ in some]
    assert len(set(made)) == len(made)


def test_a_forked_process_never_gets_an_id_of_its_parent() -> None:
    done = subprocess.run([sys.executable, "-c", _FORKING], capture_output=True, check=True, text=True)
    made = done.stdout.split()
    assert len(made) == 100
    # The random part alone: the time of the two processes may differ.
    assert len({id_[15:] for id_ in made}) == 100
