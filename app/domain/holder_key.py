"""The holder's own key, which a license's file may name (`cnf`, RFC 7800): it tells the holder from who has a copy."""

from collections.abc import Mapping

from app.domain.errors import DomainError, FieldError
from elicense.key_binding import HOLDER_PROFILE
from elicense.keys import PublicKey
from elicense.problems import FormatError, Text

_POINTER = "/holder_key"
_WRONG = Text(
    "应为 P-256 公钥(JWK:kty、crv、x、y),不得含私钥",
    "must be a P-256 public key as JWK (kty, crv, x, y), nothing private",
)


def sound_holder_key(jwk: Mapping[str, object]) -> Mapping[str, str]:
    """Return a holder's public key in its one form: kty, crv, x and y.

    Raises DomainError `invalid_request` for any other key, and for one with a private member. The key itself is in no
    error.
    """
    try:
        key = PublicKey.from_jwk(jwk, profile=HOLDER_PROFILE)
    except FormatError as error:
        detail = f"{_WRONG.en}: {error.detail}"
        raise DomainError(
            "invalid_request",
            "the holder key cannot be taken",
            errors=[FieldError(_POINTER, detail, _WRONG.zh)],
        ) from None
    return {name: str(value) for name, value in key.jwk.items()}


def thumbprint_of(jwk: Mapping[str, str] | None) -> str | None:
    """Return the RFC 7638 thumbprint of a holder's key, None where there is none."""
    return None if jwk is None else PublicKey.from_jwk(jwk, profile=HOLDER_PROFILE).kid
