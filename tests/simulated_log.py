"""A transparency log in memory: append entries, ask for checkpoints and proofs of any size. For the simulator."""

from datetime import datetime

from elicense.keys import Signer
from elicense.log_proof import Inclusion
from elicense.log_trust import Consistency
from elicense.merkle import MerkleTree, leaf_hash
from elicense.signed_note import Checkpoint, cosign, sign_note
from elicense.tiles import TiledTree, extend_tiles, reader_of

NOWHERE = Inclusion(origin="", index=0, path=(), checkpoint="")
"""Stands in for a place that is not known yet."""


class SimulatedLog:
    """Hold one log of one origin; `signer` may be changed at any time, and witnesses co-sign every note."""

    def __init__(self, origin: str, signer: Signer) -> None:
        self.origin = origin
        self.signer = signer
        self.entries: list[bytes] = []
        self.witnesses: list[tuple[str, Signer, datetime]] = []

    def add(self, entry: bytes) -> int:
        """Append an entry, once; return its index."""
        if entry not in self.entries:
            self.entries.append(entry)
        return self.entries.index(entry)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """Give the state of some size, the present one by default."""
        tree = self._tree(size)
        return Checkpoint(self.origin, tree.size, tree.root)

    def note(self, size: int | None = None) -> str:
        """Give the signed note of that state, with every witness's cosignature."""
        note = sign_note(self.checkpoint(size).text, name=self.origin, signer=self.signer)
        for name, signer, time in self.witnesses:
            note = cosign(note, name=name, signer=signer, time=time)
        return note

    def inclusion(self, index: int, size: int | None = None) -> Inclusion:
        """Prove that an index stands in the state of some size."""
        path = tuple(self._tree(size).path(index))
        return Inclusion(origin=self.origin, index=index, path=path, checkpoint=self.note(size))

    def consistency(self, old_size: int, new_size: int | None = None) -> Consistency:
        """Prove that the larger state has the smaller one as its beginning."""
        new = len(self.entries) if new_size is None else new_size
        hashes = [leaf_hash(entry) for entry in self.entries[:new]]
        tree = TiledTree(new, reader_of(extend_tiles(0, hashes, reader_of({}))))
        path = tuple(tree.consistency_path(old_size, new))
        return Consistency(origin=self.origin, old_size=old_size, new_size=new, path=path)

    def _tree(self, size: int | None) -> MerkleTree:
        return MerkleTree([leaf_hash(entry) for entry in self.entries[:size]])
