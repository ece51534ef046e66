"""How often somebody may do something: counted in windows of one minute, in this process."""

import math
from typing import Final

WINDOW_SECONDS: Final = 60.0


class PerMinute:
    """Allow each name so many turns a minute. Names must be of a bounded number: of what is known here.

    The count protects the machine and is no bill: every process counts for itself, and a window that ends frees the
    whole allowance at once. Time is monotonic seconds, which nobody can set.
    """

    def __init__(self, turns: int) -> None:
        self._turns = turns
        self._begun: dict[str, tuple[float, int]] = {}

    def take(self, name: str, *, now: float) -> int:
        """Take a turn; return 0, or the whole seconds (1 to 60) until there is one again."""
        begun, taken = self._begun.get(name, (now, 0))
        if now - begun >= WINDOW_SECONDS:
            begun, taken = now, 0
        if taken >= self._turns:
            return max(1, math.ceil(begun + WINDOW_SECONDS - now))
        self._begun[name] = (begun, taken + 1)
        return 0
