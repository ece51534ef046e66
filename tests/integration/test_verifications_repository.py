"""Verifications: each client sees its own, by reference or by the date they are due."""

from dataclasses import replace
from datetime import datetime

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import DomainError
from app.domain.ids import ClientId, VerificationId, new_id
from app.domain.verification import VerificationRecord
from tests.builders import NOON, minutes

pytestmark = pytest.mark.anyio


def _record(**changes: object) -> VerificationRecord:
    made = VerificationRecord(
        id=VerificationId(new_id()),
        client_id=ClientId("c"),
        kind="credential",
        reference="shop-1",
        purpose="merchant_onboarding",
        verdict="valid",
        reason="ok",
        license_id="license-1",
        verified_at=NOON,
        next_check_due=NOON + minutes(10),
        batch_id=None,
        answer={"z": 1, "a": {"文": ["\u2028", None, True, -5]}, "m": "\x00"},
    )
    return replace(made, **changes)  # type: ignore[arg-type]


async def _page(
    store: SqlStore,
    *,
    reference: str | None = None,
    due_before: datetime | None = None,
    cursor: str | None = None,
    limit: int = 10,
) -> tuple[list[VerificationRecord], str | None]:
    shown, following = await store.read(
        lambda unit: unit.verifications.page(
            client_id="c", reference=reference, due_before=due_before, cursor=cursor, limit=limit
        )
    )
    return list(shown), following


async def test_a_verification_comes_back_with_its_answer_in_order(store: SqlStore) -> None:
    record = _record()
    empty = _record(reference=None, license_id=None, next_check_due=None, batch_id="batch-1")
    await store.write(lambda unit: unit.verifications.add_many([record, empty]))
    for stored in (record, empty):
        found = await store.read(lambda unit, stored=stored: unit.verifications.get(stored.id, client_id="c"))
        assert found == stored
        assert list(found.answer) == list(stored.answer)


async def test_another_clients_verification_does_not_exist(store: SqlStore) -> None:
    record = _record()
    await store.write(lambda unit: unit.verifications.add_many([record, _record(client_id=ClientId("d"))]))
    assert await store.read(lambda unit: unit.verifications.get(record.id, client_id="d")) is None
    assert (await _page(store))[0] == [record]


async def test_pages_by_reference_follow_each_other(store: SqlStore) -> None:
    records = [_record() for _ in range(5)]
    await store.write(lambda unit: unit.verifications.add_many([*records, _record(reference="shop-2")]))
    first, cursor = await _page(store, reference="shop-1", limit=3)
    rest, end = await _page(store, reference="shop-1", cursor=cursor, limit=3)
    assert end is None
    assert sorted(record.id for record in first + rest) == sorted(record.id for record in records)


async def test_pages_of_due_ones_come_in_the_order_they_are_due(store: SqlStore) -> None:
    due = [_record(next_check_due=NOON + minutes(span)) for span in (3, 1, 2, 2, 2)]
    others = [_record(next_check_due=None), _record(next_check_due=NOON + minutes(5))]
    await store.write(lambda unit: unit.verifications.add_many(due + others))
    seen: list[VerificationRecord] = []
    cursor: str | None = ""
    while cursor is not None:
        shown, cursor = await _page(store, due_before=NOON + minutes(5), cursor=cursor, limit=2)
        seen += shown
    assert [record.id for record in seen] == [
        record.id for record in sorted(due, key=lambda record: (record.next_check_due, record.id))
    ]


async def test_a_cursor_of_the_other_order_is_refused(store: SqlStore) -> None:
    await store.write(lambda unit: unit.verifications.add_many([_record(), _record()]))
    _, by_id = await _page(store, limit=1)
    _, by_due = await _page(store, due_before=NOON + minutes(60), limit=1)
    for cursor, due_before in (
        (by_id, NOON),
        (by_due, None),
        ("WyJ2ZXJpZmljYXRpb25zLWR1ZSIsIngiLCJ5Il0", NOON),
    ):
        with pytest.raises(DomainError) as refused:
            await _page(store, cursor=cursor, due_before=due_before)
        assert refused.value.code == "invalid_request"


async def test_relying_parties_are_counted_by_license_and_by_what_is_still_due(store: SqlStore) -> None:
    due, past = NOON + minutes(10), NOON - minutes(10)
    records = [
        _record(),
        _record(),  # the same client again
        _record(client_id=ClientId("d"), next_check_due=due),
        _record(client_id=ClientId("e"), next_check_due=past),
        _record(client_id=ClientId("f"), next_check_due=None),
        _record(client_id=ClientId("g"), license_id="license-2"),
        _record(client_id=ClientId("h"), license_id=None),
    ]
    await store.write(lambda unit: unit.verifications.add_many(records))

    async def count(license_id: str, after: datetime = NOON) -> int:
        return await store.read(
            lambda unit: unit.verifications.count_relying_parties(license_id, due_after=after)
        )

    assert await count("license-1") == 2
    assert await count("license-1", past - minutes(1)) == 3
    assert await count("license-1", due) == 0
    assert await count("license-2") == 1
    assert await count("unknown") == 0
