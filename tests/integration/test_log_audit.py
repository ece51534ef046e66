"""The audit of a whole register: clean whatever has happened to it, and no changed bit passes."""

import json
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
from anyio import to_thread
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db import SqlAuditReader, open_store
from app.adapters.db.tables import metadata
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.cli.log_commands import audit_help
from app.domain.amending import Amendment
from app.domain.api_client import ClientKind
from app.domain.errors import DomainError
from app.domain.license import Action, IntentState
from app.domain.purpose import PURPOSES
from app.ports import Store, UnitOfWork
from app.services import log_audit_licenses
from app.services.log_audit import ALL, AuditReport, Part
from app.services.log_audit_columns import EXCEPTIONS, UNSEEN
from app.services.log_audit_receipts import SHORTEST_RETENTION
from elicense.cli import main
from tests.amending import MOVE, BrokenSigners, act, amend_call, crash_while_amending
from tests.audited import audit, fill, lines, lose_keys, publish
from tests.backups import Backups
from tests.bit_flips import Flipper, derivable, places
from tests.databases import PostgreSQL
from tests.installation import AUTHORITY, Installation, open_again, open_installation, services_over
from tests.integration.restored import go_on, installed

pytestmark = pytest.mark.anyio

# On PostgreSQL as well: each kind of column, and every part of the audit.
ON_BOTH = (
    "licenses.holder_name",
    "licenses.valid_from",
    "license_versions.credential",
    "license_versions.status_index",
    "license_history.reason",
    "license_history.recorded_at",
    "license_numbers.number",
    "intents.signing_input",
    "status_entries.value",
    "status_list_versions.token",
    "service_keys.jwk",
    "log_leaves.entry",
    "log_leaves.idx",
    "log_tiles.hashes",
    "log_checkpoints.note",
    "events.payload",
    "events.seq",
    "verifications.verdict",
    "audit.actor",
)
# What only one part of the audit looks at.
ONE_PART = {
    Part.KEYS: "service_keys.jwk",
    Part.SUBJECTS: "licenses.holder_name",
    Part.PROMISES: "intents.kid",
    Part.LISTS: "status_entries.value",
    Part.DOCUMENTS: "log_checkpoints.anchor_id",
    Part.TREES: "log_tiles.hashes",
    Part.SEQUENCE: "events.seq",
}


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def filled(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Installation]:
    """Give one register on SQLite to all tests of this module; each leaves it as it was."""
    folder = tmp_path_factory.mktemp("audited")
    shutil.copyfile(sqlite_template, folder / "register.db")
    async with open_installation(f"sqlite+aiosqlite:///{folder / 'register.db'}", folder) as installation:
        await fill(installation, licenses=6)
        await lose_keys(installation)
        yield installation


@pytest.fixture(scope="module")
async def reader(filled: Installation) -> AsyncIterator[SqlAuditReader]:
    opened = SqlAuditReader(filled.settings.database_url)
    yield opened
    await opened.close()


async def test_a_register_with_everything_in_it_is_clean_on_either_database(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await fill(installation, licenses=6)
        report = await audit(installation)
        assert lines(report) == [] and report.pending == ()
        await lose_keys(installation)
        report = await audit(installation)
        assert lines(report) == [] and report.clean
        if database_url.startswith("postgresql"):
            flipper, reader = Flipper(database_url), SqlAuditReader(database_url)
            missed = await flipper.missed(places(*ON_BOTH), lambda: audit(installation, reader=reader))
            assert missed == []
            await flipper.close()
            await reader.close()


async def test_every_changed_bit_is_found_with_its_license_and_column(
    filled: Installation, reader: SqlAuditReader
) -> None:
    flipper = Flipper(filled.settings.database_url)
    assert await flipper.missed(derivable(), lambda: audit(filled, reader=reader)) == []
    await flipper.close()
    assert (await audit(filled)).clean, "every bit was put back"


async def test_an_audit_that_leaves_a_part_out_misses_its_bits(filled: Installation) -> None:
    flipper = Flipper(filled.settings.database_url)
    for part, name in ONE_PART.items():
        (missed,) = await flipper.missed(places(name), lambda part=part: audit(filled, parts=ALL - {part}))
        assert missed.startswith(name)
    await flipper.close()


async def test_an_audit_that_skips_one_check_misses_its_bits(
    filled: Installation, reader: SqlAuditReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_audit_licenses, "_check_numbers", lambda *_: None)
    flipper = Flipper(filled.settings.database_url)
    looked_at = [place for place in derivable() if place.table in ("licenses", "license_numbers")]
    missed = await flipper.missed(looked_at, lambda: audit(filled, reader=reader))
    await flipper.close()
    assert {one.partition(" ")[0] for one in missed} == {
        "license_numbers.type_code",
        "license_numbers.number",
        "license_numbers.license_id",
    }


def test_every_column_is_derivable_or_listed_with_a_reason() -> None:
    known = {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns}
    known |= {f"{table}.*" for table in metadata.tables}
    assert EXCEPTIONS.keys() <= known, "no column that is no more"
    assert all(one.why.zh and one.why.en for one in EXCEPTIONS.values())
    assert {place.table for place in derivable()} >= {"licenses", "license_history", "log_leaves", "events"}


async def test_what_is_young_is_pending_and_what_is_old_a_fault(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        await publish(installation)
        await crash_while_amending(installation, license.id)
        await installation.issue()
        young = await audit(installation)
        assert lines(young) == []
        assert {one.where for one in young.pending} == {"intents.state", "events.seq", "log_leaves.idx"}
        installation.clock.advance(seconds=61)
        old = await audit(installation)
        assert {one.where for one in old.faults} == {"intents.state", "events.seq", "log_leaves.idx"}
        await installation.services.issuing.recover()
        await publish(installation)
        assert lines(await audit(installation)) == []


async def test_a_promise_given_up_before_it_was_a_license_is_clean(filled: Installation) -> None:
    store = open_store(filled.settings.database_url)
    dying = replace(filled, services=services_over(filled, store, BrokenSigners()))
    with pytest.raises(DomainError, match="unavailable"):
        await dying.issue()
    await store.close()
    filled.clock.advance(days=2)
    await filled.services.issuing.recover()
    await publish(filled)
    report = await audit(filled)
    assert lines(report) == [] and report.checked["intents"] > report.checked["license_versions"]


async def promised(store: Store, license_id: str) -> Collection[IntentState]:
    """Return the states of the versions promised of a license."""
    found = await store.read(lambda unit: unit.intents.promised_versions([license_id]))
    return found.get(license_id, {}).values()


T = TypeVar("T")


class Overtaken:
    """A store before whose write something else happens, once a license has an open promise."""

    def __init__(self, inner: Store, license_id: str, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._license_id = license_id
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        if self._meanwhile is not None and await self._is_promised():
            meanwhile, self._meanwhile = self._meanwhile, None
            await meanwhile()
        return await self._inner.write(work)

    async def _is_promised(self) -> bool:
        return IntentState.OPEN in await promised(self._inner, self._license_id)

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._inner.read(work)

    async def ready(self) -> None:
        await self._inner.ready()

    async def close(self) -> None:
        await self._inner.close()


async def test_promises_given_up_in_one_second_by_two_desks_are_clean(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license = await installation.issue()
        second = await installation.services.api_clients.create(
            name="second desk", kind=ClientKind.AUTHORITY, authority_code=AUTHORITY, actor="test"
        )
        installation.keys["second"] = second.secret
        signers = FileSigners(KeyFolder(path=installation.settings.keys_dir, development=True))
        form = Amendment(elements={"company_type": "有限公司"})
        for role, action, wanted in (("authority", Action.SUSPEND, MOVE), ("second", Action.RESUME, form)):
            store = Overtaken(
                installation.services.store, license.id, partial(act, installation, action, license.id)
            )
            desk = replace(installation, services=services_over(installation, store, signers))
            await amend_call(desk, license.id, wanted, role=role)  # promises anew, and keeps that
        await publish(installation)
        states = Counter(await promised(installation.services.store, license.id))
        assert states[IntentState.VOIDED] == 2 and states[IntentState.OPEN] == 0
        assert lines(await audit(installation)) == []


@pytest.mark.parametrize("with_bundle", [False, True])
async def test_a_register_that_accepted_a_loss_is_clean(
    database_url: str, tmp_path: Path, backups: Backups, with_bundle: bool
) -> None:
    async with installed(database_url, tmp_path, backups) as installation:
        installation.clock.advance(seconds=5)
        lost = await go_on(installation)
        backups.put_back()
        async with open_again(installation) as restored:
            bundle = lost.bundle if with_bundle else None
            assert await restored.services.recovery.accept_loss(actor="test", bundle=bundle) is not None
            await restored.issue()
            await publish(restored)
            restored.clock.advance(seconds=61)
            report = await audit(restored)
            assert lines(report) == [] and report.pending == ()


async def test_verifications_past_their_time_may_be_gone_and_no_others(
    database_url: str, tmp_path: Path
) -> None:
    assert min(purpose.retention for purpose in PURPOSES.values()) >= SHORTEST_RETENTION
    table = metadata.tables["audit"]
    async with open_installation(database_url, tmp_path) as installation:
        await fill(installation, licenses=6)
        installation.clock.advance(seconds=1400 * 86400)
        assert await installation.services.retention.purge() > 0
        subjects = frozenset({Part.SUBJECTS})
        assert lines(await audit(installation, parts=subjects)) == []
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:
            await connection.execute(delete(table).where(table.c.action == "verification.purge"))
        await engine.dispose()
        faults = lines(await audit(installation, parts=subjects))
        assert faults and all(" verifications.id " in line for line in faults)


@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("DELETE FROM service_keys", {"service_keys.kid"}),
        ("DELETE FROM service_keys WHERE use = 'receipt'", {"service_keys.kid"}),
        ("DELETE FROM counters WHERE name = 'events'", {"counters.value"}),
        ("UPDATE counters SET value = value - 1 WHERE name = 'events'", {"counters.value"}),
        ("DELETE FROM scheduled_changes WHERE status = 'scheduled'", {"scheduled_changes.id"}),
        ("DELETE FROM audit WHERE action = 'scheduled_change.create'", {"audit.subject"}),
    ],
)
async def test_rows_that_are_gone_are_missed_where_others_speak_of_them(
    database_url: str, tmp_path: Path, statement: str, where: set[str]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await fill(installation, licenses=6)
        engine = create_async_engine(database_url)
        async with engine.begin() as connection:
            assert (await connection.execute(text(statement))).rowcount > 0
        await engine.dispose()
        assert {one.where for one in (await audit(installation)).faults} == where


def test_what_may_go_unseen_is_named() -> None:
    assert UNSEEN.keys() <= metadata.tables.keys()
    assert all(why.zh and why.en for why in UNSEEN.values())
    assert all(f"  {table}: {why.zh} {why.en}" in audit_help() for table, why in UNSEEN.items())


async def test_a_root_of_another_installation_is_refused(filled: Installation) -> None:
    root = (await filled.services.trust_list.root()).content
    assert (await audit(filled, pinned_root=root + b"\n")).clean
    report = await audit(filled, pinned_root=root.replace(b"a", b"b"))
    assert [one.where for one in report.faults] == ["signed_documents.content"]


async def test_the_command_prints_what_was_found(
    filled: Installation, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("DATABASE_URL", filled.settings.database_url), ("ENV", "development")):
        monkeypatch.setenv(f"ELICENSE_{name}", value)
    monkeypatch.setattr("app.bootstrap.SystemClock", lambda: filled.clock)
    folder = filled.settings.keys_dir.parent
    flipper, seen = Flipper(filled.settings.database_url), []

    async def look() -> AuditReport:
        for words in (["--json"], ["--lang", "en"]):
            code = await to_thread.run_sync(main, ["log", "audit", "--data-dir", str(folder), *words])
            seen.append((code, capsys.readouterr()))
        return await audit(filled)

    assert await flipper.missed(places("licenses.holder_name"), look) == []
    await flipper.close()
    (code, printed), (again, told) = seen
    found = json.loads(printed.out)
    assert (code, again, found["fmt"], found["clean"], found["pending"]) == (1, 1, 1, False, [])
    (fault,) = found["faults"]
    assert fault.keys() == {"license", "identifier", "where", "expected"}
    assert fault["where"] == "licenses.holder_name" and found["checked"]["licenses"] > 6
    assert told.out.startswith(
        f"{fault['identifier']} {fault['license']} licenses.holder_name expected: what"
    )
    assert "示例" not in told.out, "a fault never shows what is stored"
    assert await to_thread.run_sync(main, ["log", "audit", "--data-dir", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clean"] is True


@pytest.mark.soak
async def test_every_changed_bit_is_found_on_postgresql_too(
    postgresql_server: PostgreSQL, postgresql_template: str, tmp_path: Path
) -> None:
    url = postgresql_server.create(template=postgresql_template)
    async with open_installation(url, tmp_path) as installation:
        await fill(installation, licenses=6)
        await lose_keys(installation)
        flipper = Flipper(url)
        assert await flipper.missed(derivable(), lambda: audit(installation), rows=3) == []
        await flipper.close()


@pytest.mark.soak
async def test_ten_thousand_licenses_are_audited_in_well_under_two_minutes(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        await fill(installation, licenses=10_000)
        begun = time.monotonic()
        report = await audit(installation)
        assert time.monotonic() - begun < 60
        assert lines(report) == [] and report.checked["licenses"] > 10_000
