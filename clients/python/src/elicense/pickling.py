"""Errors and reports on their way between processes: whole, though `pickle` by itself cannot write or make them."""

from collections.abc import Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any, TypeVar

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


def reduce_error(error: BaseException) -> tuple[Any, ...]:
    """Be the `__reduce__` of an error whose constructor takes something else than its text."""
    return _rebuilt_error, (type(error), error.args, dict(vars(error)))


def _rebuilt_error(kind: type[E], args: tuple[object, ...], members: Mapping[str, object]) -> E:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(members)
    return error


def reduce_record(record: Any) -> tuple[Any, ...]:
    """Be the `__reduce__` of a frozen dataclass with read-only mappings, which `pickle` does not write."""
    members = {field.name: getattr(record, field.name) for field in fields(record)}
    views = [name for name, value in members.items() if isinstance(value, MappingProxyType)]
    return _rebuilt_record, (type(record), members | {name: dict(members[name]) for name in views}, views)


def _rebuilt_record(kind: type[T], members: Mapping[str, Any], views: list[str]) -> T:
    return kind(**{**members, **{name: MappingProxyType(members[name]) for name in views}})
