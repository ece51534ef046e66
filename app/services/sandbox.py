"""The sandbox as its callers see it: the magic codes with what stands behind each, and the caller's own clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from app.domain.errors import DomainError, FieldError
from app.domain.sandbox import (
    CODE_TYPE,
    LONGEST_AHEAD,
    MAGIC_CODES,
    MagicCode,
    SandboxCaller,
    Scenario,
    break_signature,
)
from app.ports import Store, UnitOfWork
from app.services.once import Once, write_once
from app.services.rehearsal import shown_version
from app.services.sandbox_licenses import elements_to_send
from app.services.signing_clock import SigningClock
from elicense.problems import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCode:
    """A magic code with what stands in the register: None where there is no license, or where several fit."""

    code: MagicCode
    type_code: str
    number: str | None
    identifier: str | None
    credential: str | None
    valid_until: date | None
    elements: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxClock:
    """One caller's clock: what it shows, how far it stands ahead, and the true time (UTC, whole seconds)."""

    now: datetime
    ahead: timedelta
    true_time: datetime


class SandboxService:
    """Shows the magic codes and keeps the callers' clocks."""

    def __init__(self, store: Store, signing_clock: SigningClock) -> None:
        self._store = store
        self._signing_clock = signing_clock

    async def codes(self) -> Sequence[ShownCode]:
        """Return every magic code, in the order of the catalog."""

        async def work(unit: UnitOfWork) -> Sequence[ShownCode]:
            return [await _shown(unit, code) for code in MAGIC_CODES]

        return await self._store.read(work)

    async def clock(self, client_id: str) -> SandboxClock:
        """Return the clock of one caller."""
        held = await self._store.read(lambda unit: unit.sandbox.get(client_id))
        return self._shown(timedelta(0) if held is None else held.ahead)

    async def move(
        self,
        client_id: str,
        *,
        to: datetime | None = None,
        ahead_seconds: int | None = None,
        once: Once | None = None,
    ) -> SandboxClock:
        """Set one caller's clock to a moment, or so many seconds ahead of the true time; it runs on from there.

        Exactly one of the two is given. Raises DomainError `invalid_request` for the past and for more than ten years,
        AnswerRepeated for a call that was answered before.
        """
        pointer = "/now" if ahead_seconds is None else "/ahead_seconds"
        if ahead_seconds is None:
            assert to is not None
            ahead_seconds = round((to - self._signing_clock.signing_time()).total_seconds())
        if not 0 <= ahead_seconds <= LONGEST_AHEAD.total_seconds():
            raise _refusal(
                pointer,
                Text(
                    "只能拨到此后十年之内;过去的时刻请用核验的 at 询问",
                    "must lie within the next ten years; ask about the past with `at` of a verification",
                ),
            )
        ahead = ahead_seconds

        async def work(unit: UnitOfWork) -> SandboxClock:
            held = await unit.sandbox.get(client_id) or SandboxCaller(client_id=client_id)
            moved = replace(held, ahead_seconds=ahead)
            await unit.sandbox.put(moved)
            return self._shown(moved.ahead)

        return await write_once(self._store, work, once, now=self._signing_clock.signing_time())

    def _shown(self, ahead: timedelta) -> SandboxClock:
        now = self._signing_clock.signing_time()
        return SandboxClock(now=now + ahead, ahead=ahead, true_time=now)


async def _shown(unit: UnitOfWork, code: MagicCode) -> ShownCode:
    found = await unit.licenses.find(holder_code=code.holder_code, type_code=CODE_TYPE)
    version = await shown_version(unit, code.scenario)
    if version is None or len(found) != 1:
        return ShownCode(
            code=code,
            type_code=CODE_TYPE,
            number=None,
            identifier=None,
            credential=None,
            valid_until=None,
            elements={},
        )
    license_ = found[0].license
    is_broken = code.scenario is Scenario.SIGNATURE_INVALID
    return ShownCode(
        code=code,
        type_code=CODE_TYPE,
        number=license_.number,
        identifier=version.identifier,
        credential=break_signature(version.credential) if is_broken else version.credential,
        valid_until=license_.valid_until,
        elements=elements_to_send(code.scenario),
    )


def _refusal(pointer: str, text: Text) -> DomainError:
    return DomainError("invalid_request", text.en, errors=[FieldError(pointer, text.en, text.zh)])
