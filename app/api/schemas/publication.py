"""What may be asked of published documents."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.fields import StrictModel


def _parse_version(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


class BundleQuery(StrictModel):
    """Which bundle the caller holds, named by its freshness statement, and how the caller's zlib compresses."""

    since: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    deflate: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")] | None = None


def _parse_seconds(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,12}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


_LAST_SECOND = 253_402_300_799  # of the year 9999


class StatusListQuery(StrictModel):
    """Which version of a status list: the current one, the one of a moment (`time`), or one by its number (`seq`)."""

    time: (
        Annotated[
            int,
            Field(le=_LAST_SECOND),
            BeforeValidator(_parse_seconds),
            WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _LAST_SECOND}),
        ]
        | None
    ) = None
    seq: (
        Annotated[
            int,
            Field(ge=1),
            BeforeValidator(_parse_seconds),
            WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999_999}),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _one_at_most(self) -> "StatusListQuery":
        if self.time is not None and self.seq is not None:
            raise PydanticCustomError("one_version", "must name a version by time or by seq, not by both")
        return self


_Number = Annotated[
    int,
    Field(ge=1),
    BeforeValidator(_parse_version),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999}),
]


class RootQuery(StrictModel):
    """Which version of the trust root; the latest when not given."""

    version: _Number | None = None


class TrustListQuery(StrictModel):
    """Which trust list, by its sequence; the latest when not given."""

    sequence: _Number | None = None
