"""Fixtures of the fault tests."""

from tests.faults.register import production_register, register

__all__ = ["production_register", "register"]
