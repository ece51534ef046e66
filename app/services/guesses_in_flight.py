"""Wrong guesses of this process that what it reads may not show yet.

Answers are stored after they were judged, and many questions are judged at the same time. So a wrong guess counts from
the moment it is known to be wrong: otherwise a hundred questions asked at once would all be compared.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.guessing import Guess

_REMEMBERED = timedelta(minutes=2)
"""Longer than any transaction takes. It ends the guesses of answers that never came to be stored."""


@dataclass(slots=True, eq=False)
class _Noted:
    """One wrong guess; `stored` is the turn in which it was stored, None before."""

    at: datetime
    key: tuple[str, str]
    stored: int | None = None


class GuessesInFlight:
    """Counts them by caller and subject, for snapshots taken at different times."""

    def __init__(self) -> None:
        self._turn = 0
        self._noted: dict[tuple[str, str], list[_Noted]] = {}
        self._ages: deque[_Noted] = deque()

    @property
    def turn(self) -> int:
        """Name this moment: a snapshot taken after it shows every guess that was stored by now."""
        return self._turn

    def note(self, guess: Guess, *, at: datetime) -> None:
        """Count a wrong guess from now on."""
        while self._ages and self._ages[0].at < at - _REMEMBERED:
            self._drop(self._ages.popleft())
        noted = _Noted(at, _key(guess))
        self._ages.append(noted)
        self._noted.setdefault(noted.key, []).append(noted)

    def stored(self, guess: Guess) -> None:
        """Say that a guess was committed: snapshots taken from now on show it themselves."""
        self._turn += 1
        waiting = self._waiting(guess)
        if waiting is not None:
            waiting.stored = self._turn

    def withdrawn(self, guess: Guess) -> None:
        """Say that a guess will not be stored: its answer was not given."""
        waiting = self._waiting(guess)
        if waiting is not None:
            self._drop(waiting)

    def unseen(self, guess: Guess, *, since: int) -> int:
        """Return how many wrong guesses of the same caller and subject a snapshot taken after turn `since` may lack."""
        noted = self._noted.get(_key(guess), ())
        return sum(1 for one in noted if one.stored is None or one.stored > since)

    def _waiting(self, guess: Guess) -> _Noted | None:
        return next((one for one in self._noted.get(_key(guess), ()) if one.stored is None), None)

    def _drop(self, noted: _Noted) -> None:
        held = self._noted.get(noted.key, [])
        if noted in held:
            held.remove(noted)
        if not held:
            self._noted.pop(noted.key, None)


def _key(guess: Guess) -> tuple[str, str]:
    return guess.client_id, guess.subject
