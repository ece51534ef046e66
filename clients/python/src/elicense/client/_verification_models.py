"""Answers to questions about licenses, one or a batch, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from elicense.client._models import (
    Holder,
    Json,
    _day,
    _holder_of,
    _integer,
    _maybe_integer,
    _maybe_object,
    _maybe_text,
    _moment,
    _objects,
    _optional,
    _text,
    _texts,
)
from elicense.client.errors import APIResponseError


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One named check: outcome is passed, failed, cannot_tell or skipped; `code` says why, `detail` more of it."""

    id: str
    outcome: str
    code: str
    message: str
    detail: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementAnswer:
    """How one asked element compared; the right value is never told.

    `changed_on` is the day a `former_value` stopped being right.
    """

    name: str
    outcome: str
    changed_on: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """What is wrong with one item of a batch."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerWarning:
    """Something worth knowing that does not decide the verdict."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition:
    """Where in which log a credential stands: the log's origin, the entry's 0-based index.

    `size` counts the entries of the log state that proves it, None where the register itself says so.
    """

    origin: str
    index: int
    size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The service's answer to one question. True only when the verdict is valid.

    `message` says the reason and `action` what to do about it, in the client's language; `warnings` do not decide the
    verdict. `candidates` counts the live licenses that fit an ambiguous reference. An answer of a batch carries its
    place under the batch's receipt: `index`, the hashes of `path` and the `statement` that was hashed.

    `license` holds the disclosed claims, for questions by credential or code only. `superseded_by` is the identifier in
    force in place of the one asked about, `successors` those of licenses that took its place. `receipt` is the signed
    evidence (JWS); keep `question_salt` with it, for it opens the receipt's digest of the question. `historical` tells
    that a past moment was asked about: valid then is not valid now. `raw` is the whole answer as it came.
    """

    id: str
    verdict: str
    reason: str
    result_code: int | None
    file_result_code: int | None
    env: str
    checks: tuple[CheckResult, ...]
    elements: tuple[ElementAnswer, ...]
    license: Mapping[str, object] | None
    superseded_by: str | None
    verified_at: datetime | None
    evaluated_at: datetime | None
    status_as_of: datetime | None
    status_source: Mapping[str, object] | None
    next_check_due: datetime | None
    reference: str | None
    policy: Mapping[str, object]
    receipt: str | None
    question_salt: str | None
    errors: tuple[FieldError, ...]
    raw: Mapping[str, object] = field(repr=False)
    successors: tuple[str, ...] = ()
    historical: bool = False
    fmt: int | None = None
    message: str = ""
    action: str = ""
    purpose: str | None = None
    trust_list: Mapping[str, object] | None = None
    log: LogPosition | None = None
    warnings: tuple[AnswerWarning, ...] = ()
    candidates: int | None = None
    index: int | None = None
    path: tuple[str, ...] = ()
    statement: Mapping[str, object] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return self.verdict == "valid"

    @property
    def holder(self) -> Holder | None:
        """Name the holder whom the disclosed claims name; None where `license` is. Raises APIResponseError for claims
        that name none.
        """
        return None if self.license is None else _holder_of(self.license)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult:
    """Answers in the order of the questions, counts by verdict, and one receipt over all of them."""

    results: tuple[Verification, ...]
    summary: Mapping[str, object]
    receipt: str | None
    raw: Mapping[str, object] = field(repr=False)
    id: str = ""


def verification_of(value: Json) -> Verification:
    """Read a verification. Raises APIResponseError when verdict or reason is missing, or one denies the other."""
    verdict, reason = _text(value, "verdict"), _text(value, "reason")
    if (verdict == "valid") is not (reason == "ok"):
        raise APIResponseError(f"the answer's verdict is {verdict!r} and its reason {reason!r}")
    return Verification(
        id=_maybe_text(value, "id") or "",
        verdict=verdict,
        reason=reason,
        result_code=_maybe_integer(value, "result_code"),
        file_result_code=_maybe_integer(value, "file_result_code"),
        env=_maybe_text(value, "env") or "",
        checks=tuple(
            CheckResult(
                id=_text(item, "id"),
                outcome=_text(item, "outcome"),
                code=_maybe_text(item, "code") or "",
                message=_maybe_text(item, "message") or "",
                detail=_maybe_text(item, "detail"),
            )
            for item in _objects(value, "checks")
        ),
        elements=tuple(
            ElementAnswer(
                name=_text(item, "name"),
                outcome=_text(item, "outcome"),
                changed_on=_optional(_day, _maybe_text(item, "changed_on")),
            )
            for item in _objects(value, "elements")
        ),
        license=_maybe_object(value, "license"),
        superseded_by=_maybe_text(value, "superseded_by"),
        successors=_texts(value, "successors"),
        historical=value.get("historical") is True,
        verified_at=_optional(_moment, _maybe_text(value, "verified_at")),
        evaluated_at=_optional(_moment, _maybe_text(value, "evaluated_at")),
        status_as_of=_optional(_moment, _maybe_text(value, "status_as_of")),
        status_source=_maybe_object(value, "status_source"),
        next_check_due=_optional(_moment, _maybe_text(value, "next_check_due")),
        reference=_maybe_text(value, "reference"),
        policy=_maybe_object(value, "policy") or {},
        receipt=_maybe_text(value, "receipt"),
        question_salt=_maybe_text(value, "question_salt"),
        errors=tuple(
            FieldError(
                pointer=_maybe_text(item, "pointer") or "",
                detail=_maybe_text(item, "detail") or "",
            )
            for item in _objects(value, "errors")
        ),
        raw=value,
        fmt=_maybe_integer(value, "fmt"),
        message=_maybe_text(value, "message") or "",
        action=_maybe_text(value, "action") or "",
        purpose=_maybe_text(value, "purpose"),
        trust_list=_maybe_object(value, "trust_list"),
        log=_log_position_of(_maybe_object(value, "log")),
        warnings=tuple(
            AnswerWarning(code=_text(item, "code"), message=_maybe_text(item, "message") or "")
            for item in _objects(value, "warnings")
        ),
        candidates=_maybe_integer(value, "candidates"),
        index=_maybe_integer(value, "index"),
        path=_texts(value, "path"),
        statement=_maybe_object(value, "statement"),
    )


def _log_position_of(value: Json | None) -> LogPosition | None:
    if value is None:
        return None
    return LogPosition(
        origin=_text(value, "origin"), index=_integer(value, "index"), size=_maybe_integer(value, "size")
    )


def batch_of(value: Json) -> BatchResult:
    """Read a batch answer. Raises APIResponseError when the results are missing or one of them is no object."""
    if not isinstance(value.get("results"), list):
        raise APIResponseError("the answer lacks results")
    return BatchResult(
        results=tuple(verification_of(item) for item in _objects(value, "results")),
        summary=_maybe_object(value, "summary") or {},
        receipt=_maybe_text(value, "receipt"),
        raw=value,
        id=_maybe_text(value, "id") or "",
    )
