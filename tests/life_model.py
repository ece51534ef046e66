"""What becomes of licenses, told a second time: a small model of states, versions, dates and published lists.

It shares nothing with the service but words. Times are whole seconds in UTC; a civil day begins at 16:00 UTC.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

CANNOT_TELL = frozenset({"status_unavailable", "status_stale"})
DAY = timedelta(days=1)
ENDS = frozenset({"revoked", "cancelled", "superseded"})
_VALUES = {"active": 0, "revoked": 1, "cancelled": 1, "suspended": 2, "superseded": 3}
MOVES = {
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    **{(state, "revoke"): "revoked" for state in ("active", "suspended")},
    **{(state, "annul"): "revoked" for state in ("active", "suspended")},
    **{(state, "cancel"): "cancelled" for state in ("active", "suspended")},
    **{(state, action): state for state in ("active", "suspended") for action in ("amend", "renew")},
}


def midnight(day: date) -> datetime:
    """Return when a civil day begins."""
    return datetime.combine(day, time(), UTC) - timedelta(hours=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One file: when it was signed, and the days it is good for."""

    signed_at: datetime
    valid_from: date
    valid_until: date | None

    def outside(self, moment: datetime) -> str | None:
        """Return why a moment lies outside the period, None if it does not."""
        if self.valid_until is not None and moment >= midnight(self.valid_until + DAY):
            return "expired"
        return "not_yet_valid" if moment < midnight(self.valid_from) else None


@dataclass(slots=True)
class Life:
    """One license: its versions, and each change with its time, the version in force after it and its state."""

    versions: list[Version] = field(default_factory=list)
    changes: list[tuple[datetime, int, str]] = field(default_factory=list)
    annulled: bool = False
    late: list[tuple[datetime, datetime]] = field(default_factory=list)
    """From when a change that was ordered ahead had effect, and when it was done."""

    @property
    def state(self) -> str:
        return self.changes[-1][2]

    def move(self, action: str, at: datetime, version: Version | None = None) -> bool:
        """Do what an action does, if it may be done."""
        target = MOVES.get((self.state, action))
        if target is None:
            return False
        if version is not None:
            self.versions.append(version)
        self.annulled |= action == "annul"
        self.changes.append((at, len(self.versions) - 1, target))
        return True

    def known(self, moment: datetime) -> int:
        """Return how many changes had been recorded by a moment."""
        return sum(at <= moment for at, _, _ in self.changes)

    def state_after(self, changes: int, version: int) -> str | None:
        """Return the state of a version after so many changes, None where it was not in the register yet."""
        if not changes or self.changes[changes - 1][1] < version:
            return None
        _, in_force, state = self.changes[changes - 1]
        return state if in_force == version else "superseded"

    def in_force(self, moment: datetime) -> int:
        """Return the version in force at a moment, the first one before it was issued."""
        return self.changes[max(self.known(moment), 1) - 1][1]


@dataclass(frozen=True, slots=True)
class Publication:
    """A list as it was published: its time, and how many changes of each license it shows."""

    issued_at: datetime
    shows: tuple[int, ...]

    def changes(self, life: int) -> int:
        return self.shows[life] if life < len(self.shows) else 0


def newest(publications: list[Publication], moment: datetime) -> Publication | None:
    """Return the list that was the newest at a moment."""
    return next((one for one in reversed(publications) if one.issued_at <= moment), None)


def verdict(state: str, version: Version, moment: datetime) -> str:
    """Return the leading reason of a known state."""
    return state if state != "active" else version.outside(moment) or "ok"


def untold(version: Version, moment: datetime) -> frozenset[str]:
    """Return what may lead where the status cannot be told: a date that fails goes before it."""
    outside = version.outside(moment)
    return CANNOT_TELL if outside is None else frozenset({outside})


def live(life: Life, version: int, now: datetime, *, is_late: bool) -> frozenset[str]:
    """Return what the register answers about now; nothing certain while a change is late."""
    if life.annulled:
        return frozenset({"revoked"})
    state = life.state_after(len(life.changes), version)
    assert state is not None
    if is_late and state in ("active", "suspended"):
        return untold(life.versions[version], now)
    return frozenset({verdict(state, life.versions[version], now)})


def past(
    life: Life, number: int, version: int, at: datetime, publications: list[Publication]
) -> frozenset[str]:
    """Return what the register answers about a past moment: what held, if the list of then showed it in time."""
    if life.annulled:
        return frozenset({"revoked"})
    shown, asked = newest(publications, at), life.versions[version]
    state = life.state_after(life.known(at), version)
    if shown is None or at < asked.signed_at or state is None or at - shown.issued_at >= 7 * DAY:
        return untold(asked, at)
    if any(since <= at < done for since, done in life.late):
        return untold(asked, at)
    listed = life.state_after(shown.changes(number), version) or "active"
    is_old = at - shown.issued_at > DAY and state not in ENDS
    if _VALUES[listed] != _VALUES[state] or is_old:
        return untold(asked, at)
    return frozenset({verdict(state, asked, at)})


def offline(
    life: Life, number: int, version: int, moment: datetime, shown: Publication | None, *, is_past: bool
) -> frozenset[str] | None:
    """Return what a list at hand tells about a moment; None in the second in which list and version were made."""
    asked = life.versions[version]
    if shown is None or (is_past and moment < asked.signed_at):
        return untold(asked, moment)
    state = life.state_after(shown.changes(number), version)
    if state is None and version > 0 and shown.issued_at == asked.signed_at:
        return None
    if moment - shown.issued_at >= 7 * DAY:
        return untold(asked, moment)
    if state in ENDS:
        return frozenset({"superseded" if state == "superseded" else "revoked"})
    if state is None and version > 0 and shown.issued_at < asked.signed_at:
        return untold(asked, moment)
    if moment - shown.issued_at > DAY:
        return untold(asked, moment)
    return frozenset({verdict(state or "active", asked, moment)})
