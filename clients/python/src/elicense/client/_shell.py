"""What both clients do alike around the protocol: read their settings, and judge what an attempt came to."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.client import _system
from elicense.client._checks import (
    Secret,
    check_api_key,
    check_base_url,
    check_language,
    check_name,
    hidden,
    in_clear_text,
    is_private,
)
from elicense.client._protocol import (
    Done,
    Endpoint,
    Failed,
    Request,
    Response,
    Timeout,
    next_step,
)
from elicense.client._verification_models import BatchResult, Verification
from elicense.client.errors import APIConnectionError, ConfigurationError, TrustError

if TYPE_CHECKING:
    from elicense.client._oauth import TokenSteps
    from elicense.keys import Signer
    from elicense.receipt import Receipt

DEFAULT_BASE_URL: Final = "http://127.0.0.1:8000"
_BEARER: Final = "Bearer "


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where the service is, who calls, and how patiently. `token_steps` is there for a client that calls by OAuth."""

    endpoint: Endpoint
    trust_root: bytes | None = field(repr=False)
    timeout: Timeout
    max_retries: int
    token_steps: "TokenSteps | None" = field(repr=False)


def read_settings(
    *,
    api_key: str | None,
    client_id: str | None,
    private_key: "str | os.PathLike[str] | bytes | Signer | None",
    issuer: str | None,
    base_url: str | None,
    allow_http: bool,
    by_network: bool,
    trust_root: str | os.PathLike[str] | bytes | None,
    timeout: Timeout | None,
    max_retries: int,
    language: str,
) -> Settings:
    """Read what a client was given, and the environment for what it was not.

    `by_network` is False for a transport of the caller's own, which knows what it sends where. A key that merely stands
    in the environment is refused over plain http when a call needs it. Raises ConfigurationError for settings that
    cannot work, TrustError for a trust root that cannot be read.
    """
    by_oauth = client_id is not None or private_key is not None
    if by_oauth and (client_id is None or private_key is None or api_key is not None):
        raise ConfigurationError("give an api_key, or client_id with private_key")
    key = api_key if api_key is not None or by_oauth else hidden(os.environ.get("ELICENSE_API_KEY") or None)
    url = base_url or os.environ.get("ELICENSE_BASE_URL") or DEFAULT_BASE_URL
    if not 0 <= max_retries <= 10:
        raise ConfigurationError("max_retries is between 0 and 10")
    checked = check_base_url(url)
    in_clear = by_network and not allow_http and not is_private(checked)
    if in_clear and (by_oauth or api_key is not None):
        raise in_clear_text()
    endpoint = Endpoint(
        base_url=checked,
        in_clear=in_clear,
        api_key=None if key is None else check_api_key(key),
        language=check_language(language),
    )
    steps = None
    if client_id is not None and private_key is not None:
        steps = _token_steps(client_id, private_key, endpoint, issuer)
    return Settings(
        endpoint=endpoint,
        trust_root=_read_trust_root(trust_root),
        timeout=timeout or Timeout(),
        max_retries=max_retries,
        token_steps=steps,
    )


def require_root(settings: Settings, client: str) -> bytes:
    """Return the pinned trust root. Raises TrustError when there is none."""
    if settings.trust_root is None:
        raise TrustError("no_trust_root", f"pin a trust root: {client}(trust_root=…)")
    return settings.trust_root


def check_receipt(
    receipt: str | Verification | BatchResult | None,
    *,
    trust_root: bytes,
    bundle: bytes,
    proof: Mapping[str, object] | None,
) -> "Receipt":
    """Check a receipt, or an answer with its receipt, now against a bundle just fetched. Raises TrustError."""
    from elicense.client._evidence import verify_receipt_with

    if isinstance(receipt, (Verification, BatchResult)):
        receipt = json.dumps(receipt.raw)
    if not receipt:
        raise TrustError("malformed", "there is no receipt")
    return verify_receipt_with(receipt, trust_root=trust_root, bundle=bundle, now=_system.now(), proof=proof)


def settle(outcome: Response | APIConnectionError, *, attempt: int, max_retries: int) -> Response | float:
    """Return the answer, or for how many seconds to wait before the next attempt.

    `attempt` counts from 0. Raises what the service refused the call with, or the last connection's error.
    """
    step = next_step(
        outcome,
        retries_left=max_retries - attempt,
        attempt=attempt,
        jitter=_system.fraction(),
        now=_system.now(),
    )
    if isinstance(step, Done):
        return step.response
    if isinstance(step, Failed):
        raise step.error
    return step.delay


def token_of(request: Request) -> Secret | None:
    """Return the access token that a request carries."""
    held = request.headers.get("Authorization")
    return None if held is None else Secret(held.removeprefix(_BEARER))


def with_token(request: Request, token: str) -> Request:
    """Return the same request, under the same Idempotency-Key, with another access token."""
    return replace(request, headers={**request.headers, "Authorization": Secret(f"{_BEARER}{token}")})


def shown(client: object) -> str:
    """Return how a client shows itself: asked for by whoever logs local variables, also of one that was refused."""
    settings: Settings | None = getattr(client, "_settings", None)
    inside = "" if settings is None else f"base_url={settings.endpoint.base_url!r}"
    return f"{type(client).__name__}({inside})"


def _token_steps(
    client_id: str,
    private_key: "str | os.PathLike[str] | bytes | Signer",
    endpoint: Endpoint,
    issuer: str | None,
) -> "TokenSteps":
    # Imported here: who calls with an API key need not load cryptography.
    from elicense.client._oauth import TokenSteps, read_private_key

    return TokenSteps(
        client_id=check_name(client_id, "client_id"),
        signer=read_private_key(private_key),
        endpoint=endpoint,
        issuer=None if issuer is None else check_name(issuer, "issuer"),
    )


def _read_trust_root(source: str | os.PathLike[str] | bytes | None) -> bytes | None:
    if source is None or isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TrustError("unreadable", f"the trust root cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrustError("unreadable", "the trust root cannot be read: no path") from error
