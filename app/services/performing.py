"""What every action on a license offers to those who order it: look ahead, and perform it together with something."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.api_client import Caller, ClientKind
from app.domain.errors import DomainError, NotFound
from app.domain.license import License, State
from app.domain.order import Order
from app.ports import IdempotentCall, LicenseSnapshot, StoredAnswer, UnitOfWork


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """The license after its change, or the answer a repeated call got the first time: exactly one of them."""

    license: License | None = None
    replayed: StoredAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """What stands or falls with a change of a license, in the very transaction that changes it.

    `joined` is run there on the license as it stood before, before the action itself is judged. What it raises rolls
    everything back; what it returns is kept as the answer to the call instead of the license. It is run again
    whenever the transaction is. `effective_at` and `details` go into the history.
    """

    joined: Callable[[UnitOfWork, License, datetime], Awaitable[StoredAnswer | None]]
    effective_at: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEffect:
    """What an action does to one version: its state before and after, and its entry in a status list."""

    version: str
    identifier: str
    from_state: State
    to_state: State
    status_list_id: str
    status_index: int


def state_effect(snapshot: LicenseSnapshot, to_state: State) -> VersionEffect:
    """Return what an action that changes nothing but the state does to the version in force."""
    version = snapshot.version
    return VersionEffect(
        version=version.version,
        identifier=version.identifier,
        from_state=version.state,
        to_state=to_state,
        status_list_id=version.status_list_id,
        status_index=version.status_index,
    )


class Performer(Protocol):
    """Performs the orders of one or several names. `bootstrap` says which performer has which name."""

    def next_state(self, order: Order, state: State) -> State:
        """Return the state a license in `state` comes to. Raises DomainError `state_conflict` if it may not."""
        ...

    def effects(self, order: Order, snapshot: LicenseSnapshot) -> Sequence[VersionEffect]:
        """Return which versions would change, and how. Raises as `next_state`."""
        ...

    async def perform(
        self, order: Order, *, caller: Caller, call: IdempotentCall | None, together: Together | None
    ) -> Changed:
        """Do it now, once, and answer when it is durable.

        `together.joined` must run in the transaction that changes the license, never before or after it. Raises
        NotFound for another authority's license, DomainError state_conflict and whatever the action itself refuses.
        """
        ...


Performers = Mapping[str, Performer]
"""Who performs what, by the name of the order."""


def performer_of(action: str, performers: Performers) -> Performer:
    """Return who performs an order. Raises DomainError `unavailable` for a name that only a newer program knows."""
    performer = performers.get(action)
    if performer is None:
        raise DomainError("unavailable", "this process does not know the action that was ordered")
    return performer


def require_own(snapshot: LicenseSnapshot | None, caller: Caller) -> LicenseSnapshot:
    """Return the license if the caller is the authority that issued it. Raises NotFound otherwise."""
    client = caller.client
    if (
        snapshot is None
        or client.kind is not ClientKind.AUTHORITY
        or snapshot.license.authority_code != client.authority_code
    ):
        raise NotFound("license")
    return snapshot


def is_own(authority_code: str, caller: Caller) -> bool:
    """Tell whether the caller acts for this authority."""
    client = caller.client
    return client.kind is ClientKind.AUTHORITY and client.authority_code == authority_code
