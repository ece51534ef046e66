"""What must never stand in the repository: private keys, paths of a machine, lock files, registry addresses."""

import re

import pytest

from tests.architecture.source import project_files, text_files

# Written in pieces, so that this file does not find itself.
PRIVATE_KEY = re.compile("-----BEGIN " + r"(?:[A-Z0-9]+ )*" + "PRIVATE" + " KEY-----")
PRIVATE_JWK = re.compile(r'"kty"\s*:\s*"(?:EC|OKP)"[^{}]*"d"\s*:\s*"[A-Za-z0-9_-]{40,}"')
MACHINE_PATH = re.compile(r"(?<![\w.})/-])/(?:root|home|Users|work|mnt)/\w")
REGISTRY_HOSTS = re.compile(
    r"(?i)\b(?:" + "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", "npm" + r"js\.org")) + r")\b"
    r"|//(?:mirrors?|registry|pypi|nexus|artifactory)[.-]"
)
LOCK_FILES = {"uv.lock", "poetry.lock", "Pipfile.lock", "package-lock.json", "yarn.lock", "pnpm-lock.yaml"}
KEY_SUFFIXES = (".pem", ".key", ".p12", ".pfx", ".p8")


def found(pattern: re.Pattern[str], text: str) -> list[str]:
    return [match.group(0) for match in pattern.finditer(text)]


def offenders(pattern: re.Pattern[str]) -> dict[str, list[str]]:
    return {name: hits for name, text in text_files() if (hits := found(pattern, text))}


def test_no_private_key_is_tracked() -> None:
    assert offenders(PRIVATE_KEY) == {}
    assert [name for name in project_files() if name.endswith(KEY_SUFFIXES)] == []


def test_private_jwks_stand_in_tests_only() -> None:
    """Published test vectors bring private keys that everybody knows; product code and documents bring none."""
    assert [name for name in offenders(PRIVATE_JWK) if not name.startswith("tests/vectors/")] == []


def test_no_path_of_a_machine_is_tracked() -> None:
    assert offenders(MACHINE_PATH) == {}


def test_no_registry_address_is_tracked() -> None:
    assert offenders(REGISTRY_HOSTS) == {}


def test_no_lock_file_is_tracked() -> None:
    """Lock files record download addresses; pins stand in pyproject.toml and requirements.txt instead."""
    assert [name for name in project_files() if name.rpartition("/")[2] in LOCK_FILES] == []


@pytest.mark.parametrize(
    ("pattern", "planted"),
    [
        (PRIVATE_KEY, "-----BEGIN " + "PRIVATE KEY-----"),
        (PRIVATE_KEY, "-----BEGIN EC " + "PRIVATE KEY-----"),
        (PRIVATE_JWK, '{"kty": "EC", "crv": "P-256", ' + '"d": "' + "A" * 43 + '"}'),
        (MACHINE_PATH, "see /" + "root/notes"),
        (MACHINE_PATH, '"/' + 'home/somebody/x"'),
        (REGISTRY_HOSTS, "https://" + "pypi" + ".org/simple"),
        (REGISTRY_HOSTS, "https://" + "mirror" + ".example.com/simple"),
    ],
)
def test_the_detectors_catch_what_is_planted(pattern: re.Pattern[str], planted: str) -> None:
    assert found(pattern, planted)
