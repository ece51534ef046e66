"""What relying parties ask."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from app.api.schemas.fields import (
    Code,
    CredentialText,
    Cursor,
    Elements,
    Limit,
    Moment,
    PastMoment,
    StrictModel,
)
from app.api.schemas.policies import PolicyReference
from app.domain.verification import KeyBinding, LicenseReference, Question
from elicense.records import quick_constructor

_new_question = quick_constructor(Question)
_new_reference = quick_constructor(LicenseReference)
_REFERENCE_SHAPES = (
    frozenset({"holder_code", "type_code"}),
    frozenset({"identifier"}),
    frozenset({"number", "type_code"}),
)

_ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f]*$"

Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_ONE_LINE)]


class LicenseReferenceBody(StrictModel):
    """Which license is meant: holder_code with type_code, or identifier, or number with type_code."""

    holder_code: Code | None = None
    type_code: Code | None = None
    identifier: Code | None = None
    number: Code | None = None

    @model_validator(mode="after")
    def _one_shape(self) -> "LicenseReferenceBody":
        if self.model_fields_set not in _REFERENCE_SHAPES or None in (
            getattr(self, name) for name in self.model_fields_set
        ):
            raise PydanticCustomError("one_reference", "must name a license in exactly one way")
        return self


class KeyBindingBody(StrictModel):
    """What the presenter was given to sign: a nonce, at best 128 random bits, and your own audience. Both exactly."""

    nonce: Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=_ONE_LINE)]
    audience: Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=_ONE_LINE)]


class QuestionBody(StrictModel):
    """One question: exactly one of credential, license and code; elements to compare may accompany each.

    `key_binding` goes with a credential: the presenter must prove to be its holder.
    """

    credential: CredentialText | None = None
    license: LicenseReferenceBody | None = None
    code: Code | None = None
    elements: Elements | None = None
    purpose: Word | None = None
    reference: Reference | None = None
    policy: PolicyReference | None = None
    at: PastMoment | None = None
    key_binding: KeyBindingBody | None = None

    @model_validator(mode="after")
    def _one_question(self) -> "QuestionBody":
        if (self.credential is not None) + (self.license is not None) + (self.code is not None) != 1:
            raise PydanticCustomError("one_question", "must ask exactly one question")
        if self.key_binding is not None and self.credential is None:
            raise PydanticCustomError("binding_of_nothing", "key_binding goes with a credential")
        return self

    def to_domain(self) -> Question:
        """Return the domain's question."""
        named = self.license
        return _new_question(
            credential=self.credential,
            license=None
            if named is None
            else _new_reference(
                holder_code=named.holder_code,
                type_code=named.type_code,
                identifier=named.identifier,
                number=named.number,
            ),
            code=self.code,
            elements=None if self.elements is None else dict(self.elements),
            purpose=self.purpose,
            reference=self.reference,
            policy=self.policy,
            at=self.at,
            key_binding=None
            if self.key_binding is None
            else KeyBinding(nonce=self.key_binding.nonce, audience=self.key_binding.audience),
        )


class BatchBody(StrictModel):
    """Up to 1,000 questions. Items are judged one by one: a wrong one never fails the others."""

    items: Annotated[list[object], Field(min_length=1)]


class VerificationQuery(StrictModel):
    """Which of the caller's own verifications to list."""

    reference: Reference | None = None
    due_before: Moment | None = None
    cursor: Cursor | None = None
    limit: Limit = 50
