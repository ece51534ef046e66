"""Access tokens by OAuth 2.0 client credentials with `private_key_jwt`: no secret is shared, the key stays here.

RFC 6749 §4.4 and RFC 7523 as its update has it: the assertion's audience is the issuer identifier of the server's
metadata (RFC 8414), it counts once (`jti`) and lives a minute. A token is used until shortly before its end.
"""

import os
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias
from urllib.parse import urlencode

from elicense.client import _system
from elicense.client._checks import Secret, hidden, is_bearer
from elicense.client._models import _maybe_integer, _text
from elicense.client._processes import PerProcess
from elicense.client._protocol import Endpoint, Request, Response, json_object
from elicense.client.errors import APIResponseError, ConfigurationError
from elicense.encoding import dump_json, to_unix
from elicense.jws import sign_compact
from elicense.keys import HolderSigner, Signer
from elicense.problems import FormatError

ASSERTION_TYP: Final = "client-authentication+jwt"
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFE: Final = 60
_LONGEST_LIFE: Final = 10 * 366 * 86_400
_SPARE: Final = timedelta(seconds=30)
"""A token is renewed this long before its end, so that it does not end on its way."""

MakeRequest: TypeAlias = Callable[[], Request]


@dataclass(frozen=True, slots=True)
class _Token:
    text: Secret
    ends_at: datetime


class TokenSteps:
    """Hold the current access token of one client; say what is sent for another, and read what comes.

    An assertion is made for `issuer` alone, by default the address the service is reached at (RFC 8414 §3.3): who
    stands in between could else have one made for somebody else and use it there.
    """

    def __init__(
        self,
        *,
        client_id: str,
        signer: Signer,
        endpoint: Endpoint,
        issuer: str | None = None,
        now: Callable[[], datetime] = _system.now,
    ) -> None:
        self._client_id = client_id
        self._signer = signer
        self._endpoint = endpoint
        self._now = now
        self._issuer = issuer if issuer is not None else endpoint.base_url
        self._is_known = False
        self._token: _Token | None = None

    def usable(self) -> str | None:
        """Return the token if it is good for a while yet."""
        if self._token is None or self._now() >= self._token.ends_at - _SPARE:
            return None
        return self._token.text

    def forget(self, text: str) -> None:
        """Use this token no more: the server refused it."""
        if self._token is not None and self._token.text == text:
            self._token = None

    def renewal(self) -> Generator[MakeRequest, Response, str]:
        """Get another token: yields what makes a request, anew for each attempt, and is sent the answer.

        Raises ConfigurationError for a service that names itself otherwise, APIResponseError for an answer of
        another shape.
        """
        if not self._is_known:
            metadata = yield self._metadata_request
            named = _text(json_object(metadata), "issuer")
            if named != self._issuer:
                raise ConfigurationError(
                    f"the service names itself {named!r}: pass issuer=… if that is the one you mean"
                )
            self._is_known = True
        asked_at = self._now()
        answer = json_object((yield self._token_request))
        life = _maybe_integer(answer, "expires_in") or 0
        text = Secret(_text(answer, "access_token"))
        if not is_bearer(text) or not 0 <= life <= _LONGEST_LIFE:
            raise APIResponseError("the answer holds no access token that can be used")
        self._token = _Token(text, asked_at + timedelta(seconds=life))
        return text

    def _metadata_request(self) -> Request:
        path = [".well-known", "oauth-authorization-server"]
        return self._endpoint.request("GET", path, needs_key=False)

    def _token_request(self) -> Request:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self._assertion(),
        }
        request = self._endpoint.request("POST", ["oauth", "token"], needs_key=False)
        headers = {**request.headers, "Content-Type": "application/x-www-form-urlencoded"}
        return Request(method="POST", url=request.url, headers=headers, body=urlencode(form).encode("ascii"))

    def _assertion(self) -> str:
        now = to_unix(self._now())
        claims: Mapping[str, object] = {
            "iss": self._client_id,
            "sub": self._client_id,
            "aud": self._issuer,
            "jti": _system.new_unique_text(),
            "iat": now,
            "exp": now + _ASSERTION_LIFE,
        }
        return sign_compact(typ=ASSERTION_TYP, payload=dump_json(claims), signer=self._signer)


class AccessTokens:
    """Keep one client in access tokens. Safe between threads."""

    def __init__(self, steps: TokenSteps, send: Callable[[MakeRequest], Response]) -> None:
        """`send` sends what its argument makes, anew for each attempt, and returns the answer."""
        self._steps = steps
        self._send = send
        self._lock = PerProcess(Lock)

    def current(self) -> str:
        """Return a token that is good for a while yet. Raises APIStatusError when the server gives none."""
        # One thread fetches, the others wait for what it gets.
        with self._lock():
            return self._steps.usable() or self._renew()

    def forget(self, text: str) -> None:
        """Use this token no more: the server refused it."""
        with self._lock():
            self._steps.forget(text)

    def _renew(self) -> str:
        steps = self._steps.renewal()
        make = next(steps)
        while True:
            answer = self._send(make)
            try:
                make = steps.send(answer)
            except StopIteration as done:
                token: str = done.value
                return token


def read_private_key(key: str | os.PathLike[str] | bytes | Signer) -> Signer:
    """Return a signer for a private key of P-256: a PEM file's path, its bytes, or a signer of one's own (an HSM).

    Raises ConfigurationError for what cannot be read.
    """
    if isinstance(key, (str, os.PathLike)):
        try:
            key = hidden(Path(key).read_bytes())
        except OSError as error:
            # Not its cause, which repeats the path: somebody may have given the key itself.
            raise ConfigurationError(f"the private key cannot be read: {error.strerror}") from None
        except ValueError:
            raise ConfigurationError("the private key cannot be read: no path") from None
    if not isinstance(key, bytes):
        return key
    try:
        return HolderSigner.from_pem(key)
    except FormatError as error:
        raise ConfigurationError(f"the private key cannot be used: {error.detail}") from None
