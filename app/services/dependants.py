"""What hangs on a license: one registry, which every part that comes to depend on licenses joins.

To join, write an object with `count` and add it to the list in `bootstrap`. Counts only: who depends on a license is
nobody's business but theirs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.domain.license import License
from app.ports import Clock, UnitOfWork
from elicense.encoding import civil_today


@dataclass(frozen=True, slots=True, kw_only=True)
class DependantCount:
    """How many of one kind hang on a license, with the sentence for people in both languages."""

    kind: str
    count: int
    text_zh: str
    text_en: str


class Dependants(Protocol):
    """One part that depends on licenses."""

    async def count(self, unit: UnitOfWork, license: License) -> Sequence[DependantCount]:
        """Count what hangs on this license, inside a unit of work that only reads; kinds with none count 0."""
        ...


class RelyingParties:
    """Platforms and banks that verified the license and are to do so again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def count(self, unit: UnitOfWork, license: License) -> Sequence[DependantCount]:
        """Count the relying parties with a verification that is due again in the future."""
        count = await unit.verifications.count_relying_parties(license.id, due_after=self._clock.now())
        return (
            DependantCount(
                kind="relying_parties",
                count=count,
                text_zh=f"{count} 个用证方核验过此证照,尚有复核期限未到",
                text_en=f"{count} relying parties have verified this license and are to verify it again",
            ),
        )


class OtherLicenses:
    """Other licenses the holder has: what one department ends may be the ground of what others granted."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def count(self, unit: UnitOfWork, license: License) -> Sequence[DependantCount]:
        """Count the holder's other live licenses, those of the same authority and those of others."""
        live = await unit.licenses.count_live(
            license.holder.code, today=civil_today(self._clock.now()), besides=license.id
        )
        own = live.get(license.authority_code, 0)
        others = sum(live.values()) - own
        return (
            DependantCount(
                kind="licenses_of_holder",
                count=own,
                text_zh=f"该持证主体在本机构另有 {own} 个有效证照",
                text_en=f"the holder has {own} other live licenses of this authority",
            ),
            DependantCount(
                kind="licenses_of_holder_elsewhere",
                count=others,
                text_zh=f"该持证主体在其他机构另有 {others} 个有效证照",
                text_en=f"the holder has {others} live licenses of other authorities",
            ),
        )


class PendingOrders:
    """What is scheduled for the license or waits for a second person."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def count(self, unit: UnitOfWork, license: License) -> Sequence[DependantCount]:
        """Count waiting changes and open proposals."""
        scheduled = await unit.scheduled_changes.count_waiting(license.id)
        proposed = await unit.proposals.count_open(license.id, now=self._clock.now())
        return (
            DependantCount(
                kind="scheduled_changes",
                count=scheduled,
                text_zh=f"此证照有 {scheduled} 项预定变更尚未执行",
                text_en=f"{scheduled} scheduled changes of this license have not come to pass",
            ),
            DependantCount(
                kind="proposals",
                count=proposed,
                text_zh=f"此证照有 {proposed} 项提议等待批准",
                text_en=f"{proposed} proposals about this license wait for approval",
            ),
        )
