"""Questions asked at every verification are answered from an index, whatever the number of licenses."""

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.adapters.db import SqlStore
from app.domain.events import LogName
from app.domain.license import LicenseFilter
from app.domain.oauth import ClientJwk
from app.domain.proposal import ProposalStatus
from app.domain.publication import DocumentKind
from app.domain.scheduled_change import ChangeStatus
from app.ports import UnitOfWork
from tests.builders import AUTHORITY_CODE, LIST_ID, NOON, TODAY, TYPE_CODE, minutes
from tests.quota_clients import client

# SQLite tells its plan without statistics, and so without millions of rows; the indexes are the same on PostgreSQL.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)]

Question = Callable[[UnitOfWork], Awaitable[object]]


async def _end_a_key(unit: UnitOfWork) -> None:
    owner = client()
    await unit.api_clients.add(owner)
    await unit.oauth.add_jwk(ClientJwk(client_id=owner.id, kid="k", jwk={}, created_at=NOON))
    assert await unit.oauth.end_jwk(owner.id, "k", at=NOON)


QUESTIONS: dict[str, Question] = {
    "license by id": lambda unit: unit.licenses.snapshot("x"),
    "license by identifier": lambda unit: unit.licenses.by_identifier("x"),
    "license by number": lambda unit: unit.licenses.find(number="x", type_code=TYPE_CODE),
    "licenses by number at once": lambda unit: unit.licenses.find_by_numbers(["x", "y"], type_code=TYPE_CODE),
    "licenses by identifier at once": lambda unit: unit.licenses.by_identifiers(["x", "y"]),
    "license by holder": lambda unit: unit.licenses.find(holder_code="x", type_code=TYPE_CODE),
    "license by former holder": lambda unit: unit.licenses.find_by_former_holder("x", type_code=TYPE_CODE),
    "licenses by numbers": lambda unit: unit.licenses.by_numbers(type_code=TYPE_CODE, numbers=["x", "y"]),
    "version": lambda unit: unit.licenses.version("x", "001"),
    "versions": lambda unit: unit.licenses.versions("x"),
    "history": lambda unit: unit.licenses.history("x"),
    "page of an authority": lambda unit: unit.licenses.page(
        LicenseFilter(authority_code=AUTHORITY_CODE, status="active", today=TODAY), cursor=None, limit=5
    ),
    "page of a holder": lambda unit: unit.licenses.page(LicenseFilter(holder_code="x"), cursor=None, limit=5),
    "page by number": lambda unit: unit.licenses.page(LicenseFilter(number="x"), cursor=None, limit=5),
    "page by identifier": lambda unit: unit.licenses.page(
        LicenseFilter(identifier="x"), cursor=None, limit=5
    ),
    "held numbers": lambda unit: unit.intents.held_numbers(type_code=TYPE_CODE, numbers=["x"]),
    "status value": lambda unit: unit.status.value(list_id=LIST_ID, index=1),
    "served status list": lambda unit: unit.status.served(LIST_ID),
    "status lists by version": lambda unit: unit.status.versions({"https://demo.elicense.example/x": 1}),
    "status list of then": lambda unit: unit.status.newest_at(LIST_ID, NOON),
    "status list version": lambda unit: unit.status.version(LIST_ID, 1),
    "document by digest": lambda unit: unit.documents.by_sha256(DocumentKind.FRESHNESS, "x"),
    "newest document": lambda unit: unit.documents.latest(DocumentKind.TRUST_LIST),
    "key by handle": lambda unit: unit.api_clients.by_handle("x"),
    "verification": lambda unit: unit.verifications.get("x", client_id="c"),
    "verifications by reference": lambda unit: unit.verifications.page(
        client_id="c", reference="x", due_before=None, cursor=None, limit=5
    ),
    "verifications due": lambda unit: unit.verifications.page(
        client_id="c", reference=None, due_before=NOON, cursor=None, limit=5
    ),
    "verifications of a span": lambda unit: unit.verifications.between(
        client_id="c", since=NOON, until=NOON + minutes(5), cursor=None, limit=5
    ),
    "count of a span": lambda unit: unit.verifications.count_between(
        client_id="c", since=NOON, until=NOON + minutes(5)
    ),
    "verifications past their retention": lambda unit: unit.verifications.is_kept_before(
        "c", "merchant_onboarding", before=NOON
    ),
    "own policy": lambda unit: unit.policies.get("c", "own"),
    "own policies": lambda unit: unit.policies.page("c", after="", limit=5),
    "relying parties of a license": lambda unit: unit.verifications.count_relying_parties(
        "x", due_after=NOON
    ),
    "live licenses of a holder": lambda unit: unit.licenses.count_live("x", today=TODAY, besides="y"),
    "scheduled change": lambda unit: unit.scheduled_changes.get("x"),
    "scheduled changes of a license": lambda unit: unit.scheduled_changes.page(
        authority_code=AUTHORITY_CODE, license_id="x", status=None, cursor=None, limit=5
    ),
    "scheduled changes of an authority": lambda unit: unit.scheduled_changes.page(
        authority_code=AUTHORITY_CODE, license_id=None, status=None, cursor=None, limit=5
    ),
    "scheduled changes by status": lambda unit: unit.scheduled_changes.page(
        authority_code=AUTHORITY_CODE, license_id=None, status=ChangeStatus.FAILED, cursor=None, limit=5
    ),
    "waiting changes": lambda unit: unit.scheduled_changes.waiting_of("x"),
    "number of waiting changes": lambda unit: unit.scheduled_changes.count_waiting("x"),
    "whether a change is overdue": lambda unit: unit.scheduled_changes.is_overdue(NOON),
    "licenses with overdue changes": lambda unit: unit.scheduled_changes.overdue_among(["x", "y"], NOON),
    "whether a change is due": lambda unit: unit.scheduled_changes.is_due(NOON),
    "due changes": lambda unit: unit.scheduled_changes.claim_due(
        now=NOON, lease_until=NOON + minutes(1), limit=5
    ),
    "changes of an ended license": lambda unit: unit.scheduled_changes.cancel_waiting(
        "x", at=NOON, by="c", outcome="license_ended"
    ),
    "proposal": lambda unit: unit.proposals.get("x"),
    "proposals of an authority": lambda unit: unit.proposals.page(
        authority_code=AUTHORITY_CODE, status=None, now=NOON, cursor=None, limit=5
    ),
    "proposals by status": lambda unit: unit.proposals.page(
        authority_code=AUTHORITY_CODE, status=ProposalStatus.OPEN, now=NOON, cursor=None, limit=5
    ),
    "open proposals of a license": lambda unit: unit.proposals.count_open("x", now=NOON),
    "proposals of a changed license": lambda unit: unit.proposals.outdate_open("x", at=NOON, by="c"),
    "expired intents": lambda unit: unit.intents.claim_expired(
        now=NOON, lease_until=NOON + minutes(1), limit=5
    ),
    "events to sequence": lambda unit: unit.journal.sequence_events(limit=5),
    "last event": lambda unit: unit.journal.last_event_seq(),
    "leaves to sequence": lambda unit: unit.transparency_log.waiting(LogName.REGISTER, limit=5),
    "open log": lambda unit: unit.transparency_log.open_head(LogName.REGISTER),
    "tiles": lambda unit: unit.transparency_log.tiles("x", [(0, 1), (0, 2), (1, 0)]),
    "entries": lambda unit: unit.transparency_log.entries("x", first=3, count=5),
    "newest checkpoint": lambda unit: unit.transparency_log.newest_checkpoint(LogName.REGISTER),
    "served checkpoint": lambda unit: unit.transparency_log.checkpoint("x"),
    "witnessed checkpoint": lambda unit: unit.transparency_log.last_witnessed("x", before=NOON),
    "anchored checkpoint": lambda unit: unit.transparency_log.first_anchored("x", above=3),
    "leaf of a license": lambda unit: unit.transparency_log.leaf_of("x", kind="issuance"),
    "leaf of a receipt": lambda unit: unit.transparency_log.leaf("x"),
    "guesses sweep": lambda unit: unit.guessing.sweep(now=NOON, before=NOON, limit=5),
    "access tokens sweep": lambda unit: unit.oauth.sweep(now=NOON, limit=5),
    "used nonces sweep": lambda unit: unit.presentation_nonces.sweep(before=NOON, limit=5),
    "tokens of an ended key": _end_a_key,
    "idempotency sweep": lambda unit: unit.idempotency.sweep(now=NOON, limit=5),
}


@pytest.mark.parametrize("question", QUESTIONS)
async def test_no_table_is_searched_through(
    question: str, store: SqlStore, database_url: str, statements: list[tuple[str, object]]
) -> None:
    await store.write(QUESTIONS[question])
    database = sqlite3.connect(Path(database_url.removeprefix("sqlite+aiosqlite:///")))
    asked = [(sql, values) for sql, values in statements if not sql.startswith(("BEGIN", "PRAGMA"))]
    assert asked
    for sql, values in asked:
        steps = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {sql}", values)]  # type: ignore[arg-type]
        through = [step for step in steps if step.startswith("SCAN") and not _is_small(step)]
        assert through == [], sql
    database.close()


def _is_small(step: str) -> bool:
    """Tell a walk through an intermediate result, or through an index that holds only what is wanted."""
    return step == "SCAN chosen" or "ix_events_unsequenced" in step
