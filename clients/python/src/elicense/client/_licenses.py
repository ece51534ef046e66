"""The client's calls about licenses: issue, change, read."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import Literal, Protocol

from elicense.client._models import (
    HistoryEntry,
    Holder,
    License,
    Page,
    history_entry_of,
    license_of,
    page_of,
)
from elicense.client._orders import Calls, LicenseActions
from elicense.client._protocol import Response, ascii_text, stapled_text, without_none


class Keep(Enum):
    """Say that a value stays, where None has a meaning of its own."""

    AS_IT_IS = "as_it_is"


class LicenseCalls(Calls, Protocol):
    """What the calls about licenses need of the client."""

    def _download(
        self, path: Sequence[str], *, accept: str, needs_key: bool, **query: str | None
    ) -> Response: ...


class Licenses(LicenseActions):
    """Licenses of the calling authority (or, for reading, of the calling holder)."""

    def __init__(self, client: LicenseCalls) -> None:
        super().__init__(client)
        self._files = client

    def issue(
        self,
        *,
        type_code: str,
        number: str,
        holder: Holder | Mapping[str, str],
        area_code: str,
        issue_date: date | str,
        valid_from: date | str,
        valid_until: date | str | None = None,
        elements: Mapping[str, str] | None = None,
        authority_code: str | None = None,
        holder_key: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> License:
        """Issue a license; `valid_until` None means long-term. Dates are civil days at +08:00, the last included.

        `holder_key`, the holder's public key (JWK: EC, P-256), goes into the file, so that a verifier can ask its
        presenter to prove to be the holder.

        Raises NumberTakenError, NotAuthorizedToIssueError, InvalidUsccError, InvalidElementsError and the like.
        """
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
        return license_of(
            self._client._post(
                ["v1", "licenses"], without_none(body) | long_term, idempotency_key=idempotency_key
            )
        )

    def get(self, license_id: str) -> License:
        """Fetch the current version. Raises NotFoundError also for a license of somebody else."""
        return license_of(self._client._get(["v1", "licenses", license_id]))

    def list(
        self,
        *,
        holder_code: str | None = None,
        type_code: str | None = None,
        number: str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> Page[License]:
        """Fetch one page of licenses; pass `next_cursor` as `cursor` for the following one."""
        query = {
            "holder_code": holder_code,
            "type_code": type_code,
            "number": number,
            "status": status,
            "cursor": cursor,
            "limit": limit,
        }
        return page_of(self._client._get(["v1", "licenses"], query=query), license_of)

    def iterate(
        self,
        *,
        holder_code: str | None = None,
        type_code: str | None = None,
        number: str | None = None,
        status: str | None = None,
    ) -> Iterator[License]:
        """Go through all pages of `list`, fetching as needed."""
        cursor: str | None = None
        while True:
            page = self.list(
                holder_code=holder_code, type_code=type_code, number=number, status=status, cursor=cursor
            )
            yield from page
            cursor = page.next_cursor
            if cursor is None:
                return

    def history(self, license_id: str, *, cursor: str | None = None) -> Page[HistoryEntry]:
        """Fetch what happened to a license, oldest first; pass `next_cursor` as `cursor` for the following page."""
        path = ["v1", "licenses", license_id, "history"]
        return page_of(self._client._get(path, query={"cursor": cursor}), history_entry_of)

    def credential(self, license_id: str, *, version: str | None = None, proof: bool = False) -> str:
        """Fetch the signed credential (SD-JWT) of the current or of a named version.

        With `proof` the text is JSON that holds the credential and its log proof, to be kept and verified as one file
        (`elicense.stapled`); raises APIStatusError (`not_logged_yet`) for the seconds until the log has taken it.
        """
        answer = self._files._download(
            ["v1", "licenses", license_id, "credential"],
            accept="application/json" if proof else "application/dc+sd-jwt",
            needs_key=True,
            version=version,
            proof="1" if proof else None,
        )
        return stapled_text(answer) if proof else ascii_text(answer)

    def amend(
        self,
        license_id: str,
        *,
        reason_code: str,
        reason: str,
        elements: Mapping[str, str | None] | None = None,
        holder: Holder | Mapping[str, str] | None = None,
        valid_until: date | str | Keep | None = Keep.AS_IT_IS,
        area_code: str | None = None,
        holder_key: Mapping[str, str] | Keep | None = Keep.AS_IT_IS,
        idempotency_key: str | None = None,
    ) -> License:
        """Make the next version with what is to be different; it is in force at once, the one before superseded.

        `elements` are merged by name, None removes one; `valid_until` None means long-term, left out it stays.
        `holder_key` None takes the holder's key away; another holder code does so too, unless a key is given. Raises
        NoChangeError, StateConflictError for a license that has ended, VersionsExhaustedError, and what `issue` raises.
        """
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
        return self._act("amend", license_id, reason_code, reason, idempotency_key, more)

    def renew(
        self,
        license_id: str,
        *,
        valid_until: date | str | None,
        reason_code: str,
        reason: str,
        valid_from: date | str | None = None,
        issue_date: date | str | None = None,
        idempotency_key: str | None = None,
    ) -> License:
        """Make the next version with a new period; the same end gives a fresh file. Raises as `amend`.

        `valid_from` stays and `issue_date` is today unless given; `valid_until` None means long-term.
        """
        more: dict[str, object] = {"valid_until": None if valid_until is None else str(valid_until)}
        if valid_from is not None:
            more["valid_from"] = str(valid_from)
        if issue_date is not None:
            more["issue_date"] = str(issue_date)
        return self._act("renew", license_id, reason_code, reason, idempotency_key, more)

    def succession(
        self,
        license_id: str,
        *,
        relation: Literal["merged_into", "split_to", "replaced_by"],
        successors: Sequence[str],
        reason_code: str,
        reason: str,
        idempotency_key: str | None = None,
    ) -> License:
        """Record which licenses took this one's place; one in force ends by it.

        Name each by its identifier, or one's own by its license id. Raises InvalidSuccessionError, and
        StateConflictError for a revoked license.
        """
        more: dict[str, object] = {"relation": relation, "successors": list(successors)}
        return self._act("succession", license_id, reason_code, reason, idempotency_key, more)

    def _act(
        self,
        action: str,
        license_id: str,
        reason_code: str,
        reason: str,
        idempotency_key: str | None,
        more: Mapping[str, object] | None = None,
    ) -> License:
        return license_of(
            self._client._post(
                ["v1", "licenses", license_id, action],
                {"reason_code": reason_code, "reason": reason, **(more or {})},
                idempotency_key=idempotency_key,
            )
        )


def _holder(holder: Holder | Mapping[str, str]) -> dict[str, str]:
    if isinstance(holder, Holder):
        return {"code": holder.code, "code_type": holder.code_type, "name": holder.name}
    return dict(holder)
