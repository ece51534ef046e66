"""Take the moments that questions are judged at: what is trusted, what the types declare, and when it is.

A moment is taken before its transaction begins, from what is read once a second. Where the transaction is long in
beginning, the moment is out of date, and is to be taken anew.
"""

from datetime import timedelta
from typing import Final

from app.domain.ids import ClientId
from app.services.directory import DirectoryService
from app.services.late_changes import LateChanges
from app.services.question_judge import Moment
from app.services.rehearsal import Rehearsal
from app.services.signing_clock import SigningClock
from app.services.trust_list import TrustListService
from app.services.write_guard import WriteGuard

LONGEST_WAIT: Final = timedelta(seconds=1)


class Moments:
    """Takes moments while answers can be kept and signed; only in a sandbox a `rehearsal` moves them."""

    def __init__(
        self,
        *,
        signing_clock: SigningClock,
        trust_list: TrustListService,
        directory: DirectoryService,
        late_changes: LateChanges,
        guard: WriteGuard,
        rehearsal: Rehearsal | None,
    ) -> None:
        self._signing_clock = signing_clock
        self._trust_list = trust_list
        self._directory = directory
        self._late_changes = late_changes
        self._guard = guard
        self._rehearsal = rehearsal

    async def take(self) -> Moment:
        """Return the moment of now. Raises DomainError `unavailable` (no trust list, clock, database), `read_only`."""
        # No audit, no answer; and a register that lost changes could call a revoked license valid.
        self._guard.require_writable()
        # Trust first, then the time, then the register: nothing judged is older than the time it is judged at.
        trust = await self._trust_list.evidence()
        directory = await self._directory.snapshot()
        now = self._signing_clock.signing_time()
        late_since = await self._late_changes.since(now)
        return Moment(now=now, trust=trust, directory=directory, true_time=now, late_since=late_since)

    async def take_for(self, client_id: ClientId) -> Moment:
        """Return the moment of now by a caller's own clock. Raises as `take`."""
        moment = await self.take()
        return moment if self._rehearsal is None else await self._rehearsal.moved(moment, client_id=client_id)

    def is_current(self, moment: Moment) -> bool:
        """Tell whether a moment is at most a second old, or was moved for a rehearsal and stays. Raises as `take`."""
        passed = self._signing_clock.signing_time() - moment.true_time
        return self._rehearsal is not None or abs(passed) <= LONGEST_WAIT
