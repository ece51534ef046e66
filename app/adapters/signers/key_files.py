"""Private keys as files: PKCS#8 PEM, mode 0600, in folders of mode 0700 that belong to this user.

A development key says so twice, in its file name (`NAME.dev.pem`) and in the first line of the file, so that neither
renaming nor copying turns it into a production key.
"""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from app.adapters.durable import sync_folder, write_new
from app.adapters.signers.private_keys import PrivateKey, PrivateKeySigner, new_private_key
from elicense.keys import Signer

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,99}")
_DEVELOPMENT_LINE = b"elicense development key: made on first run, never trusted in production\n"


class KeyFileError(Exception):
    """Refuse a key folder or key file; the text names the file and what to do, never any content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFolder:
    """One folder of private keys. With `development` it makes and reads development keys, without it refuses them."""

    path: Path
    development: bool

    def prepare(self) -> None:
        """Make the folder and missing ones above it (0700) and check its mode. Raises KeyFileError."""
        missing = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.check()

    def check(self) -> None:
        """Raise KeyFileError unless the folder is a real one of mode 0700 owned by this user."""
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            raise KeyFileError(f"密钥目录不存在 key folder {self.path} does not exist") from None
        except OSError as error:
            raise KeyFileError(
                f"无法读取密钥目录 key folder {self.path} cannot be read: {error.strerror}"
            ) from error
        if not stat.S_ISDIR(found.st_mode):
            raise KeyFileError(f"密钥目录不是目录 key folder {self.path} is not a folder")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise KeyFileError(f"密钥目录对他人开放 key folder {self.path} is open to others: chmod 700")
        if found.st_uid != os.geteuid():
            raise KeyFileError(f"密钥目录属于其他用户 key folder {self.path} belongs to another user")

    def names(self) -> tuple[str, ...]:
        """List the names of the keys here, sorted, development keys included."""
        return tuple(sorted({path.name.split(".")[0] for path in self.path.glob("*.pem")}))

    def has(self, name: str) -> bool:
        """Tell whether a key of this name can be read here."""
        return self._file(name).exists()

    def make(self, name: str, *, profile: str) -> Signer:
        """Make and store a key; one that already stands under the name is read instead. Raises KeyFileError.

        A crash before the last step leaves a temporary file that nothing ever reads; after it the key is complete.
        """
        self.prepare()
        if not self.has(name):
            self._store(self._file(name), _to_pem(new_private_key(profile)))
        return self.load(name)

    def load(self, name: str) -> Signer:
        """Read a key. Raises KeyFileError when it is missing, open to others, or a development key in production."""
        self.check()
        target = self._file(name)
        if not self.development and not target.exists() and self._file(name, development=True).exists():
            raise KeyFileError(
                f"正式环境拒绝开发密钥 key {name} is a development key, which production refuses"
            )
        content = _read_private(target, name)
        if content.startswith(_DEVELOPMENT_LINE):
            if not self.development:
                raise KeyFileError(
                    f"正式环境拒绝开发密钥 key {name} is a development key, which production refuses"
                )
            content = content[len(_DEVELOPMENT_LINE) :]
        return PrivateKeySigner(_from_pem(content, name))

    def _file(self, name: str, *, development: bool | None = None) -> Path:
        if _NAME.fullmatch(name) is None:
            raise KeyFileError(
                "密钥名称只含小写字母、数字与连字符 a key name has lower-case letters, digits and hyphens only"
            )
        marked = self.development if development is None else development
        return self.path / (f"{name}.dev.pem" if marked else f"{name}.pem")

    def _store(self, target: Path, pem: bytes) -> None:
        _link_new(target, (_DEVELOPMENT_LINE if self.development else b"") + pem)


def make_key_file(path: Path, *, profile: str) -> Signer:
    """Make one key file (0600) in a folder that exists, or read the one that is there.

    For processes that own nothing else of an installation, such as a witness: no mark of development, no folder of
    its own. Raises KeyFileError.
    """
    if not path.exists():
        try:
            _link_new(path, _to_pem(new_private_key(profile)))
        except OSError as error:
            raise KeyFileError(f"无法写入密钥 key {path.name} cannot be written: {error.strerror}") from error
    return load_key_file(path)


def load_key_file(path: Path) -> Signer:
    """Read one key file. Raises KeyFileError when it is missing, open to others, or no key file of ours."""
    return PrivateKeySigner(_from_pem(_read_private(path, path.name), path.name))


def _read_private(target: Path, name: str) -> bytes:
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise KeyFileError(f"无法读取密钥 key {name} cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or stat.S_IMODE(found.st_mode) & 0o077:
            raise KeyFileError(f"密钥对他人开放 key {name} is open to others: chmod 600")
        return file.read(65536)


def _link_new(target: Path, content: bytes) -> None:
    temporary = target.with_suffix(f".{os.getpid()}.tmp")
    write_new(temporary, content)
    try:
        # A link never replaces: of two processes that make the same key, one wins and both read the winner's.
        os.link(temporary, target)
    except FileExistsError:
        return
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def _to_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _from_pem(content: bytes, name: str) -> PrivateKey:
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError) as error:
        raise KeyFileError(f"密钥格式不正确 key {name} is not an unencrypted PKCS#8 file") from error
    if isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise KeyFileError(f"不支持的密钥种类 key {name} is of a kind that no profile knows")
