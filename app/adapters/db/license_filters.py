"""Filters of license lists, said in SQL."""

from datetime import date

from sqlalchemy import ColumnElement, and_, or_, select

from app.adapters.db.tables import license_versions, licenses
from app.domain.errors import DomainError, FieldError
from app.domain.license import LicenseFilter, State, stored_number


def license_conditions(where: LicenseFilter) -> list[ColumnElement[bool]]:
    """Turn a filter into conditions; an identifier names a license by any of its versions.

    Raises DomainError `invalid_request` for a status nobody knows.
    """
    conditions: list[ColumnElement[bool]] = []
    if where.authority_code is not None:
        conditions.append(licenses.c.authority_code == where.authority_code)
    if where.holder_code is not None:
        conditions.append(licenses.c.holder_code == where.holder_code)
    if where.type_code is not None:
        conditions.append(licenses.c.type_code == where.type_code)
    if where.number is not None:
        conditions.append(licenses.c.number.in_({where.number, stored_number(where.number)}))
    if where.identifier is not None:
        named = select(license_versions.c.license_id).where(license_versions.c.identifier == where.identifier)
        conditions.append(licenses.c.id.in_(named))
    if where.status is not None:
        conditions.append(_has_status(where.status, where.today))
    return conditions


def _has_status(status: str, today: date | None) -> ColumnElement[bool]:
    """Say in SQL what `License.status_on` says in Python: expiry is judged on `today`, never stored."""
    if status in {State.ACTIVE.value, "expired", "not_yet_valid"}:
        if today is None:
            raise ValueError("a status the clock decides needs today's date")
        active = licenses.c.state == State.ACTIVE.value
        in_time = or_(licenses.c.valid_until.is_(None), licenses.c.valid_until >= today)
        if status == "expired":
            return and_(active, licenses.c.valid_until < today)
        begun = licenses.c.valid_from <= today
        return and_(active, in_time, begun if status == State.ACTIVE.value else licenses.c.valid_from > today)
    if status not in set(State):
        raise DomainError(
            "invalid_request",
            "no such status",
            errors=[FieldError("/status", "not a status of a license", "不是证照状态")],
        )
    return licenses.c.state == status
