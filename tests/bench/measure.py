"""Take rates in turns and compare them: CPU-seconds of this process, ratios within one round, medians over rounds."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Task = Callable[[], int]
"""Does a batch of work and returns how many operations it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One measured goal: `ratio` of ours to base, or an absolute `value`; `floor` gates a release, `aim` is ahead.

    `at_most` says that smaller is better. `spread` is the range of the rounds' ratios as a share of the median.
    """

    unit: str
    floor: float
    aim: float | None = None
    ratio: float | None = None
    value: float | None = None
    ours: float | None = None
    base: float | None = None
    spread: float | None = None
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool:
        """Tell whether the floor is reached."""
        measured = self.ratio if self.ratio is not None else self.value
        assert measured is not None
        return measured <= self.floor if self.at_most else measured >= self.floor

    def to_json(self) -> dict[str, object]:
        """Give the members of the report."""
        members: dict[str, object] = {"goal": self.floor, "unit": self.unit, "met": self.met}
        for name in ("aim", "ratio", "value", "ours", "base", "spread"):
            number = getattr(self, name)
            if number is not None:
                members[name] = round(number, 4)
        if self.note:
            members["note"] = self.note
        return members


@dataclass(frozen=True, slots=True)
class Rates:
    """Operations per CPU-second of each task, one figure per round; rounds are comparable, figures hardly."""

    by_task: Mapping[str, Sequence[float]]

    def median(self, task: str) -> float:
        """Return the median rate of a task."""
        return statistics.median(self.by_task[task])

    def ratio(self, ours: str, base: str) -> tuple[float, float]:
        """Return the median of the rounds' ratios, and their range as a share of it."""
        return ratio_of(self.by_task[ours], self.by_task[base])


def ratio_of(ours: Sequence[float], base: Sequence[float]) -> tuple[float, float]:
    """Return the median of the pairs' ratios, and their range as a share of it."""
    ratios = [mine / theirs for mine, theirs in zip(ours, base, strict=True)]
    middle = statistics.median(ratios)
    return middle, (max(ratios) - min(ratios)) / middle


def interleave(tasks: Mapping[str, Task], *, rounds: int, slice_seconds: float = 0.25) -> Rates:
    """Run the tasks in turns, each for about `slice_seconds` of CPU a round, after one unmeasured warm-up each."""
    for task in tasks.values():
        task()
    gc.collect()
    gc.freeze()  # the samples' own size is nobody's cost
    rates: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            done = 0
            started = time.process_time()
            while (used := time.process_time() - started) < slice_seconds:
                done += task()
            rates[name].append(done / used)
    return Rates(rates)
