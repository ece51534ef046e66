"""Signed documents: every version kept, one after the other."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.db import SqlStore
from app.domain.errors import ConcurrentChange
from app.domain.publication import DocumentKind, SignedDocument
from tests.builders import NOON, minutes

pytestmark = pytest.mark.anyio

FIRST = SignedDocument(
    kind=DocumentKind.TRUST_LIST,
    sequence=1,
    content=b"\x00\xff{}",
    sha256="ab" * 32,
    issued_at=NOON,
    expires_at=NOON + minutes(1),
)


async def _add(store: SqlStore, document: SignedDocument) -> None:
    await store.write(lambda unit: unit.documents.add(document))


async def test_every_version_is_kept_byte_for_byte(store: SqlStore) -> None:
    second = replace(FIRST, sequence=2, content=b"newer")
    await _add(store, FIRST)
    await _add(store, second)
    await _add(store, replace(FIRST, kind=DocumentKind.FRESHNESS))
    kind = DocumentKind.TRUST_LIST
    assert await store.read(lambda unit: unit.documents.latest(kind)) == second
    assert await store.read(lambda unit: unit.documents.get(kind, 1)) == FIRST
    assert await store.read(lambda unit: unit.documents.get(kind, 3)) is None
    assert await store.read(lambda unit: unit.documents.all(kind)) == [FIRST, second]
    assert await store.read(lambda unit: unit.documents.latest(DocumentKind.TRUST_ROOT)) is None


async def test_a_version_is_found_by_the_digest_of_its_bytes(store: SqlStore) -> None:
    second = replace(FIRST, sequence=2, content=b"newer", sha256="cd" * 32)
    await _add(store, FIRST)
    await _add(store, second)
    kind = DocumentKind.TRUST_LIST
    assert await store.read(lambda unit: unit.documents.by_sha256(kind, "cd" * 32)) == second
    assert await store.read(lambda unit: unit.documents.by_sha256(kind, "ef" * 32)) is None
    other = DocumentKind.FRESHNESS
    assert await store.read(lambda unit: unit.documents.by_sha256(other, "cd" * 32)) is None


@pytest.mark.parametrize("sequence", [0, 1, 3])
async def test_a_version_that_does_not_follow_is_refused(store: SqlStore, sequence: int) -> None:
    await _add(store, FIRST)
    with pytest.raises(ConcurrentChange):
        await _add(store, replace(FIRST, sequence=sequence))


async def test_of_two_writers_of_one_sequence_one_wins(store: SqlStore, another_store: SqlStore) -> None:
    await _add(store, FIRST)
    outcomes = await asyncio.gather(
        *(_add(on, replace(FIRST, sequence=2)) for on in (store, another_store)), return_exceptions=True
    )
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [ConcurrentChange]
