"""A witness signs what continues what it remembers, and nothing else, whatever it is shown."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519

from app.adapters.log_sources import FolderLog, HttpLog
from app.adapters.signers.private_keys import PrivateKeySigner
from app.adapters.witness_memory import WitnessMemoryError, WitnessMemoryFile
from app.services.witness import LogSource, Refused, Remembered, SourceError, Witness
from elicense.keys import PublicKey
from elicense.merkle import leaf_hash
from elicense.signed_note import Checkpoint, cosigned_at, parse_note, sign_note
from elicense.tiles import extend_tiles, parse_tile_path, reader_of
from tests.log_checks import plain_root

ORIGIN, NAME = "license.example/log", "witness.example"
NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def signer(seed: int) -> PrivateKeySigner:
    return PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


LOG, WITNESS, STRANGER = signer(1), signer(2), signer(3)
HONEST = [b"entry %d" % number for number in range(1200)]
FORKED = [*HONEST[:500], b"another", *HONEST[501:]]


@dataclass
class Log:
    """A log that can be made to show any tree."""

    entries: list[bytes]
    key: PrivateKeySigner = LOG
    origin: str = ORIGIN
    notes: dict[int, str] = field(default_factory=dict)
    served: str | None = None
    broken: bool = False

    def read(self, path: str) -> bytes:
        if path == "checkpoint":
            if self.served is not None:
                return self.served.encode()
            checkpoint = Checkpoint(self.origin, len(self.entries), plain_root(self.entries))
            return sign_note(checkpoint.text, name=self.origin, signer=self.key).encode()
        if self.broken:
            raise SourceError("out of reach")
        tile = parse_tile_path(path.removeprefix("tile/"))
        assert tile.level is not None
        tiles = extend_tiles(0, [leaf_hash(entry) for entry in self.entries], reader_of({}))
        return tiles[tile.level, tile.number][: tile.width * 32]

    def trust_list(self) -> bytes | None:
        return None


class Memory:
    """A memory that may fail to keep."""

    def __init__(self) -> None:
        self.held: Remembered | None = None
        self.fails = False

    def load(self) -> Remembered | None:
        return self.held

    def store(self, remembered: Remembered) -> None:
        if self.fails:
            raise OSError("disk full")
        self.held = remembered


class Clock:
    moment = NOW

    def now(self) -> datetime:
        return self.moment


def witness(
    source: LogSource, memory: Memory | WitnessMemoryFile, *, key: PublicKey | None = LOG.public_key
) -> Witness:
    known = None if key is None else (ORIGIN, key)
    return Witness(source=source, memory=memory, name=NAME, signer=WITNESS, clock=Clock(), log_key=known)


def refusal(one: Witness) -> str:
    with pytest.raises(Refused) as refused:
        one.look()
    return refused.value.reason


def test_a_checkpoint_is_cosigned_with_its_time() -> None:
    seen = witness(Log(HONEST[:5]), Memory()).look()
    assert seen.is_new
    times = cosigned_at(parse_note(seen.note), witnesses={NAME: WITNESS.public_key})
    assert times == {NAME: NOW}


@pytest.mark.parametrize("sizes", [(1, 2), (255, 257), (256, 512), (300, 1200), (1, 1200), (700, 701, 1024)])
def test_a_log_that_grows_is_followed(sizes: tuple[int, ...]) -> None:
    memory = Memory()
    for size in sizes:
        assert witness(Log(HONEST[:size]), memory).look().checkpoint.size == size
    assert memory.held is not None and memory.held.checkpoint.size == sizes[-1]


def test_a_fork_is_refused_with_both_notes_and_not_remembered() -> None:
    memory = Memory()
    witness(Log(HONEST[:600]), memory).look()
    held = memory.held
    for size in (600, 900):
        with pytest.raises(Refused) as refused:
            witness(Log(FORKED[:size]), memory).look()
        assert refused.value.reason == "fork"
        assert [parse_note(note).text.split("\n")[1] for note in refused.value.evidence] == ["600", str(size)]
    assert memory.held == held


def test_a_log_that_becomes_smaller_is_refused() -> None:
    memory = Memory()
    witness(Log(HONEST[:600]), memory).look()
    assert refusal(witness(Log(HONEST[:599]), memory)) == "step_back"


def test_another_key_and_another_log_are_refused() -> None:
    memory = Memory()
    assert refusal(witness(Log(HONEST[:5], key=STRANGER), memory)) == "signature"
    witness(Log(HONEST[:5]), memory).look()
    assert refusal(witness(Log(HONEST[:6], origin="license.example/log/2"), memory, key=None)) == "signature"
    other = Witness(
        source=Log(HONEST[:6], origin="license.example/log/2"),
        memory=memory,
        name=NAME,
        signer=WITNESS,
        clock=Clock(),
        log_key=("license.example/log/2", LOG.public_key),
    )
    assert refusal(other) == "another_log"


def test_what_is_no_checkpoint_is_refused() -> None:
    for served in ("", "nonsense", "a\n1\nAAAA\n\n— a AAAA\n", "\ud800".encode("utf-8", "replace").decode()):
        assert refusal(witness(Log(HONEST[:5], served=served), Memory())) == "signature"


def test_a_log_without_a_known_key_is_not_signed() -> None:
    assert refusal(witness(Log(HONEST[:5]), Memory(), key=None)) == "signature"


def test_once_remembered_the_key_need_not_be_named() -> None:
    memory = Memory()
    witness(Log(HONEST[:5]), memory).look()
    assert witness(Log(HONEST[:6]), memory, key=None).look().checkpoint.size == 6
    assert refusal(witness(Log(HONEST[:7], key=STRANGER), memory, key=None)) == "signature"


def test_tiles_out_of_reach_say_nothing_about_the_log() -> None:
    memory = Memory()
    witness(Log(HONEST[:300]), memory).look()
    with pytest.raises(SourceError):
        witness(Log(HONEST[:400], broken=True), memory).look()
    assert witness(Log(HONEST[:400]), memory).look().is_new


def test_nothing_is_signed_that_was_not_remembered_first() -> None:
    memory = Memory()
    memory.fails = True
    with pytest.raises(OSError):
        witness(Log(HONEST[:5]), memory).look()
    memory.fails = False
    assert witness(Log(HONEST[:5]), memory).look().is_new


def test_a_checkpoint_that_has_the_cosignature_is_not_signed_again() -> None:
    memory = Memory()
    note = witness(Log(HONEST[:5]), memory).look().note
    again = witness(Log(HONEST[:5], served=note), memory).look()
    assert (again.is_new, again.note) == (False, note)


def test_the_memory_survives_in_its_file(tmp_path: Path) -> None:
    memory = WitnessMemoryFile(tmp_path / "state.json")
    assert memory.load() is None
    witness(Log(HONEST[:300]), memory).look()
    held = WitnessMemoryFile(tmp_path / "state.json").load()
    assert held is not None
    assert (held.checkpoint.origin, held.checkpoint.size, held.seen_at) == (ORIGIN, 300, NOW)
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert refusal(witness(Log(HONEST[:299]), memory)) == "step_back"
    (tmp_path / "state.json").write_text('{"fmt": 9}')
    with pytest.raises(WitnessMemoryError, match="do not simply delete it"):
        memory.load()


def test_a_log_can_be_read_from_a_folder(tmp_path: Path) -> None:
    shown, memory = Log(HONEST[:300]), Memory()
    (tmp_path / "tile/0").mkdir(parents=True)
    (tmp_path / "tile/1/000.p").mkdir(parents=True)
    witness(Log(HONEST[:20]), memory).look()
    (tmp_path / "checkpoint").write_bytes(shown.read("checkpoint"))
    with pytest.raises(SourceError):
        witness(FolderLog(tmp_path), memory).look()
    for path in ("tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(shown.read(path))
    assert witness(FolderLog(tmp_path), memory).look().checkpoint.size == 300


@pytest.mark.parametrize("url", ["ftp://x", "http://", "https://x?y=1", "x", "https://x/#z"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL"):
        HttpLog(url)


def test_a_service_out_of_reach_is_said_so() -> None:
    with pytest.raises(SourceError):
        HttpLog("http://127.0.0.1:1").read("checkpoint")


# --- the broken twin: a witness that does not look at what it remembers


class Forgetful(Witness):
    """Signs whatever the log's key has signed."""

    def _require_continuation(self, before: Remembered, after: Checkpoint, note: str) -> None:
        return


def test_the_tests_would_catch_a_witness_that_does_not_compare() -> None:
    memory = Memory()
    witness(Log(HONEST[:600]), memory).look()
    broken = Forgetful(
        source=Log(FORKED[:900]),
        memory=memory,
        name=NAME,
        signer=WITNESS,
        clock=Clock(),
        log_key=(ORIGIN, LOG.public_key),
    )
    assert broken.look().is_new, "it signs the fork, which every test above refuses"
