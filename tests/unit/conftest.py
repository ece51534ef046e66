"""Fixtures of the unit tests."""

from tests.sdk_clients import client, kind, local_service

__all__ = ["client", "kind", "local_service"]
