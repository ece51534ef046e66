"""What departments get about guessing at their licenses."""

from typing import Literal

from app.api.schemas.answers import Answer


class AlarmAnswer(Answer):
    """Many wrong values were asked about one license within an hour: how many, by how many callers."""

    id: str
    kind: Literal["guessing"]
    license_id: str
    raised_at: str
    wrong: int
    callers: int


class AlarmPage(Answer):
    """Alarms about an authority's licenses, oldest first."""

    data: list[AlarmAnswer]
    next_cursor: str | None
