"""What the sandbox adds to a verification: the caller's own clock, and the scenarios that no state can show.

Only the sandbox's services hold one (`app/bootstrap.py`): in a live installation the codes are codes like any other. A
rehearsal changes what is judged or when, never the verdict: the same judge decides.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final, TypeVar

from app.domain.errors import DomainError, TooManyCalls
from app.domain.license import LicenseVersion
from app.domain.sandbox import (
    BY_HOLDER,
    BY_SCENARIO,
    CODE_TYPE,
    RETRY_SECONDS,
    SLOW_SECONDS,
    STALE_BY,
    SandboxCaller,
    Scenario,
    break_signature,
)
from app.domain.verification import LicenseReference, MalformedQuestion, Question
from app.ports import Store, UnitOfWork
from app.services.question_judge import Moment
from app.services.verification_answers import AskedQuestion
from elicense.cn import normalize_code
from elicense.credential import parse_credential
from elicense.evidence import TrustEvidence
from elicense.problems import FormatError
from elicense.stapled import take_apart

Item = TypeVar("Item", bound="AskedQuestion | MalformedQuestion")

_BY_FILE: Final = frozenset({Scenario.SUPERSEDED, Scenario.SIGNATURE_INVALID})
"""Scenarios about one file: who asks by code is answered about that file."""


class Rehearsal:
    """Stages the questions of the sandbox's callers."""

    def __init__(self, store: Store, *, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        """Read from the sandbox's store; `pause` waits so many seconds."""
        self._store = store
        self._pause = pause

    async def moved(self, moment: Moment, *, client_id: str) -> Moment:
        """Return the moment by the caller's own clock.

        The trust documents are taken as renewed in time, as they would be: their ends move along. Their keys do not,
        since those are judged at the time of signing.
        """
        caller = await self._store.read(lambda unit: unit.sandbox.get(client_id))
        ahead = timedelta(0) if caller is None else caller.ahead
        if not ahead:
            return moment
        return replace(moment, now=moment.now + ahead, trust=_renewed(moment.trust, after=ahead))

    async def stage(
        self, items: Sequence[Item], moment: Moment, *, client_id: str
    ) -> Sequence[tuple[Item, Moment]]:
        """Return each question as it is judged, and the moment it is judged at; slow ones wait first, once a call.

        Raises TooManyCalls and DomainError `unavailable` where the scenario of any question is that refusal: it
        concerns the call, and so the whole batch.
        """
        scenarios = [await self._scenario(item) for item in items]
        if Scenario.RATE_LIMITED in scenarios:
            raise TooManyCalls(RETRY_SECONDS, "this is the sandbox's code for 429: it is always answered so")
        if Scenario.UNAVAILABLE_ONCE in scenarios and await self._is_away(client_id):
            raise DomainError("unavailable", "this is the sandbox's code for 503: the next call is answered")
        if Scenario.SLOW in scenarios:
            await self._pause(SLOW_SECONDS)
        return [
            (await self._posed(item, scenario), _read_at(moment, scenario))
            for item, scenario in zip(items, scenarios, strict=True)
        ]

    async def _scenario(self, item: AskedQuestion | MalformedQuestion) -> Scenario | None:
        if isinstance(item, MalformedQuestion):
            return None
        code = BY_HOLDER.get(await self._holder(item.question) or "")
        return None if code is None else code.scenario

    async def _holder(self, question: Question) -> str | None:
        """Return whom a question is about, as far as that can be told before it is judged."""
        if question.credential is not None:
            token, _ = take_apart(question.credential)
            try:
                return parse_credential(token).claims.subject
            except FormatError:
                return None  # the judge says what is wrong with it
        reference = question.license
        if reference is None:
            return None
        identifier = reference.identifier
        if identifier is None:
            # The number of a business license is its holder's code.
            named = reference.holder_code or reference.number or ""
            return normalize_code(named) if reference.type_code == CODE_TYPE else None
        held = await self._store.read(lambda unit: unit.licenses.by_identifier(identifier))
        return None if held is None else held[0].license.holder.code

    async def _is_away(self, client_id: str) -> bool:
        """Count a call of this client, over all processes; every other one finds the service away."""

        async def work(unit: UnitOfWork) -> bool:
            held = await unit.sandbox.get(client_id) or SandboxCaller(client_id=client_id)
            await unit.sandbox.put(replace(held, unavailable_turns=held.unavailable_turns + 1))
            return held.unavailable_turns % 2 == 0

        return await self._store.write(work)

    async def _posed(self, item: Item, scenario: Scenario | None) -> Item:
        if isinstance(item, MalformedQuestion) or scenario not in _BY_FILE:
            return item
        question = item.question
        reference = question.license
        if reference is None or (reference.identifier is not None and scenario is Scenario.SUPERSEDED):
            return item
        shown = await self._store.read(lambda unit: shown_version(unit, scenario))
        if shown is None:
            return item
        if scenario is Scenario.SUPERSEDED:
            posed = replace(question, license=LicenseReference(identifier=shown.identifier))
        else:
            posed = replace(question, license=None, credential=break_signature(shown.credential))
        return replace(item, posed_as=posed)


async def shown_version(unit: UnitOfWork, scenario: Scenario) -> LicenseVersion | None:
    """Return the version of a scenario's license that is shown, None where there is no license.

    It is the one in force, or the one before the amendment where that is the scenario.
    """
    code = BY_SCENARIO[scenario]
    found = await unit.licenses.find(holder_code=code.holder_code, type_code=CODE_TYPE)
    if not found:
        return None
    versions = await unit.licenses.versions(found[0].license.id)
    return versions[0 if scenario is Scenario.SUPERSEDED else -1]


def _read_at(moment: Moment, scenario: Scenario | None) -> Moment:
    return replace(moment, read_at=moment.now - STALE_BY) if scenario is Scenario.STALE else moment


def _renewed(trust: TrustEvidence, *, after: timedelta) -> TrustEvidence:
    return replace(
        trust,
        root=replace(trust.root, expires=trust.root.expires + after),
        trust_list=replace(trust.trust_list, next_update=trust.trust_list.next_update + after),
    )
