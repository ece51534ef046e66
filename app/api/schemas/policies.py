"""Policies of relying parties as they are sent and answered."""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.answers import Answer
from app.api.schemas.fields import Cursor, Moment, StrictModel
from app.services.policy_dry_run import MOST_JUDGED
from elicense.own_policy import PARTS

_PARTS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "What the policy is made of; a part left out is as in platform-default. Own policies accept "
    "active licenses only and always need a freshness statement.",
    "properties": {name: dict(part.schema) for name, part in PARTS.items()},
    "additionalProperties": False,
}


def _parse_version(value: object) -> int:
    if isinstance(value, str) and re.fullmatch("[1-9][0-9]{0,5}", value):
        return int(value)
    raise PydanticCustomError("int_type", "must be an integer")


PolicyNameText = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
"""The name of a policy."""

PolicyReference = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}(@[1-9][0-9]{0,5})?$")]
"""A policy by its name (the newest version) or as name@version."""

PolicyParts = Annotated[dict[str, object], Field(max_length=50), WithJsonSchema(_PARTS_SCHEMA)]
"""The parts of a policy; what each may be is judged by the core."""

PolicyVersion = Annotated[
    int,
    BeforeValidator(_parse_version),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 999_999}),
]
"""A version as it stands in a query."""


class PolicyBody(StrictModel):
    """A policy to make, or the next version of one."""

    name: PolicyNameText
    parts: PolicyParts


class DryRunBody(StrictModel):
    """A policy to try, by its parts or by reference, on the verifications of at most 31 days."""

    policy: PolicyReference | None = None
    parts: PolicyParts | None = None
    since: Annotated[Moment | None, Field(alias="from")] = None
    until: Annotated[Moment | None, Field(alias="to")] = None
    cursor: Cursor | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_JUDGED)] = MOST_JUDGED

    @model_validator(mode="after")
    def _one_policy(self) -> "DryRunBody":
        if (self.policy is None) == (self.parts is None):
            raise PydanticCustomError("one_policy", "must hold either `policy` or `parts`")
        return self


class PolicyVersionQuery(StrictModel):
    """Which version; the newest when none is named."""

    version: PolicyVersion | None = None


class StoredPolicyAnswer(Answer):
    """One version of a policy. `elicense verify --policy FILE` takes this very document."""

    fmt: Literal[1]
    name: str
    version: int
    sha256: str
    parts: dict[str, Any]
    preset: bool
    created_at: str | None


class PolicyPage(Answer):
    """One page of policies, each in its newest version, by name."""

    data: list[StoredPolicyAnswer]
    next_cursor: str | None


class DryRunPolicy(Answer):
    """The policy that was tried; nameless when its parts were sent."""

    id: str | None
    version: int | None
    sha256: str | None
    parts: dict[str, Any]


class DryRunOutcome(Answer):
    """A verdict and its leading reason."""

    verdict: Literal["valid", "invalid", "indeterminate"]
    reason: str


class DryRunCount(Answer):
    """How many were answered so and would have been answered so; `to` null where it cannot be told."""

    before: Annotated[DryRunOutcome, Field(alias="from")]
    after: Annotated[DryRunOutcome | None, Field(alias="to")]
    count: int


class DryRunAnswer(Answer):
    """What a policy would have answered.

    `total` verifications lie in the span; `judged` of them, the newest first, are what the figures speak of; with
    `next_cursor` the next page goes on. `cannot_tell_parts` counts what they hang on. `changed_ids` are at most 200.
    """

    policy: DryRunPolicy
    since: Annotated[str, Field(alias="from")]
    until: Annotated[str, Field(alias="to")]
    total: int
    judged: int
    next_cursor: str | None
    same: int
    changed: int
    cannot_tell: int
    cannot_tell_parts: dict[str, int]
    counts: list[DryRunCount]
    changed_ids: list[str]
    changed_ids_complete: bool
