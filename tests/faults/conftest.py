"""Fixtures of the fault tests."""

from tests.faults.register import register

__all__ = ["register"]
