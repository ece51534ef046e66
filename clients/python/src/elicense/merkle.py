"""Merkle trees as RFC 6962 section 2.1 builds them: batch receipts now, the transparency log later.

Everything here works on *leaf hashes* (32 bytes, made by `leaf_hash`), so that a caller cannot mix up raw
leaves and hashes: any other length is refused with ValueError.
"""

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(leaf: bytes) -> bytes:
    """Hash one leaf: SHA-256(0x00 || leaf), 32 bytes (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash an inner node: SHA-256(0x01 || left || right), 32 bytes (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Hold every level of one tree, so that a thousand paths cost a thousand look-ups, not a million hashes."""

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        """Build all levels from leaf hashes of 32 bytes each; ValueError for any other length."""
        if any(len(value) != HASH_BYTES for value in leaf_hashes):
            raise ValueError("a Merkle tree is built from leaf hashes of 32 bytes, see leaf_hash")
        level = list(leaf_hashes)
        self._levels = [level]
        while len(level) > 1:
            above = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
            if len(level) % 2:
                above.append(level[-1])
            self._levels.append(above)
            level = above

    @property
    def size(self) -> int:
        """Count the leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """Give the root hash, 32 bytes; of no leaves the hash of the empty string."""
        return self._levels[-1][0] if self._levels[0] else EMPTY_ROOT

    def path(self, index: int) -> list[bytes]:
        """List the sibling hashes from leaf `index` (0-based) up to the root; IndexError outside the tree."""
        if not 0 <= index < self.size:
            raise IndexError(f"leaf {index} is outside a tree of {self.size}")
        path = []
        for level in self._levels[:-1]:
            sibling = index ^ 1
            if sibling < len(level):
                path.append(level[sibling])
            index >>= 1
        return path


def root(leaf_hashes: Sequence[bytes]) -> bytes:
    """Compute the Merkle tree head over leaf hashes (RFC 6962 section 2.1); ValueError for a wrong length."""
    return MerkleTree(leaf_hashes).root


def inclusion_path(leaf_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """List the audit path of leaf `index` (RFC 6962 section 2.1.1); IndexError outside the tree.

    For many paths of one tree build a `MerkleTree` once and ask it.
    """
    return MerkleTree(leaf_hashes).path(index)


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes
) -> bool:
    """Tell whether the path leads from leaf `index` of a tree of `size` leaves to the expected root.

    Follows RFC 9162 section 2.1.3.2. Wrong lengths, a path too short or too long, and an index outside the
    tree are False; nothing is raised.
    """
    if not 0 <= index < size or len(leaf_hash) != HASH_BYTES:
        return False
    position, last, current = index, size - 1, leaf_hash
    for sibling in path:
        if last == 0 or len(sibling) != HASH_BYTES:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            current = node_hash(current, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and current == expected_root
