"""Fixtures of the unit tests."""

from tests.sdk_clients import client

__all__ = ["client"]
