"""Random lives of licenses, told by the service and by a model: every way of asking gets what the model says."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import elicense.verify
from app.domain.amending import Amendment, Renewal
from app.domain.errors import DomainError
from app.domain.license import Action, LicenseFilter, RevocationKind
from app.domain.verification import LicenseReference, Question
from elicense.bundle import dump_bundle, parse_bundle
from elicense.encoding import civil_today, rfc3339
from tests.amending import amend, renew
from tests.audited import publish
from tests.installation import BUSINESS_LICENSE, Installation, MovableClock, open_installation
from tests.integration.ordering import schedule
from tests.life_model import (
    DAY,
    Life,
    Publication,
    Version,
    live,
    midnight,
    newest,
    offline,
    past,
)
from tests.unit.twins import Twin

pytestmark = pytest.mark.anyio

# Ten seconds before midnight in China, two days before the 29th of February.
BEGIN = datetime(2028, 2, 27, 15, 59, 50, tzinfo=UTC)
STATES = ("active", "suspended", "revoked", "cancelled", "expired", "not_yet_valid")
ACTIONS = (
    "suspend",
    "suspend",
    "resume",
    "resume",
    "amend",
    "renew",
    "revoke",
    "annul",
    "cancel",
    "schedule",
)
STEPS = (0, 0, 1, 1, 5, 10, 3600, 8 * 3600, 20 * 3600, 30 * 3600)


class StoppedClock(MovableClock):
    """A clock that stands still until it is moved."""

    def now(self) -> datetime:
        return BEGIN + self.offset

    def monotonic(self) -> float:
        return 1000.0 + self.passed.total_seconds()


@dataclass(slots=True)
class World:
    """The service and the model of it, moved together by one source of chance."""

    installation: Installation
    chance: random.Random
    judge: ModuleType
    policy: object
    root: bytes
    lives: list[Life] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    files: list[list[str]] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    waiting: list[tuple[datetime, int, str]] = field(default_factory=list)
    held: tuple[bytes, int] | None = None
    moments: set[datetime] = field(default_factory=set)

    @property
    def now(self) -> datetime:
        return self.installation.clock.now()

    async def issue(self) -> None:
        today = civil_today(self.now)
        begins = self.chance.choice((date(2020, 2, 29), today - DAY, today, today + DAY))
        ends = self.chance.choice((None, None, begins + DAY, begins + 2 * DAY, max(today, begins)))
        license = await self.installation.issue(valid_from=begins, valid_until=ends)
        made = Version(signed_at=self.now, valid_from=begins, valid_until=ends)
        self.lives.append(Life(versions=[made], changes=[(self.now, 0, "active")]))
        self.ids.append(license.id)
        self.numbers.append(license.number)
        self.files.append([await self.installation.credential(license)])

    async def act(self, number: int, action: str) -> None:
        """Do one action to service and model, refusals alike."""
        before, refused = self.lives[number].versions[-1], False
        version = None
        if action in ("amend", "renew"):
            version = replace(
                before, signed_at=self.now, valid_until=self._end(before, renewed=action == "renew")
            )
        try:
            await self._order(number, action, version)
        except DomainError as error:
            assert error.code == "state_conflict", (action, error)
            refused = True
        moved = self.lives[number].move(action, self.now, version)
        assert moved is not refused, (action, self.lives[number].changes)
        if moved and self.lives[number].state in ("revoked", "cancelled"):
            self.waiting = [one for one in self.waiting if one[1] != number]

    async def _order(self, number: int, action: str, version: Version | None) -> None:
        installation, license_id = self.installation, self.ids[number]
        if version is None:
            await installation.services.lifecycle.act(
                Action.REVOKE if action == "annul" else Action(action),
                license_id,
                reason_code="inspection",
                reason="x",
                caller=await installation.caller("authority"),
                call=None,
                kind=RevocationKind.ANNULLED if action == "annul" else None,
            )
            return
        if action == "renew":
            license = await renew(installation, license_id, Renewal(valid_until=version.valid_until))
        else:
            elements: dict[str, str | None] = {"address": f"南京市示例路{len(self.files[number])}号"}
            change = Amendment(elements=elements, valid_until=version.valid_until)
            license = await amend(installation, license_id, change)
        self.files[number].append(await installation.credential(license))

    def _end(self, before: Version, *, renewed: bool) -> date | None:
        today, end = civil_today(self.now), before.valid_until
        if renewed:
            return None if end is None else self.chance.choice((None, end, end + DAY))
        return self.chance.choice((None, max(today, before.valid_from), max(today - DAY, before.valid_from)))

    async def schedule(self, number: int) -> None:
        action = self.chance.choice(("suspend", "resume", "revoke", "cancel"))
        seconds = self.chance.choice((1, 1, 10, 3600, 20 * 3600))
        try:
            await schedule(self.installation, action, self.ids[number], seconds=seconds)
        except DomainError as error:
            assert error.code == "state_conflict"
            return
        self.waiting.append((self.now + timedelta(seconds=seconds), number, action))

    async def work(self) -> None:
        """Let a worker do what is due and publish it."""
        await self.installation.services.due_changes.perform_due()
        due = [one for one in self.waiting if one[0] <= self.now]
        for one in sorted(due, key=lambda one: one[0]):
            if one in self.waiting:
                self.waiting.remove(one)
                if self.lives[one[1]].move(one[2], self.now):
                    self.lives[one[1]].late.append((one[0], self.now))
                if self.lives[one[1]].state in ("revoked", "cancelled"):
                    self.waiting = [left for left in self.waiting if left[1] != one[1]]
        before = await self._seq()
        await publish(self.installation)
        if await self._seq() > before:
            shown = tuple(len(life.changes) for life in self.lives)
            self.publications.append(Publication(self.now, shown))

    async def _seq(self) -> int:
        rows = await self.installation.services.store.read(lambda unit: unit.status.lists())
        assert len(rows) <= 1
        return rows[0].seq if rows else 0

    async def fetch(self) -> None:
        """Fetch a bundle and keep it for later."""
        if self.publications:
            self.held = (await self.installation.services.freshness.bundle(), len(self.publications))

    async def step(self) -> None:
        """Let something happen, and time pass."""
        number = self.chance.randrange(len(self.lives))
        action = self.chance.choice(ACTIONS)
        if action == "schedule":
            await self.schedule(number)
        else:
            await self.act(number, action)
        if self.chance.random() < 0.5:
            await self.work()
        if self.chance.random() < 0.3:
            await self.fetch()
        self.moments.add(self.now)
        seconds = float(self.chance.choice(STEPS))
        if self.chance.random() < 0.2:  # to the last second of the civil day, or its end
            left = (midnight(civil_today(self.now) + DAY) - self.now).total_seconds()
            seconds = left - self.chance.choice((0, 1))
        self.installation.clock.advance(seconds=seconds)

    # --- asking

    async def compare(self) -> list[str]:
        """Ask in every way; return what differs from the model."""
        return [
            *await self.compare_online(),
            *self.compare_held(),
            *await self.compare_archive(),
            *await self.lists(),
        ]

    def _ways(self) -> list[tuple[int, int, Question]]:
        ways = []
        for number, files in enumerate(self.files):
            for version, token in enumerate(files):
                ways.append((number, version, Question(credential=token)))
            by_number = LicenseReference(number=self.numbers[number], type_code=BUSINESS_LICENSE)
            ways.append((number, -1, Question(license=by_number)))
        return ways

    async def compare_online(self) -> list[str]:
        asked: list[tuple[Question, frozenset[str], str]] = []
        for number, version, question in self._ways():
            life = self.lives[number]
            current = len(life.versions) - 1 if version < 0 else version
            is_late = any(
                at <= self.now - timedelta(seconds=10) and of == number for at, of, _ in self.waiting
            )
            now = live(life, current, self.now, is_late=is_late)
            asked.append((question, now, f"{number}.{version} now"))
            for at in self._some_moments():
                then = life.in_force(at) if version < 0 else version
                expected = past(life, number, then, at, self.publications)
                asked.append((replace(question, at=rfc3339(at)), expected, f"{number}.{version} {at}"))
        batch = await self.installation.services.verification.batch(
            [question for question, _, _ in asked], caller=await self.installation.caller("bank"), call=None
        )
        assert batch.body is not None
        reasons = [str(one["reason"]) for one in batch.body["results"]]  # type: ignore[attr-defined]
        return [
            f"online {name}: {got}, not {sorted(expected)}"
            for got, (_, expected, name) in zip(reasons, asked, strict=True)
            if got not in expected
        ]

    def _some_moments(self) -> list[datetime]:
        near = {one + timedelta(seconds=by) for one in self.moments for by in (-1, 0, 1)}
        before = sorted(one for one in near if one < self.now)
        return self.chance.sample(before, min(4, len(before)))

    def compare_held(self) -> list[str]:
        if self.held is None:
            return []
        bundle, published = self.held
        shown = self.publications[published - 1]
        if self.now - shown.issued_at >= 6 * DAY:
            return []
        return self._compare_offline(bundle, None, lambda _: shown)

    async def compare_archive(self) -> list[str]:
        services = self.installation.services
        if not self.publications:
            return []
        (row,) = await services.store.read(lambda unit: unit.status.lists())
        tokens = [(await services.status_lists.version(row.id, seq)).token for seq in range(1, row.seq)]
        bundle = dump_bundle(
            replace(parse_bundle(await services.freshness.bundle()), archive={row.uri: tokens})
        )
        found = []
        for at in self._some_moments()[:3]:
            found += self._compare_offline(bundle, at, lambda moment: newest(self.publications, moment))
        return found

    def _compare_offline(
        self, bundle: bytes, at: datetime | None, shown: Callable[[datetime], Publication | None]
    ) -> list[str]:
        evidence = self.judge.gather_offline(trust_root=self.root, bundle=bundle, now=self.now)
        moment, found = at or self.now, []
        for number, files in enumerate(self.files):
            for version, token in enumerate(files):
                life = self.lives[number]
                expected = offline(life, number, version, moment, shown(moment), is_past=at is not None)
                report = self.judge.verify_credential(token, evidence=evidence, policy=self.policy, at=at)
                if expected is not None and report.reason.value not in expected:
                    found.append(
                        f"offline {number}.{version} {moment}: {report.reason}, not {sorted(expected)}"
                    )
        return found

    async def lists(self) -> list[str]:
        """Compare the filtered lists of the department."""
        found, caller = [], await self.installation.caller("authority")
        for status in STATES:
            page, _ = await self.installation.services.licenses.list(
                LicenseFilter(status=status), caller=caller, cursor=None, limit=100
            )
            expected = {
                id_ for id_, life in zip(self.ids, self.lives, strict=True) if self._status(life) == status
            }
            if {one.id for one in page} != expected:
                found.append(f"list of {status} at {self.now}")
        return found

    def _status(self, life: Life) -> str:
        return life.versions[-1].outside(self.now) or "active" if life.state == "active" else life.state


@asynccontextmanager
async def open_world(
    database_url: str, folder: Path, *, seed: int, judge: ModuleType = elicense.verify
) -> AsyncIterator[World]:
    """Open a world of four licenses; offline `judge` decides."""
    async with open_installation(database_url, folder, clock=StoppedClock()) as installation:
        root = (await installation.services.trust_list.root(1)).content
        policy = import_module(judge.__name__.replace(".verify", ".policy")).DEFAULT_POLICY
        world = World(installation, random.Random(seed), judge, policy, root)
        for _ in range(4):
            await world.issue()
        yield world


@pytest.mark.parametrize("seed", [1])
async def test_every_way_of_asking_tells_of_a_license_what_its_life_was(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    async with open_world(database_url, tmp_path, seed=seed) as world:
        for step in range(18):
            await world.step()
            if step % 3 == 2:
                assert await world.compare() == []


@pytest.mark.parametrize("is_broken", [False, True])
async def test_a_verifier_that_takes_an_older_list_for_a_new_version_is_found(
    database_url: str, tmp_path: Path, is_broken: bool
) -> None:
    judge = elicense.verify
    if is_broken:
        passage = 'state == "active" and _is_before_version(listed, credential)'
        judge = Twin(
            tmp_path, "elicense_carried", file="status_check.py", passage=passage, instead="False"
        ).verify
    async with open_world(database_url, tmp_path, seed=1, judge=judge) as world:
        await world.act(0, "suspend")
        await world.work()
        await world.fetch()
        world.installation.clock.advance(seconds=3600)
        await world.act(0, "renew")
        found = world.compare_held()
        assert bool(found) is is_broken, found
        assert all("offline 0.1" in one and "ok, not" in one for one in found)
