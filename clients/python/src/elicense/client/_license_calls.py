"""The calls about licenses: what is sent to issue, change and read them."""

from collections.abc import Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Literal, TypeAlias

from elicense.client._call import Call, get, post
from elicense.client._models import (
    HistoryEntry,
    Holder,
    License,
    Page,
    history_entry_of,
    license_of,
    page_of,
)
from elicense.client._order_models import changed_of
from elicense.client._protocol import credential_text, stapled_text, without_none

Day: TypeAlias = date | str
SuccessionRelation: TypeAlias = Literal["merged_into", "split_to", "replaced_by"]


class Keep(Enum):
    """Say that a value stays, where None has a meaning of its own."""

    AS_IT_IS = "as_it_is"


def issue(
    *,
    type_code: str,
    number: str,
    holder: Holder | Mapping[str, str],
    area_code: str,
    issue_date: Day,
    valid_from: Day,
    valid_until: Day | None,
    elements: Mapping[str, str] | None,
    authority_code: str | None,
    holder_key: Mapping[str, str] | None,
    idempotency_key: str | None,
) -> Call[License]:
    """Issue a license."""
    body: dict[str, object] = {
        "type_code": type_code,
        "number": number,
        "holder": _holder(holder),
        "area_code": area_code,
        "issue_date": str(issue_date),
        "valid_from": str(valid_from),
        "elements": dict(elements or {}),
        "authority_code": authority_code,
        "holder_key": None if holder_key is None else dict(holder_key),
    }
    # A missing member would be refused: null is how long-term is said.
    long_term = {"valid_until": None if valid_until is None else str(valid_until)}
    return post(
        ["v1", "licenses"], without_none(body) | long_term, license_of, idempotency_key=idempotency_key
    )


def license(license_id: str) -> Call[License]:
    """Fetch the current version."""
    return get(["v1", "licenses", license_id], license_of)


def licenses(
    *,
    holder_code: str | None,
    type_code: str | None,
    number: str | None,
    status: str | None,
    cursor: str | None,
    limit: int | None = None,
) -> Call[Page[License]]:
    """Fetch one page of licenses."""
    query = {
        "holder_code": holder_code,
        "type_code": type_code,
        "number": number,
        "status": status,
        "cursor": cursor,
        "limit": limit,
    }
    return get(["v1", "licenses"], lambda page: page_of(page, license_of), query=query)


def history(license_id: str, *, cursor: str | None, limit: int | None = None) -> Call[Page[HistoryEntry]]:
    """Fetch one page of what happened to a license."""
    path = ["v1", "licenses", license_id, "history"]
    query = {"cursor": cursor, "limit": limit}
    return get(path, lambda page: page_of(page, history_entry_of), query=query)


def credential(license_id: str, *, version: str | None, proof: bool) -> Call[str]:
    """Fetch the signed credential, alone or with its log proof."""
    return Call(
        method="GET",
        path=["v1", "licenses", license_id, "credential"],
        read=stapled_text if proof else credential_text,
        query={"version": version, "proof": "1" if proof else None},
        accept="application/json" if proof else "application/dc+sd-jwt",
    )


def amend(
    license_id: str,
    *,
    reason_code: str,
    reason: str,
    elements: Mapping[str, str | None] | None,
    holder: Holder | Mapping[str, str] | None,
    valid_until: Day | Keep | None,
    area_code: str | None,
    holder_key: Mapping[str, str] | Keep | None,
    idempotency_key: str | None,
) -> Call[License]:
    """Make the next version with what is to be different."""
    more: dict[str, object] = {}
    if elements is not None:
        more["elements"] = dict(elements)
    if holder is not None:
        more["holder"] = _holder(holder)
    if not isinstance(valid_until, Keep):
        more["valid_until"] = None if valid_until is None else str(valid_until)
    if area_code is not None:
        more["area_code"] = area_code
    if not isinstance(holder_key, Keep):
        more["holder_key"] = None if holder_key is None else dict(holder_key)
    return _change("amend", license_id, reason_code, reason, more, idempotency_key)


def renew(
    license_id: str,
    *,
    valid_until: Day | None,
    reason_code: str,
    reason: str,
    valid_from: Day | None,
    issue_date: Day | None,
    idempotency_key: str | None,
) -> Call[License]:
    """Make the next version with a new period."""
    more: dict[str, object] = {"valid_until": None if valid_until is None else str(valid_until)}
    if valid_from is not None:
        more["valid_from"] = str(valid_from)
    if issue_date is not None:
        more["issue_date"] = str(issue_date)
    return _change("renew", license_id, reason_code, reason, more, idempotency_key)


def succession(
    license_id: str,
    *,
    relation: SuccessionRelation,
    successors: Sequence[str],
    reason_code: str,
    reason: str,
    idempotency_key: str | None,
) -> Call[License]:
    """Record which licenses took a license's place; raises ApprovalPendingError where that takes two persons."""
    more = {"relation": relation, "successors": list(successors)}
    body = {"reason_code": reason_code, "reason": reason, **more}
    return post(
        ["v1", "licenses", license_id, "succession"], body, changed_of, idempotency_key=idempotency_key
    )


def _change(
    action: str,
    license_id: str,
    reason_code: str,
    reason: str,
    more: Mapping[str, object],
    idempotency_key: str | None,
) -> Call[License]:
    body = {"reason_code": reason_code, "reason": reason, **more}
    return post(["v1", "licenses", license_id, action], body, license_of, idempotency_key=idempotency_key)


def _holder(holder: Holder | Mapping[str, str]) -> dict[str, str]:
    if isinstance(holder, Holder):
        return {"code": holder.code, "code_type": holder.code_type, "name": holder.name}
    return dict(holder)
