"""Licenses, their versions and history."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Row, Select, and_, bindparam, case, func, not_, or_, select, update

from app.adapters.db.cursors import decode_cursor, encode_cursor
from app.adapters.db.license_filters import license_conditions
from app.adapters.db.license_numbers import hold_numbers
from app.adapters.db.license_rows import (
    history_from_row,
    history_values,
    issued_version_from_row,
    license_from_row,
    license_values,
    version_from_row,
    version_values,
)
from app.adapters.db.session import DIALECTS, Session, among
from app.adapters.db.tables import license_history, license_versions, licenses, log_leaves
from app.domain.errors import ConcurrentChange
from app.domain.key_history import SignedVersion
from app.domain.license import (
    ENDED,
    HistoryEntry,
    IssuedVersion,
    License,
    LicenseFilter,
    LicenseVersion,
    Replacement,
    RevocationKind,
    State,
)
from app.ports import FoundLicense, LicenseSnapshot
from elicense.log_entry import EntryKind
from elicense.records import quick_constructor

_PAGE: Final = "licenses"
_KEYS_PER_QUERY: Final = 1000

# Columns of a version under names of their own: both tables have identifier, version and state.
_VERSION = [column.label(f"v_{column.name}") for column in license_versions.columns]
_OF_LICENSE: Final = license_versions.c.license_id == licenses.c.id
_IS_CURRENT: Final = and_(_OF_LICENSE, license_versions.c.version == licenses.c.version)
_SNAPSHOT: Final[Select[Any]] = select(*licenses.columns, *_VERSION).join(license_versions, _IS_CURRENT)
# Asked by every verification, which needs the bytes of no credential: they are most of the row.
_RECOGNIZED = [column for column in _VERSION if column.name != "v_credential"]
_FOUND: Final[Select[Any]] = select(*licenses.columns, *_RECOGNIZED).join(license_versions, _IS_CURRENT)
_GET: Final = select(licenses).where(licenses.c.id == bindparam("wanted"))
_GET_SNAPSHOT: Final = _SNAPSHOT.where(licenses.c.id == bindparam("wanted"))
_GET_VERSION: Final = select(*_VERSION).where(
    license_versions.c.license_id == bindparam("wanted"),
    license_versions.c.version == bindparam("wanted_version"),
)
_VERSIONS: Final = {
    dialect: select(*_VERSION)
    .where(among(license_versions.c.license_id, "wanted", dialect))
    .order_by(license_versions.c.license_id, license_versions.c.version)
    for dialect in DIALECTS
}
_NAMED: Final[Select[Any]] = select(*licenses.columns, *_VERSION).join(license_versions, _OF_LICENSE)
_FOUND_NAMED: Final[Select[Any]] = select(*licenses.columns, *_RECOGNIZED).join(license_versions, _OF_LICENSE)
_GET_NAMED: Final = _NAMED.where(license_versions.c.identifier == bindparam("wanted"))
# Made once, for any number of names: to build a statement costs more than to run one.
_GET_ALL_NAMED: Final = {
    dialect: _FOUND_NAMED.where(among(license_versions.c.identifier, "wanted", dialect))
    for dialect in DIALECTS
}
_FOUND_ALL: Final = {dialect: _FOUND.where(among(licenses.c.id, "wanted", dialect)) for dialect in DIALECTS}
_ENDED_LAST: Final = case((licenses.c.state.in_([state.value for state in ENDED]), 1), else_=0)
_LIVE_FIRST: Final = (
    _SNAPSHOT.where(licenses.c.type_code == bindparam("wanted_type"))
    .order_by(_ENDED_LAST, licenses.c.id.desc())
    .limit(bindparam("most"))
)
_FIND_BY_NUMBERS: Final = {
    dialect: _FOUND.where(
        licenses.c.type_code == bindparam("wanted_type"), among(licenses.c.number, "wanted_numbers", dialect)
    )
    for dialect in DIALECTS
}
_FIND_BY_NUMBER: Final = _LIVE_FIRST.where(licenses.c.number == bindparam("wanted_number"))
_FIND_BY_HOLDER: Final = _LIVE_FIRST.where(licenses.c.holder_code == bindparam("wanted_holder"))
_FIND_BY_FORMER_HOLDER: Final = _LIVE_FIRST.where(
    licenses.c.id.in_(
        select(license_versions.c.license_id).where(
            license_versions.c.former_holder_code == bindparam("wanted_holder")
        )
    )
)

_new_found = quick_constructor(FoundLicense)


class SqlLicenses:
    """Implements `ports.LicenseRepository`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, license_id: str) -> License | None:
        """Return a license at its current version."""
        row = await self._session.row(_GET, {"wanted": license_id})
        return None if row is None else license_from_row(row)

    async def snapshot(self, license_id: str) -> LicenseSnapshot | None:
        """Return a license together with its current version."""
        row = await self._session.row(_GET_SNAPSHOT, {"wanted": license_id})
        return None if row is None else _snapshot(row)

    async def snapshots(self, license_ids: Sequence[str]) -> Mapping[str, LicenseSnapshot]:
        """Return many as `snapshot` does, by license id; unknown ones are left out."""
        found: dict[str, LicenseSnapshot] = {}
        for start in range(0, len(license_ids), _KEYS_PER_QUERY):
            some = licenses.c.id.in_(license_ids[start : start + _KEYS_PER_QUERY])
            found.update((row.id, _snapshot(row)) for row in await self._session.rows(_SNAPSHOT.where(some)))
        return found

    async def found(self, license_ids: Sequence[str]) -> Mapping[str, FoundLicense]:
        """Return many as `snapshots` does, without credentials."""
        found: dict[str, FoundLicense] = {}
        for start in range(0, len(license_ids), _KEYS_PER_QUERY):
            some = {"wanted": license_ids[start : start + _KEYS_PER_QUERY]}
            for row in await self._session.named_rows(_FOUND_ALL[self._session.dialect], some):
                found[row.id] = _new_found(
                    license=license_from_row(row), version=issued_version_from_row(row)
                )
        return found

    async def by_identifier(self, identifier: str) -> tuple[LicenseSnapshot, LicenseVersion] | None:
        """Return the license (with its current version) and the version the identifier names, old or current."""
        row = await self._session.row(_GET_NAMED, {"wanted": identifier})
        if row is None:
            return None
        license, version = license_from_row(row), version_from_row(row)
        if license.version == version.version:
            return LicenseSnapshot(license=license, version=version), version
        current = await self.snapshot(license.id)
        return None if current is None else (current, version)

    async def by_identifiers(
        self, identifiers: Sequence[str]
    ) -> Mapping[str, tuple[FoundLicense, IssuedVersion]]:
        """Answer many as `by_identifier` does, without credentials; those that name nothing are left out."""
        found: dict[str, tuple[FoundLicense, IssuedVersion]] = {}
        earlier: list[IssuedVersion] = []
        for start in range(0, len(identifiers), _KEYS_PER_QUERY):
            some = {"wanted": identifiers[start : start + _KEYS_PER_QUERY]}
            for row in await self._session.named_rows(_GET_ALL_NAMED[self._session.dialect], some):
                license, version = license_from_row(row), issued_version_from_row(row)
                if license.version == version.version:
                    found[version.identifier] = (_new_found(license=license, version=version), version)
                else:
                    earlier.append(version)
        current = await self.found(sorted({version.license_id for version in earlier}))
        for version in earlier:
            if version.license_id in current:
                found[version.identifier] = (current[version.license_id], version)
        return found

    async def find(
        self, *, number: str | None = None, holder_code: str | None = None, type_code: str, limit: int = 1000
    ) -> Sequence[LicenseSnapshot]:
        """Return licenses of one type by number or by holder (or both), live ones first, then the newest first.

        Raises ValueError when neither is given: that would be a list, not a search.
        """
        values: dict[str, Any] = {"wanted_type": type_code, "most": limit}
        if number is not None:
            statement = _FIND_BY_NUMBER
            values["wanted_number"] = number
            if holder_code is not None:
                statement = statement.where(licenses.c.holder_code == bindparam("wanted_holder"))
        elif holder_code is not None:
            statement = _FIND_BY_HOLDER
        else:
            raise ValueError("find needs a number or a holder")
        if holder_code is not None:
            values["wanted_holder"] = holder_code
        return [_snapshot(row) for row in await self._session.rows(statement, values)]

    async def find_by_numbers(
        self, numbers: Sequence[str], *, type_code: str
    ) -> Mapping[str, Sequence[FoundLicense]]:
        """Answer many as `find` does by number, without credentials; numbers that nobody has are left out."""
        found: dict[str, list[FoundLicense]] = {}
        for start in range(0, len(numbers), _KEYS_PER_QUERY):
            some = {"wanted_type": type_code, "wanted_numbers": numbers[start : start + _KEYS_PER_QUERY]}
            for row in await self._session.named_rows(_FIND_BY_NUMBERS[self._session.dialect], some):
                one = _new_found(license=license_from_row(row), version=issued_version_from_row(row))
                found.setdefault(row.number, []).append(one)
        for same in found.values():
            if len(same) > 1:
                same.sort(key=lambda snapshot: snapshot.license.id, reverse=True)
                same.sort(key=lambda snapshot: snapshot.license.state in ENDED)
        return found

    async def find_by_former_holder(
        self, holder_code: str, *, type_code: str, limit: int = 1000
    ) -> Sequence[LicenseSnapshot]:
        """Return licenses of one type with an earlier version under this holder's code, in the order of `find`."""
        values = {"wanted_type": type_code, "wanted_holder": holder_code, "most": limit}
        return [_snapshot(row) for row in await self._session.rows(_FIND_BY_FORMER_HOLDER, values)]

    async def by_numbers(self, *, type_code: str, numbers: Sequence[str]) -> Mapping[str, License]:
        """Return the licenses of one type that have these numbers, by number; numbers nobody has are left out."""
        found: dict[str, License] = {}
        for start in range(0, len(numbers), _KEYS_PER_QUERY):
            some = licenses.c.number.in_(numbers[start : start + _KEYS_PER_QUERY])
            statement = select(licenses).where(some, licenses.c.type_code == type_code)
            for row in await self._session.rows(statement):
                found[row.number] = license_from_row(row)
        return found

    async def count_live(self, holder_code: str, *, today: date, besides: str) -> Mapping[str, int]:
        """Count a holder's licenses that have neither ended nor expired on a civil day, by issuing authority."""
        live = licenses.c.state.not_in([state.value for state in ENDED])
        in_time = or_(licenses.c.valid_until.is_(None), licenses.c.valid_until >= today)
        statement = (
            select(licenses.c.authority_code, func.count().label("live"))
            .where(licenses.c.holder_code == holder_code, licenses.c.id != besides, live, in_time)
            .group_by(licenses.c.authority_code)
        )
        return {row.authority_code: row.live for row in await self._session.rows(statement)}

    async def version(self, license_id: str, version: str) -> LicenseVersion | None:
        """Return one version of a license, current or not."""
        row = await self._session.row(_GET_VERSION, {"wanted": license_id, "wanted_version": version})
        return None if row is None else version_from_row(row)

    async def versions(self, license_id: str) -> Sequence[LicenseVersion]:
        """Return every version of a license, the first first."""
        return (await self.versions_of_many([license_id])).get(license_id, [])

    async def versions_of_many(self, license_ids: Sequence[str]) -> Mapping[str, Sequence[LicenseVersion]]:
        """Return every version of many licenses, by license id, the first first; unknown ones are left out."""
        found: dict[str, list[LicenseVersion]] = {}
        for start in range(0, len(license_ids), _KEYS_PER_QUERY):
            some = {"wanted": license_ids[start : start + _KEYS_PER_QUERY]}
            for row in await self._session.named_rows(_VERSIONS[self._session.dialect], some):
                found.setdefault(row.v_license_id, []).append(version_from_row(row))
        return found

    async def signed_after(
        self, kid: str, *, log_origin: str | None, log_size: int, after: str | None, limit: int
    ) -> Sequence[SignedVersion]:
        """Return versions in force of live licenses that a key signed and that do not stand in a log below a size.

        By license id, from `after` (excluded) on. A scan of what the key signed: asked when a key was lost, no sooner.
        """
        older = and_(log_leaves.c.origin == log_origin, log_leaves.c.idx < log_size)
        statement = (
            select(
                licenses.c.id,
                license_versions.c.identifier,
                license_versions.c.kid,
                log_leaves.c.origin,
                log_leaves.c.idx,
            )
            .join(
                license_versions,
                and_(
                    license_versions.c.license_id == licenses.c.id,
                    license_versions.c.version == licenses.c.version,
                ),
            )
            .outerjoin(
                log_leaves,
                and_(
                    log_leaves.c.identifier == license_versions.c.identifier,
                    log_leaves.c.kind == EntryKind.ISSUANCE.value,
                ),
            )
            .where(
                license_versions.c.kid == kid,
                licenses.c.state.not_in([state.value for state in ENDED]),
                licenses.c.id > (after or ""),
                or_(log_leaves.c.idx.is_(None), not_(older)),
            )
            .order_by(licenses.c.id)
            .limit(limit)
        )
        return [
            SignedVersion(
                license_id=row.id,
                identifier=row.identifier,
                kid=row.kid,
                log_origin=row.origin,
                log_index=row.idx,
            )
            for row in await self._session.rows(statement)
        ]

    async def history(self, license_id: str) -> Sequence[HistoryEntry]:
        """Return what happened to a license, the first first."""
        statement = select(license_history).where(license_history.c.license_id == license_id)
        rows = await self._session.rows(statement.order_by(license_history.c.row_version))
        return [history_from_row(row) for row in rows]

    async def page(
        self, where: LicenseFilter, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[License], str | None]:
        """Return one page in the order of ids and the cursor of the next, None at the end.

        Raises DomainError `invalid_request` for a cursor that is not ours or a status nobody knows.
        """
        rows, following = await self._page(select(licenses), where, cursor=cursor, limit=limit)
        return [license_from_row(row) for row in rows], following

    async def add_many(self, rows: Sequence[tuple[License, LicenseVersion, HistoryEntry]]) -> None:
        """Store new licenses with their first version and history: a handful of statements for any number of rows.

        The number of each must be free or held by its own intent (same license id), else NumberTaken is raised.
        """
        if not rows:
            return
        await hold_numbers(self._session, [license_ for license_, _, _ in rows])
        await self._session.insert_many(licenses, [license_values(license_) for license_, _, _ in rows])
        await self._session.insert_many(license_versions, [version_values(version) for _, version, _ in rows])
        await self._session.insert_many(
            license_history,
            [history_values(entry, row_version=license_.row_version) for license_, _, entry in rows],
        )

    async def hold(self, license_ids: Sequence[str]) -> None:
        """Lock licenses until the transaction ends; on PostgreSQL one changed since its snapshot makes it run again.

        They are locked in the order of their ids, so that two who hold the same ones never wait for each other.
        """
        ordered, held = sorted(license_ids), select(licenses.c.id).with_for_update(key_share=True)
        for start in range(0, len(ordered), _KEYS_PER_QUERY):
            some = licenses.c.id.in_(ordered[start : start + _KEYS_PER_QUERY])
            await self._session.rows(held.where(some).order_by(licenses.c.id))

    async def change_state(
        self,
        *,
        license_id: str,
        expected_row_version: int,
        state: State,
        at: datetime,
        entry: HistoryEntry,
        revocation: RevocationKind | None = None,
    ) -> None:
        """Move license and current version to a state, raise row_version by one, add history.

        `revocation` is kept with a license that gets revoked. Raises ConcurrentChange when the row version is not the
        expected one (or there is no such license): of two callers who read the same row, one wins.
        """
        values = {"state": state.value, "updated_at": at, "row_version": expected_row_version + 1}
        if revocation is not None:
            values["revocation"] = revocation.value
        moved = (
            update(licenses)
            .where(licenses.c.id == license_id, licenses.c.row_version == expected_row_version)
            .values(**values)
            .returning(licenses.c.version)
        )
        version = await self._session.scalar(moved)
        if version is None:
            raise ConcurrentChange("this license was changed by somebody else")
        current = update(license_versions).where(
            license_versions.c.license_id == license_id, license_versions.c.version == version
        )
        await self._session.run(current.values(state=state.value))
        await self._session.run(
            license_history.insert(), history_values(entry, row_version=expected_row_version + 1)
        )

    async def add_version(
        self, license: License, version: LicenseVersion, entry: HistoryEntry, *, expected: Replacement
    ) -> bool:
        """Make `version` the current one and its predecessor superseded, add history; tell whether it was done.

        False, with nothing written, when the license has another row version or state than expected: it was changed
        since the version was promised, and what changed it goes before. On PostgreSQL a change that commits while
        this runs makes the transaction run again.
        """
        values = license_values(license)
        for fixed in ("id", "state", "number", "type_code", "authority_code", "created_at", "revocation"):
            del values[fixed]
        holder = await self._session.scalar(select(licenses.c.holder_code).where(licenses.c.id == license.id))
        moved = update(licenses).where(
            licenses.c.id == license.id,
            licenses.c.row_version == expected.row_version,
            licenses.c.state == expected.state.value,
        )
        if await self._session.changed(moved.values(**values)) != 1:
            return False
        before = update(license_versions).where(
            license_versions.c.license_id == license.id, license_versions.c.version == expected.version
        )
        await self._session.run(before.values(state=State.SUPERSEDED.value, former_holder_code=holder))
        await self._session.run(license_versions.insert(), version_values(version))
        await self._session.run(
            license_history.insert(), history_values(entry, row_version=license.row_version)
        )
        return True

    async def _page(
        self, statement: Select[Any], where: LicenseFilter, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[Row[Any]], str | None]:
        after = decode_cursor(cursor, _PAGE, parts=1)
        statement = statement.where(*license_conditions(where)).order_by(licenses.c.id).limit(limit + 1)
        if after is not None:
            statement = statement.where(licenses.c.id > after[0])
        rows = await self._session.rows(statement)
        shown = rows[:limit]
        return shown, encode_cursor(_PAGE, shown[-1].id) if len(rows) > limit else None


def _snapshot(row: Row[Any]) -> LicenseSnapshot:
    return LicenseSnapshot(license=license_from_row(row), version=version_from_row(row))
