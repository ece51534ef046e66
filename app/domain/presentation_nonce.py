"""Nonces that relying parties give to presenters: each counts once per client."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.domain.ids import ClientId

KEPT = timedelta(hours=24)
"""How long a used nonce is remembered: far beyond the five minutes for which a key binding that answers it counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NonceUse:
    """One use of a nonce by a client. `used_by` names the call that used it, so that its repetition is no second use.

    Only the digest (SHA-256, hex) is kept: what a caller takes for a nonce is its own affair.
    """

    client_id: ClientId
    nonce_sha256: str
    used_by: str
    used_at: datetime


def nonce_digest(nonce: str) -> str:
    """Return what a nonce is remembered by."""
    return hashlib.sha256(nonce.encode()).hexdigest()
