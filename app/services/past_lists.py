"""The archive of status lists: what the list that was the newest at a past moment says about an entry.

Archived lists are held against the trust list of now, as anybody else's are: one whose key was compromised since counts
only with its place in the log.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime

import structlog

from app.domain.errors import DomainError
from app.domain.publication import PublishedStatusList
from app.domain.transparency_log import document_key
from app.ports import UnitOfWork
from app.services.transparency_log import include
from elicense.evidence import AcceptedStatusList, TrustEvidence
from elicense.list_proof import ListProof
from elicense.log_entry import EntryKind
from elicense.problems import FormatError
from elicense.status_evidence import NO_PROOFS, accept_version
from elicense.status_list import parse_status_list
from elicense.trust_list import ServiceUse

_KEPT = 64

log = structlog.get_logger()


class PastLists:
    """Finds archived lists and keeps the latest used ones opened: a batch asks about few of them, many times."""

    def __init__(self) -> None:
        self._opened: OrderedDict[tuple[str, int, str], AcceptedStatusList] = OrderedDict()

    async def find(
        self, unit: UnitOfWork, list_id: str, at: datetime, *, trust: TrustEvidence
    ) -> AcceptedStatusList | None:
        """Return the list of then; None before the archive begins, past the list's end, or when it does not count."""
        span = await unit.status.newest_at(list_id, at)
        if span is None:
            return None
        key = (list_id, span.seq, trust.trust_list.sha256)
        accepted = self._opened.get(key)
        if accepted is None:
            accepted = await _open(unit, list_id, span.seq, trust)
            if accepted is None:
                return None
            self._opened[key] = accepted
            if len(self._opened) > _KEPT:
                self._opened.popitem(last=False)
        else:
            self._opened.move_to_end(key)
        return None if at >= accepted.status_list.expires_at else accepted


async def _open(unit: UnitOfWork, list_id: str, seq: int, trust: TrustEvidence) -> AcceptedStatusList | None:
    stored = await unit.status.version(list_id, seq)
    if stored is None:
        return None
    try:
        proofs = await _proofs(unit, stored, trust)
        return accept_version(stored.token, uri=stored.uri, trust=trust, proofs=proofs.get)
    except FormatError as refusal:
        # A list of a stolen key without its place in the log, or a damaged row: it says nothing about any moment.
        log.warning("archived_list_not_used", list=list_id, seq=seq, detail=refusal.detail)
        return None


async def _proofs(
    unit: UnitOfWork, stored: PublishedStatusList, trust: TrustEvidence
) -> Mapping[str, ListProof]:
    service = trust.trust_list.service(parse_status_list(stored.token).kid, ServiceUse.STATUS)
    if service is None or service.compromised is None:
        return NO_PROOFS
    leaf = await unit.transparency_log.leaf_of(
        document_key(stored.uri, stored.seq), kind=EntryKind.STATUS_LIST
    )
    if leaf is None:
        return NO_PROOFS
    before = await unit.status.version(stored.list_id, stored.seq - 1)
    try:
        inclusion = await include(unit, leaf)
    except DomainError:
        return NO_PROOFS  # not in the log yet, and so after any theft that is known
    return {stored.sha256: ListProof(inclusion=inclusion, previous=before.sha256 if before else None)}
