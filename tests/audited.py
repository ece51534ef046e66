"""A register with everything in it that an audit looks at, and how one bit of it is changed."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from app.adapters.db import SqlAuditReader
from app.bootstrap import open_root_keys
from app.domain.amending import Renewal
from app.domain.license import Action, License
from app.domain.succession import Relation
from app.domain.verification import LicenseReference, Question
from app.services.log_audit import ALL, AuditReport, LogAuditService, Part
from tests.amending import act, amend, crash_while_amending, renew
from tests.installation import AUTHORITY, ISSUER_URL, OTHER_AREA, OTHER_AUTHORITY, Installation
from tests.integration.bystander import add_witness, key_of, witness
from tests.integration.ordering import add_colleague, approve, need_two_persons, propose, schedule
from tests.simulated_signers import SimulatedSigner


async def audit(
    installation: Installation,
    *,
    parts: frozenset[Part] = ALL,
    pinned_root: bytes | None = None,
    reader: SqlAuditReader | None = None,
) -> AuditReport:
    """Audit an installation in this process; many audits are quicker with one reader."""
    own = reader or SqlAuditReader(installation.settings.database_url)
    try:
        service = LogAuditService(reader=own, clock=installation.clock, pinned_root=pinned_root)
        return await service.run(parts=parts)
    finally:
        if reader is None:
            await own.close()


def lines(report: AuditReport) -> list[str]:
    """Give the faults as lines."""
    return [f"{one.license} {one.identifier} {one.where} {one.expected.name}" for one in report.faults]


async def publish(installation: Installation) -> None:
    """Let the worker's duties be done until nothing waits."""
    services = installation.services
    await services.status_lists.publish_due()
    await services.freshness.publish_due()
    await services.log_sequencer.run_until_done()


async def fill(installation: Installation, *, licenses: int) -> Sequence[License]:
    """Make a register of so many plain licenses and of every other kind: ended, suspended, amended, replaced, ordered,
    given up, verified; publish all of it.
    """
    services = installation.services
    await add_witness(installation)
    issued = [await installation.issue() for _ in range(licenses)]
    await installation.issue(valid_until=issued[0].valid_from.replace(year=2040))
    await installation.issue(authority_code=OTHER_AUTHORITY, area_code=OTHER_AREA)
    await installation.issue(holder_key=dict(SimulatedSigner().public_key.jwk))
    suspended, resumed, revoked, cancelled, amended, moved, old, new = [
        await installation.issue() for _ in range(8)
    ]
    await act(installation, Action.SUSPEND, suspended.id)
    await act(installation, Action.SUSPEND, resumed.id)
    await act(installation, Action.RESUME, resumed.id)
    await act(installation, Action.REVOKE, revoked.id)
    await act(installation, Action.CANCEL, cancelled.id)
    await amend(installation, amended.id)
    await renew(installation, amended.id, Renewal(valid_from=old.valid_from, valid_until=None))
    await act(installation, Action.SUSPEND, moved.id)
    await amend(installation, moved.id)
    await services.succession.record(
        old.id,
        Relation.SPLIT_TO,
        (new.identifier, issued[0].identifier),
        reason_code="merger",
        reason="吸收合并",
        caller=await installation.caller("authority"),
        call=None,
    )
    await crash_while_amending(installation, issued[1].id)
    installation.clock.advance(seconds=61)
    await act(installation, Action.SUSPEND, issued[1].id)
    await services.issuing.recover()
    await _order(installation, issued)
    await publish(installation)
    await _ask(installation, issued)
    await publish(installation)
    installation.clock.advance(seconds=61)
    await publish(installation)
    await witness(installation)
    await publish(installation)
    # An hour without a receipt: the state of their log is stated again.
    installation.clock.advance(seconds=3_400)
    await publish(installation)
    await publish(installation)
    return issued


async def _order(installation: Installation, issued: Sequence[License]) -> None:
    """Carry one scheduled change out and leave another waiting; the same of proposals."""
    await schedule(installation, "suspend", issued[2].id, seconds=30)
    await schedule(installation, "suspend", issued[3].id, seconds=86_400 * 300)
    installation.clock.advance(seconds=31)
    await installation.services.due_changes.perform_due()
    await add_colleague(installation)
    await need_two_persons(installation, "revoke")
    await approve(installation, (await propose(installation, "revoke", issued[4].id)).id)
    await propose(installation, "revoke", issued[5].id)


async def _ask(installation: Installation, issued: Sequence[License]) -> None:
    """Verify one by one and in a batch."""
    for license in issued[:4]:
        await installation.ask(LicenseReference(identifier=license.identifier))
    await installation.ask(await installation.credential(issued[0]))
    question = Question(license=LicenseReference(number=issued[0].number), reference="case-7")
    await installation.ask(question)
    asked = [Question(license=LicenseReference(identifier=one.identifier)) for one in issued[:3]]
    await installation.services.verification.batch(
        [*asked, replace(asked[0], reference="case-8")],
        caller=await installation.caller("platform"),
        call=None,
    )


async def lose_keys(installation: Installation) -> None:
    """Declare keys of every kind compromised, sign again what lost its worth, and cut the log's untrusted end off."""
    services = installation.services
    for use, authority_code in (
        ("credential", AUTHORITY),
        ("status", None),
        ("receipt", None),
        ("log", None),
    ):
        key = await key_of(installation, use, authority_code)
        await installation.issue()
        await publish(installation)
        await witness(installation)
        await services.key_compromise.declare(
            key.kid,
            since=installation.clock.now() - timedelta(seconds=2),
            reason="test",
            root_keys=open_root_keys(installation.settings),
            issuer_url=ISSUER_URL,
        )
        installation.clock.advance(seconds=2)
        await publish(installation)
    await services.resigning.run(None, progress=lambda _: None)
    await publish(installation)
    await witness(installation)
    await publish(installation)
