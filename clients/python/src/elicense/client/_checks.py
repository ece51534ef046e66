"""What a client is set up with and asked for: refused here by name, before anything below fails at it."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast
from urllib.parse import SplitResult, quote, urlencode, urlsplit

from elicense.client.errors import ConfigurationError

T = TypeVar("T")

THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""Hosts whose traffic stays on this machine."""
_LONGEST_KEY: Final = 255
_LONGEST_LABEL: Final = 63


class Secret(str):
    """A text that no traceback and no log of local variables shows: its repr says nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


class SecretBytes(bytes):
    """Bytes that show as little as a `Secret`: a private key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"


def hidden(value: T) -> T:
    """Return a secret so that no traceback with local variables shows it; what is neither text nor bytes as it is."""
    shown: object = value
    if isinstance(shown, str):
        shown = Secret(shown)
    elif isinstance(shown, bytes):
        shown = SecretBytes(shown)
    return cast("T", shown)


def check_base_url(text: str) -> str:
    """Return the base URL without a slash at its end. Raises ConfigurationError unless it is http(s)://host[…]."""
    parts = _split(text)
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigurationError("the base URL is http(s)://host[:port][/path]")
    if "@" in parts.netloc:
        raise ConfigurationError("the base URL carries no user name or password")
    return text.rstrip("/")


def _split(text: str) -> SplitResult | None:
    # What urlsplit drops or passes over would come back in every address that is made of the text.
    if not text.isprintable() or any(odd in text for odd in ' \\?#"<>'):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    host = parts.hostname or ""
    labels = [] if ":" in host else host.removesuffix(".").split(".")
    if any(not 0 < len(label) <= _LONGEST_LABEL or "%" in label for label in labels):
        return None
    return None if {".", ".."} & set(parts.path.split("/")) else parts


def is_private(base_url: str) -> bool:
    """Tell whether what goes to a base URL passes no network in clear text: https, or this machine."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").removesuffix(".")
    if parts.scheme == "https" or host in THIS_MACHINE or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def in_clear_text() -> ConfigurationError:
    """Return the refusal to send a key over a network that does not hide it."""
    return ConfigurationError(
        "an API key would pass the network in clear text: use https, or allow_http=True where the network protects it"
    )


def check_api_key(text: str) -> Secret:
    """Return the key. Raises ConfigurationError for one that could not stand in a header; never repeats it."""
    text = Secret(text)
    if not is_bearer(text):
        raise ConfigurationError("the API key holds characters no key has")
    return text


def is_bearer(text: str) -> bool:
    """Tell whether a text can stand in a header behind `Bearer`."""
    return text != "" and text.isascii() and text.isprintable() and " " not in text


def check_name(text: str, what: str) -> str:
    """Return a text that names something to the service. Raises ConfigurationError for one that cannot be written."""
    if not text or not text.isprintable():
        raise ConfigurationError(f"{what} is empty, or holds characters that cannot be written")
    return text


def check_language(text: str) -> str:
    """Return the language. Raises ConfigurationError for another than `zh` and `en`."""
    if text not in {"zh", "en"}:
        raise ConfigurationError('language is "zh" or "en"')
    return text


def check_idempotency_key(text: str) -> str:
    """Return the key. Raises ConfigurationError unless it is 1 to 255 printable ASCII characters, not blank at ends."""
    if (
        not 0 < len(text) <= _LONGEST_KEY
        or not text.isascii()
        or not text.isprintable()
        or text != text.strip()
    ):
        raise ConfigurationError("an Idempotency-Key is 1 to 255 printable ASCII characters")
    return text


def path_and_query(path: Sequence[str], query: Mapping[str, str | int | None]) -> str:
    """Write path segments, quoted, and the query's members that are not None.

    Raises ConfigurationError for a segment that would lead to another path (empty, `.`, `..`): an empty id asks about
    the whole list, and `..` about what is above it. Also for what UTF-8 cannot write.
    """
    if not {"", ".", ".."}.isdisjoint(path):
        raise ConfigurationError("an id is empty, . or ..: it names nothing")
    try:
        written = "/" + "/".join(quote(segment, safe=":@.") for segment in path)
        pairs = urlencode([(name, str(value)) for name, value in query.items() if value is not None])
    except UnicodeEncodeError as error:
        raise ConfigurationError("what is asked holds a lone surrogate, which UTF-8 cannot write") from error
    return f"{written}?{pairs}" if pairs else written
