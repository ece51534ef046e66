"""Measure the product's speed goals: `python -m tests.bench [P1 P3 …] [--quick] [--json]`."""

import argparse
import json
import sys
from collections.abc import Callable

from app.cli.common import configure_logging
from tests.bench import asking, bulk, least, offline, online, processes, publication
from tests.bench.measure import Goal

MEASURES: dict[str, Callable[..., dict[str, Goal]]] = {
    "P1": offline.measure,
    "P2": offline.measure,
    "P3": online.measure,
    "P4": asking.measure_by_number,
    "P5": asking.measure_batches,
    "P6": bulk.measure,
    "P7": publication.measure,
    "P8": publication.measure,
    "P10": processes.measure,
    "LEAST": least.measure,
}
_ON_REQUEST = frozenset({"LEAST"})
"""No goals: figures to hold goals against."""


def main() -> int:
    """Run what was asked for, print a table or one JSON object; exit 1 when a floor is not reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "goals", nargs="*", metavar="GOAL", help=f"of {', '.join(MEASURES)}; all if none is named"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, at most three minutes a goal")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    asked = options.goals or [name for name in MEASURES if name not in _ON_REQUEST]
    if unknown := sorted(set(asked) - set(MEASURES)):
        parser.error(f"unknown goal {', '.join(unknown)}")
    configure_logging("error")
    results: dict[str, Goal] = {}
    for measure in dict.fromkeys(MEASURES[name] for name in asked):
        found = measure(quick=options.quick)
        results |= {name: goal for name, goal in found.items() if name.split(".")[0] in asked}
    if options.json:
        print(json.dumps({name: goal.to_json() for name, goal in results.items()}, ensure_ascii=False))
    else:
        for name, goal in results.items():
            print(_line(name, goal))
    return 0 if all(goal.met for goal in results.values()) else 1


def _line(name: str, goal: Goal) -> str:
    measured = goal.ratio if goal.ratio is not None else goal.value
    sign = "≤" if goal.at_most else "≥"
    aim = "" if goal.aim is None else f", aim {goal.aim:g}"
    spread = "" if goal.spread is None else f" ±{goal.spread / 2:.0%}"
    rates = "" if goal.ours is None or goal.base is None else f"  {goal.ours:,.0f} ÷ {goal.base:,.0f}"
    verdict = "reached" if goal.met else "MISSED"
    return (
        f"{name:12} {measured:8.3f}{spread}  floor {sign} {goal.floor:g}{aim}  {verdict}{rates}  {goal.note}"
    )


if __name__ == "__main__":
    sys.exit(main())
