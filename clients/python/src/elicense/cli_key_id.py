"""Ids of keys as arguments of commands."""

import re
from typing import Final

_KEY_ID_MARK: Final = "kid:"
_HYPHEN_KEY_ID: Final = re.compile(r"-[A-Za-z0-9_-]{42}")


def mark_key_id(word: str) -> str:
    """Mark a key's id that begins with a hyphen, as one of 64 does: argparse would take it for an option."""
    return _KEY_ID_MARK + word if _HYPHEN_KEY_ID.fullmatch(word) else word


def key_id(word: str) -> str:
    """Read an argument that is a key's id (the `type` of such arguments)."""
    return word.removeprefix(_KEY_ID_MARK)
