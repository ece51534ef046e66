"""Edits that turn one byte string into another: copy what is held, insert what is new. Small, and bounded on use.

Two ways to find them, both in time proportional to the length: in place, where bytes changed and none moved (the
bits of a status list), and by chunks that end in a comma, where text was inserted or taken out (members of JSON) or
where parts of something compressed stayed as they were.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from elicense.encoding import malformed

_CHUNK = re.compile(rb"[^,]*,|[^,]+")
_BLOCK = 1024
_WORTH_COPYING = 16
"""Shorter copies cost more to say than their bytes."""


class Edit(NamedTuple):
    """Go `skip` bytes on in the held bytes (back, if negative), take `copy` of them, then add `insert`."""

    skip: int
    copy: int
    insert: bytes


def find_edits(held: bytes, wanted: bytes) -> list[Edit]:
    """Find edits that make `wanted` out of `held`; not always the shortest ones."""
    if held == wanted:
        return [Edit(0, len(held), b"")]
    in_place = _edit_in_place(held, wanted)
    return in_place if in_place is not None else _edit_by_chunks(held, wanted)


def apply_edits(held: bytes, edits: Sequence[Edit], *, most: int) -> bytes:
    """Make the wanted bytes; FormatError (malformed) for a copy from outside `held` and for more than `most` bytes."""
    parts: list[bytes] = []
    at = size = 0
    for skip, copy, insert in edits:
        at += skip
        if at < 0 or copy < 0 or at + copy > len(held):
            raise malformed("edit copies from outside the bytes held")
        size += copy + len(insert)
        if size > most:
            raise malformed("edits make more bytes than is allowed")
        parts += (held[at : at + copy], insert)
        at += copy
    return b"".join(parts)


class _Editing:
    """Collects copies and insertions; copies that follow each other become one."""

    def __init__(self) -> None:
        self.edits: list[Edit] = []
        self.at = 0
        self._skip = self._copy = 0
        self.pending = bytearray()

    def copy(self, start: int, length: int) -> None:
        if start != self.at or self.pending:
            self.close()
            self._skip = start - self.at
        self._copy += length
        self.at = start + length

    def close(self) -> None:
        if self._copy or self.pending:
            self.edits.append(Edit(self._skip, self._copy, bytes(self.pending)))
        self._skip = self._copy = 0
        self.pending.clear()


def _edit_in_place(held: bytes, wanted: bytes) -> list[Edit] | None:
    """Compare byte by byte; None where too much differs for bytes to have stayed in their places."""
    common = min(len(held), len(wanted))
    spare = len(wanted) // 8 + 64 - (len(wanted) - common)
    changed: list[int] = []
    for start in range(0, common, _BLOCK):
        old, new = held[start : start + _BLOCK], wanted[start : start + _BLOCK]
        if old != new:
            changed += [start + i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b]
            if len(changed) > spare:
                return None
    editing = _Editing()
    done = 0
    for position in changed:
        if position < done:
            continue
        end = _end_of_change(changed, position)
        editing.copy(done, position - done)
        editing.pending += wanted[position:end]
        done = end
    editing.copy(done, common - done)
    editing.pending += wanted[common:]
    editing.close()
    return editing.edits


def _end_of_change(changed: Sequence[int], position: int) -> int:
    index = bisect_right(changed, position)
    end = position + 1
    while index < len(changed) and changed[index] - end < 4:
        end = changed[index] + 1
        index += 1
    return end


def _edit_by_chunks(held: bytes, wanted: bytes) -> list[Edit]:
    places: dict[bytes, int] = {}
    position = 0
    for chunk in _CHUNK.findall(held):
        places.setdefault(chunk, position)
        position += len(chunk)
    editing = _Editing()
    for chunk in _CHUNK.findall(wanted):
        # The likely place first: right behind the last copy, or behind what replaced something as long.
        expected = editing.at + len(editing.pending)
        found = expected if held.startswith(chunk, expected) else places.get(chunk)
        follows = found == editing.at and not editing.pending
        if found is not None and (follows or len(chunk) >= _WORTH_COPYING):
            editing.copy(found, len(chunk))
        else:
            editing.pending += chunk
    editing.close()
    return editing.edits
