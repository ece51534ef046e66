"""What still waits when a license changes: proposals about what it was, and changes it can no longer have.

Whoever changes a license calls `settle_pending` in the same transaction.
"""

from datetime import datetime

from app.domain.api_client import Caller
from app.domain.license import ENDED, License
from app.domain.scheduled_change import LICENSE_ENDED
from app.ports import UnitOfWork
from app.services.audit import add_audit


async def settle_pending(unit: UnitOfWork, license: License, *, caller: Caller, at: datetime) -> None:
    """Close the open proposals of a license that has just changed and, if it has ended, cancel what is scheduled.

    A proposal was made about the license as it stood; whoever approves must not decide about another. Changes that
    are scheduled stay, unless nothing can be done to the license any more.
    """
    outdated = await unit.proposals.outdate_open(license.id, at=at, by=caller.client.id)
    await add_audit(unit, *(("proposal.outdate", one) for one in outdated), caller=caller, at=at)
    if license.state in ENDED:
        cancelled = await unit.scheduled_changes.cancel_waiting(
            license.id, at=at, by=caller.client.id, outcome=LICENSE_ENDED
        )
        done = (("scheduled_change.cancel", one) for one in cancelled)
        await add_audit(unit, *done, caller=caller, at=at, outcome=LICENSE_ENDED)
