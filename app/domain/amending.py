"""What the next version of a license is to say: amendments and renewals. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum

from app.domain.authority import LicenseType
from app.domain.errors import DomainError, FieldError
from app.domain.holder_key import sound_holder_key
from app.domain.license import Holder, License, NewLicense
from elicense.problems import Text

LAST_VERSION = 999
"""A version has three digits (GB/T 36904): the thousandth cannot be written."""


class Keep(Enum):
    """Say that a value stays, where None is a value of its own (no end: 长期)."""

    AS_IT_IS = "as_it_is"


@dataclass(frozen=True, slots=True, kw_only=True)
class HolderChange:
    """What is to be different about the holder; None stays."""

    code: str | None = None
    code_type: str | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """What is to be different in the next version: elements by name (None removes), holder, end, area, holder's key.

    The key of a holder does not pass on to another one: with another holder code it is gone unless a new one is given.
    """

    elements: Mapping[str, str | None] = field(default_factory=dict)
    holder: HolderChange | None = None
    valid_until: date | Keep | None = Keep.AS_IT_IS
    area_code: str | None = None
    holder_key: Mapping[str, object] | Keep | None = Keep.AS_IT_IS


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """Until when a license is to hold now (None: 长期); `valid_from` stays and `issue_date` is today unless given."""

    valid_until: date | None
    valid_from: date | None = None
    issue_date: date | None = None


def content_of(license: License) -> NewLicense:
    """Return what a license says, as if it were to be issued again."""
    return NewLicense(
        type_code=license.type_code,
        number=license.number,
        holder=license.holder,
        area_code=license.area_code,
        issue_date=license.issue_date,
        valid_from=license.valid_from,
        valid_until=license.valid_until,
        elements=dict(license.elements),
        authority_code=license.authority_code,
        holder_key=license.holder_key,
    )


_AMENDABLE = ("/elements", "/holder", "/area_code")
_AMEND_FIRST = Text(
    "延续不更改此项,请先变更(amend)再延续", "a renewal does not change it: amend the license first"
)
_NO_ELEMENT = Text("证照及其类型均无此要素", "is an element of neither the license nor its type")


def unrenewable(refusal: DomainError) -> DomainError:
    """Return a refusal of what a renewal takes over as it is, with what to do: amend that first.

    The license was right by the rules of its day; its type, or the rules, have changed since.
    """
    errors = [
        FieldError(
            error.pointer,
            f"{error.detail}; {_AMEND_FIRST.en}",
            f"{error.in_language('zh')};{_AMEND_FIRST.zh}",
        )
        if error.pointer.startswith(_AMENDABLE)
        else error
        for error in refusal.errors
    ]
    return DomainError(refusal.code, refusal.detail, errors=errors)


def amended(license: License, amendment: Amendment, license_type: LicenseType | None = None) -> NewLicense:
    """Return the license with an amendment merged into it; whether it may be so is judged by the rules of issuing.

    Raises DomainError `invalid_elements` for the removal of what neither the license has nor its type knows: a name
    that was mistyped.
    """
    _judge_removals(license, amendment, license_type)
    elements = {**license.elements, **amendment.elements}
    kept = {name: value for name, value in elements.items() if value is not None}
    before = content_of(license)
    until = amendment.valid_until
    holder = _changed_holder(before.holder, amendment.holder)
    return replace(
        before,
        elements=kept,
        holder=holder,
        holder_key=_changed_key(before, holder, amendment.holder_key),
        area_code=amendment.area_code or before.area_code,
        valid_until=before.valid_until if isinstance(until, Keep) else until,
    )


def renewed(license: License, renewal: Renewal, *, today: date) -> NewLicense:
    """Return the license with a new period.

    The same end as before is allowed: long-term licenses get a fresh file so. Raises DomainError `invalid_dates` for
    an earlier end (that is an amendment), and for a beginning in the future while the present period runs, since the
    new version takes the old one's place at once.
    """
    if _ends_earlier(renewal.valid_until, license.valid_until):
        raise _wrong_date(
            "valid_until",
            Text("延续后的有效期止不得早于现有的", "must not be before the present end; amend it to shorten"),
        )
    runs_today = license.valid_from <= today and not _is_over(license, today)
    if renewal.valid_from is not None and renewal.valid_from > today and runs_today:
        raise _wrong_date(
            "valid_from",
            Text(
                "新版本即时生效,现有有效期内有效期起不得晚于今日",
                "must not lie after today while the present period runs: the new version counts at once",
            ),
        )
    return replace(
        content_of(license),
        valid_until=renewal.valid_until,
        valid_from=renewal.valid_from or license.valid_from,
        issue_date=renewal.issue_date or today,
    )


def changed_names(before: License, after: NewLicense) -> tuple[str, ...]:
    """Name what differs, in alphabetical order, as a verification would ask for it; never a value."""
    metadata = {
        "holder_code": (before.holder.code, after.holder.code),
        "holder_code_type": (before.holder.code_type, after.holder.code_type),
        "holder_name": (before.holder.name, after.holder.name),
        "area_code": (before.area_code, after.area_code),
        "issue_date": (before.issue_date, after.issue_date),
        "valid_from": (before.valid_from, after.valid_from),
        "valid_until": (before.valid_until, after.valid_until),
        "holder_key": (before.holder_key, after.holder_key),
    }
    names = {name for name, (old, new) in metadata.items() if old != new}
    elements = {*before.elements, *after.elements}
    names |= {name for name in elements if before.elements.get(name) != after.elements.get(name)}
    return tuple(sorted(names))


def next_version(used: Iterable[str]) -> str:
    """Return the version after the highest one used, voided promises included: an identifier is never made twice.

    Raises DomainError `versions_exhausted` after 999.
    """
    following = max(int(version) for version in used) + 1
    if following > LAST_VERSION:
        raise DomainError(
            "versions_exhausted",
            f"a license has at most {LAST_VERSION} versions; issue it under a new number",
        )
    return f"{following:03d}"


def _judge_removals(license: License, amendment: Amendment, license_type: LicenseType | None) -> None:
    if license_type is None:
        return  # the rules of issuing say so
    known = {*license.elements, *license_type.kinds}
    unknown = [name for name, value in amendment.elements.items() if value is None and name not in known]
    if unknown:
        raise DomainError(
            "invalid_elements",
            "the elements do not fit the license type",
            errors=[FieldError(f"/elements/{name}", _NO_ELEMENT.en, _NO_ELEMENT.zh) for name in unknown],
        )


def _changed_holder(before: Holder, change: HolderChange | None) -> Holder:
    if change is None:
        return before
    return Holder(
        code=change.code or before.code,
        code_type=change.code_type or before.code_type,
        name=change.name or before.name,
    )


def _changed_key(
    before: NewLicense, holder: Holder, key: Mapping[str, object] | Keep | None
) -> Mapping[str, str] | None:
    if not isinstance(key, Keep):
        return None if key is None else sound_holder_key(key)
    return before.holder_key if holder.code == before.holder.code else None


def _ends_earlier(end: date | None, than: date | None) -> bool:
    return end is not None and (than is None or end < than)


def _is_over(license: License, today: date) -> bool:
    return license.valid_until is not None and license.valid_until < today


def _wrong_date(name: str, text: Text) -> DomainError:
    return DomainError(
        "invalid_dates",
        "the dates cannot be those of a renewal",
        errors=[FieldError(f"/{name}", text.en, text.zh)],
    )
