"""A small deterministic generator for demonstration data: the same seed gives the same data everywhere."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """Draw values that depend on nothing but the seed text. For demonstration data only: anyone can guess them."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8")
        self._counter = 0

    def below(self, limit: int) -> int:
        """Draw an integer in [0, limit); the small bias of the modulus does not matter here."""
        block = hashlib.sha256(self._seed + b"|" + str(self._counter).encode("ascii")).digest()
        self._counter += 1
        return int.from_bytes(block[:8], "big") % limit

    def between(self, low: int, high: int) -> int:
        """Draw an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def one_of(self, values: Sequence[T]) -> T:
        """Draw one of the values."""
        return values[self.below(len(values))]

    def some_of(self, values: Sequence[T], count: int) -> list[T]:
        """Draw `count` different values (all of them if there are fewer), in drawn order."""
        left = list(values)
        return [left.pop(self.below(len(left))) for _ in range(min(count, len(left)))]

    def percent(self, chance: int) -> bool:
        """Draw true in `chance` of a hundred cases."""
        return self.below(100) < chance
