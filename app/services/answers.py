"""How values look in JSON: the one rendering used for fresh answers and for those kept to be repeated."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType

from app.domain.holder_key import thumbprint_of
from app.domain.license import HistoryEntry, License
from app.ports import StoredAnswer
from elicense.encoding import dump_json, rfc3339
from elicense.report import Lang

JSON = "application/json"

LANGUAGE_HEADERS: Mapping[Lang, Mapping[str, str]] = MappingProxyType(
    {
        "zh": {"Content-Language": "zh-CN", "Vary": "Accept-Language"},
        "en": {"Content-Language": "en", "Vary": "Accept-Language"},
    }
)
"""What an answer says about the language it is in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A holder's own license and the path of its credential."""

    license: License
    credential_path: str


def moment_json(moment: datetime | None) -> str | None:
    """Write a moment as RFC 3339 in UTC with whole seconds, None for none."""
    return None if moment is None else rfc3339(moment)


def license_json(license: License, *, today: date) -> dict[str, object]:
    """Return a license as the API shows it; its status is what holds on the civil day `today` (+08:00)."""
    return {
        "id": license.id,
        "identifier": license.identifier,
        "version": license.version,
        "status": license.status_on(today),
        "type_code": license.type_code,
        "type_name": license.type_name,
        "number": license.number,
        "authority_code": license.authority_code,
        "authority_name": license.authority_name,
        "holder": {
            "code": license.holder.code,
            "code_type": license.holder.code_type,
            "name": license.holder.name,
        },
        "area_code": license.area_code,
        "issue_date": license.issue_date.isoformat(),
        "valid_from": license.valid_from.isoformat(),
        "valid_until": license.valid_until.isoformat() if license.valid_until is not None else None,
        "elements": dict(license.elements),
        "holder_key_thumbprint": thumbprint_of(license.holder_key),
        "created_at": rfc3339(license.created_at),
        "updated_at": rfc3339(license.updated_at),
    }


def history_json(entry: HistoryEntry) -> dict[str, object]:
    """Return one event of a license's history as the API shows it."""
    return {
        "version": entry.version,
        "action": entry.action,
        "from_status": entry.from_state,
        "to_status": entry.to_state,
        "actor": entry.actor,
        "recorded_at": rfc3339(entry.recorded_at),
        "effective_at": rfc3339(entry.effective_at),
        "reason_code": entry.reason_code,
        "reason": entry.reason,
        "details": dict(entry.details),
    }


def holding_json(holding: Holding, *, today: date) -> dict[str, object]:
    """Return a holding: the license as ever, and beside it the path of its credential."""
    return {**license_json(holding.license, today=today), "credential": holding.credential_path}


def credential_path(license_id: str) -> str:
    """Return the path under which a license's current credential is fetched."""
    return f"/v1/licenses/{license_id}/credential"


def issued_answer(license: License, today: date) -> StoredAnswer:
    """Return the answer to an issue: 201, where the license is, and the license."""
    headers = {"Location": f"/v1/licenses/{license.id}", "Content-Type": JSON}
    return StoredAnswer(status=201, headers=headers, body=dump_json(license_json(license, today=today)))


def changed_answer(license: License, today: date) -> StoredAnswer:
    """Return the answer to a change of state: 200 and the license."""
    body = dump_json(license_json(license, today=today))
    return StoredAnswer(status=200, headers={"Content-Type": JSON}, body=body)


def verification_answer(body: object, lang: Lang) -> StoredAnswer:
    """Return the answer to one question or a batch, its messages in `lang`: 200."""
    headers = {"Content-Type": JSON, **LANGUAGE_HEADERS[lang]}
    return StoredAnswer(status=200, headers=headers, body=dump_json(body))
