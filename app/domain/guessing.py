"""The budget of wrong guesses: who asks for elements and is wrong too often gets no comparison for a while.

It limits one caller on one license only. A license that does not exist is guessed at as well, so that from outside
both look the same.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.errors import TooManyCalls
from app.domain.good_time import TOLERANCE
from app.domain.verification import LicenseReference
from elicense.cn import normalize_code
from elicense.encoding import canonical_json, sha256_hex


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessingTerms:
    """How many wrong guesses are borne within `window`, from the first of them on.

    `budget` is each caller's on each license. When those of all callers on one license reach `alarm`, its department is
    told, and each of these callers has `lowered` on that license for `lowered_for`.
    """

    budget: int = 20
    lowered: int = 5
    alarm: int = 60
    window: timedelta = timedelta(hours=1)
    lowered_for: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What one caller guessed wrong about one subject since `started_at`; `subject` is a digest and names nobody."""

    client_id: str
    subject: str
    started_at: datetime
    wrong: int
    lowered_until: datetime | None = None

    def budget(self, terms: GuessingTerms, *, now: datetime) -> int:
        """Return how many wrong guesses this caller has on this license."""
        until = self.lowered_until
        is_lowered = until is not None and now < until <= now + terms.lowered_for + TOLERANCE
        return min(terms.lowered, terms.budget) if is_lowered else terms.budget

    def counted(self, terms: GuessingTerms, *, now: datetime) -> int:
        """Return the wrong guesses that still count: none once the window is over, or where a wrong clock began it."""
        return self.wrong if self.started_at - TOLERANCE <= now < self.started_at + terms.window else 0

    def seconds_left(self, terms: GuessingTerms, *, now: datetime) -> int:
        """Return after how many seconds guessing may begin anew, in whole minutes."""
        return whole_minutes(min(self.started_at + terms.window - now, terms.window))


def whole_minutes(span: timedelta) -> int:
    """Return a span as seconds, rounded up to minutes: the exact moment of the first guess is nobody's business."""
    return max(1, -(-int(span.total_seconds()) // 60)) * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """One question that asked for elements and was, or would be, counted where it is `wrong`.

    `license_id` and `authority_code` are None where no license was found. `seconds_left` is set where the budget was
    spent before anything was compared. `by_credential` tells that a credential was shown: that is never refused.
    `watched` tells that the caller has guessed wrong lately: even a right answer is given only while its budget lasts.
    """

    client_id: str
    subject: str
    license_id: str | None
    authority_code: str | None
    by_credential: bool
    wrong: bool = False
    seconds_left: int | None = None
    watched: bool = False

    @property
    def counts(self) -> bool:
        """Tell whether the budget has a say when its answer is stored."""
        return self.wrong or (self.watched and self.seconds_left is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class GuessingAlarm:
    """Tells a department that many wrong guesses were made about one of its licenses: how many, by how many callers."""

    id: str
    authority_code: str
    license_id: str
    raised_at: datetime
    wrong: int
    callers: int


class GuessingLimited(TooManyCalls):
    """Refuse a caller whose wrong guesses about one license are used up; `seconds` until it may guess again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds, "too many wrong values were asked about this license")


def license_subject(license_id: str, *, salt: str) -> str:
    """Return the digest under which guesses about a license are counted, whichever way it was named."""
    return sha256_hex(canonical_json(["license", salt, license_id]))


def reference_subject(reference: LicenseReference, *, salt: str) -> str:
    """Return the digest under which guesses about a license that does not exist are counted."""
    named = (reference.identifier, reference.number, reference.holder_code, reference.type_code)
    return sha256_hex(
        canonical_json(
            ["reference", salt, *(None if part is None else normalize_code(part) for part in named)]
        )
    )
