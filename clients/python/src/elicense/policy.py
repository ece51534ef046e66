"""What a verification must check and how fresh its evidence must be, as named and versioned presets."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType

from elicense.encoding import JsonValue, canonical_json, sha256_hex

MAX_STATUS_AGE = timedelta(days=7)
"""The longest age a policy may allow: a status list's own life (its `exp`)."""

MAX_LEEWAY = timedelta(hours=1)
"""The most clock difference a policy may forgive; the presets forgive a minute."""

MAY_BE_ACCEPTED = frozenset({"active", "suspended"})
"""The states a policy may name at all; a policy that a relying party makes itself accepts `active` alone."""

_DURATION = re.compile(r"([0-9]{1,9})(s|m|h|d)")
_UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class HolderBinding(StrEnum):
    """Say when a presenter must prove to hold the credential's key: always, when a proof came along, or never.

    A question that states a nonce and an audience asks for the proof under every policy.
    """

    REQUIRED = "required"
    IF_PRESENT = "if_present"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Name the conditions under which a relying party accepts a license.

    `max_status_age`: how old a status may be, up to 7 days. `required_elements`: elements that must be asked
    (by reference) or there (by credential), else `incomplete`. Online those are there that the register holds for the
    license, disclosed or not; offline those that the credential discloses. Metadata always is. `accepted_states`:
    register states that count as in force, never one that ends a license. `types`, `areas`: codes of license types,
    and code prefixes of areas (GB/T 2260), that are accepted; all of them when empty, else others are `outside_policy`.
    `require_freshness`: refuse trust documents without a current freshness statement.
    `require_log_proof`: refuse a credential without a log proof (online the register's own word is one). `leeway`:
    clock difference forgiven on the times of service data, up to an hour, never on an end date. `holder_binding`:
    whether the presenter must prove to be the holder.
    """

    id: str
    version: int
    max_status_age: timedelta
    required_elements: tuple[str, ...] = ()
    accepted_states: frozenset[str] = field(default=frozenset({"active"}))
    require_freshness: bool = True
    require_log_proof: bool = False
    leeway: timedelta = timedelta(seconds=60)
    holder_binding: HolderBinding = HolderBinding.IGNORED
    types: tuple[str, ...] = ()
    areas: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what no policy can mean, and what its JSON would not say: ValueError.

        An age outside 1 second to 7 days, a leeway outside 0 to 1 hour, fractions of a second in either, an empty id,
        a negative version, an empty name among elements, types and areas, and states that end a license.
        """
        if not timedelta(0) < self.max_status_age <= MAX_STATUS_AGE:
            raise ValueError("max_status_age must be more than 0 and at most 7 days")
        if not timedelta(0) <= self.leeway <= MAX_LEEWAY:
            raise ValueError("leeway must be at least 0 and at most 1 hour")
        if self.max_status_age.microseconds or self.leeway.microseconds:
            raise ValueError("max_status_age and leeway must be whole seconds")
        if self.version < 0 or not all((self.id, *self.required_elements, *self.types, *self.areas)):
            raise ValueError("id and every name in a policy must be text, and version no negative number")
        if not self.accepted_states <= MAY_BE_ACCEPTED:
            raise ValueError("accepted_states may hold active and suspended only: other states end a license")

    @property
    def restricts(self) -> bool:
        """Tell whether only some types or areas are accepted."""
        return bool(self.types or self.areas)

    def to_json(self) -> dict[str, JsonValue]:
        """Give every condition as JSON: what a receipt's policy digest covers.

        `holder_binding`, `types` and `areas` stand in it only where they ask for something: a policy that does not
        keeps the digest it had before these conditions existed, and what was kept under it still repeats.
        """
        conditions: dict[str, JsonValue] = {
            "id": self.id,
            "version": self.version,
            "max_status_age": int(self.max_status_age.total_seconds()),
            "required_elements": [*sorted(self.required_elements)],
            "accepted_states": [*sorted(self.accepted_states)],
            "require_freshness": self.require_freshness,
            "require_log_proof": self.require_log_proof,
            "leeway": int(self.leeway.total_seconds()),
        }
        if self.holder_binding is not HolderBinding.IGNORED:
            conditions["holder_binding"] = self.holder_binding.value
        if self.types:
            conditions["types"] = [*sorted(self.types)]
        if self.areas:
            conditions["areas"] = [*sorted(self.areas)]
        return conditions

    @property
    def sha256(self) -> str:
        """Give the digest (hex) of the canonical JSON (RFC 8785) of every condition."""
        return _digest(self)


@lru_cache(maxsize=256)
def _digest(policy: Policy) -> str:
    return sha256_hex(canonical_json(policy.to_json()))


PRESETS: Mapping[str, Policy] = MappingProxyType(
    {
        preset.id: preset
        for preset in (
            # A platform checking merchants: a day-old list is the agreed default.
            Policy(id="platform-default", version=1, max_status_age=timedelta(hours=24)),
            # A bank opening an account: an auditor must be shown that the license was on record when it was accepted.
            Policy(id="bank-strict", version=2, max_status_age=timedelta(hours=24), require_log_proof=True),
            # A passer-by scanning a code: as long as the list itself lives.
            Policy(id="public-basic", version=1, max_status_age=timedelta(days=7)),
        )
    }
)
"""The presets by name; a change to one raises its version."""

DEFAULT_POLICY = PRESETS["platform-default"]


def policy_by_name(name: str) -> Policy:
    """Find a preset; ValueError naming the known ones otherwise."""
    preset = PRESETS.get(name)
    if preset is None:
        raise ValueError(f"unknown policy, and no policy file of this name; known are {', '.join(PRESETS)}")
    return preset


def parse_duration(text: str) -> timedelta:
    """Read a duration as digits and one unit (`90s`, `30m`, `24h`, `7d`); ValueError for anything else."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ValueError("a duration is digits followed by s, m, h or d, for example 24h")
    try:
        return timedelta(**{_UNIT[found[2]]: int(found[1])})
    except OverflowError:
        raise ValueError("the duration is too long") from None


def with_max_status_age(policy: Policy, max_status_age: timedelta) -> Policy:
    """Copy a policy with another maximum status age; ValueError above 7 days or at 0."""
    return replace(policy, max_status_age=max_status_age)
