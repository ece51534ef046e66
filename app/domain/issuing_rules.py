"""What must hold before a license may be issued: shape of its texts, dates, holder, elements, and the authority."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

from app.domain.authority import ElementKind, LicenseType
from app.domain.directory import Directory
from app.domain.errors import DomainError, FieldError
from app.domain.holder_codes import MAX_ORGANISATION_CODE_LENGTH, other_code_problem
from app.domain.holder_key import sound_holder_key
from app.domain.license import Holder, NewLicense, stored_holder_code, stored_number
from app.domain.texts import text_problem
from elicense.cn import CodeError, check_uscc
from elicense.element_numbers import NO_END, fold_date
from elicense.problems import Text

MAX_NUMBER_LENGTH = 100
MAX_NAME_LENGTH = 300
EARLIEST_DAY = date(1900, 1, 1)
LATEST_DAY = date.max
FIRST_LAST_DAY = date(1970, 1, 1)
"""A credential's times count from 1970 on: there is no moment at which one that ended before could have held."""
FARTHEST_BEGIN = timedelta(days=4 * 365)
"""A credential ends five years after its signing at the latest: one that began later could never be valid."""

# Unified social credit code, and other organisations: GB/T 36903. Natural persons come under a rule of their own.
HOLDER_CODE_TYPES = frozenset({"001", "099"})

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_LONGEST_DATE = 64

_NO_DAY = Text(
    "应为日历上的一天,如 2024-02-29 或 2024年2月29日;无期限者写 长期",
    "must be a day of the calendar, as 2024-02-29 or 2024年2月29日; 长期 where there is no end",
)
_UNKNOWN = Text("不存在", "unknown")
_ENDED_TOO_EARLY = Text(
    "有效期止早于 1970 年,本服务不登记此类证照",
    "lies before 1970: the service registers no license that ended then",
)
_DAY_OUT_OF_RANGE = Text(
    f"应在 {EARLIEST_DAY} 至 {LATEST_DAY} 之间", f"must lie between {EARLIEST_DAY} and {LATEST_DAY}"
)


def judge_new_license(new: NewLicense, directory: Directory, *, today: date) -> NewLicense:
    """Apply every rule of issuing and return the license as the register holds it: codes and dates in one spelling.

    Raises DomainError, the first of: unknown_type, unknown_area, not_authorized_to_issue (this authority, this type,
    this area, today), holder_not_supported, invalid_uscc, invalid_request (texts), invalid_dates, invalid_elements,
    invalid_request (the holder's key).
    """
    license_type = directory.license_types.get(new.type_code)
    if license_type is None:
        raise DomainError("unknown_type", "no such license type", errors=[_wrong("/type_code", _UNKNOWN)])
    if new.area_code not in directory.areas:
        raise DomainError("unknown_area", "no such area", errors=[_wrong("/area_code", _UNKNOWN)])
    # Whether the authority may issue here at all goes before what it sent: 403 before 422.
    require_authority(
        directory,
        authority_code=new.authority_code,
        type_code=new.type_code,
        area_code=new.area_code,
        today=today,
    )
    holder, number = _judge_holder(new.holder), stored_number(new.number)
    _judge_texts({"/number": (number, MAX_NUMBER_LENGTH), "/holder/name": (holder.name, MAX_NAME_LENGTH)})
    _judge_dates(new, today=today)
    elements = _judge_elements(new.elements, license_type)
    key = None if new.holder_key is None else sound_holder_key(new.holder_key)
    return replace(new, number=number, holder=holder, elements=elements, holder_key=key)


def require_authority(
    directory: Directory, *, authority_code: str, type_code: str, area_code: str, today: date
) -> None:
    """Raise DomainError `not_authorized_to_issue` unless the authority may issue this type in this area today."""
    authority = directory.authorities.get(authority_code)
    if authority is None or not authority.may_issue(type_code=type_code, area_code=area_code, on=today):
        raise DomainError(
            "not_authorized_to_issue", "this authority may not issue this license type in this area today"
        )


def _judge_holder(holder: Holder) -> Holder:
    if holder.code_type not in HOLDER_CODE_TYPES:
        raise DomainError(
            "holder_not_supported",
            "holders are organisations: code type 001 or 099",
            errors=[_wrong("/holder/code_type", Text("应为 001 或 099", "must be 001 or 099"))],
        )
    if holder.code_type == "001":
        try:
            return replace(holder, code=check_uscc(holder.code))
        except CodeError as error:
            raise DomainError(
                "invalid_uscc",
                "the holder's code is no unified social credit code",
                errors=[_wrong("/holder/code", error.message)],
            ) from error
    code = stored_holder_code(holder.code)
    problem = other_code_problem(code)
    if problem is not None:
        raise DomainError(
            "holder_not_supported",
            "the holder's code is none of another organisation",
            errors=[_wrong("/holder/code", problem)],
        )
    _judge_texts({"/holder/code": (code, MAX_ORGANISATION_CODE_LENGTH)})
    return replace(holder, code=code)


def _judge_texts(texts: Mapping[str, tuple[str, int]]) -> None:
    errors = [
        _wrong(pointer, problem)
        for pointer, (text, max_length) in texts.items()
        if (problem := text_problem(text, max_length=max_length)) is not None
    ]
    if errors:
        raise DomainError("invalid_request", "some texts cannot be signed", errors=errors)


def _judge_dates(new: NewLicense, *, today: date) -> None:
    errors = [
        _wrong(f"/{name}", _DAY_OUT_OF_RANGE)
        for name, day in (
            ("issue_date", new.issue_date),
            ("valid_from", new.valid_from),
            ("valid_until", new.valid_until),
        )
        if day is not None and not EARLIEST_DAY <= day <= LATEST_DAY
    ]
    if new.valid_until is not None and new.valid_until < new.valid_from:
        errors.append(_wrong("/valid_until", Text("不得早于 valid_from", "must not be before valid_from")))
    elif new.valid_until is not None and EARLIEST_DAY <= new.valid_until < FIRST_LAST_DAY:
        errors.append(_wrong("/valid_until", _ENDED_TOO_EARLY))
    latest = today + FARTHEST_BEGIN
    if new.valid_from > latest:
        errors.append(_wrong("/valid_from", Text(f"不得晚于 {latest}", f"must not lie after {latest}")))
    if errors:
        raise DomainError("invalid_dates", "the dates cannot be those of a license", errors=errors)


def _judge_elements(elements: Mapping[str, str], license_type: LicenseType) -> dict[str, str]:
    errors = [
        _wrong(f"/elements/{definition.name}", Text("缺少必填项", "is required"))
        for definition in license_type.elements
        if definition.required and definition.name not in elements
    ]
    held: dict[str, str] = {}
    for name, value in elements.items():
        judged = _judge_element(name, value, license_type)
        if isinstance(judged, Text):
            errors.append(_wrong(f"/elements/{pointer_segment(name)}", judged))
        else:
            held[name] = judged
    if errors:
        raise DomainError("invalid_elements", "the elements do not fit the license type", errors=errors)
    return held


def _judge_element(name: str, value: object, license_type: LicenseType) -> str | Text:
    """Return an element's value as the register holds it, or what is wrong with it."""
    definition = license_type.element(name)
    if definition is None:
        return Text("该证照类型没有此要素", "is no element of this license type")
    if not isinstance(value, str):
        return Text("应为字符串", "must be text")
    problem = text_problem(value, max_length=definition.max_length)
    if problem is not None:
        return problem
    return _written_date(value) if definition.kind is ElementKind.DATE else value


def _written_date(text: str) -> str | Text:
    """Return a date element as ISO 8601, the words for no end (长期) as given, or that it is no day."""
    folded = fold_date(text) if len(text) <= _LONGEST_DATE else ""
    if folded == NO_END:
        return text
    try:
        return date.fromisoformat(folded).isoformat() if _ISO_DAY.fullmatch(folded) else _NO_DAY
    except ValueError:
        return _NO_DAY


def _wrong(pointer: str, text: Text) -> FieldError:
    return FieldError(pointer, text.en, text.zh)


def pointer_segment(name: str) -> str:
    """Escape a member name for a JSON Pointer (RFC 6901 §3)."""
    return name.replace("~", "~0").replace("/", "~1")
