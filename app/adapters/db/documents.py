"""Trust roots and trust lists, every version kept, and freshness statements until they are swept."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, delete, func, select

from app.adapters.db.session import Session
from app.adapters.db.tables import counters, signed_documents
from app.domain.errors import ConcurrentChange
from app.domain.publication import DocumentKind, SignedDocument

_OLDEST_KEPT: Final = "swept."


class SqlDocuments:
    """Implements `ports.DocumentRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def latest(self, kind: DocumentKind) -> SignedDocument | None:
        """Return the version with the highest sequence, None before the first."""
        statement = _of(kind).order_by(signed_documents.c.sequence.desc()).limit(1)
        row = await self._session.row(statement)
        return None if row is None else _document(row)

    async def get(self, kind: DocumentKind, sequence: int) -> SignedDocument | None:
        """Return one version."""
        row = await self._session.row(_of(kind).where(signed_documents.c.sequence == sequence))
        return None if row is None else _document(row)

    async def by_sha256(self, kind: DocumentKind, sha256: str) -> SignedDocument | None:
        """Return the version with this digest (hex) of its exact bytes, None when there is none."""
        row = await self._session.row(_of(kind).where(signed_documents.c.sha256 == sha256).limit(1))
        return None if row is None else _document(row)

    async def all(self, kind: DocumentKind) -> Sequence[SignedDocument]:
        """Return every version, the first first."""
        rows = await self._session.rows(_of(kind).order_by(signed_documents.c.sequence))
        return [_document(row) for row in rows]

    async def add(self, document: SignedDocument, *, follows: int | None = None) -> None:
        """Store the next version. Raises ConcurrentChange unless it follows the highest (or is the first).

        It follows the sequence before its own, or `follows` where a recovery has given numbers up. Two writers of
        the same sequence meet at the primary key: the second loses.
        """
        newest = select(func.max(signed_documents.c.sequence)).where(
            signed_documents.c.kind == document.kind.value
        )
        highest = await self._session.scalar(newest)
        expected = document.sequence - 1 if follows is None else follows
        if highest is not None and (highest != expected or document.sequence <= highest):
            raise ConcurrentChange("another version of this document was stored first")
        values = {
            "kind": document.kind.value,
            "sequence": document.sequence,
            "content": document.content,
            "sha256": document.sha256,
            "issued_at": document.issued_at,
            "expires_at": document.expires_at,
        }
        await self._session.run(signed_documents.insert(), values)

    async def sweep(self, kind: DocumentKind, *, ended_before: datetime, limit: int) -> int:
        """Delete what ended long ago (see `ports.DocumentRepository.sweep`).

        The oldest are looked at, not all that have ended: on SQLite a row's columns lie behind its content.
        """
        own = signed_documents.c
        oldest = select(own.sequence, own.expires_at).where(own.kind == kind.value).order_by(own.sequence)
        rows = await self._session.rows(oldest.limit(limit + 1))
        ended = [row.sequence for row in rows if row.expires_at < ended_before]
        if not ended or ended[-1] == rows[0].sequence:
            return 0
        statement = self._session.insert(counters).values(name=f"{_OLDEST_KEPT}{kind.value}", value=ended[-1])
        await self._session.run(
            statement.on_conflict_do_update(index_elements=["name"], set_={"value": ended[-1]})
        )
        behind = delete(signed_documents).where(own.kind == kind.value, own.sequence < ended[-1])
        return await self._session.changed(behind)


def _of(kind: DocumentKind) -> Any:
    return select(signed_documents).where(signed_documents.c.kind == kind.value)


def _document(row: Row[Any]) -> SignedDocument:
    return SignedDocument(
        kind=DocumentKind(row.kind),
        sequence=row.sequence,
        content=bytes(row.content),
        sha256=row.sha256,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
    )
