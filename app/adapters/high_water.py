"""What is kept outside the database, as a file in the keys folder: it outlives a database restored from a backup."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.adapters.durable import locked, replace_file
from app.domain.errors import ServiceRefusal
from app.domain.high_water import (
    ClockTrouble,
    HighWaterMark,
    KeptOutside,
    ListMark,
    TimeAcceptance,
)
from elicense.service_reasons import ServiceReason

_FMT = 2
_READABLE = (1, _FMT)


class HighWaterFile:
    """Keep the mark in `high-water.json` (implements `ports.HighWaterKeeper`); several processes may share it.

    Each change is a new file, synced, put in the place of the old one, and the folder synced: what failed to reach
    the disk is never taken for kept because a second attempt found nothing left to write. Of the transparency logs
    nothing is kept here: `log-heads.json` beside it remembers what was signed of them.
    """

    def __init__(self, folder: Path) -> None:
        """Use a folder that exists."""
        self._path = folder / "high-water.json"
        self._lock_path = folder / "high-water.lock"

    def load(self) -> KeptOutside | None:
        """Return what is kept, None before the first. Raises ServiceRefusal for a file that cannot be understood."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unreadable(error.strerror or "I/O error") from error
        try:
            return _read(json.loads(content))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise _unreadable("it is none of ours, or of a newer version") from error

    def raise_to(self, mark: HighWaterMark) -> None:
        """Raise the mark, part by part, never lowering any; durable on return. Raises OSError."""

        def raised(held: KeptOutside | None) -> KeptOutside:
            return KeptOutside(mark=mark) if held is None else replace(held, mark=held.mark.merged(mark))

        self.change(raised)

    def change(self, work: Callable[[KeptOutside | None], KeptOutside]) -> None:
        """Replace what is kept by what `work` makes of it, alone; durable on return. Raises OSError."""
        with locked(self._lock_path):
            held = self.load()
            changed = work(held)
            if changed != held:
                self._write(changed)

    def _write(self, kept: KeptOutside) -> None:
        replace_file(self._path, json.dumps(_json(kept), ensure_ascii=False, indent=1).encode())


def _unreadable(why: str) -> ServiceRefusal:
    return ServiceRefusal(
        "unavailable",
        ServiceReason.ANCHOR_UNAVAILABLE,
        f"high-water.json in the keys folder cannot be read: {why}",
        detail_zh="密钥目录中的 high-water.json 无法读取",
    )


def _json(kept: KeptOutside) -> dict[str, object]:
    mark = kept.mark
    content: dict[str, object] = {
        "fmt": _FMT,
        "time": _unix(mark.time),
        "kept": mark.kept,
        "trust_root_version": mark.trust_root_version,
        "trust_list_sequence": mark.trust_list_sequence,
        "freshness_sequence": mark.freshness_sequence,
        "event_seq": mark.event_seq,
        "status_lists": {
            name: {"authority_code": one.authority_code, "allocated": one.allocated, "seq": one.seq}
            for name, one in sorted(mark.status_lists.items())
        },
        "rows": dict(sorted(mark.rows.items())),
    }
    if kept.acceptance is not None:
        accepted = kept.acceptance
        content["acceptance"] = {
            "number": accepted.number,
            "time": _unix(accepted.time),
            "disregarded": _unix(accepted.disregarded),
        }
    if kept.trouble is not None:
        content["trouble"] = {"expected": _unix(kept.trouble.expected), "deviation": kept.trouble.deviation}
    return content


def _read(content: Any) -> KeptOutside:
    """Read what `_json` wrote, or the first format, which had the time and two sequences only."""
    if content["fmt"] not in _READABLE:
        raise ValueError("an unknown format")
    return KeptOutside(
        mark=HighWaterMark(
            time=_time(content["time"]),
            kept=int(content.get("kept", 0)),
            trust_root_version=int(content.get("trust_root_version", 0)),
            trust_list_sequence=int(content["trust_list_sequence"]),
            freshness_sequence=int(content["freshness_sequence"]),
            event_seq=int(content.get("event_seq", 0)),
            status_lists={name: _list(one) for name, one in content.get("status_lists", {}).items()},
            rows={name: int(count) for name, count in content.get("rows", {}).items()},
        ),
        acceptance=_acceptance(content.get("acceptance")),
        trouble=_trouble(content.get("trouble")),
    )


def _list(one: Mapping[str, Any]) -> ListMark:
    return ListMark(
        authority_code=str(one["authority_code"]), allocated=int(one["allocated"]), seq=int(one["seq"])
    )


def _acceptance(one: Mapping[str, Any] | None) -> TimeAcceptance | None:
    if one is None:
        return None
    return TimeAcceptance(
        number=int(one["number"]), time=_time(one["time"]), disregarded=_time(one["disregarded"])
    )


def _trouble(one: Mapping[str, Any] | None) -> ClockTrouble | None:
    if one is None:
        return None
    return ClockTrouble(expected=_time(one["expected"]), deviation=int(one["deviation"]))


def _time(seconds: Any) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())
