"""Nonces for presenters."""

from app.api.schemas.answers import Answer
from app.api.schemas.fields import StrictModel


class NonceBody(StrictModel):
    """Nothing needs to be said to get a nonce."""


class NonceAnswerBody(Answer):
    """A fresh nonce: 128 random bits as base64url."""

    nonce: str
