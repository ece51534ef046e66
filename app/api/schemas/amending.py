"""What departments send to make a further version of a license, or to name its successors."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.fields import (
    AreaCode,
    Code,
    Day,
    ElementName,
    ElementValue,
    HolderKey,
    Name,
    StrictModel,
)
from app.api.schemas.licenses import ReasonBody
from app.domain.amending import Amendment, HolderChange, Keep, Renewal
from app.domain.succession import MOST_SUCCESSORS, Relation

_CHANGES = ("elements", "holder", "valid_until", "area_code", "holder_key")


class HolderChangeBody(StrictModel):
    """What is to be different about the holder; what is left out stays."""

    code: Code | None = None
    code_type: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None = None
    name: Name | None = None


class AmendBody(ReasonBody):
    """What is to be different, and why; what is left out stays.

    `elements` are merged by name, null removes one; `valid_until` null means long-term (长期). `holder_key` null takes
    the holder's key away; another holder code does so too, unless a new key is given.
    """

    elements: Annotated[dict[ElementName, ElementValue | None], Field(max_length=100)] = Field(
        default_factory=dict
    )
    holder: HolderChangeBody | None = None
    valid_until: Day | None = None
    area_code: AreaCode | None = None
    holder_key: HolderKey | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_a_change(cls, value: Any) -> Any:
        if isinstance(value, dict) and not any(name in value for name in _CHANGES):
            raise PydanticCustomError("no_change_named", "must name something to change")
        return value

    def to_domain(self) -> Amendment:
        """Return the domain's value."""
        holder = self.holder
        return Amendment(
            elements=dict(self.elements),
            holder=None
            if holder is None
            else HolderChange(code=holder.code, code_type=holder.code_type, name=holder.name),
            valid_until=self.valid_until if "valid_until" in self.model_fields_set else Keep.AS_IT_IS,
            area_code=self.area_code,
            holder_key=self.holder_key if "holder_key" in self.model_fields_set else Keep.AS_IT_IS,
        )


class RenewBody(ReasonBody):
    """Until when the license is to hold now, and why.

    `valid_until` null means long-term (长期) and must be said, never left out. `valid_from` stays and `issue_date` is
    today unless given.
    """

    valid_until: Day | None
    valid_from: Day | None = None
    issue_date: Day | None = None

    def to_domain(self) -> Renewal:
        """Return the domain's value."""
        return Renewal(valid_until=self.valid_until, valid_from=self.valid_from, issue_date=self.issue_date)


class SuccessionBody(ReasonBody):
    """Which licenses took this one's place and how, and why it is recorded.

    Each is named by its identifier, or (one of the caller's own) by its license id.
    """

    relation: Literal["merged_into", "split_to", "replaced_by"]
    successors: Annotated[list[Code], Field(min_length=1, max_length=MOST_SUCCESSORS)]

    def to_domain(self) -> Relation:
        """Return the relation as the domain knows it."""
        return Relation(self.relation)
