"""The root folder: root keys and trust-list keys. Only the `keys` commands (and the demo's first run) open it."""

from collections.abc import Sequence
from pathlib import Path

from app.adapters.signers.key_files import KeyFolder
from elicense.keys import Signer


class RootKeyFolder:
    """Root and trust-list keys as files of one folder (implements `ports.RootKeys`)."""

    def __init__(self, path: Path, *, development: bool) -> None:
        """Use a folder; it is made (0700) when the first key is."""
        self._folder = KeyFolder(path=path, development=development)

    def make_root_keys(self, count: int, *, profile: str) -> Sequence[Signer]:
        """Return `count` root keys, making those that are missing. Raises KeyFileError."""
        return [self._folder.make(f"root-{number}", profile=profile) for number in range(1, count + 1)]

    def make_list_keys(self, count: int, *, profile: str) -> Sequence[Signer]:
        """Return `count` trust-list keys, making those that are missing. Raises KeyFileError."""
        return [self._folder.make(f"trust-list-{number}", profile=profile) for number in range(1, count + 1)]

    def list_signers(self) -> Sequence[Signer]:
        """Return the trust-list keys found here. Raises KeyFileError for one that may not be used."""
        return [self._folder.load(name) for name in self._folder.names() if name.startswith("trust-list-")]
