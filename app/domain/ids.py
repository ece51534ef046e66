"""The one door for identifiers and randomness. Nothing else in the server calls `secrets`, `uuid` or `random`."""

import os
import secrets
import time
from threading import Lock
from typing import NewType

LicenseId = NewType("LicenseId", str)
ClientId = NewType("ClientId", str)
VerificationId = NewType("VerificationId", str)

_SERIAL_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_SERIAL_LENGTH = 20  # 31^20 > 2^99: not guessable, short enough to read aloud


class _Drawn:
    """Random bytes drawn ahead, for names that must differ and need not be secret; never for keys, salts, nonces.

    Each is given out once: by one thread, and by one process, since a fork would hold the same ones.
    """

    def __init__(self) -> None:
        self._turn = Lock()
        self._bytes = b""
        self._given = 0

    def take(self, count: int) -> bytes:
        """Give out the next bytes."""
        with self._turn:
            end = self._given + count
            if end > len(self._bytes):
                self._bytes, self._given, end = os.urandom(4096), 0, count
            taken = self._bytes[self._given : end]
            self._given = end
            return taken


_drawn = _Drawn()


def _draw_anew() -> None:
    global _drawn
    _drawn = _Drawn()


os.register_at_fork(after_in_child=_draw_anew)


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562 §5.7) in its text form. Never rely on its order: commit order differs."""
    milliseconds = time.time_ns() // 1_000_000
    drawn = int.from_bytes(_drawn.take(10), "big")
    # 48 bits of time, version 7, 12 random bits, variant 10, 62 random bits.
    low = 0x8000000000000000 | (drawn & 0x3FFFFFFFFFFFFFFF)
    text = f"{milliseconds << 80 | 0x7000 << 64 | (drawn >> 62 & 0xFFF) << 64 | low:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def new_serial() -> str:
    """Make a random license serial: 20 letters and digits, never derived from a counter (GB/T 36904)."""
    serial = ""
    while len(serial) < _SERIAL_LENGTH:
        # Five bits of each byte; the one value without a character is thrown away, so all are equally likely.
        drawn = (byte & 31 for byte in os.urandom(2 * _SERIAL_LENGTH))
        serial += "".join(_SERIAL_ALPHABET[value] for value in drawn if value < len(_SERIAL_ALPHABET))
    return serial[:_SERIAL_LENGTH]


def new_salt() -> bytes:
    """Make a 128-bit salt for one disclosure (RFC 9901 §9.3) or one question digest."""
    return secrets.token_bytes(16)


def new_nonce() -> str:
    """Make a nonce for one presenter: 128 random bits, URL-safe text of 22 characters."""
    return secrets.token_urlsafe(16)


def new_secret() -> str:
    """Make an API secret: 256 random bits, URL-safe text of 43 characters."""
    return secrets.token_urlsafe(32)


def new_public_handle() -> str:
    """Make the public part of an API key: 12 lower-case hex digits."""
    return secrets.token_hex(6)


def shuffled(values: list[int]) -> list[int]:
    """Return the values in a random order from the system's generator (status indices must not tell issue order)."""
    result = list(values)
    secrets.SystemRandom().shuffle(result)
    return result


def jitter() -> float:
    """Return a random factor from 0.5 to 1.5 for pauses, so that those who collided do not meet again."""
    return 0.5 + secrets.randbelow(1_000_001) / 1_000_000
