"""Private keys as files: modes, development marks, and that production refuses what is marked."""

import os
import resource
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFileError, KeyFolder, load_key_file, make_key_file
from app.adapters.signers.root_folder import RootKeyFolder
from app.domain.errors import DomainError
from app.domain.publication import ServiceKey


def development(path: Path) -> KeyFolder:
    return KeyFolder(path=path / "keys", development=True)


def production(path: Path) -> KeyFolder:
    return KeyFolder(path=path / "keys", development=False)


def test_keys_are_0600_in_a_folder_of_0700_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        development(tmp_path).make("status-1", profile="es256")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "keys" / "status-1.dev.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize("profile", ["es256", "eddsa"])
def test_a_key_signs_what_its_public_half_verifies_and_is_made_once(tmp_path: Path, profile: str) -> None:
    folder = production(tmp_path)
    made, again = folder.make("k", profile=profile), folder.make("k", profile=profile)
    assert made.kid == again.kid and made.profile.name == profile
    assert again.public_key.verify(made.sign(b"data"), b"data")
    assert not again.public_key.verify(made.sign(b"data"), b"Data")


def test_an_open_folder_or_file_is_refused(tmp_path: Path) -> None:
    folder = development(tmp_path)
    folder.make("k", profile="es256")
    file = tmp_path / "keys" / "k.dev.pem"
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match=r"对他人开放 .*chmod 600"):
        folder.load("k")
    file.chmod(0o600)
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(KeyFileError, match=r"对他人开放 .*chmod 700"):
        folder.load("k")


def test_a_link_to_a_key_is_refused(tmp_path: Path) -> None:
    folder = development(tmp_path)
    folder.make("k", profile="es256")
    (tmp_path / "keys" / "l.dev.pem").symlink_to(tmp_path / "keys" / "k.dev.pem")
    with pytest.raises(KeyFileError):
        folder.load("l")


def test_production_refuses_development_keys_by_name_and_by_content(tmp_path: Path) -> None:
    development(tmp_path).make("k", profile="es256")
    with pytest.raises(KeyFileError, match="development key"):
        production(tmp_path).load("k")
    (tmp_path / "keys" / "k.dev.pem").rename(tmp_path / "keys" / "k.pem")
    with pytest.raises(KeyFileError, match="development key"):
        production(tmp_path).load("k")


@pytest.mark.parametrize("name", ["../root/root-1", "root/root-1", "/etc/passwd", "", "A", "a.b"])
def test_a_key_name_reaches_no_other_folder(tmp_path: Path, name: str) -> None:
    RootKeyFolder(tmp_path / "keys" / "root", development=True).make_root_keys(1, profile="es256")
    with pytest.raises(KeyFileError, match="name"):
        development(tmp_path).load(name)


def test_a_signer_is_only_given_for_exactly_the_registered_key(tmp_path: Path) -> None:
    signers = FileSigners(development(tmp_path))
    uri, public = signers.make_key("status-1", profile="es256")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    key = ServiceKey(
        kid=public.kid,
        use="status",
        profile="es256",
        jwk=dict(public.jwk),
        authority_code=None,
        uri=uri,
        valid_from=moment,
        valid_until=moment,
    )
    assert signers.signer(key).kid == public.kid
    for wrong in (
        replace(key, kid="another"),
        replace(key, kid="x", uri="file:missing"),
        replace(key, kid="y", uri="pkcs11:status-1"),
    ):
        with pytest.raises(DomainError, match="unavailable"):
            signers.signer(wrong)


def test_a_key_file_of_its_own_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    file = tmp_path / "witness.key"
    made = make_key_file(file, profile="eddsa")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert make_key_file(file, profile="eddsa").kid == load_key_file(file).kid == made.kid
    file.chmod(0o604)
    with pytest.raises(KeyFileError, match="open to others"):
        load_key_file(file)
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_key_file(tmp_path / "none")
    with pytest.raises(KeyFileError, match=r"无法写入密钥 .*cannot be written"):
        make_key_file(tmp_path / "none" / "witness.key", profile="eddsa")


def test_a_disk_without_room_is_told_with_the_file_and_leaves_no_part_of_a_key(tmp_path: Path) -> None:
    folder = production(tmp_path)
    folder.prepare()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (64, before[1])
    )  # a file may have so many bytes: less than a key has
    try:
        with pytest.raises(OSError, match="too large") as told:
            folder.make("status-1", profile="es256")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(told.value.filename).startswith(str(tmp_path / "keys" / "status-1"))
    assert list((tmp_path / "keys").iterdir()) == []
    assert folder.make("status-1", profile="es256").kid
