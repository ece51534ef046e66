"""The private keys of the running service: authority, status, receipt and freshness keys in the keys folder.

Root and trust-list keys live in a folder of their own, which `root_folder` opens and nothing here reaches: a key name
holds no slash.
"""

from app.adapters.signers.key_files import KeyFileError, KeyFolder
from app.domain.errors import DomainError
from app.domain.publication import ServiceKey
from elicense.keys import PublicKey, Signer

_SCHEME = "file:"


class FileSigners:
    """Private keys as files of one folder (implements `ports.Signers` and `ports.KeyMaker`)."""

    def __init__(self, folder: KeyFolder) -> None:
        """Use a folder; nothing is read before a key is asked for."""
        self._folder = folder
        self._loaded: dict[str, Signer] = {}

    def signer(self, key: ServiceKey) -> Signer:
        """Return the signer of a registered key, read once and kept.

        Raises DomainError `unavailable` when its private part is not here, may not be used, or is another key.
        """
        found = self._loaded.get(key.kid)
        if found is None:
            found = self._loaded[key.kid] = self._load(key)
        return found

    def make_key(self, name: str, *, profile: str) -> tuple[str, PublicKey]:
        """Make a key, or read the one already made under the name; return its URI and public half."""
        signer = self._folder.make(name, profile=profile)
        return f"{_SCHEME}{name}", signer.public_key

    def _load(self, key: ServiceKey) -> Signer:
        if not key.uri.startswith(_SCHEME):
            raise DomainError("unavailable", f"no signer for the key address of a {key.use} key")
        try:
            signer = self._folder.load(key.uri.removeprefix(_SCHEME))
        except KeyFileError as error:
            raise DomainError("unavailable", f"a {key.use} key cannot be used here") from error
        if signer.kid != key.kid or signer.profile.name != key.profile:
            raise DomainError("unavailable", f"the file of a {key.use} key holds another key")
        return signer
