"""Values of the register for tests: complete, invented, one line each to change what a test is about."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from app.domain.guessing import Guess
from app.domain.ids import LicenseId, new_id, new_serial
from app.domain.license import (
    HistoryEntry,
    Holder,
    Intent,
    IntentState,
    License,
    LicenseVersion,
    State,
)
from app.domain.order import Order
from app.domain.proposal import Proposal, ProposalStatus
from app.domain.publication import StatusListRow
from app.domain.scheduled_change import ChangeStatus, ScheduledChange

TYPE_CODE = "11100000MB0143028R001"
AUTHORITY_CODE = "11320000MB1234567A"
LIST_ID = "list-1"
NOON = datetime(2026, 3, 4, 4, 5, 6, 789012, UTC)
TODAY = date(2026, 3, 4)


def make_license(number: str = "A-1", *, state: State = State.ACTIVE, **changes: object) -> License:
    """Make a license of the demonstration authority, valid today, with a fresh id and identifier."""
    made = License(
        id=LicenseId(new_id()),
        identifier=f"1.2.156.3005.2.{TYPE_CODE}.{AUTHORITY_CODE}.{new_serial()}.001.X",
        version="001",
        state=state,
        type_code=TYPE_CODE,
        type_name="营业执照",
        number=number,
        authority_code=AUTHORITY_CODE,
        authority_name="演示市场监督管理局",
        holder=Holder(code="91320100MA0T00001X", code_type="001", name="演示商贸(南京)有限公司"),
        area_code="320100",
        issue_date=date(2020, 2, 29),
        valid_from=date(2020, 2, 29),
        valid_until=None,
        elements={
            "legal_representative": "演示甲",
            "address": "演示路1号\n“一址多照”\u2028\x7f",
            "amount": "100",
        },
        created_at=NOON,
        updated_at=NOON,
        row_version=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def make_version(of: License, *, index: int, list_id: str = LIST_ID) -> LicenseVersion:
    """Make the version that belongs to a license, at an index of a status list."""
    return LicenseVersion(
        license_id=of.id,
        version=of.version,
        identifier=of.identifier,
        credential=f"header.payload.signature~{of.id}~",
        signing_input_sha256="ab" * 32,
        status_list_id=list_id,
        status_index=index,
        kid="kid-1",
        issued_at=NOON,
        state=of.state,
        env="test",
    )


def make_entry(of: License, *, action: str = "issue", to_state: State = State.ACTIVE) -> HistoryEntry:
    """Make a history entry of a license."""
    return HistoryEntry(
        id=new_id(),
        license_id=of.id,
        version=of.version,
        action=action,
        from_state=None if action == "issue" else of.state.value,
        to_state=to_state.value,
        actor="client-1",
        recorded_at=NOON,
        effective_at=NOON,
        reason_code=None if action == "issue" else "inspection_failed",
        reason=None if action == "issue" else "现场检查不合格",
    )


def make_row(of: License, *, index: int) -> tuple[License, LicenseVersion, HistoryEntry]:
    """Make what `LicenseRepository.add_many` takes for one license."""
    return of, make_version(of, index=index), make_entry(of)


def make_intent(of: License, *, index: int, lease_until: datetime = NOON) -> Intent:
    """Make an open intent for a license."""
    return Intent(
        id=new_id(),
        license=of,
        signing_input=b"header.\xe7\xad\xbe",
        disclosures=("WyJhIl0", "WyJiIl0"),
        kid="kid-1",
        status_list_id=LIST_ID,
        status_index=index,
        issued_at=NOON,
        actor="client-1",
        state=IntentState.OPEN,
        lease_until=lease_until,
        fence=1,
    )


def make_order(of: License, *, action: str = "suspend", **arguments: object) -> Order:
    """Make an order about a license."""
    return Order(
        action=action,
        license_id=of.id,
        reason_code="inspection_failed",
        reason="现场检查不合格\n第二行",
        arguments=arguments,
    )


def make_scheduled(of: License, *, action: str = "suspend", **changes: object) -> ScheduledChange:
    """Make a change of a license that waits for noon."""
    made = ScheduledChange(
        id=new_id(),
        authority_code=of.authority_code,
        order=make_order(of, action=action),
        effective_at=NOON,
        status=ChangeStatus.SCHEDULED,
        ordered_by="client-1",
        ordered_at=NOON - minutes(60),
        request_id="request-1",
        lease_until=NOON - minutes(60),
        fence=0,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def make_proposal(of: License, *, action: str = "revoke", **changes: object) -> Proposal:
    """Make an open proposal about a license as it stands."""
    made = Proposal(
        id=new_id(),
        authority_code=of.authority_code,
        order=make_order(of, action=action),
        effective_at=None,
        row_version=of.row_version,
        status=ProposalStatus.OPEN,
        proposed_by="client-1",
        proposed_at=NOON,
        expires_at=NOON + timedelta(days=7),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def make_status_list(list_id: str = LIST_ID, *, size: int = 1024) -> StatusListRow:
    """Make the bookkeeping of a list nothing was published of yet."""
    return StatusListRow(
        id=list_id,
        uri=f"https://demo.elicense.example/v1/status-lists/{list_id}",
        authority_code=AUTHORITY_CODE,
        size=size,
        allocated=0,
        changes=0,
        published_changes=0,
        seq=0,
    )


def minutes(count: float) -> timedelta:
    """Return a span of minutes."""
    return timedelta(minutes=count)


def make_guess(subject: str = "license", *, client_id: str = "platform", wrong: bool = True) -> Guess:
    """Make a wrong guess at a license that is not there, or a right one of a caller who is watched."""
    return Guess(
        client_id=client_id,
        subject=subject,
        license_id=None,
        authority_code=None,
        by_credential=False,
        wrong=wrong,
        watched=not wrong,
    )
