"""The client's calls about licenses: issue, change, read."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Literal

from elicense.client import _license_calls as calls
from elicense.client._call import each
from elicense.client._license_calls import Keep
from elicense.client._models import HistoryEntry, Holder, License, Page
from elicense.client._orders import LicenseActions


class Licenses(LicenseActions):
    """Licenses of the calling authority (or, for reading, of the calling holder)."""

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
        return self._client._run(
            calls.issue(
                type_code=type_code,
                number=number,
                holder=holder,
                area_code=area_code,
                issue_date=issue_date,
                valid_from=valid_from,
                valid_until=valid_until,
                elements=elements,
                authority_code=authority_code,
                holder_key=holder_key,
                idempotency_key=idempotency_key,
            )
        )

    def get(self, license_id: str) -> License:
        """Fetch the current version. Raises NotFoundError also for a license of somebody else."""
        return self._client._run(calls.license(license_id))

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
        return self._client._run(
            calls.licenses(
                holder_code=holder_code,
                type_code=type_code,
                number=number,
                status=status,
                cursor=cursor,
                limit=limit,
            )
        )

    def iterate(
        self,
        *,
        holder_code: str | None = None,
        type_code: str | None = None,
        number: str | None = None,
        status: str | None = None,
    ) -> Iterator[License]:
        """Go through all pages of `list`, fetching as needed."""
        yield from each(
            self._client,
            lambda cursor: calls.licenses(
                holder_code=holder_code, type_code=type_code, number=number, status=status, cursor=cursor
            ),
        )

    def history(
        self, license_id: str, *, cursor: str | None = None, limit: int | None = None
    ) -> Page[HistoryEntry]:
        """Fetch what happened to a license, oldest first; pass `next_cursor` as `cursor` for the following page."""
        return self._client._run(calls.history(license_id, cursor=cursor, limit=limit))

    def iterate_history(self, license_id: str) -> Iterator[HistoryEntry]:
        """Go through all pages of `history`, fetching as needed."""
        yield from each(self._client, lambda cursor: calls.history(license_id, cursor=cursor))

    def credential(self, license_id: str, *, version: str | None = None, proof: bool = False) -> str:
        """Fetch the signed credential (SD-JWT) of the current or of a named version.

        With `proof` the text is JSON that holds the credential and its log proof, to be kept and verified as one file
        (`elicense.stapled`); raises APIStatusError (`not_logged_yet`) for the seconds until the log has taken it.
        """
        return self._client._run(calls.credential(license_id, version=version, proof=proof))

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
        return self._client._run(
            calls.amend(
                license_id,
                reason_code=reason_code,
                reason=reason,
                elements=elements,
                holder=holder,
                valid_until=valid_until,
                area_code=area_code,
                holder_key=holder_key,
                idempotency_key=idempotency_key,
            )
        )

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
        return self._client._run(
            calls.renew(
                license_id,
                valid_until=valid_until,
                reason_code=reason_code,
                reason=reason,
                valid_from=valid_from,
                issue_date=issue_date,
                idempotency_key=idempotency_key,
            )
        )

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

        Name each by its identifier, or one's own by its license id. Raises InvalidSuccessionError,
        StateConflictError for a revoked license, and ApprovalPendingError where the type asks for two persons: the
        record waits as the error's `proposal`.
        """
        return self._client._run(
            calls.succession(
                license_id,
                relation=relation,
                successors=successors,
                reason_code=reason_code,
                reason=reason,
                idempotency_key=idempotency_key,
            )
        )
