"""Broken twins: a copy of the core with one check taken out, to show that a test would notice its absence.

Nothing of the product is patched: the package is copied under another name, one passage of its source is replaced
(it must occur exactly once), and the copy is imported beside the original.
"""

import importlib
import shutil
import sys
from pathlib import Path
from types import ModuleType

import elicense

_SOURCE = Path(elicense.__file__).parent


class Twin:
    """Hold one broken copy of the core; `module("verify")` imports a part of it."""

    def __init__(self, folder: Path, name: str, *, file: str, passage: str, instead: str) -> None:
        package = folder / name
        shutil.copytree(_SOURCE, package, ignore=shutil.ignore_patterns("__pycache__", "client", "cli.py"))
        for path in package.glob("*.py"):
            text = path.read_text(encoding="utf-8")
            if path.name == file:
                if text.count(passage) != 1:
                    raise AssertionError(f"the passage stands {text.count(passage)} times in {file}")
                text = text.replace(passage, instead)
            path.write_text(text.replace("from elicense", f"from {name}"), encoding="utf-8")
        # The public names of the package belong to the SDK's surface, which a twin of the core does not need.
        (package / "__init__.py").write_text("", encoding="utf-8")
        self._name = name
        sys.path.insert(0, str(folder))
        try:
            self.verify = importlib.import_module(f"{name}.verify")
        finally:
            sys.path.remove(str(folder))

    def module(self, name: str) -> ModuleType:
        """Import one module of the copy."""
        return importlib.import_module(f"{self._name}.{name}")
