"""Merkle trees as RFC 6962 section 2.1 builds them: for batch receipts and for the transparency log.

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


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether the larger tree has the smaller one as its beginning (RFC 9162 section 2.1.4.2).

    An empty smaller tree is the beginning of every tree. Wrong lengths, a proof too short or too long, and a smaller
    "new" tree are False; nothing is raised.
    """
    if any(len(node) != HASH_BYTES for node in (old_root, new_root, *proof)):
        return False
    if not 0 <= old_size <= new_size:
        return False
    if old_size == 0:
        return old_root == EMPTY_ROOT and not proof
    if old_size == new_size:
        return old_root == new_root and not proof
    nodes = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not nodes:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position >>= 1
        last >>= 1
    old, new = nodes[0], nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(node, old), node_hash(node, new)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            new = node_hash(new, node)
        position >>= 1
        last >>= 1
    return last == 0 and old == old_root and new == new_root
