"""Rows that say something else than the license of their number amend it; what the file is silent about stays.

A file is the word of a register about the columns it has. An element, a date or an area that no column (or constant)
gives is not taken away by it; an empty cell of a column it has takes the value away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.domain.amending import content_of
from app.domain.errors import DomainError
from app.domain.import_batch import ELEMENT_PREFIX, ImportMap
from app.domain.license import Action, License, NewLicense
from app.services.amending import VersionRequest
from app.services.import_rows import PreparedRow, digest_of

REASON_CODE = "import"
REASON = "登记数据导入 imported from a register"


class BulkAmender(Protocol):
    """What an import needs of the amending service."""

    async def make_many(self, requests: Sequence[VersionRequest]) -> Sequence[License | DomainError]:
        """Make further versions; one answer per request, in order."""
        ...

    async def rehearse_many(self, requests: Sequence[VersionRequest]) -> Sequence[DomainError | None]:
        """Decide on further versions and make none; the refusal of each, or None, in order."""
        ...


@dataclass(frozen=True, slots=True)
class RowAmender:
    """Amend licenses by the rows of one file."""

    mapping: ImportMap

    def content(self, license: License, prepared: PreparedRow) -> NewLicense:
        """Return what the license is to say by this row; the holder's key stays as long as the holder's code does."""
        given = {*self.mapping.columns, *self.mapping.constants}
        new, before = prepared.new, content_of(license)
        silent = {
            name: value for name, value in before.elements.items() if f"{ELEMENT_PREFIX}{name}" not in given
        }
        return replace(
            before,
            holder=new.holder,
            holder_key=before.holder_key if new.holder.code == before.holder.code else None,
            elements={**silent, **new.elements},
            area_code=new.area_code if prepared.area_given else before.area_code,
            issue_date=new.issue_date if "issue_date" in given else before.issue_date,
            valid_from=new.valid_from if "valid_from" in given else before.valid_from,
            valid_until=new.valid_until if "valid_until" in given else before.valid_until,
        )

    def says_the_same(self, license: License, prepared: PreparedRow) -> bool:
        """Tell whether the row brings nothing new: it was taken before, or the license says all of it."""
        if prepared.digest == license.source_digest:
            return True
        return digest_of(self.content(license, prepared)) == digest_of(license)

    def request(self, license: License, prepared: PreparedRow, *, actor: str) -> VersionRequest:
        """Return the amendment of the license by this row."""
        return VersionRequest(
            license_id=license.id,
            action=Action.AMEND,
            content=lambda before: self.content(before, prepared),
            reason_code=REASON_CODE,
            reason=REASON,
            actor=actor,
            source_digest=prepared.digest,
        )
