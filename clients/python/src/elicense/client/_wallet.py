"""The holder's side: present a credential, bound to one verifier and one moment."""

from collections.abc import Collection

from elicense.client import _system
from elicense.key_binding import present as present_at
from elicense.keys import Signer


def present(
    credential: str,
    *,
    disclose: Collection[str] | None = None,
    key: Signer,
    nonce: str,
    audience: str,
) -> str:
    """Present a credential with the elements of `disclose` (None: all there are), signed with the holder's key now.

    `nonce` and `audience` are what the verifier gave. `key` is a `HolderSigner`, or whatever signs for a key kept
    elsewhere. Raises FormatError (malformed) for what is no credential, one that names no holder key or another one, an
    element it does not disclose, and an empty nonce or audience.
    """
    return present_at(
        credential.strip(),
        disclose=disclose,
        signer=key,
        nonce=nonce,
        audience=audience,
        issued_at=_system.now(),
    )
