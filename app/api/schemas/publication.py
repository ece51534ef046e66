"""What may be asked of published documents."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.api.schemas.fields import StrictModel


def _parse_version(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


class RootQuery(StrictModel):
    """Which version of the trust root; the latest when not given."""

    version: (
        Annotated[
            int,
            Field(ge=1),
            BeforeValidator(_parse_version),
            WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999_999}),
        ]
        | None
    ) = None
