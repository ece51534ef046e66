"""Bulk import: read every row, issue the good ones in chunks, amend licenses that rows say something new about, list
the others; running it again changes nothing.

A crash at any line loses nothing: what was issued is found again by its number and the digest of its row, and a
promise to issue that was cut off is finished (or given up) by recovery before its rows are judged again.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Protocol

from app.domain.authority import LicenseType
from app.domain.errors import DomainError
from app.domain.import_batch import (
    ELEMENT_PREFIX,
    REQUIRED_FIELDS,
    ImportFileError,
    ImportMap,
    ImportSummary,
    RefusedRow,
    SourceRow,
)
from app.domain.license import ENDED, License, NewLicense
from app.ports import Store, UnitOfWork
from app.services.directory import DirectoryService
from app.services.import_amendments import BulkAmender, RowAmender
from app.services.import_rows import PreparedRow, RowReader, RowRefused

CHUNK: Final = 500
_RECOVERY_PAUSE: Final = 2.0
_RECOVERY_ROUNDS: Final = 45

# What the rules of issuing say, in the words of an import, and the field where the rule does not name it.
_REASON_OF_PROBLEM: Final[Mapping[str, tuple[str, str]]] = {
    "invalid_uscc": ("holder_code_invalid", "holder.code"),
    "holder_not_supported": ("holder_code_invalid", "holder.code_type"),
    "invalid_dates": ("date_invalid", ""),
    "invalid_elements": ("invalid_elements", ""),
    "invalid_request": ("text_invalid", ""),
    "unknown_area": ("unknown_area", "area_code"),
    "not_authorized_to_issue": ("not_authorized_to_issue", "area_code"),
    # What only an amendment can be refused for.
    "state_conflict": ("number_taken", "number"),
    "versions_exhausted": ("versions_exhausted", "number"),
    "conflict": ("conflict", "number"),
}


class BulkIssuer(Protocol):
    """What an import needs of the issuing service."""

    async def issue_many(
        self, rows: Sequence[NewLicense], *, actor: str, source_digests: Sequence[str | None] | None = None
    ) -> Sequence[License | DomainError]:
        """Issue a chunk; one answer per row, in order."""
        ...

    async def rehearse_many(self, rows: Sequence[NewLicense]) -> Sequence[DomainError | None]:
        """Decide on licenses and issue none; the refusal of each, or None, in order."""
        ...

    async def recover(self) -> int:
        """Finish or give up promises whose owner is gone; return how many."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportJob:
    """One import: for whom, which type, how the columns map, the file's headers.

    `allow_holder_change` lets a row name another holder than the license of its number does.
    """

    authority_code: str
    type_code: str
    mapping: ImportMap
    headers: Sequence[str]
    allow_holder_change: bool = False


class _Tally:
    """Count outcomes and hand refused rows on."""

    def __init__(self, reader: RowReader, on_refused: Callable[[RefusedRow], None]) -> None:
        self.accepted = 0
        self.unchanged = 0
        self.amended = 0
        self.refused = 0
        self.areas_replaced = 0
        self.ends_missing = 0
        self._columns = reader.mapping.columns
        self._on_refused = on_refused
        self._held: dict[int, RefusedRow] = {}

    def refuse(self, row: SourceRow, code: str, field: str) -> None:
        self.refused += 1
        self._held[row.line] = RefusedRow(row=row, column=self._columns.get(field, field), code=code)

    def has_refused(self, row: SourceRow) -> bool:
        return row.line in self._held

    def hand_on(self) -> None:
        """Hand the refused rows of a chunk on in the order of the file."""
        for _, refused in sorted(self._held.items()):
            self._on_refused(refused)
        self._held.clear()

    def accept(self, prepared: PreparedRow) -> None:
        self.accepted += 1
        self.areas_replaced += prepared.area_replaced
        self.ends_missing += prepared.end_missing

    def amend(self, prepared: PreparedRow, *, before: date | None, after: date | None) -> None:
        self.amended += 1
        self.ends_missing += prepared.end_missing and before is not None and after is None

    def summary(self) -> ImportSummary:
        return ImportSummary(
            rows=self.accepted + self.unchanged + self.amended + self.refused,
            accepted=self.accepted,
            unchanged=self.unchanged,
            amended=self.amended,
            refused=self.refused,
            areas_replaced=self.areas_replaced,
            ends_missing=self.ends_missing,
        )


class ImportService:
    """Take registers in, row by row."""

    def __init__(
        self,
        *,
        store: Store,
        issuing: BulkIssuer,
        amending: BulkAmender,
        directory: DirectoryService,
    ) -> None:
        self._store = store
        self._issuing = issuing
        self._amending = amending
        self._directory = directory

    async def run(
        self,
        rows: Iterable[SourceRow],
        job: ImportJob,
        *,
        actor: str,
        dry_run: bool = False,
        on_refused: Callable[[RefusedRow], None],
        on_progress: Callable[[int], None],
    ) -> ImportSummary:
        """Import all rows; a chunk is durable before the next begins. Refused rows are handed over in file order
        within a chunk. A dry run judges the same way and changes nothing. A row that says something new about a live
        license of this authority amends it; of an ended or another's license the number is taken.

        Raises ImportFileError for an authority, type, field or column that makes the whole file unusable, and
        DomainError `unavailable` when the database or a key is out of reach: what was issued until then stays.
        """
        reader = await self._reader(job)
        tally = _Tally(reader, on_refused)
        taken: set[str] = set()
        amender = RowAmender(mapping=job.mapping, allow_holder_change=job.allow_holder_change)
        for chunk in _chunks(rows, CHUNK):
            try:
                await self._take_chunk(chunk, reader, tally, taken, amender, actor=actor, dry_run=dry_run)
            finally:
                tally.hand_on()
            on_progress(len(chunk))
        return tally.summary()

    async def _reader(self, job: ImportJob) -> RowReader:
        directory = await self._directory.snapshot()
        authority = directory.authorities.get(job.authority_code)
        if authority is None:
            raise ImportFileError(f"no such authority: {job.authority_code}")
        license_type = directory.license_types.get(job.type_code)
        if license_type is None:
            raise ImportFileError(f"no such license type: {job.type_code}")
        _check_fields(job.mapping, license_type)
        return RowReader(
            mapping=job.mapping,
            headers=job.headers,
            authority=authority,
            license_type=license_type,
            areas=directory.areas,
        )

    async def _take_chunk(
        self,
        chunk: Sequence[SourceRow],
        reader: RowReader,
        tally: _Tally,
        taken: set[str],
        amender: RowAmender,
        *,
        actor: str,
        dry_run: bool,
    ) -> None:
        """Take a chunk; of rows with one number the first good one counts, so the others wait what becomes of it."""
        left = _read_all(chunk, reader, tally)
        while left:
            first: dict[str, PreparedRow] = {}
            waiting = []
            for one in left:
                if one.new.number in taken:
                    tally.refuse(one.row, "duplicate_in_file", "number")
                elif first.setdefault(one.new.number, one) is not one:
                    waiting.append(one)
            await self._take(list(first.values()), tally, amender, actor=actor, dry_run=dry_run)
            taken.update(number for number, one in first.items() if not tally.has_refused(one.row))
            left = waiting

    async def _take(
        self,
        prepared: Sequence[PreparedRow],
        tally: _Tally,
        amender: RowAmender,
        *,
        actor: str,
        dry_run: bool,
    ) -> None:
        left = prepared
        for round_ in range(_RECOVERY_ROUNDS):
            fresh, news = await self._sort(left, tally, amender)
            if dry_run:
                await self._rehearse(fresh, news, tally, amender, actor=actor)
                return
            if round_ and (fresh or news):
                # These numbers are held by promises that a killed process left behind. Recovery takes them over
                # once their lease has run out; the rows are then found as issued, or can be issued or amended.
                await asyncio.sleep(_RECOVERY_PAUSE)
                while await self._issuing.recover():
                    pass
                fresh, news = await self._sort([*fresh, *(one for _, one in news)], tally, amender)
            left = await self._issue(fresh, tally, amender, actor=actor)
            left += await self._amend(news, tally, amender, actor=actor, last=round_ == _RECOVERY_ROUNDS - 1)
            if not left:
                return
        for one in left:
            tally.refuse(one.row, "number_taken", "number")

    async def _rehearse(
        self,
        fresh: Sequence[PreparedRow],
        news: Sequence[tuple[License, PreparedRow]],
        tally: _Tally,
        amender: RowAmender,
        *,
        actor: str,
    ) -> None:
        """Decide on everything as the true run would: rules, trust list, version, the file it has to fit into."""
        issued = await self._issuing.rehearse_many([one.new for one in fresh])
        for one, refusal in zip(fresh, issued, strict=True):
            if refusal is None:
                tally.accept(one)
            else:
                tally.refuse(one.row, *_reason_of(refusal))
        amended = await self._amending.rehearse_many(
            [amender.request(license, one, actor=actor) for license, one in news]
        )
        for (license, one), refusal in zip(news, amended, strict=True):
            if refusal is None:
                after = amender.content(license, one)
                tally.amend(one, before=license.valid_until, after=after.valid_until)
            elif refusal.code == "no_change":
                tally.unchanged += 1
            else:
                tally.refuse(one.row, *_reason_of(refusal))

    async def _issue(
        self, fresh: Sequence[PreparedRow], tally: _Tally, amender: RowAmender, *, actor: str
    ) -> list[PreparedRow]:
        """Issue, and return the rows whose number is taken by now."""
        if not fresh:
            return []
        answers = await self._issuing.issue_many(
            [one.new for one in fresh],
            actor=actor,
            source_digests=[amender.source(one) for one in fresh],
        )
        held: list[PreparedRow] = []
        for one, answer in zip(fresh, answers, strict=True):
            if isinstance(answer, License):
                tally.accept(one)
            elif answer.code == "number_taken":
                held.append(one)
            else:
                tally.refuse(one.row, *_reason_of(answer))
        return held

    async def _amend(
        self,
        news: Sequence[tuple[License, PreparedRow]],
        tally: _Tally,
        amender: RowAmender,
        *,
        actor: str,
        last: bool,
    ) -> list[PreparedRow]:
        """Amend, and return the rows whose licenses somebody else is changing; the last time they are refused."""
        if not news:
            return []
        answers = await self._amending.make_many(
            [amender.request(license, one, actor=actor) for license, one in news]
        )
        held: list[PreparedRow] = []
        for (license, one), answer in zip(news, answers, strict=True):
            if isinstance(answer, License):
                tally.amend(one, before=license.valid_until, after=answer.valid_until)
            elif answer.code == "no_change":
                tally.unchanged += 1
            elif answer.code == "conflict" and not last:
                held.append(one)
            else:
                tally.refuse(one.row, *_reason_of(answer))
        return held

    async def _sort(
        self, prepared: Sequence[PreparedRow], tally: _Tally, amender: RowAmender
    ) -> tuple[list[PreparedRow], list[tuple[License, PreparedRow]]]:
        """Return the rows whose number no license has, and those with news about one; tally the others."""
        fresh: list[PreparedRow] = []
        news: list[tuple[License, PreparedRow]] = []
        if not prepared:
            return fresh, news
        type_code = prepared[0].new.type_code
        numbers = [one.new.number for one in prepared]

        async def look_up(work: UnitOfWork) -> Mapping[str, License]:
            return await work.licenses.by_numbers(type_code=type_code, numbers=numbers)

        known = await self._store.read(look_up)
        for one in prepared:
            existing = known.get(one.new.number)
            if existing is None:
                fresh.append(one)
                continue
            try:
                if _brings_news(existing, one, amender):
                    news.append((existing, one))
                else:
                    tally.unchanged += 1
            except RowRefused as refusal:
                tally.refuse(one.row, refusal.code, refusal.field)
        return fresh, news


def _read_all(chunk: Sequence[SourceRow], reader: RowReader, tally: _Tally) -> list[PreparedRow]:
    read = []
    for row in chunk:
        try:
            read.append(reader.read(row))
        except RowRefused as refusal:
            tally.refuse(row, refusal.code, refusal.field)
    return read


def _brings_news(license: License, prepared: PreparedRow, amender: RowAmender) -> bool:
    """Tell whether a row is to amend the license of its number; False when that says all of it. Raises RowRefused."""
    if license.authority_code != prepared.new.authority_code:
        raise RowRefused("number_taken", "number")
    try:
        if amender.says_the_same(license, prepared):
            return False
    except RowRefused:
        if license.state not in ENDED:
            raise
    if license.state in ENDED:
        raise RowRefused("number_taken", "number")
    return True


def _check_fields(mapping: ImportMap, license_type: LicenseType) -> None:
    given = {*mapping.columns, *mapping.constants}
    missing = [field for field in REQUIRED_FIELDS if field not in given]
    if missing:
        raise ImportFileError(f"no column or constant gives {', '.join(missing)}")
    if not given & {"issue_date", "valid_from"}:
        raise ImportFileError("no column or constant gives issue_date or valid_from")
    elements = {field.removeprefix(ELEMENT_PREFIX) for field in given if field.startswith(ELEMENT_PREFIX)}
    unknown = sorted(name for name in elements if license_type.element(name) is None)
    if unknown:
        raise ImportFileError(f"{license_type.name} has no element {', '.join(unknown)}")


def _reason_of(refusal: DomainError) -> tuple[str, str]:
    """Return reason code and field for a refusal. Raises the refusal itself when it does not speak of the row."""
    if refusal.code not in _REASON_OF_PROBLEM:
        raise refusal
    code, field = _REASON_OF_PROBLEM[refusal.code]
    if refusal.errors:
        field = refusal.errors[0].pointer.removeprefix("/").replace("/", ".")
    return code, field


def _chunks(rows: Iterable[SourceRow], size: int) -> Iterator[list[SourceRow]]:
    chunk: list[SourceRow] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
