"""The history of keys as stored: windows that are only ever cut, declarations, logs cut back to what they keep."""

from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlStore, migrate
from app.adapters.db.migrate import _config
from app.domain.errors import ConcurrentChange, DomainError
from app.domain.events import LogName
from app.domain.key_history import KeyCompromise
from app.domain.publication import ServiceKey
from app.domain.transparency_log import LogHead, LogState, PublishedCheckpoint, edge_tiles, grow, new_head
from app.ports import UnitOfWork
from elicense.merkle import EMPTY_ROOT
from elicense.signed_note import Checkpoint, parse_checkpoint_text
from tests.builders import NOON, minutes
from tests.integration.test_transparency_log_repository import _leaf

pytestmark = pytest.mark.anyio

ORIGIN = "license.example/log"
KEY = ServiceKey(
    kid="kid-1",
    use="log",
    profile="eddsa",
    jwk={"kty": "OKP", "crv": "Ed25519", "x": "x"},
    authority_code=None,
    uri="file:log-1",
    valid_from=NOON,
    valid_until=NOON + minutes(60),
    origin=ORIGIN,
)
LOST = KeyCompromise(
    kid="kid-1",
    use="log",
    since=NOON + minutes(1),
    log_origin=ORIGIN,
    log_size=2,
    log_root=bytes(range(32)),
    witnessed=True,
    statement=b'{"payload":""}',
    root_version=1,
    declared_at=NOON + minutes(2),
    reason=None,
)


async def test_a_window_is_cut_and_never_extended(store: SqlStore) -> None:
    await store.write(lambda unit: unit.keys.add(KEY))
    await store.write(lambda unit: unit.keys.end("kid-1", valid_until=NOON + minutes(9)))
    assert await store.read(lambda unit: unit.keys.all()) == [replace(KEY, valid_until=NOON + minutes(9))]
    for moment in (NOON + minutes(9), NOON + minutes(10)):
        with pytest.raises(ConcurrentChange):
            await store.write(lambda unit, moment=moment: unit.keys.end("kid-1", valid_until=moment))


async def test_a_declaration_comes_back_as_it_was_stored_and_a_later_one_replaces_it(store: SqlStore) -> None:
    with pytest.raises(DomainError):
        await store.write(lambda unit: unit.keys.put_compromise(LOST))
    await store.write(lambda unit: unit.keys.add(KEY))
    await store.write(lambda unit: unit.keys.put_compromise(LOST))
    assert await store.read(lambda unit: unit.keys.compromises()) == [LOST]
    assert LOST.checkpoint == Checkpoint(ORIGIN, 2, bytes(range(32)))
    nothing = replace(LOST, log_origin=None, log_size=0, log_root=None, witnessed=False, root_version=2)
    await store.write(lambda unit: unit.keys.put_compromise(nothing))
    assert await store.read(lambda unit: unit.keys.compromises()) == [nothing]
    assert nothing.checkpoint is None


async def _grow(store: SqlStore, *names: str) -> LogHead:
    """Sequence leaves and publish what results."""

    async def work(unit: UnitOfWork) -> LogHead:
        await unit.journal.add_leaves([_leaf(name) for name in names])
        head = await unit.transparency_log.open_head(LogName.REGISTER)
        assert head is not None
        leaves = await unit.transparency_log.waiting(LogName.REGISTER, limit=100)
        tiles = await unit.transparency_log.tiles(head.origin, edge_tiles(head.size))
        growth = grow(head, [leaf.entry for leaf in leaves], tiles)
        await unit.transparency_log.advance(head, growth)
        await unit.transparency_log.place(head.origin, first=head.size, leaf_ids=[leaf.id for leaf in leaves])
        await unit.transparency_log.put_tiles(head.origin, growth.tiles)
        state = Checkpoint(head.origin, growth.size, growth.root)
        checkpoint = PublishedCheckpoint(
            origin=head.origin,
            size=growth.size,
            note=f"{state.text}\n— {head.origin} AAAA\n",
            published_at=NOON + minutes(growth.size),
        )
        await unit.transparency_log.publish(checkpoint, expected_size=head.published_size)
        grown = await unit.transparency_log.head(head.origin)
        assert grown is not None
        return grown

    return await store.write(work)


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_log_that_is_cut_back_serves_what_it_keeps_and_the_rest_waits_anew(
    store: SqlStore, *, keeps: bool
) -> None:
    await store.write(
        lambda unit: unit.transparency_log.add_head(
            new_head("https://license.example", LogName.REGISTER, generation=1, kid="kid-1")
        )
    )
    await _grow(store, "a", "b")
    before = await _grow(store, "c", "d")
    at_two = await store.read(lambda unit: unit.transparency_log.checkpoint(ORIGIN, size=2))
    assert at_two is not None
    keep = parse_checkpoint_text(at_two.text) if keeps else None
    with pytest.raises(ConcurrentChange):
        await store.write(lambda unit: unit.transparency_log.cut(replace(before, row_version=1), keep))
    await store.write(lambda unit: unit.transparency_log.cut(before, keep))
    after = await store.read(lambda unit: unit.transparency_log.head(ORIGIN))
    assert after is not None and after.state is LogState.FROZEN
    size, root = (2, keep.root) if keep is not None else (0, EMPTY_ROOT)
    assert (after.size, after.published_size, after.root) == (size, size, root)
    served = await store.read(lambda unit: unit.transparency_log.checkpoint(ORIGIN))
    assert served == (at_two if keeps else None)
    waiting = await store.read(lambda unit: unit.transparency_log.waiting(LogName.REGISTER, limit=9))
    assert [leaf.id for leaf in waiting] == (["c", "d"] if keeps else ["a", "b", "c", "d"])
    again = await store.read(
        lambda unit: unit.transparency_log.last_published(ORIGIN, before=NOON + minutes(99), up_to=99)
    )
    assert again == (at_two if keeps else None), "what was cut away is put aside"
    # Cut back once more, to nothing.
    await store.write(lambda unit: unit.transparency_log.cut(after, None))


async def test_the_keys_of_logs_learn_their_origin_when_the_schema_does(empty_database_url: str) -> None:
    def up_to_before(connection: Connection) -> None:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0007")
        times = "'2026-01-01T00:00:00.000000+00:00', '2036-01-01T00:00:00.000000+00:00'"
        for kid, use in (("k1", "log"), ("k2", "status")):
            connection.execute(
                text(
                    "INSERT INTO service_keys (kid, use, profile, jwk, uri, valid_from, valid_until)"
                    f" VALUES ('{kid}', '{use}', 'eddsa', '{{}}', 'file:{kid}', {times})"
                )
            )
        head = text(
            "INSERT INTO log_heads (origin, log, generation, kid, state, size, root, row_version, published_size)"
            " VALUES ('license.example/log', 'register', 1, 'k1', 'open', 0, :root, 1, 0)"
        )
        connection.execute(head, {"root": EMPTY_ROOT})

    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.run_sync(up_to_before)
    await migrate(empty_database_url)
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT kid, origin FROM service_keys ORDER BY kid"))
        assert [tuple(row) for row in rows] == [("k1", ORIGIN), ("k2", None)]
    await engine.dispose()
