"""Debian's packages for tests that need a program of others, installed where it is missing."""

import os
import subprocess


def install(*packages: str) -> None:
    """Install packages by apt; raises CalledProcessError where that is not allowed."""
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    for words in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        subprocess.run([*as_root, "apt-get", *words], check=True, stdout=subprocess.DEVNULL)
