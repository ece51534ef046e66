"""Fixtures of the unit tests."""

from tests.sdk_clients import client, kind

__all__ = ["client", "kind"]
