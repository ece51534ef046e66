"""Renew keys: the next key of every kind is listed before it signs, and the old one verifies to the end of its window.

1. The next key is made; it begins after a margin, so that every copy of the trust list that readers hold names it by
   then. 2. List, key and the old key's shorter window are stored in one transaction. 3. When its time comes every
   process signs with it by itself (`KeyRegister.current`): nothing has to be switched, nothing can be forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import DomainError
from app.domain.key_history import KeyChanges
from app.domain.publication import ServiceKey
from app.ports import KeyMaker, RootKeys
from app.services.key_making import make_service_key
from app.services.key_register import CREDENTIAL, FRESHNESS, LOG, RECEIPT, RECEIPT_LOG, STATUS
from app.services.log_keys import LogKeys
from app.services.root_rotation import RootRotation, RotatedRoot
from app.services.trust_publication import TrustPublisher, TrustState
from app.services.write_guard import WriteGuard

OVERLAP = timedelta(hours=25)
"""How long the old key of an authority or service stays good for signing: as long as a promise to issue may live."""

LOG_OVERLAP = timedelta(days=400)
"""How long both keys of a log sign: whoever pinned the old one, and every proof it signed, has that long to follow."""

_LOG_USES = frozenset({LOG, RECEIPT_LOG})
USES = (CREDENTIAL, STATUS, RECEIPT, FRESHNESS, LOG, RECEIPT_LOG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """A key and its successor: until when the old one signs and verifies, and in which trust list both stand."""

    old: ServiceKey
    new: ServiceKey
    trust_list_sequence: int


class KeyRotationService:
    """Renews the keys of authorities, services, logs and of the trust documents themselves."""

    def __init__(
        self,
        *,
        key_maker: KeyMaker,
        publisher: TrustPublisher,
        logs: LogKeys,
        roots: RootRotation,
        guard: WriteGuard,
        lead: timedelta,
    ) -> None:
        """`lead` is how long before it signs a key is listed: as long as readers may hold an older list."""
        self._key_maker = key_maker
        self._publisher = publisher
        self._logs = logs
        self._roots = roots
        self._guard = guard
        self._lead = lead

    async def rotate(
        self,
        use: str,
        *,
        authority_code: str | None,
        at: datetime | None,
        overlap: timedelta | None,
        root_keys: RootKeys,
        issuer_url: str,
    ) -> Rotated:
        """Make the next key of a use, list it, and let it take over at `at` (by default once the margin has passed).

        Raises DomainError `invalid_request` for an unknown use, a credential key without its authority (or another key
        with one), a moment before the margin has passed and one after the end of the key in force; `conflict` when
        there is no key to follow, or its successor is listed already and has not begun; `unavailable` with too few keys
        in the root folder; `read_only`.
        """
        self._guard.require_writable()
        if use not in USES:
            raise DomainError("invalid_request", f"there are no keys of use {use} to rotate")
        if (use == CREDENTIAL) != (authority_code is not None):
            raise DomainError(
                "invalid_request", "an authority is named for credential keys, and for no others"
            )
        made: dict[str, tuple[ServiceKey, ServiceKey]] = {}

        async def plan(state: TrustState, now: datetime) -> KeyChanges:
            old = _in_force(state, use, authority_code, now)
            begins = self._begins(at, now, ends=old.valid_until)
            new = self._make(state, old, begins)
            made["keys"] = old, new
            ends = begins + (overlap or (LOG_OVERLAP if use in _LOG_USES else OVERLAP))
            cut = {
                key.kid: ends
                for key in _sound(state, use, authority_code, old.origin)
                if key.in_window(now) and ends < key.valid_until
            }
            return KeyChanges(added=[new], ended=cut)

        document = await self._publisher.publish(root_keys=root_keys, issuer_url=issuer_url, plan=plan)
        old, new = made["keys"]
        return Rotated(old=old, new=new, trust_list_sequence=document.sequence)

    def _begins(self, at: datetime | None, now: datetime, *, ends: datetime) -> datetime:
        """Return when a key listed now signs, that follows one which `ends` then.

        Raises DomainError `invalid_request` for a moment that is too early, and for one that leaves a time without a
        key: while a successor waits no other is made, so that the mistake could not be put right.
        """
        earliest = now + self._lead
        if at is not None and at < earliest:
            seconds = int(self._lead.total_seconds())
            raise DomainError(
                "invalid_request", f"a new key begins at least {seconds} s after the list that names it"
            )
        if at is not None and at > max(ends, earliest):
            until = ends.isoformat(timespec="seconds")
            raise DomainError(
                "invalid_request",
                f"the key it follows ends at {until}: the new one begins then at the latest",
            )
        return earliest if at is None else at.replace(microsecond=0)

    async def rotate_root(
        self, *, root: bool, trust_list: bool, root_keys: RootKeys, issuer_url: str
    ) -> RotatedRoot:
        """Publish the next trust root with new root keys, new trust-list keys, or both.

        Raises as `RootRotation.rotate`, and `read_only`.
        """
        self._guard.require_writable()
        return await self._roots.rotate(
            root_keys=root_keys, issuer_url=issuer_url, new_root_keys=root, new_list_keys=trust_list
        )

    def _make(self, state: TrustState, old: ServiceKey, begins: datetime) -> ServiceKey:
        if old.origin is not None:
            count = sum(key.origin == old.origin for key in state.keys)
            return self._logs.make_successor(old, count=count, valid_from=begins)
        count = sum((key.use, key.authority_code) == (old.use, old.authority_code) for key in state.keys)
        return make_service_key(
            self._key_maker,
            use=old.use,
            authority_code=old.authority_code,
            number=count + 1,
            valid_from=begins,
        )


def _in_force(state: TrustState, use: str, authority_code: str | None, now: datetime) -> ServiceKey:
    """Return the newest key of a use that may sign now. Raises DomainError `conflict`."""
    own = _sound(state, use, authority_code, None)
    waiting = next((key for key in own if key.valid_from > now), None)
    if waiting is not None:
        begins = waiting.valid_from.isoformat(timespec="seconds")
        raise DomainError("conflict", f"the next {use} key is listed already and begins at {begins}")
    signing = [key for key in own if key.in_window(now)]
    if not signing:
        raise DomainError(
            "conflict", f"there is no {use} key in force: run `elicense keys publish-trust-list`"
        )
    return max(signing, key=lambda key: (key.valid_from, key.kid))


def _sound(
    state: TrustState, use: str, authority_code: str | None, origin: str | None
) -> Sequence[ServiceKey]:
    return [
        key
        for key in state.keys
        if (key.use, key.authority_code) == (use, authority_code)
        and (origin is None or key.origin == origin)
        and key.kid not in state.compromises
    ]
