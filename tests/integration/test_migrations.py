"""The schema: from nothing, again, at once, and the same as the program believes."""

import asyncio
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import migrate, open_store
from app.adapters.db.migrate import _config
from app.adapters.db.revisions import current_revision, expected_revision, scripts_folder
from app.adapters.db.tables import metadata
from app.domain.authority import Area
from app.domain.errors import DomainError
from app.ports import IdempotentCall

pytestmark = pytest.mark.anyio


async def _look(database_url: str, question: object) -> object:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(question)  # type: ignore[arg-type]
    finally:
        await engine.dispose()


async def test_a_database_is_migrated_from_nothing(empty_database_url: str) -> None:
    assert await _look(empty_database_url, current_revision) is None
    await migrate(empty_database_url)
    assert await _look(empty_database_url, current_revision) == expected_revision()
    store = open_store(empty_database_url)
    await store.ready()
    await store.close()


async def test_alembic_names_the_same_revisions(database_url: str) -> None:
    assert ScriptDirectory.from_config(_config()).get_heads() == [expected_revision()]

    def by_alembic(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    assert await _look(database_url, by_alembic) == await _look(database_url, current_revision)


async def test_a_process_that_does_not_migrate_does_not_load_alembic() -> None:
    program = "import sys, app.main, app.worker; sys.exit('alembic' in sys.modules)"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    store = open_store(database_url)
    await store.write(lambda unit: unit.directory.put_area(Area(code="1", name="kept")))
    await migrate(database_url)
    assert len(await store.read(lambda unit: unit.directory.areas())) == 1
    await store.close()


async def test_several_processes_may_migrate_at_once(empty_database_url: str) -> None:
    program = "import asyncio, sys; from app.adapters.db import migrate; asyncio.run(migrate(sys.argv[1]))"
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", program, empty_database_url)
        for _ in range(3)
    ]
    assert await asyncio.gather(*(process.wait() for process in processes)) == [0, 0, 0]
    assert await _look(empty_database_url, current_revision) == expected_revision()


async def test_the_migrations_make_what_the_program_believes(database_url: str) -> None:
    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await _look(database_url, differences) == []


async def test_every_constraint_has_the_name_the_program_knows(database_url: str) -> None:
    def names(connection: Connection) -> set[str]:
        found: set[str] = set()
        inspector = inspect(connection)
        for table in metadata.tables:
            found.add(str(inspector.get_pk_constraint(table)["name"]))
            found |= {str(c["name"]) for c in inspector.get_unique_constraints(table)}
            found |= {str(c["name"]) for c in inspector.get_foreign_keys(table)}
            found |= {str(c["name"]) for c in inspector.get_check_constraints(table)}
        return found

    believed = {str(c.name) for table in metadata.tables.values() for c in table.constraints}
    assert await _look(database_url, names) == believed


@pytest.mark.parametrize(
    ("revision", "advice"),
    [("0001", "run `elicense migrate`"), ("9999", r"newer version \(9999\).*install the newer program")],
)
async def test_another_schema_than_ours_is_not_ready(database_url: str, revision: str, advice: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'"))
    await engine.dispose()
    store = open_store(database_url)
    with pytest.raises(DomainError, match=advice):
        await store.ready()
    await store.close()


async def test_the_schema_of_a_newer_program_is_left_as_it_is(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(DomainError, match="install the newer program"):
        await migrate(database_url)
    assert await _look(database_url, current_revision) == "9999"


async def test_a_database_out_of_reach_cannot_be_migrated() -> None:
    with pytest.raises(DomainError) as refused:
        await migrate("postgresql+asyncpg://user:secret@127.0.0.1:1/db")
    assert refused.value.code == "unavailable"
    assert "secret" not in str(refused.value)


def test_the_wheel_carries_the_scripts_where_the_program_looks_for_them(tmp_path: Path) -> None:
    checkout = scripts_folder()
    assert (checkout / "env.py").is_file()
    package = tmp_path / "app"
    shutil.copytree(checkout, package / "_migrations")
    assert scripts_folder(package) == package / "_migrations"


def _upgrade_to_before(connection: Connection, revision: str) -> None:
    """Bring an empty database to the revision that comes before another."""
    config = _config()
    config.attributes["connection"] = connection
    before = ScriptDirectory.from_config(config).get_revision(revision).down_revision
    assert isinstance(before, str)
    command.upgrade(config, before)


async def _at_revision_before(database_url: str, revision: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.run_sync(_upgrade_to_before, revision)
    await engine.dispose()


async def test_scripts_done_before_one_that_fails_stay(empty_database_url: str) -> None:
    await _at_revision_before(empty_database_url, "0018")
    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE INDEX ix_access_tokens_client ON access_tokens (kid)"))
    with pytest.raises(DomainError):
        await migrate(empty_database_url)
    assert await _look(empty_database_url, current_revision) == "0018"

    def guess_indexes(connection: Connection) -> set[str | None]:
        return {index["name"] for index in inspect(connection).get_indexes("guesses")}

    assert "ix_guesses_started" not in await _look(empty_database_url, guess_indexes), "none is half done"
    async with engine.begin() as connection:
        await connection.execute(text("DROP INDEX ix_access_tokens_client"))
    await engine.dispose()
    await migrate(empty_database_url)
    assert await _look(empty_database_url, current_revision) == expected_revision()


@pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
async def test_a_script_does_not_wait_long_for_a_table_in_use_and_says_what_to_do(
    empty_database_url: str,
) -> None:
    await _at_revision_before(empty_database_url, "0018")
    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.execute(text("SELECT 1 FROM idempotency"))
        with pytest.raises(DomainError, match="elicense worker") as refused:
            await migrate(empty_database_url, lock_seconds=0.05)
    assert refused.value.code == "unavailable"
    assert await _look(empty_database_url, current_revision) == "0018", "what was in nobody's way is done"
    await engine.dispose()
    await migrate(empty_database_url)


async def test_answers_of_before_are_repeated_after(empty_database_url: str) -> None:
    await _at_revision_before(empty_database_url, "0019")
    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO idempotency (id, client_id, method, path, key, body_sha256, started_at, expires_at, "
                "lease_until, answer_status, answer_headers, answer_body, bound_to) VALUES ('i', 'c', 'POST', '/x', "
                "'k', 'ab', '2026-01-01T00:00:00.000000+00:00', '2026-01-02T00:00:00.000000+00:00', "
                "'2026-01-01T00:00:30.000000+00:00', 201, '{}', :body, '[]')"
            ),
            {"body": b"\x00{}\xff"},
        )
    await engine.dispose()
    await migrate(empty_database_url)
    store = open_store(empty_database_url)
    call = IdempotentCall(client_id="c", method="POST", path="/x", key="k", body_sha256="ab")
    found = await store.read(lambda unit: unit.idempotency.find(call))
    await store.close()
    assert found is not None and found.answer is not None and found.answer.body == b"\x00{}\xff"
    assert found.expires_at == datetime(2026, 1, 2, tzinfo=UTC)


async def test_clients_of_before_are_on_a_plan_and_may_read_their_requests(empty_database_url: str) -> None:
    def begin(connection: Connection) -> None:
        _upgrade_to_before(connection, "0013")
        for name, calls in (("usual", 2000), ("own", 77)):
            connection.execute(
                text(
                    "INSERT INTO api_clients (id, name, kind, scopes, purposes, default_purpose, calls_per_minute, "
                    "batch_limit, created_at) VALUES (:name, :name, 'platform', :scopes, '[]', '', :calls, 1000, "
                    "'2026-01-01T00:00:00.000000+00:00')"
                ),
                {"name": name, "calls": calls, "scopes": '["verifications:read"]'},
            )

    engine = create_async_engine(empty_database_url)
    async with engine.begin() as connection:
        await connection.run_sync(begin)
    await engine.dispose()
    await migrate(empty_database_url)
    store = open_store(empty_database_url)
    held = {one.client.name: one.client for one in await store.read(lambda unit: unit.api_clients.all())}
    await store.close()
    assert {name: client.plan for name, client in held.items()} == {"usual": "standard", "own": "custom"}
    assert held["own"].calls_per_minute == 77
    assert all({"verifications:read", "requests:read"} == client.scopes for client in held.values())
