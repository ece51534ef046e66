"""Rows that say something else than the license of their number amend it; what the file is silent about stays.

A file is the word of a register about the columns it has. An element, a date or an area that no column (or constant)
gives is not taken away by it; an empty cell of a column it has takes the value away.

A license remembers of the row it was last taken from a digest of each column. So a file that comes again with one cell
corrected changes that value alone: what the department did to the others in between stays. Where the file and the
department both changed the same value since, nobody can tell whose word counts, and the row is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from app.domain.amending import content_of
from app.domain.errors import DomainError, FieldError
from app.domain.import_batch import ELEMENT_PREFIX, ImportMap
from app.domain.license import Action, Holder, License, NewLicense
from app.services.amending import VersionRequest
from app.services.import_rows import PreparedRow, RowRefused, digest_of
from elicense.encoding import sha256_hex

REASON_CODE = "import"
REASON = "登记数据导入 imported from a register"
_HOLDER = "holder.code"
_DIGITS = 16


class BulkAmender(Protocol):
    """What an import needs of the amending service."""

    async def make_many(self, requests: Sequence[VersionRequest]) -> Sequence[License | DomainError]:
        """Make further versions; one answer per request, in order."""
        ...

    async def rehearse_many(self, requests: Sequence[VersionRequest]) -> Sequence[DomainError | None]:
        """Decide on further versions and make none; the refusal of each, or None, in order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RowAmender:
    """Amend licenses by the rows of one file; another holder's code only where that is allowed."""

    mapping: ImportMap
    allow_holder_change: bool = False

    def content(self, license: License, prepared: PreparedRow) -> NewLicense:
        """Return what the license is to say by this row; the holder's key stays as long as the holder's code does.

        Raises RowRefused: `conflict` where the department changed a value since that the file changes too,
        `holder_differs` for another holder's code.
        """
        before, new = content_of(license), prepared.new
        taken = self._taken(before, prepared, last=_marks(license.source_digest))
        if _HOLDER in taken and not self.allow_holder_change:
            raise RowRefused("holder_differs", _HOLDER)
        holder = Holder(
            code=new.holder.code if _HOLDER in taken else before.holder.code,
            code_type=new.holder.code_type if _HOLDER in taken else before.holder.code_type,
            name=new.holder.name if "holder.name" in taken else before.holder.name,
        )
        return replace(
            before,
            holder=holder,
            holder_key=before.holder_key if holder.code == before.holder.code else None,
            elements=_elements(before, new, taken),
            area_code=new.area_code if "area_code" in taken else before.area_code,
            issue_date=new.issue_date if "issue_date" in taken else before.issue_date,
            valid_from=new.valid_from if "valid_from" in taken else before.valid_from,
            valid_until=new.valid_until if "valid_until" in taken else before.valid_until,
        )

    def says_the_same(self, license: License, prepared: PreparedRow) -> bool:
        """Tell whether the row brings nothing new: it was taken before, or the license says all of it.

        Raises RowRefused as `content`.
        """
        if license.source_digest is not None and license.source_digest.startswith(prepared.digest):
            return True
        return digest_of(self.content(license, prepared)) == digest_of(license)

    def source(self, prepared: PreparedRow, license: License | None = None) -> str:
        """Return what a license taken from this row remembers of it: its digest, and one of each column given.

        Of columns that this file lacks the license goes on to remember what an earlier one said.
        """
        values = _values(prepared.new)
        marks = {name: _mark(values.get(name, "")) for name in self._given(prepared)}
        if license is not None:
            marks = {**_marks(license.source_digest), **marks}
        return " ".join([prepared.digest, *(f"{name}={mark}" for name, mark in sorted(marks.items()))])

    def request(self, license: License, prepared: PreparedRow, *, actor: str) -> VersionRequest:
        """Return the amendment of the license by this row."""

        def content(before: License) -> NewLicense:
            try:
                return self.content(before, prepared)
            except RowRefused as refusal:
                # Somebody changed the license meanwhile: the row is looked at again, and then refused by name.
                where = FieldError(f"/{refusal.field}", "was changed meanwhile", "已被变更")
                raise DomainError(
                    "conflict", "this license was changed meanwhile", errors=[where]
                ) from refusal

        return VersionRequest(
            license_id=license.id,
            action=Action.AMEND,
            content=content,
            reason_code=REASON_CODE,
            reason=REASON,
            actor=actor,
            source_digest=self.source(prepared, license),
        )

    def _taken(self, before: NewLicense, prepared: PreparedRow, *, last: Mapping[str, str]) -> frozenset[str]:
        """Return the fields that the row changes."""
        now, row = _values(before), _values(prepared.new)
        taken = []
        for name in self._given(prepared):
            said, held = row.get(name, ""), now.get(name, "")
            if said == held or last.get(name) == _mark(said):
                continue
            if name in last and last[name] != _mark(held):
                raise RowRefused("conflict", name)
            taken.append(name)
        return frozenset(taken)

    def _given(self, prepared: PreparedRow) -> Iterable[str]:
        """Return the fields that the row speaks of; type and number of a license never change."""
        named = {*self.mapping.columns, *self.mapping.constants} - {"number", "holder.code_type", "area_code"}
        return sorted({*named, "area_code"} if prepared.area_given else named)


def _elements(before: NewLicense, new: NewLicense, taken: Iterable[str]) -> Mapping[str, str]:
    changed = {name.removeprefix(ELEMENT_PREFIX) for name in taken if name.startswith(ELEMENT_PREFIX)}
    kept = {name: value for name, value in before.elements.items() if name not in changed}
    return {**kept, **{name: value for name, value in new.elements.items() if name in changed}}


def _values(content: NewLicense) -> dict[str, str]:
    """Return every value by its field as text; what is not there is ''."""
    return {
        _HOLDER: f"{content.holder.code_type} {content.holder.code}",
        "holder.name": content.holder.name,
        "area_code": content.area_code,
        "issue_date": content.issue_date.isoformat(),
        "valid_from": content.valid_from.isoformat(),
        "valid_until": "" if content.valid_until is None else content.valid_until.isoformat(),
        **{f"{ELEMENT_PREFIX}{name}": value for name, value in content.elements.items()},
    }


def _mark(value: str) -> str:
    return sha256_hex(value.encode())[:_DIGITS]


def _marks(source: str | None) -> dict[str, str]:
    """Read what `RowAmender.source` wrote: the digest of each column; nothing of a license not taken from a file."""
    columns = (source or "").split(" ")[1:]
    return {name: mark for name, _, mark in (column.partition("=") for column in columns)}
