"""What the offline verifier is asked, read from what its caller gave: the policy, the moment, the credential itself."""

import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, TypeAlias

from elicense.encoding import parse_rfc3339
from elicense.key_binding import ExpectedBinding
from elicense.own_policy import MAX_POLICY_BYTES, parse_policy_file
from elicense.policy import PRESETS, Policy, parse_duration, policy_by_name, with_max_status_age

MOST_TOKEN_BYTES: Final = 1 << 20
Source: TypeAlias = str | os.PathLike[str] | bytes | bytearray


def choose_policy(policy: str | os.PathLike[str] | Policy, max_status_age: str | timedelta | None) -> Policy:
    """Return the policy with its maximum status age replaced, if one is given.

    A name is a preset's; any other text, or a path, names a policy file. Raises ValueError, and TypeError for an age
    that is neither text nor timedelta.
    """
    chosen = policy if isinstance(policy, Policy) else _named_policy(policy)
    if max_status_age is None:
        return chosen
    return with_max_status_age(chosen, _age_of(max_status_age))


def _age_of(given: object) -> timedelta:
    if isinstance(given, str):
        return parse_duration(given)
    if isinstance(given, timedelta):
        return given
    # A bare number would leave its unit to the reader.
    kind = type(given).__name__
    raise TypeError(f'max_status_age is a text such as "24h" or a timedelta, not {kind}')


def asked_moment(at: object) -> datetime | None:
    """Return the moment asked about; ValueError for what is neither a moment with its zone nor RFC 3339."""
    moment = parse_rfc3339(at) if isinstance(at, str) else at
    if moment is None or (isinstance(moment, datetime) and moment.tzinfo is not None):
        return moment
    raise ValueError("at is a moment with its time zone, or RFC 3339 text")


def expected_binding(nonce: str | None, audience: str | None) -> ExpectedBinding | None:
    """Return what a key binding must answer; None where neither is given.

    ValueError for one without the other, and for a text that UTF-8 cannot write.
    """
    if nonce is None and audience is None:
        return None
    _require_text(nonce or "", audience or "")
    return ExpectedBinding(nonce=nonce or "", audience=audience or "")


def as_asked(elements: Mapping[str, str]) -> dict[str, str]:
    asked = dict(elements)
    _require_text(*asked, *asked.values())
    return asked


def _require_text(*texts: str) -> None:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        raise ValueError("what is asked holds a lone surrogate, which UTF-8 cannot write") from None


def _named_policy(policy: str | os.PathLike[str]) -> Policy:
    if isinstance(policy, str) and (policy in PRESETS or not os.path.isfile(policy)):
        return policy_by_name(policy)
    try:
        with Path(policy).open("rb") as file:
            return parse_policy_file(file.read(MAX_POLICY_BYTES + 1))
    except OSError as error:
        raise ValueError(f"the policy file cannot be read: {error.strerror}") from error


def read_credential(source: Source) -> str | bytes:
    """Return a credential's text: as given, or read from a path.

    A text is taken for a token when it holds `~` or looks like a JWS or JSON, else for a path if such a file exists:
    whatever text a stranger shows is an answer, not an error. Raises OSError for a path that cannot be read.
    """
    if isinstance(source, (bytes, bytearray)) or (isinstance(source, str) and not opens_file(source)):
        return source if isinstance(source, str) else bytes(source)
    with Path(source).open("rb") as file:
        return file.read(MOST_TOKEN_BYTES + 1)


def opens_file(source: Source) -> bool:
    """Tell whether `read_credential` takes this for the path of a file."""
    if isinstance(source, str):
        return not _looks_like_token(source) and os.path.isfile(source)
    return not isinstance(source, (bytes, bytearray))


def _looks_like_token(text: str) -> bool:
    return "~" in text or text.lstrip("\ufeff \t\r\n").startswith(("eyJ", "{")) or len(text) > 4096
