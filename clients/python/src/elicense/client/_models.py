"""Answers of the service as frozen values. Members this version does not know are ignored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Generic, TypeVar

from elicense.client.errors import APIResponseError

T = TypeVar("T")
Json = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who holds a license: its code, the code's type (GB/T 36903; 001 is the USCC) and its registered name."""

    code: str
    code_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class License:
    """A license as the register shows it. `valid_until` None means long-term (长期); `status` counts the clock in.

    `holder_key_thumbprint` names the holder's key in its file (RFC 7638), None where it names none.
    """

    id: str
    identifier: str
    version: str
    status: str
    type_code: str
    type_name: str
    number: str
    authority_code: str
    authority_name: str
    holder: Holder
    area_code: str
    issue_date: date
    valid_from: date
    valid_until: date | None
    elements: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    holder_key_thumbprint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One event in the life of a license: who, when recorded, from when, why.

    `details` by action: `previous` identifier and names `changed` (amend, renew), `kind` (revoke), `relation` and
    `successors` (succession).
    """

    action: str
    version: str
    from_status: str | None
    to_status: str
    actor: str | None
    recorded_at: datetime
    effective_at: datetime | None
    reason_code: str | None
    reason: str | None
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A license of the calling holder and the path of its credential on the service."""

    license: License
    credential: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """One page of a list; `next_cursor` fetches the following one, None at the end."""

    data: tuple[T, ...]
    next_cursor: str | None

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


def license_of(value: Json) -> License:
    """Read a license. Raises APIResponseError for a missing or wrongly typed member."""
    return License(
        id=_text(value, "id"),
        identifier=_text(value, "identifier"),
        version=_text(value, "version"),
        status=_text(value, "status"),
        type_code=_text(value, "type_code"),
        type_name=_text(value, "type_name"),
        number=_text(value, "number"),
        authority_code=_text(value, "authority_code"),
        authority_name=_text(value, "authority_name"),
        holder=_holder_of(value),
        area_code=_text(value, "area_code"),
        issue_date=_day(_text(value, "issue_date")),
        valid_from=_day(_text(value, "valid_from")),
        valid_until=_day_or_long_term(value, "valid_until"),
        elements=_members(_object(value, "elements")),
        created_at=_moment(_text(value, "created_at")),
        updated_at=_moment(_text(value, "updated_at")),
        holder_key_thumbprint=_maybe_text(value, "holder_key_thumbprint"),
    )


def _holder_of(value: Json) -> Holder:
    holder = _object(value, "holder")
    return Holder(
        code=_text(holder, "code"), code_type=_text(holder, "code_type"), name=_text(holder, "name")
    )


def history_entry_of(value: Json) -> HistoryEntry:
    """Read one history entry. Raises APIResponseError as `license_of`."""
    return HistoryEntry(
        action=_text(value, "action"),
        version=_text(value, "version"),
        from_status=_maybe_text(value, "from_status"),
        to_status=_text(value, "to_status"),
        actor=_maybe_text(value, "actor"),
        recorded_at=_moment(_text(value, "recorded_at")),
        effective_at=_optional(_moment, _maybe_text(value, "effective_at")),
        reason_code=_maybe_text(value, "reason_code"),
        reason=_maybe_text(value, "reason"),
        details={name: str(text) for name, text in (_maybe_object(value, "details") or {}).items()},
    )


def holding_of(value: Json) -> Holding:
    """Read one holding, the license nested or beside its link. Raises APIResponseError as `license_of`."""
    nested = value.get("license")
    return Holding(
        license=license_of(nested if isinstance(nested, dict) else value),
        credential=_text(value, "credential"),
    )


def page_of(value: Json, read: Callable[[Json], T]) -> Page[T]:
    """Read one page of a list. Raises APIResponseError when `data` is missing or an entry is no object."""
    if not isinstance(value.get("data"), list):
        raise APIResponseError("the answer lacks data")
    return Page(
        data=tuple(read(item) for item in _objects(value, "data")),
        # An empty one would fetch the first page again.
        next_cursor=_maybe_text(value, "next_cursor") or None,
    )


def _text(value: Json, name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise APIResponseError(f"the answer lacks {name}")
    return found


def _maybe_text(value: Json, name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise APIResponseError(f"the answer's {name} is no text")
    return found


def _integer(value: Json, name: str) -> int:
    found = _maybe_integer(value, name)
    if found is None:
        raise APIResponseError(f"the answer lacks {name}")
    return found


def _maybe_integer(value: Json, name: str) -> int | None:
    found = value.get(name)
    if found is not None and (not isinstance(found, int) or isinstance(found, bool)):
        raise APIResponseError(f"the answer's {name} is no whole number")
    return found


def _object(value: Json, name: str) -> Json:
    found = value.get(name)
    if not isinstance(found, dict):
        raise APIResponseError(f"the answer lacks {name}")
    return found


def _maybe_object(value: Json, name: str) -> Json | None:
    found = value.get(name)
    if found is not None and not isinstance(found, dict):
        raise APIResponseError(f"the answer's {name} is no object")
    return found


def _members(value: Json) -> Mapping[str, str]:
    return {name: _text(value, name) for name in value}


def _objects(value: Json, name: str) -> Sequence[Json]:
    """Return a list of objects, none if it is absent. What is no object is refused: others would take its place."""
    found = value.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise APIResponseError(f"the answer's {name} is no list of objects")
    return found


def _texts(value: Json, name: str) -> tuple[str, ...]:
    found = value.get(name)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise APIResponseError(f"the answer's {name} is no list of texts")
    return tuple(found)


def _optional(read: Callable[[str], T], text: str | None) -> T | None:
    return None if text is None else read(text)


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise APIResponseError("the answer holds a date that is none") from error
    if day.isoformat() != text:
        raise APIResponseError("the answer holds a date that is none")
    return day


def _day_or_long_term(value: Json, name: str) -> date | None:
    # Only an explicit null says "long-term": what is missing must not.
    if name not in value:
        raise APIResponseError(f"the answer lacks {name}")
    return _optional(_day, _maybe_text(value, name))


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise APIResponseError("the answer holds a time that is none") from error
    if moment.tzinfo is None:
        raise APIResponseError("the answer holds a time without its zone")
    try:
        moment.astimezone(UTC)
    except OverflowError as error:
        raise APIResponseError("the answer holds a time that UTC does not have") from error
    return moment
