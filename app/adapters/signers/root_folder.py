"""The root folder: root keys and trust-list keys. Only the `keys` commands (and the demo's first run) open it."""

from collections.abc import Sequence
from pathlib import Path

from app.adapters.signers.key_files import KeyFolder
from elicense.keys import Signer

_ROOT = "root-"
_LIST = "trust-list-"


class RootKeyFolder:
    """Root and trust-list keys as files of one folder (implements `ports.RootKeys`)."""

    def __init__(self, path: Path, *, development: bool) -> None:
        """Use a folder; it is made (0700) when the first key is."""
        self._folder = KeyFolder(path=path, development=development)

    def make_root_keys(self, count: int, *, profile: str, version: int = 1) -> Sequence[Signer]:
        """Return `count` root keys that come with a version of the root, making those that are missing.

        Raises KeyFileError.
        """
        return self._make(_ROOT, count, profile=profile, version=version)

    def make_list_keys(self, count: int, *, profile: str, version: int = 1) -> Sequence[Signer]:
        """Return `count` trust-list keys that come with a version of the root, as `make_root_keys` does."""
        return self._make(_LIST, count, profile=profile, version=version)

    def root_signers(self) -> Sequence[Signer]:
        """Return the root keys found here, of whatever version. Raises KeyFileError for one that may not be used."""
        return self._found(_ROOT)

    def list_signers(self) -> Sequence[Signer]:
        """Return the trust-list keys found here. Raises KeyFileError for one that may not be used."""
        return self._found(_LIST)

    def _make(self, stem: str, count: int, *, profile: str, version: int) -> Sequence[Signer]:
        # The first version's names have no number for it: folders made before there were others keep theirs.
        prefix = stem if version == 1 else f"{stem}v{version}-"
        return [self._folder.make(f"{prefix}{number}", profile=profile) for number in range(1, count + 1)]

    def _found(self, stem: str) -> Sequence[Signer]:
        return [self._folder.load(name) for name in self._folder.names() if name.startswith(stem)]
