"""The claims of a credential: what the signed part says about a license, and their strict reading.

Names follow GB/T 36903. Reading checks shape only; whether the claims agree with one another and
with the trust list is for the judge.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final

from elicense.encoding import civil_day_start, from_unix, malformed, to_unix
from elicense.problems import FormatError
from elicense.records import quick_constructor

CREDENTIAL_FMT: Final = 1
ENVIRONMENTS: Final = frozenset({"test", "live"})
HOLDER_CODE_TYPES: Final = frozenset({"001", "099"})
"""Holder code types a credential may name: unified social credit code, other organisation."""

MAX_SIGNED_YEARS: Final = 5
"""A credential ends at most this many years after its signing and is then issued again."""

_MAX_TIME = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second a datetime holds.
_MAX_STATUS_INDEX = 2**31 - 1

_TEXT_NAMES = (
    "identifier",
    "type_code",
    "type_name",
    "number",
    "name",
    "authority_code",
    "authority_name",
    "area_code",
    "issue_date",
    "valid_from",
    "version",
)
_LICENSE_MEMBERS = frozenset({*_TEXT_NAMES, "holder", "valid_until"})
LICENSE_CLAIM_NAMES: Final = _LICENSE_MEMBERS | {"fmt", "env"}
"""Every member of the `license` claim; no element may bear one of these names."""

_texts_of = itemgetter(*_TEXT_NAMES)
_HOLDER_MEMBERS = frozenset({"code", "code_type", "name"})
_holder_of = itemgetter("code", "code_type", "name")
# One match over the joined codes instead of eight; the line feeds cannot occur inside a part.
_CODES = re.compile(
    r"1\.2\.156\.3005\.2(?:\.[0-9A-Z]{1,64}){3}\.[0-9]{3}\.[0-9A-Z]\n"  # identifier
    r"[0-9A-Z]{1,64}\n"  # type_code
    r"[0-9A-Z]{1,64}\n"  # authority_code
    r"[0-9]{6}\n"  # area_code
    r"[0-9]{3}\n"  # version
    # fromisoformat alone also takes week dates and dates without hyphens.
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}\n"  # issue_date
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}\n"  # valid_from
    r"(?:[0-9]{4}-[0-9]{2}-[0-9]{2})?"  # valid_until
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Name the holder of a license by code, code type (DOMAIN: GB/T 36903) and name."""

    code: str
    code_type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseClaims:
    """Hold what every reader of a credential sees about its license.

    Dates are civil days at +08:00; `valid_until` is the last day included, None for no end.
    """

    identifier: str
    type_code: str
    type_name: str
    number: str
    name: str
    authority_code: str
    authority_name: str
    holder: Holder
    area_code: str
    issue_date: date
    valid_from: date
    valid_until: date | None
    version: str

    def to_json(self) -> dict[str, Any]:
        """Return the claims as JSON members, without `fmt` and `env`."""
        return {
            "identifier": self.identifier,
            "type_code": self.type_code,
            "type_name": self.type_name,
            "number": self.number,
            "name": self.name,
            "authority_code": self.authority_code,
            "authority_name": self.authority_name,
            "holder": {
                "code": self.holder.code,
                "code_type": self.holder.code_type,
                "name": self.holder.name,
            },
            "area_code": self.area_code,
            "issue_date": self.issue_date.isoformat(),
            "valid_from": self.valid_from.isoformat(),
            "valid_until": None if self.valid_until is None else self.valid_until.isoformat(),
            "version": self.version,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialClaims:
    """Hold the registered claims of a credential and its license.

    `issuer`, `vct` and `status_uri` are compared with the trust list and never fetched by
    themselves. `subject` is the holder's code.
    """

    issuer: str
    vct: str
    issued_at: datetime
    not_before: datetime
    expires_at: datetime
    status_uri: str
    status_index: int
    subject: str
    license: LicenseClaims


def _read_members(members: Mapping[str, Any]) -> LicenseClaims:
    texts = _texts_of(members)
    (
        identifier,
        type_code,
        type_name,
        number,
        name,
        authority,
        authority_name,
        area,
        issued,
        opens,
        version,
    ) = texts
    # One chain of comparisons: the interpreter has them built in, and a set of types costs several times as much.
    if not (
        type(identifier)
        is type(type_code)
        is type(type_name)
        is type(number)
        is type(name)
        is type(authority)
        is type(authority_name)
        is type(area)
        is type(issued)
        is type(opens)
        is type(version)
        is str
    ) or not (identifier and type_code and type_name and number and name and authority and authority_name):
        raise malformed("license claims hold a value that is not text")
    until = members["valid_until"]
    if until is not None and (type(until) is not str or not until):
        raise malformed("valid_until is neither a date nor null")
    codes = f"{identifier}\n{type_code}\n{authority}\n{area}\n{version}\n{issued}\n{opens}\n{until or ''}"
    if not _CODES.fullmatch(codes):
        raise malformed("license claims hold a code or date of another form")
    try:
        return _new_license_claims(
            identifier=identifier,
            type_code=type_code,
            type_name=type_name,
            number=number,
            name=name,
            authority_code=authority,
            authority_name=authority_name,
            holder=_read_holder(members["holder"]),
            area_code=area,
            issue_date=_to_date(issued),
            valid_from=_to_date(opens),
            valid_until=None if until is None else _to_date(until),
            version=version,
        )
    except FormatError:
        raise
    except ValueError:
        raise malformed("license claims hold a day that no calendar has") from None


def _read_holder(value: object) -> Holder:
    if type(value) is not dict or value.keys() != _HOLDER_MEMBERS:
        raise malformed("holder is not exactly code, code_type and name")
    code, code_type, name = _holder_of(value)
    if not (type(code) is type(code_type) is type(name) is str) or not (code and name):
        raise malformed("holder holds a value that is not text")
    if code_type not in HOLDER_CODE_TYPES:
        raise malformed("holder is not an organisation")
    return _new_holder(code=code, code_type=code_type, name=name)


_new_holder = quick_constructor(Holder)
_new_license_claims = quick_constructor(LicenseClaims)
_new_claims = quick_constructor(CredentialClaims)

_CLAIM_NAMES = frozenset({"iss", "vct", "iat", "nbf", "exp", "status", "sub", "license", "elements"})
_STRINGS = (
    len(_CLAIM_NAMES)
    + 3  # iss, vct, sub
    + 4  # status: three names and the address
    + len(LICENSE_CLAIM_NAMES)
    + len(_TEXT_NAMES)
    + 1  # env
    + 2 * len(_HOLDER_MEMBERS)
)
_claims_of = itemgetter("iss", "vct", "sub")
_times_of = itemgetter("iat", "nbf", "exp")
_EPOCH = from_unix(0)
_DAY = timedelta(days=1)
_to_date = date.fromisoformat


@lru_cache(maxsize=4096)
def _to_time(seconds: int) -> datetime:
    # Remembered because windows begin and end with days, and days are few.
    return datetime.fromtimestamp(seconds, UTC)


def read_claims(payload: dict[str, Any]) -> tuple[CredentialClaims, str]:
    """Read a credential's payload strictly, `elements` aside; return the claims and their `env`.

    Raises FormatError (malformed) for members missing, unknown or of another kind, an unknown
    `fmt` or `env`, and any digest algorithm but sha-256.
    """
    has_algorithm, has_key = "_sd_alg" in payload, "cnf" in payload
    # All the defined names, and no more members than these and the optional ones that are there.
    if not payload.keys() >= _CLAIM_NAMES or len(payload) != len(_CLAIM_NAMES) + has_algorithm + has_key:
        raise malformed("claims are not exactly the ones defined")
    if has_algorithm and payload["_sd_alg"] != "sha-256":
        raise malformed("digest algorithm is not sha-256")
    issuer, vct, subject = _claims_of(payload)
    if not (type(issuer) is type(vct) is type(subject) is str) or not (issuer and vct and subject):
        raise malformed("iss, vct or sub is not text")
    issued_at, not_before, expires_at = _times_of(payload)
    # Exact types: bool is an int to Python, and text or fractions are no times here.
    if (
        not (type(issued_at) is type(not_before) is type(expires_at) is int)
        or not 0 <= issued_at <= _MAX_TIME
        or not 0 <= not_before <= _MAX_TIME
        or not 0 <= expires_at <= _MAX_TIME
    ):
        raise malformed("a time is not whole Unix seconds")
    status_uri, status_index = _read_status(payload["status"])
    license_claims, env = _read_license(payload["license"])
    return (
        _new_claims(
            issuer=issuer,
            vct=vct,
            issued_at=_to_time(issued_at),
            not_before=_to_time(not_before),
            expires_at=_to_time(expires_at),
            status_uri=status_uri,
            status_index=status_index,
            subject=subject,
            license=license_claims,
        ),
        env,
    )


def count_strings(payload: dict[str, Any]) -> int:
    """Return how many strings, names included, `read_claims` has seen in a payload without `cnf`.

    The digests under `elements` are not among them.
    """
    has_end = payload["license"]["valid_until"] is not None
    has_digests, has_algorithm = bool(payload["elements"]), "_sd_alg" in payload
    return _STRINGS + has_end + has_digests + 2 * has_algorithm


def _read_license(members: object) -> tuple[LicenseClaims, str]:
    if type(members) is not dict or members.keys() != LICENSE_CLAIM_NAMES:
        raise malformed("license claims are not exactly the ones defined")
    fmt, env = members["fmt"], members["env"]
    if type(fmt) is not int or fmt != CREDENTIAL_FMT:
        raise malformed(f"license format is not {CREDENTIAL_FMT}, the one known here")
    if type(env) is not str or env not in ENVIRONMENTS:
        raise malformed("license env is neither test nor live")
    return _read_members(members), env


def _read_status(value: object) -> tuple[str, int]:
    if type(value) is not dict or value.keys() != {"status_list"}:
        raise malformed("status is not exactly one status_list")
    entry = value["status_list"]
    if type(entry) is not dict or entry.keys() != {"idx", "uri"}:
        raise malformed("status_list is not exactly idx and uri")
    uri, index = entry["uri"], entry["idx"]
    if type(uri) is not str or not uri or type(index) is not int or not 0 <= index <= _MAX_STATUS_INDEX:
        raise malformed("status_list holds a value of another kind")
    return uri, index


def write_claims(claims: CredentialClaims, *, env: str, digests: list[str]) -> dict[str, Any]:
    """Return the payload to sign for `claims`, with the elements' digests in sorted order."""
    payload: dict[str, Any] = {
        "iss": claims.issuer,
        "vct": claims.vct,
        "iat": to_unix(claims.issued_at),
        "nbf": to_unix(claims.not_before),
        "exp": to_unix(claims.expires_at),
        "status": {"status_list": {"idx": claims.status_index, "uri": claims.status_uri}},
        "sub": claims.subject,
        "license": {"fmt": CREDENTIAL_FMT, "env": env, **claims.license.to_json()},
        "elements": {},
    }
    if digests:
        # Sorted, so that the order tells nothing about which digest is which element.
        payload["elements"] = {"_sd": sorted(digests)}
        payload["_sd_alg"] = "sha-256"
    return payload


def credential_window(
    *, valid_from: date, valid_until: date | None, issued_at: datetime
) -> tuple[datetime, datetime]:
    """Return (`nbf`, `exp`) of a credential about a license with these dates, signed at `issued_at`.

    From 00:00 at +08:00 of `valid_from`, none before 1970, to 00:00 of the day after
    `valid_until`, or five years after signing if that is earlier. Whole seconds, UTC.
    """
    opens = _opening(valid_from)
    if issued_at.tzinfo is not UTC or issued_at.microsecond:
        issued_at = issued_at.astimezone(UTC).replace(microsecond=0)
    last = _years_later(issued_at)
    # The first two need no day after, which the calendar's very last date does not have.
    if valid_until is None or valid_until == date.max or (valid_until - last.date()).days >= 1:
        return opens, last
    closes = civil_day_start(valid_until + _DAY) if valid_until.year > 1 else _EPOCH
    return opens, max(min(closes, last), _EPOCH)


@lru_cache(maxsize=4096)
def _opening(valid_from: date) -> datetime:
    # Remembered because licenses are many and days are few.
    return max(civil_day_start(valid_from), _EPOCH) if valid_from.year >= 1970 else _EPOCH


def _years_later(moment: datetime) -> datetime:
    try:
        return moment.replace(year=moment.year + MAX_SIGNED_YEARS)
    except ValueError:
        if moment.year + MAX_SIGNED_YEARS > 9999:
            return datetime(9999, 12, 31, tzinfo=UTC)
        # 29 February has no twin five years on.
        return moment.replace(year=moment.year + MAX_SIGNED_YEARS, day=28)
