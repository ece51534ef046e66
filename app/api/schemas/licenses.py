"""What departments send about licenses."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from app.api.schemas.fields import (
    AreaCode,
    Code,
    Cursor,
    Day,
    EffectiveAt,
    Elements,
    HolderKey,
    Limit,
    Name,
    ReasonCode,
    ReasonText,
    StrictModel,
)
from app.domain.license import Holder, LicenseFilter, NewLicense, stored_holder_code


class HolderBody(StrictModel):
    """Who is to hold the license; code types as GB/T 36903 (001: unified social credit code)."""

    code: Code
    code_type: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] = "001"
    name: Name


class NewLicenseBody(StrictModel):
    """A license to be issued. `valid_until` null means long-term (长期) and must be said, never left out.

    With `holder_key`, the holder's public key (JWK: EC, P-256), whoever presents the file can be asked to prove to be
    the holder; without one it verifies for whoever shows it.
    """

    type_code: Code
    number: Code
    holder: HolderBody
    area_code: AreaCode
    issue_date: Day
    valid_from: Day
    valid_until: Day | None
    elements: Elements = Field(default_factory=dict)
    authority_code: Code | None = None
    holder_key: HolderKey | None = None

    def to_domain(self, *, authority_code: str) -> NewLicense:
        """Return the domain's value, issued in the name of this authority."""
        return NewLicense(
            type_code=self.type_code,
            number=self.number,
            holder=Holder(code=self.holder.code, code_type=self.holder.code_type, name=self.holder.name),
            area_code=self.area_code,
            issue_date=self.issue_date,
            valid_from=self.valid_from,
            valid_until=self.valid_until,
            elements=dict(self.elements),
            authority_code=authority_code,
            holder_key=self.holder_key,
        )


class ReasonBody(StrictModel):
    """Why something is done to a license."""

    reason_code: ReasonCode
    reason: ReasonText


class ChangeBody(ReasonBody):
    """Why a license is suspended, resumed, revoked or cancelled, and from when; at once when nothing is said."""

    effective_at: EffectiveAt | None = None


class RevokeBody(ChangeBody):
    """Why a license is revoked, and of which kind: a penalty (吊销), or annulled (撤销), void from its start."""

    kind: Literal["penalty", "annulled"] = "penalty"


LicenseStatus = Literal[
    "active", "suspended", "revoked", "cancelled", "superseded", "transferred", "expired", "not_yet_valid"
]


class LicenseQuery(StrictModel):
    """Which licenses to list; all given filters must hold. `status` is what people see today."""

    holder_code: Code | None = None
    type_code: Code | None = None
    number: Code | None = None
    status: LicenseStatus | None = None
    cursor: Cursor | None = None
    limit: Limit = 50

    def to_filter(self) -> LicenseFilter:
        """Return the domain's filter; whose licenses it may show is added by the service."""
        return LicenseFilter(
            holder_code=None if self.holder_code is None else stored_holder_code(self.holder_code),
            type_code=self.type_code,
            number=self.number,
            status=self.status,
        )


class CredentialQuery(StrictModel):
    """Which version's credential; the current one when not given. `proof=1` adds its log proof, as JSON."""

    version: Annotated[str, StringConstraints(pattern=r"^[0-9]{3}$")] | None = None
    proof: Literal["1"] | None = None
