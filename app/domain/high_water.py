"""The high-water mark: the highest of everything that must never be given out twice, kept outside the database too.

A database restored from a backup would sign list versions and give out status indices a second time. The mark tells:
whatever the database lacks of it has been lost.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

GIVEN_UP: Final = ""
"""The root of a log whose end a recovery has given up: it may differ from what was seen."""

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class ListMark:
    """The highest of one status list: indices reserved, version published; `authority_code` says whose list it is."""

    authority_code: str
    allocated: int = 0
    seq: int = 0

    def merged(self, other: "ListMark") -> "ListMark":
        """Return the higher of both, part by part."""
        return replace(self, allocated=max(self.allocated, other.allocated), seq=max(self.seq, other.seq))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMark:
    """The head of one transparency log: how many entries, and the root over them (hex)."""

    size: int
    root: str

    def merged(self, other: "LogMark") -> "LogMark":
        """Return the larger of both."""
        return other if other.size > self.size else self


class Part(StrEnum):
    """Name what the mark counts."""

    KEPT = "kept"
    TRUST_ROOT = "trust_root"
    TRUST_LIST = "trust_list"
    FRESHNESS = "freshness"
    EVENTS = "events"
    STATUS_LIST = "status_list"
    STATUS_INDICES = "status_indices"
    LOG = "log"
    LOG_ROOT = "log_root"


_PART_TEXTS: Mapping[Part, tuple[str, str]] = MappingProxyType(
    {
        Part.KEPT: ("留痕次数", "keeping"),
        Part.TRUST_ROOT: ("信任根", "trust root"),
        Part.TRUST_LIST: ("信任列表", "trust list"),
        Part.FRESHNESS: ("新鲜度声明", "freshness statement"),
        Part.EVENTS: ("事件序号", "event sequence"),
        Part.STATUS_LIST: ("状态列表版本", "version of status list"),
        Part.STATUS_INDICES: ("已分配状态索引", "indices of status list"),
        Part.LOG: ("存证日志条目", "entries of log"),
        Part.LOG_ROOT: ("存证日志同长而内容不同", "another history of log"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One number that the database lacks: how far it is, how far it has been; `name` is a list's id, a log's origin."""

    part: Part
    have: int
    seen: int
    name: str = ""

    @property
    def zh(self) -> str:
        """Say it in Chinese."""
        return f"{_PART_TEXTS[self.part][0]}{' ' + self.name if self.name else ''}:现为 {self.have},曾为 {self.seen}"

    @property
    def en(self) -> str:
        """Say it in English."""
        return f"{_PART_TEXTS[self.part][1]}{' ' + self.name if self.name else ''}: is {self.have}, was {self.seen}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HighWaterMark:
    """The highest of everything seen by this installation.

    `time` is the latest moment; `kept` how often the mark was kept, which alone tells a database that is older by
    more than the pause between two keepings; `status_lists` by list id, `logs` by origin. `rows` counts tables: it
    tells how much was lost, never whether.
    """

    time: datetime
    kept: int = 0
    trust_root_version: int = 0
    trust_list_sequence: int = 0
    freshness_sequence: int = 0
    event_seq: int = 0
    status_lists: Mapping[str, ListMark] = field(default_factory=lambda: MappingProxyType({}))
    logs: Mapping[str, LogMark] = field(default_factory=lambda: MappingProxyType({}))
    rows: Mapping[str, int] = field(default_factory=lambda: _NOTHING)

    def merged(self, other: "HighWaterMark") -> "HighWaterMark":
        """Return the higher of both, part by part."""
        return HighWaterMark(
            time=max(self.time, other.time),
            kept=max(self.kept, other.kept),
            trust_root_version=max(self.trust_root_version, other.trust_root_version),
            trust_list_sequence=max(self.trust_list_sequence, other.trust_list_sequence),
            freshness_sequence=max(self.freshness_sequence, other.freshness_sequence),
            event_seq=max(self.event_seq, other.event_seq),
            status_lists=_merged(self.status_lists, other.status_lists),
            logs=_merged(self.logs, other.logs),
            rows={
                name: max(self.rows.get(name, 0), other.rows.get(name, 0))
                for name in {*self.rows, *other.rows}
            },
        )

    def missing_in(self, held: "HighWaterMark") -> tuple[Missing, ...]:
        """Name every number of this mark that `held`, what a database has, does not reach."""
        pairs = [
            Missing(part=Part.KEPT, have=held.kept, seen=self.kept),
            Missing(part=Part.TRUST_ROOT, have=held.trust_root_version, seen=self.trust_root_version),
            Missing(part=Part.TRUST_LIST, have=held.trust_list_sequence, seen=self.trust_list_sequence),
            Missing(part=Part.FRESHNESS, have=held.freshness_sequence, seen=self.freshness_sequence),
            Missing(part=Part.EVENTS, have=held.event_seq, seen=self.event_seq),
        ]
        for name, seen in sorted(self.status_lists.items()):
            have = held.status_lists.get(name, ListMark(authority_code=seen.authority_code))
            pairs.append(Missing(part=Part.STATUS_LIST, name=name, have=have.seq, seen=seen.seq))
            pairs.append(
                Missing(part=Part.STATUS_INDICES, name=name, have=have.allocated, seen=seen.allocated)
            )
        for name, head in sorted(self.logs.items()):
            size = held.logs[name].size if name in held.logs else 0
            pairs.append(Missing(part=Part.LOG, name=name, have=size, seen=head.size))
        return (*(pair for pair in pairs if pair.have < pair.seen), *self._forks(held))

    def _forks(self, held: "HighWaterMark") -> list[Missing]:
        return [
            Missing(part=Part.LOG_ROOT, name=name, have=head.size, seen=head.size)
            for name, head in sorted(self.logs.items())
            if name in held.logs
            and held.logs[name].size == head.size
            and held.logs[name].root not in (head.root, GIVEN_UP)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Floors:
    """Numbers that a recovery has given up: the next of each kind is above its floor. `logs` by origin, in entries."""

    trust_list: int = 0
    freshness: int = 0
    status_lists: Mapping[str, int] = field(default_factory=lambda: _NOTHING)
    logs: Mapping[str, int] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAcceptance:
    """An operator's word that the clock was right: the `number`-th, at `time` by that clock.

    Times after `time` and up to `disregarded` were known before and are taken for a clock's fault.
    """

    number: int
    time: datetime
    disregarded: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockTrouble:
    """What a running process found: at `expected` by its own reckoning the clock stood `deviation` seconds ahead."""

    expected: datetime
    deviation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOutside:
    """All that is kept outside the database: the mark, the last acceptance of a time, a running process's trouble."""

    mark: HighWaterMark
    acceptance: TimeAcceptance | None = None
    trouble: ClockTrouble | None = None


M = TypeVar("M", ListMark, LogMark)


def _merged(one: Mapping[str, M], other: Mapping[str, M]) -> Mapping[str, M]:
    merged = dict(one)
    for name, mark in other.items():
        merged[name] = merged[name].merged(mark) if name in merged else mark
    return merged
