"""Find the status of a credential in the evidence, for now or for a past moment, and judge it."""

from datetime import datetime
from typing import Final

from elicense.checks import (
    ANNULLED,
    check_live,
    check_status,
    list_before_version,
    not_archived,
    signed_later,
    status_missing,
)
from elicense.credential import Credential
from elicense.evidence_parts import AcceptedStatusList, Evidence, ListStatus, LiveStatus, RefusedPart
from elicense.policy import Policy
from elicense.problems import FormatError
from elicense.report import SKIPPED, Check, CheckId, StatusSource
from elicense.status_list import Status, StatusList
from elicense.trust_list import Authority

_Found = tuple[Check, StatusSource | None, LiveStatus | None]

_FIRST_VERSION: Final = "001"

_LISTED_STATES = {
    Status.VALID: "active",
    Status.INVALID: "revoked",
    Status.SUSPENDED: "suspended",
    Status.SUPERSEDED: "superseded",
}


def check_credential_status(
    credential: Credential, authority: Authority, evidence: Evidence, policy: Policy, moment: datetime
) -> _Found:
    """Find the state at the moment and judge it with its age; also name its source and, live, what took its place.

    A past moment is answered by the register with the state of then, or by the version of the list that was the newest
    then. Before the credential was signed no list speaks of it: its index was nobody's. A first version begins in
    force; a further one takes over its predecessor's state, so that a list from before it cannot call it in force.
    """
    status, now = evidence.status, evidence.now
    if evidence.register is not None and not evidence.register.known:
        return SKIPPED[CheckId.STATUS], None, None
    if isinstance(status, LiveStatus):
        return _check_live(status, credential, policy=policy, now=now, moment=moment)
    uri = credential.claims.status_uri
    part: AcceptedStatusList | RefusedPart | Check | None = (
        status.lists.get(uri) if status is not None else None
    )
    if moment < now:
        if moment < credential.claims.issued_at:
            return signed_later(), None, None
        part = _find_past(status, uri, moment)
    if part is None:
        return status_missing("no status list for the URI of this credential"), None, None
    if not isinstance(part, AcceptedStatusList):
        return part if isinstance(part, Check) else status_missing(part.detail), None, None
    if not part.service.covers_authority(authority.code):
        return status_missing("the list's signer does not speak for this authority"), None, None
    listed = part.status_list
    try:
        state = _LISTED_STATES[listed.lookup(credential.claims.status_index)]
    except FormatError as refusal:
        return status_missing(refusal.detail), None, None
    if state == "active" and _is_before_version(listed, credential):
        return list_before_version(), part.source, None
    check = check_status(
        state, part.source, expires_at=listed.expires_at, policy=policy, now=now, moment=moment
    )
    return check, part.source, None


def _is_before_version(listed: StatusList, credential: Credential) -> bool:
    claims = credential.claims
    return claims.license.version != _FIRST_VERSION and listed.issued_at < claims.issued_at


def _check_live(
    status: LiveStatus, credential: Credential, *, policy: Policy, now: datetime, moment: datetime
) -> _Found:
    source = status.source or StatusSource(kind="live", as_of=status.as_of, event_seq=status.event_seq)
    if moment < now and moment < credential.claims.issued_at and status.revocation != ANNULLED:
        return signed_later(), None, None
    check = check_live(status.state, status.revocation, source, policy=policy, now=now, moment=moment)
    return check, source, status


def _find_past(status: ListStatus | None, uri: str, moment: datetime) -> AcceptedStatusList | Check:
    """Find the version of a list that was the newest at a past moment: the current one, or one of the archive."""
    current = status.lists.get(uri) if status is not None else None
    if isinstance(current, AcceptedStatusList) and moment >= current.status_list.issued_at:
        return current
    archive = status.archive.get(uri, ()) if status is not None else ()
    if isinstance(archive, RefusedPart):
        return not_archived(archive.detail)
    for version in archive:
        if version.covers(moment):
            return version.accepted
    return not_archived("no version of the list at hand was the newest then")
