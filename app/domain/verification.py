"""Verifications: what is asked, and what the register keeps of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import FieldError
from app.domain.ids import ClientId, VerificationId


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseReference:
    """Name a license without its credential: by identifier, by number and type, or by holder and type."""

    identifier: str | None = None
    number: str | None = None
    holder_code: str | None = None
    type_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBinding:
    """What the presenter of a credential was given to sign: a nonce of this transaction, and the caller's audience."""

    nonce: str
    audience: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a relying party asks: exactly one of `credential`, `license` and `code`, and what goes with it.

    `elements` are values to compare, never stored; `at` is the past moment asked about (RFC 3339), kept as it was
    written: the receipt's digest covers the question as it was asked. `key_binding` asks the presenter of a credential
    to prove to be the holder.
    """

    credential: str | None = None
    license: LicenseReference | None = None
    code: str | None = None
    elements: Mapping[str, str] | None = None
    purpose: str | None = None
    reference: str | None = None
    policy: str | None = None
    at: str | None = None
    key_binding: KeyBinding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedQuestion:
    """One item of a batch that is no question: what is wrong with it, pointers relative to the item."""

    errors: tuple[FieldError, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """One verification as kept: the answer given, whose it is, and when it is due again.

    `answer` is the JSON object returned to the caller (with receipt, without asked element values and without the
    question's salt unless the caller needs it for the receipt); `license_id` is None when no license was found.
    """

    id: VerificationId
    client_id: ClientId
    kind: str
    reference: str | None
    purpose: str
    verdict: str
    reason: str
    license_id: str | None
    verified_at: datetime
    next_check_due: datetime | None
    batch_id: str | None
    answer: Mapping[str, object]
