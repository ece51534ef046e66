"""Policies that relying parties make themselves: named, versioned, each version immutable."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import DomainError, FieldError
from app.domain.ids import ClientId
from elicense.policy import PRESETS, Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPolicy:
    """One version of a client's policy. `policy.id` is its name; names are the client's own."""

    client_id: ClientId
    policy: Policy
    created_at: datetime


def unknown_policy() -> DomainError:
    """Make the error for a question or dry run that names neither a preset nor a policy of the caller's own."""
    names = ", ".join(PRESETS)
    detail = f"must be one of {names}, or a policy of your own"
    return DomainError(
        "unknown_policy", detail, errors=[FieldError("/policy", detail, f"应为 {names} 之一或自定策略")]
    )
