"""Succession between licenses: recorded by the authority, followed to its ends, and never a way to look in force."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from app.domain.errors import DomainError, NotFound
from app.domain.license import Action, License, State
from app.domain.succession import Relation, Succession
from app.domain.verification import LicenseReference, Question
from app.ports import UnitOfWork
from app.services.succession import MOST_FOLLOWED, follow
from tests.amending import act, amend, history_of, status_values
from tests.installation import (
    OTHER_AREA,
    OTHER_AUTHORITY,
    Installation,
    idempotent,
    open_installation,
)

pytestmark = pytest.mark.anyio


async def succeed(
    installation: Installation,
    license: License,
    *successors: str,
    relation: Relation = Relation.REPLACED_BY,
    role: str = "authority",
    key: str | None = None,
) -> License | bytes:
    changed = await installation.services.succession.record(
        license.id,
        relation,
        successors,
        reason_code="merger",
        reason="吸收合并",
        caller=await installation.caller(role),
        call=idempotent(key, path=f"/v1/licenses/{license.id}/succession") if key else None,
    )
    if changed.replayed is not None:
        return changed.replayed.body
    assert changed.license is not None
    return changed.license


async def test_a_license_in_force_ends_by_its_succession(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, new = await installation.issue(), await installation.issue()
        ended = await succeed(installation, old, new.identifier, relation=Relation.MERGED_INTO)
        assert isinstance(ended, License) and ended.state is State.SUPERSEDED
        assert await status_values(installation, old.id) == [3]
        entry = (await history_of(installation, old.id))[-1]
        assert (entry.action, entry.from_state, entry.to_state, entry.reason) == (
            "succession",
            "active",
            "superseded",
            "吸收合并",
        )
        assert entry.details == {"relation": "merged_into", "successors": new.identifier}
        audit, _ = await installation.services.audit.page(cursor=None, limit=100)
        assert "license.succession" in [e.action for e in audit if e.subject == old.id]
        for question in (
            Question(credential=await installation.credential(old)),
            Question(license=LicenseReference(identifier=old.identifier)),
            Question(license=LicenseReference(number=old.number, type_code=old.type_code)),
        ):
            body = await installation.ask(question)
            assert (body["verdict"], body["reason"]) == ("invalid", "superseded")
            assert (body["superseded_by"], body["successors"]) == (new.identifier, [new.identifier])
            assert new.number not in str(body)
        with pytest.raises(DomainError, match="state_conflict"):
            await amend(installation, old.id)
        with pytest.raises(DomainError, match="number_taken"):
            await installation.issue(number=old.number)


@pytest.mark.parametrize(
    ("way", "state", "reason"),
    [
        ((Action.CANCEL,), State.CANCELLED, "cancelled"),
        ((Action.SUSPEND,), State.SUPERSEDED, "superseded"),
    ],
)
async def test_an_ended_license_keeps_its_state_and_a_suspended_one_ends(
    database_url: str, tmp_path: Path, way: tuple[Action, ...], state: State, reason: str
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, new = await installation.issue(), await installation.issue()
        for action in way:
            await act(installation, action, old.id)
        ended = await succeed(installation, old, new.id)
        assert isinstance(ended, License) and ended.state is state
        body = await installation.ask(await installation.credential(old))
        assert (body["reason"], body["superseded_by"]) == (reason, new.identifier)


async def test_a_revoked_license_has_no_successors(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, new = await installation.issue(), await installation.issue()
        await act(installation, Action.REVOKE, old.id)
        with pytest.raises(DomainError, match="state_conflict"):
            await succeed(installation, old, new.id)
        body = await installation.ask(await installation.credential(old))
        assert (body["reason"], body["superseded_by"], "successors" in body) == ("revoked", None, False)


async def test_a_succession_is_followed_to_the_version_in_force_at_its_end(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first, second, third = [await installation.issue() for _ in range(3)]
        await succeed(installation, first, second.id)
        await succeed(installation, second, third.id)
        newest = await amend(installation, third.id)
        token = await installation.credential(first)
        assert (await installation.ask(token))["superseded_by"] == newest.identifier
        await act(installation, Action.REVOKE, third.id)
        body = await installation.ask(token)
        assert (body["reason"], body["superseded_by"]) == ("superseded", newest.identifier)
        asked = await installation.ask(LicenseReference(identifier=newest.identifier))
        assert asked["reason"] == "revoked", "following ends at the live state"


async def test_of_several_successors_all_are_named_and_none_is_the_one(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, left, right, beyond = [await installation.issue() for _ in range(4)]
        await succeed(installation, old, left.id, right.id, relation=Relation.SPLIT_TO)
        await succeed(installation, right, beyond.id, relation=Relation.MERGED_INTO)
        body = await installation.ask(await installation.credential(old))
        assert (body["superseded_by"], body["successors"]) == (None, [left.identifier, beyond.identifier])


async def test_recording_again_corrects_and_the_history_keeps_both(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, wrong, right = [await installation.issue() for _ in range(3)]
        await succeed(installation, old, wrong.id, relation=Relation.MERGED_INTO)
        await succeed(installation, old, right.id)
        body = await installation.ask(await installation.credential(old))
        assert body["superseded_by"] == right.identifier
        details = [entry.details.get("successors") for entry in await history_of(installation, old.id)]
        assert details == [None, wrong.identifier, right.identifier]


async def test_circles_and_wrong_names_are_refused_by_name(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first, second, third = [await installation.issue() for _ in range(3)]
        foreign = await installation.issue(area_code=OTHER_AREA, authority_code=OTHER_AUTHORITY)
        await succeed(installation, first, second.id)
        await succeed(installation, second, third.id)
        unknown = f"{third.identifier[:-1]}{'0' if third.identifier[-1] != '0' else '1'}"
        for successors, relation, pointer in (
            ((third.id,), Relation.REPLACED_BY, "/successors/0"),
            ((first.id,), Relation.REPLACED_BY, "/successors"),
            ((second.identifier,), Relation.REPLACED_BY, "/successors"),
            ((unknown,), Relation.REPLACED_BY, "/successors/0"),
            ((foreign.id,), Relation.REPLACED_BY, "/successors/0"),
            ((foreign.identifier, foreign.identifier), Relation.SPLIT_TO, "/successors"),
            ((second.id, second.identifier), Relation.SPLIT_TO, "/successors/1"),
            ((first.id, second.id), Relation.MERGED_INTO, "/successors"),
            ((), Relation.SPLIT_TO, "/successors"),
        ):
            with pytest.raises(DomainError) as refused:
                await succeed(installation, third, *successors, relation=relation)
            assert refused.value.code == "invalid_succession", successors
            assert [error.pointer for error in refused.value.errors] == [pointer], successors
        # Another authority's license is named by its identifier, which only who saw its file knows.
        ended = await succeed(installation, third, foreign.identifier)
        assert isinstance(ended, License) and ended.state is State.SUPERSEDED


def step(before: License, after: License) -> Succession:
    """Make a record as the service would, past its checks: what follows it must not rest on them."""
    return Succession(
        license_id=before.id, row_version=99, relation=Relation.REPLACED_BY, successors=(after.id,)
    )


@pytest.mark.parametrize("way", [Action.REVOKE, Action.CANCEL])
async def test_what_ended_and_leads_nowhere_takes_no_place(
    database_url: str, tmp_path: Path, way: Action
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, other, ended, living = [await installation.issue() for _ in range(4)]
        await act(installation, way, ended.id)
        with pytest.raises(DomainError) as refused:
            await succeed(installation, old, other.id, ended.id, relation=Relation.SPLIT_TO)
        assert refused.value.code == "invalid_succession"
        assert [error.pointer for error in refused.value.errors] == ["/successors/1"]
        if way is Action.CANCEL:  # once it is told where its rights went, it leads somewhere
            await succeed(installation, ended, living.id)
            await succeed(installation, old, other.id, ended.id, relation=Relation.SPLIT_TO)


async def test_successions_recorded_at_once_never_close_a_circle(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        for length in (2, 2, 2, 3, 3, 3):
            ring = [await installation.issue() for _ in range(length)]
            recorded = await asyncio.gather(
                *(succeed(installation, old, new.id) for old, new in pairwise([*ring, ring[0]])),
                return_exceptions=True,
            )
            refused = [one for one in recorded if isinstance(one, BaseException)]
            assert [str(getattr(one, "code", one)) for one in refused] == ["invalid_succession"]
            caller = await installation.caller("authority")
            states = [(await installation.services.licenses.get(old.id, caller=caller)).state for old in ring]
            assert sorted(states) == ["active", *["superseded"] * (length - 1)]


async def test_a_circle_ends_the_following_and_tells_nothing(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        first, second, third = [await installation.issue() for _ in range(3)]
        await succeed(installation, first, second.id)
        await succeed(installation, second, third.id)
        store = installation.services.store
        await store.write(lambda unit: unit.successions.add(step(third, first)))
        assert await store.read(lambda unit: follow(unit, [first.id])) == {first.id: ()}
        body = await installation.ask(await installation.credential(first))
        assert (body["reason"], body["superseded_by"]) == ("superseded", None)


async def test_following_is_bounded(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        rows = [installation.new_license() for _ in range(MOST_FOLLOWED + 1)]
        answers = await installation.services.issuing.issue_many(rows, actor="test")
        chain = [license for license in answers if isinstance(license, License)]
        store = installation.services.store

        async def record(unit: UnitOfWork) -> None:
            for before, after in pairwise(chain):
                await unit.successions.add(step(before, after))

        await store.write(record)
        # Together as each alone: one that is followed too far takes nothing from the others.
        assert await store.read(lambda unit: follow(unit, [one.id for one in chain[:3]])) == {
            chain[0].id: (),
            chain[1].id: (chain[-1].identifier,),
            chain[2].id: (chain[-1].identifier,),
        }
        with pytest.raises(DomainError, match="invalid_succession"):
            await succeed(installation, await installation.issue(), chain[0].id)


async def test_another_authoritys_license_looks_like_none(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, new = await installation.issue(), await installation.issue()
        for role in ("other_authority", "holder", "platform", "operator"):
            with pytest.raises(NotFound):
                await succeed(installation, old, new.identifier, role=role)


async def test_a_repeated_call_gets_its_first_answer(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        old, new = await installation.issue(), await installation.issue()
        first = await succeed(installation, old, new.id, key="k")
        again = await succeed(installation, old, new.id, key="k")
        assert isinstance(first, License) and isinstance(again, bytes)
        assert b'"status":"superseded"' in again
        assert len(await history_of(installation, old.id)) == 2
