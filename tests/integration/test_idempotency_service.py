"""Calls that may be repeated, against a real register: how long an answer stands, and what a running call holds."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from app.domain.errors import DomainError
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.idempotency import IdempotencyService, begin, find_answer, finish, kept_for
from app.services.once import AnswerRepeated, Once, write_once
from app.services.presentation_nonces import PresentationNonceService
from tests.builders import NOON

pytestmark = pytest.mark.anyio

CALL = IdempotentCall(client_id="c", method="POST", path="/v1/licenses", key="k", body_sha256="ab" * 32)
OTHER_BODY = replace(CALL, body_sha256="cd" * 32)
ANSWER = StoredAnswer(status=201, headers={"Location": "/v1/licenses/1"}, body=b"{}")
SECOND = timedelta(seconds=1)


class SetClock:
    """A clock that shows what it is set to."""

    def __init__(self) -> None:
        self.shown = NOON

    def now(self) -> datetime:
        return self.shown

    def monotonic(self) -> float:
        return 0.0


async def started(store: Store, call: IdempotentCall = CALL, *, now: datetime = NOON) -> str | StoredAnswer:
    return await store.write(lambda unit: begin(unit, call, now=now))


async def found(store: Store, call: IdempotentCall = CALL, *, now: datetime = NOON) -> StoredAnswer | None:
    return await store.read(lambda unit: find_answer(unit, call, now=now))


async def answered(store: Store, call: IdempotentCall = CALL) -> None:
    row = await started(store, call)
    assert isinstance(row, str)
    await store.write(lambda unit: finish(unit, row, ANSWER, expires_at=NOON + kept_for(call)))


async def refusal(store: Store, call: IdempotentCall, *, now: datetime) -> str:
    with pytest.raises(DomainError) as refused:
        await started(store, call, now=now)
    with pytest.raises(DomainError) as looked_for:
        await found(store, call, now=now)
    assert refused.value.code == looked_for.value.code
    return refused.value.code


async def test_a_key_that_nobody_used_has_no_answer(store: Store) -> None:
    assert await found(store) is None


async def test_a_running_call_holds_its_key_however_long_it_runs(store: Store) -> None:
    assert isinstance(await started(store), str)
    for later in (timedelta(0), timedelta(hours=24), timedelta(days=365)):
        assert await refusal(store, CALL, now=NOON + later) == "idempotency_in_progress"
        assert await refusal(store, OTHER_BODY, now=NOON + later) == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("path", "kept"),
    [("/v1/licenses", timedelta(hours=24)), ("/v1/verifications/batch", timedelta(minutes=10))],
)
async def test_an_answer_is_repeated_up_to_its_last_second_and_then_the_call_is_made_anew(
    store: Store, path: str, kept: timedelta
) -> None:
    call, other = replace(CALL, path=path), replace(OTHER_BODY, path=path)
    await answered(store, call)
    for now in (NOON, NOON + kept - SECOND):
        assert await found(store, call, now=now) == ANSWER
        assert await started(store, call, now=now) == ANSWER
        assert await refusal(store, other, now=now) == "idempotency_mismatch"
    assert await found(store, call, now=NOON + kept) is None
    assert isinstance(await started(store, other, now=NOON + kept), str)


async def test_an_answer_about_a_license_that_is_no_longer_there_is_not_repeated(store: Store) -> None:
    row = await started(store)
    assert isinstance(row, str)
    until = NOON + timedelta(hours=24)
    await store.write(lambda unit: finish(unit, row, ANSWER, expires_at=until, bound_to=[("no license", 1)]))
    assert await found(store) is None
    assert isinstance(await started(store), str)


async def test_a_refusal_is_kept_for_its_call_and_never_in_place_of_another_answer(store: Store) -> None:
    clock = SetClock()
    service = IdempotencyService(store, clock)
    refused = StoredAnswer(status=422, headers={}, body=b"problem")
    await service.keep_refusal(CALL, refused)
    assert await service.find(CALL) == refused
    await service.keep_refusal(CALL, ANSWER)
    assert await service.find(CALL) == refused
    await service.keep_refusal(OTHER_BODY, ANSWER)
    assert await service.find(CALL) == refused
    running = replace(CALL, key="running")
    await started(store, running)
    await service.keep_refusal(running, refused)
    with pytest.raises(DomainError, match="has not finished"):
        await service.find(running)
    clock.shown = NOON + timedelta(hours=24)
    assert await service.find(CALL) is None


async def test_sweeping_forgets_what_is_over_and_no_running_call(store: Store) -> None:
    clock = SetClock()
    service = IdempotencyService(store, clock)
    await answered(store)
    await started(store, replace(CALL, key="running"))
    clock.shown = NOON + timedelta(hours=24) - SECOND
    assert await service.sweep() == 0
    clock.shown = NOON + timedelta(hours=24) + SECOND
    assert await service.sweep() == 1
    assert await service.sweep() == 0


async def test_a_nonce_is_handed_out_again_to_the_same_call_and_to_no_other(store: Store) -> None:
    service = PresentationNonceService(store, SetClock())
    call = replace(CALL, path="/v1/presentation-nonces")
    first, again = await service.fresh(call), await service.fresh(call)
    assert (first.replayed, again.replayed) == (False, True)
    assert again.answer.body == first.answer.body
    others = [
        await service.fresh(replace(call, key="other")),
        await service.fresh(None),
        await service.fresh(None),
    ]
    assert not any(one.replayed for one in others)
    assert len({first.answer.body, *(one.answer.body for one in others)}) == 4
    with pytest.raises(DomainError) as refused:
        await service.fresh(replace(call, body_sha256="cd" * 32))
    assert refused.value.code == "idempotency_mismatch"


async def test_a_call_that_writes_once_repeats_its_answer_without_doing_it_again(store: Store) -> None:
    done: list[str] = []

    async def work(unit: UnitOfWork) -> str:
        done.append("once")
        return "made"

    once = Once(call=CALL, answer=lambda result: replace(ANSWER, body=result.encode()))
    assert await write_once(store, work, once, now=NOON) == "made"
    with pytest.raises(AnswerRepeated) as repeated:
        await write_once(store, work, once, now=NOON + timedelta(hours=24) - SECOND)
    assert (repeated.value.answer.body, done) == (b"made", ["once"])
    other = Once(call=OTHER_BODY, answer=once.answer)
    with pytest.raises(DomainError, match="another body"):
        await write_once(store, work, other, now=NOON)
    assert await write_once(store, work, once, now=NOON + timedelta(hours=24)) == "made"
    assert await write_once(store, work, None, now=NOON) == "made"
    assert done == ["once"] * 3
