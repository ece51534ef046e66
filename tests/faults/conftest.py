"""Fixtures of the fault tests, and which of them run on one database alone unless they soak."""

import pytest

from tests.faults.register import production_register, register

__all__ = ["production_register", "register"]

_LONG = ("test_key_drill.py", "test_moved_clock.py", "test_restored_backup.py")
"""Files about keys, clocks and files beside the database: which database it is has little part in them."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the long ones, and the broken twins that only show that the checks see, to the soak on SQLite."""
    all_ids = {item.nodeid for item in items}
    for item in items:
        other = item.nodeid.replace("[sqlite", "[postgresql")
        on_both = other != item.nodeid and other in all_ids and "/tests/faults/" in item.path.as_posix()
        if on_both and (item.path.name in _LONG or item.name.startswith("test_the_")):
            item.add_marker(pytest.mark.soak)
