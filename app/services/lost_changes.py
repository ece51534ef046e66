"""What relying parties know and a restored register does not: licenses that were published as no longer in force.

A revocation that came after the backup is lost with the database, but the list that said so was published, and any
relying party's bundle still holds it, signed by our own keys. Each license it names is suspended here until its
department has decided again: what the world has seen revoked never comes back to life by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.domain.errors import DomainError
from app.domain.license import Action, State, next_state
from app.domain.publication import DocumentKind
from app.ports import LicenseSnapshot, Store, UnitOfWork
from app.services.journal_rows import make_audit
from app.services.signing_clock import SigningClock
from app.services.state_change import StateChange, put_state_change
from elicense.evidence import AcceptedStatusList, Evidence, ListStatus, gather_offline

HOLD: Final = "recover.hold"
REASON_CODE: Final = "status_lost"
REASON: Final = "数据库恢复到旧备份:此前发布的状态列表载明本证照已失效或暂停,待颁发机构重新决定"


@dataclass(frozen=True, slots=True, kw_only=True)
class LostChange:
    """A license in force here that a newer published list names otherwise: `published` is its value there."""

    identifier: str
    license_id: str
    published: int


class LostChanges:
    """Finds in a bundle what the register has forgotten, and holds those licenses."""

    def __init__(self, store: Store, signing_clock: SigningClock) -> None:
        self._store = store
        self._signing_clock = signing_clock

    async def find(self, bundle: bytes, *, since: datetime | None) -> Sequence[LostChange]:
        """Compare the register with the status lists of a bundle that was published after `since`.

        Raises DomainError `invalid_request` for a bundle that does not hold under our own trust root or is older.
        """
        root = await self._store.read(lambda unit: unit.documents.latest(DocumentKind.TRUST_ROOT))
        if root is None:
            raise DomainError("invalid_request", "this database holds no trust root to check the bundle with")
        evidence = gather_offline(trust_root=root.content, bundle=bundle, now=self._signing_clock.good_time())
        lists = _lists_of(evidence, since=since)
        return await self._store.read(lambda unit: _compare(unit, lists))

    async def hold(
        self, unit: UnitOfWork, changes: Sequence[LostChange], *, actor: str, at: datetime
    ) -> None:
        """Suspend each license whose current version is still in force, inside the caller's transaction."""
        for change in changes:
            snapshot = await unit.licenses.snapshot(change.license_id)
            if snapshot is not None and snapshot.license.state is State.ACTIVE:
                await _suspend(unit, snapshot, actor=actor, at=at)


def _lists_of(evidence: Evidence, *, since: datetime | None) -> Sequence[AcceptedStatusList]:
    if evidence.trust is None or evidence.trust.freshness is None:
        refused = evidence.refused()
        raise DomainError(
            "invalid_request", f"the bundle does not hold: {refused[0].detail if refused else 'no freshness'}"
        )
    if since is not None and evidence.trust.freshness.issued_at <= since:
        raise DomainError("invalid_request", "the bundle is older than this database")
    lists = evidence.status.lists.values() if isinstance(evidence.status, ListStatus) else ()
    return [part for part in lists if isinstance(part, AcceptedStatusList)]


async def _compare(unit: UnitOfWork, lists: Sequence[AcceptedStatusList]) -> Sequence[LostChange]:
    ids = {row.uri: row.id for row in await unit.status.lists()}
    found = []
    for accepted in lists:
        listed = accepted.status_list
        list_id = ids.get(listed.uri)
        if list_id is None:
            continue  # begun after the backup: none of its licenses is here
        _, held, _ = await unit.status.read_for_publication(list_id)
        not_in_force = {index for index, _ in held}
        for index, identifier, license_id in await unit.high_water.owners(list_id):
            published = listed.lookup(index)
            if published and index not in not_in_force:
                found.append(
                    LostChange(identifier=identifier, license_id=license_id, published=int(published))
                )
    return found


async def _suspend(unit: UnitOfWork, snapshot: LicenseSnapshot, *, actor: str, at: datetime) -> None:
    """Suspend as a department would; only the audit says that nobody ordered it."""
    license = snapshot.license
    decided = StateChange(
        action=Action.SUSPEND,
        kind="suspended",
        state=next_state(license.state, Action.SUSPEND),
        reason_code=REASON_CODE,
        reason=REASON,
    )
    audit = make_audit(action=HOLD, subject=license.id, actor=actor, at=at)
    await put_state_change(unit, snapshot, decided, audit=audit)
