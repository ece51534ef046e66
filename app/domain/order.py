"""What a department orders to be done to a license, at once or from a later moment on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.domain.errors import DomainError, FieldError
from app.domain.license import STATE_ACTIONS, Action

LONGEST_AHEAD = timedelta(days=366)
"""How far ahead something may be scheduled: one year, a leap year's last day included."""

ORDERS = tuple(action.value for action in (*STATE_ACTIONS, Action.SUCCESSION))
"""The names of everything that can be ordered; a license type may ask for a second person for each."""


CANCEL_SCHEDULED = "cancel_scheduled"
"""The name of the order to cancel what two persons scheduled; it is only ever proposed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One action on one license and why.

    `arguments` holds what only some actions take, as JSON values by name; empty for most.
    """

    action: str
    license_id: str
    reason_code: str
    reason: str
    arguments: Mapping[str, object] = field(default_factory=dict)


def require_effective_at(effective_at: datetime, *, now: datetime) -> datetime:
    """Return the moment in whole seconds if an order may take effect then.

    Raises DomainError `invalid_effective_at` for one that is not in the future or more than a year ahead.
    """
    moment = effective_at.replace(microsecond=0)
    if moment <= now:
        raise _refused("must lie in the future", "须为将来的时刻")
    if moment > now + LONGEST_AHEAD:
        raise _refused("must lie within a year", "须在一年以内")
    return moment


def _refused(detail: str, detail_zh: str) -> DomainError:
    return DomainError(
        "invalid_effective_at",
        f"effective_at {detail}",
        errors=[FieldError("/effective_at", detail, detail_zh)],
    )
