"""Client assertions for `private_key_jwt`, made by a library of its own (joserfc), as a bank's own code makes them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from joserfc import jwt
from joserfc.jwk import ECKey

from app.services.oauth import ASSERTION_TYP, ASSERTION_TYPE
from tests.installation import ISSUER_URL, Installation
from tests.integration.http_service import HttpService


class BankKey:
    """A bank's private key, and what it signs with it."""

    def __init__(self) -> None:
        self._key = ECKey.generate_key("P-256", private=True)
        self.kid = self._key.thumbprint()
        self.jwk: dict[str, Any] = self._key.as_dict(private=False)

    def assertion(
        self, claims: dict[str, Any], *, header: dict[str, Any] | None = None, algorithm: str = "ES256"
    ) -> str:
        """Sign claims as an assertion."""
        protected = {"alg": algorithm, "typ": ASSERTION_TYP, "kid": self.kid, **(header or {})}
        return jwt.encode(
            {name: value for name, value in protected.items() if value is not None},
            claims,
            self._key,
            algorithms=[algorithm],
        )


async def register_key(installation: Installation, name: str) -> BankKey:
    """Make a key and register it for a client."""
    key = BankKey()
    await installation.services.oauth.register_jwk(name, key.jwk, actor="test")
    return key


def good_claims(installation: Installation, client_id: str, **changes: object) -> dict[str, Any]:
    """Return the claims of a good assertion; None takes one away."""
    now = installation.clock.now()
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": ISSUER_URL,
        "jti": uuid4().hex,
        "iat": int(now.timestamp()),
        "exp": int((now + timedelta(minutes=1)).timestamp()),
        **changes,
    }
    return {name: value for name, value in claims.items() if value is not None}


def token_form(assertion: str, **more: str) -> dict[str, str]:
    """Return the form of a token request."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **more,
    }


async def access_token(service: HttpService, role: str, key: BankKey, **more: str) -> str:
    """Get an access token as a client does; the role is one that has an API key too."""
    client = (await service.installation.caller(role)).client
    claims = good_claims(service.installation, client.id)
    response = await service.http.post("/oauth/token", data=token_form(key.assertion(claims), **more))
    assert response.status_code == 200, response.text
    token: str = response.json()["access_token"]
    return token
