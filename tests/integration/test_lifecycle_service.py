"""Changing a license's state: the whole table, by its own authority alone, in one transaction."""

import asyncio
from pathlib import Path

import pytest

from app.domain.errors import DomainError, NotFound
from app.domain.events import LogName
from app.domain.license import STATE_ACTIONS, STATUS_VALUE, Action, RevocationKind, State
from app.services.lifecycle import Changed
from tests.installation import Installation, idempotent, open_again, open_installation

pytestmark = pytest.mark.anyio

TABLE = {
    (State.ACTIVE, Action.SUSPEND): State.SUSPENDED,
    (State.ACTIVE, Action.RESUME): None,
    (State.ACTIVE, Action.REVOKE): State.REVOKED,
    (State.ACTIVE, Action.CANCEL): State.CANCELLED,
    (State.SUSPENDED, Action.SUSPEND): None,
    (State.SUSPENDED, Action.RESUME): State.ACTIVE,
    (State.SUSPENDED, Action.REVOKE): State.REVOKED,
    (State.SUSPENDED, Action.CANCEL): State.CANCELLED,
    **{(state, action): None for state in (State.REVOKED, State.CANCELLED) for action in STATE_ACTIONS},
}
WAY_TO = {
    State.ACTIVE: (),
    State.SUSPENDED: (Action.SUSPEND,),
    State.REVOKED: (Action.REVOKE,),
    State.CANCELLED: (Action.CANCEL,),
}


async def act(
    installation: Installation,
    action: Action,
    license_id: str,
    *,
    role: str = "authority",
    key: str | None = None,
) -> Changed:
    return await installation.services.lifecycle.act(
        action,
        license_id,
        reason_code="inspection",
        reason="现场检查",
        caller=await installation.caller(role),
        call=idempotent(key, path=f"/v1/licenses/{license_id}/{action}") if key else None,
    )


async def test_every_action_is_allowed_or_refused_in_every_state(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        store = installation.services.store
        for (state, action), target in TABLE.items():
            license_id = (await installation.issue()).id
            for step in WAY_TO[state]:
                await act(installation, step, license_id)
            if target is None:
                with pytest.raises(DomainError, match="state_conflict"):
                    await act(installation, action, license_id)
            else:
                changed = await act(installation, action, license_id)
                assert changed.license is not None and changed.license.state is target
            snapshot = await store.read(lambda unit, of=license_id: unit.licenses.snapshot(of))
            assert snapshot is not None
            expected = target or state
            assert (snapshot.license.state, snapshot.version.state) == (expected, expected)
            place = (snapshot.version.status_list_id, snapshot.version.status_index)
            value = await store.read(lambda unit, at=place: unit.status.value(list_id=at[0], index=at[1]))
            assert value == STATUS_VALUE[expected]


async def test_one_change_is_one_row_of_history_audit_and_log_and_one_event(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        store, caller = installation.services.store, await installation.caller("authority")
        license_id = (await installation.issue()).id
        await store.write(lambda unit: unit.journal.sequence_events(limit=1000))
        rows = await store.read(lambda unit: unit.high_water.count_rows())
        leaves = await store.read(lambda unit: unit.transparency_log.waiting(LogName.REGISTER, limit=1000))
        await act(installation, Action.REVOKE, license_id)
        more = await store.read(lambda unit: unit.transparency_log.waiting(LogName.REGISTER, limit=1000))
        assert len(more) - len(leaves) == 1
        assert await store.write(lambda unit: unit.journal.sequence_events(limit=1000)) == 1
        grown = await store.read(lambda unit: unit.high_water.count_rows())
        assert sum(grown.values()) - sum(rows.values()) == 1, "one more entry of the history"

        audit, _ = await store.read(lambda unit: unit.journal.audit_page(cursor=None, limit=1000))
        (entry,) = [one for one in audit if one.action == "license.revoke"]
        assert (entry.subject, entry.actor, entry.request_id) == (
            license_id,
            caller.client.id,
            caller.request_id,
        )
        last = (await installation.services.licenses.history(license_id, caller=caller))[-1]
        assert (last.action, last.from_state, last.to_state) == ("revoke", "active", "revoked")
        assert (last.actor, last.reason_code, last.reason) == (caller.client.id, "inspection", "现场检查")
        assert last.details == {"kind": "penalty"}


async def test_another_authoritys_license_looks_like_none(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        for role in ("other_authority", "holder", "platform", "operator"):
            with pytest.raises(NotFound):
                await act(installation, Action.REVOKE, license.id, role=role)
        with pytest.raises(NotFound):
            await act(installation, Action.REVOKE, "0191d000-0000-7000-8000-000000000000")
        assert (await installation.ask(await installation.credential(license)))["reason"] == "ok"


async def test_of_many_revocations_at_once_one_counts(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation, open_again(installation) as other:
        license = await installation.issue()
        outcomes = await asyncio.gather(
            *(act(each, Action.REVOKE, license.id) for each in (installation, other) * 4),
            return_exceptions=True,
        )
        assert sum(isinstance(item, Changed) for item in outcomes) == 1, outcomes
        assert all(item.code == "state_conflict" for item in outcomes if isinstance(item, DomainError))
        history = await installation.services.licenses.history(
            license.id, caller=await installation.caller("authority")
        )
        assert [(e.action, e.reason_code, e.reason) for e in history[1:]] == [
            ("revoke", "inspection", "现场检查")
        ]


async def test_a_repeated_call_gets_its_first_answer(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        first = await act(installation, Action.SUSPEND, license.id, key="k")
        again = await act(installation, Action.SUSPEND, license.id, key="k")
        assert first.license is not None and again.replayed is not None
        assert b'"status":"suspended"' in again.replayed.body
        with pytest.raises(DomainError, match="state_conflict"):
            await act(installation, Action.SUSPEND, license.id, key="another")


async def test_a_revocation_is_a_penalty_unless_it_is_an_annulment(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        for kind, kept in (
            (None, RevocationKind.PENALTY),
            (RevocationKind.ANNULLED, RevocationKind.ANNULLED),
        ):
            license = await installation.issue()
            caller = await installation.caller("authority")
            lifecycle = installation.services.lifecycle
            await lifecycle.act(
                Action.REVOKE, license.id, reason_code="x", reason="x", caller=caller, call=None, kind=kind
            )
            held = await installation.services.licenses.get(license.id, caller=caller)
            history = await installation.services.licenses.history(license.id, caller=caller)
            assert (held.state, held.revocation) == (State.REVOKED, kept)
            assert history[-1].details == {"kind": kept.value}


async def test_only_a_revocation_has_a_kind_and_only_states_are_changed_here(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        caller = await installation.caller("authority")
        act_on = installation.services.lifecycle.act
        for action, kind in (
            (Action.CANCEL, RevocationKind.ANNULLED),
            (Action.AMEND, None),
            (Action.RENEW, None),
            (Action.SUCCESSION, None),
        ):
            with pytest.raises(ValueError, match="no change of state"):
                await act_on(
                    action, license.id, reason_code="x", reason="x", caller=caller, call=None, kind=kind
                )
