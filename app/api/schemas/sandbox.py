"""The sandbox's codes and clocks."""

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.answers import Answer, TextAnswer
from app.api.schemas.fields import Moment, StrictModel

_MOST_SECONDS = 4_000_000_000


class ClockBody(StrictModel):
    """Exactly one of `now` (a moment to come) and `ahead_seconds` (from the true time; 0 resets)."""

    now: Moment | None = None
    ahead_seconds: Annotated[int, Field(strict=True, ge=0, le=_MOST_SECONDS)] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "ClockBody":
        if (self.now is None) == (self.ahead_seconds is None):
            raise PydanticCustomError("one_clock", "must give exactly one of now and ahead_seconds")
        return self


class ClockAnswer(Answer):
    """What your clock shows, how far it stands ahead, and the true time."""

    now: str
    ahead_seconds: int
    true_time: str


class ExpectedAnswer(Answer):
    """What asking about a code is answered with; no verdict where the call is refused."""

    status: int
    verdict: str | None
    reason: str | None


class CodeAnswer(Answer):
    """One magic code with what stands behind it."""

    scenario: str
    holder_code: str
    type_code: str
    number: str | None
    identifier: str | None
    credential: str | None
    valid_until: str | None
    elements: dict[str, str]
    expected: ExpectedAnswer
    text: TextAnswer


class CodePage(Answer):
    """All codes."""

    data: list[CodeAnswer]
    next_cursor: str | None
