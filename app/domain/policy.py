"""Policies that relying parties make themselves: named, versioned, each version immutable."""

from dataclasses import dataclass
from datetime import datetime

from app.domain.ids import ClientId
from elicense.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPolicy:
    """One version of a client's policy. `policy.id` is its name; names are the client's own."""

    client_id: ClientId
    policy: Policy
    created_at: datetime
