"""`AsyncElicense` offers what `Elicense` does: resources, methods, parameters and docstrings, read off the classes."""

import inspect
import typing
from collections.abc import Callable

import pytest

import elicense
from elicense import AsyncElicense, Elicense
from elicense.client import errors
from tests.sdk_clients import Awaited, FakeTransport

OF_ASYNCIO = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
OWN_TYPES = {"transport", "pause"}
"""Parameters of the constructor that are awaited, and so of another type."""


def surface(client: object) -> dict[str, Callable[..., object]]:
    """Return what is public of a client and of its resources, by dotted name."""
    found = {}
    holders = {"": client} | {
        f"{name}.": value for name, value in vars(client).items() if not name.startswith("_")
    }
    for prefix, holder in holders.items():
        for name, method in inspect.getmembers(type(holder), inspect.isfunction):
            if not name.startswith("_") or name in OF_ASYNCIO or name in OF_ASYNCIO.values():
                found[prefix + name] = method
    return found


BLOCKING = surface(Elicense(api_key="k", transport=FakeTransport()))
AWAITED = surface(AsyncElicense(api_key="k", transport=Awaited(FakeTransport())))
PAIRS = [
    pytest.param(method, AWAITED.get(OF_ASYNCIO.get(name, name)), id=name)
    for name, method in BLOCKING.items()
]


def parameters(method: Callable[..., object]) -> list[tuple[object, ...]]:
    return [
        (one.name, one.kind, one.default, str(one.annotation))
        for one in inspect.signature(method).parameters.values()
    ]


def answer(method: Callable[..., object]) -> str:
    return inspect.formatannotation(inspect.signature(method).return_annotation)


def awaited_answer(method: Callable[..., object]) -> str:
    """Return what the twin of a blocking method has to answer."""
    return answer(method).replace("Iterator", "AsyncIterator").replace("Elicense", "AsyncElicense")


def test_nothing_is_offered_by_one_client_alone() -> None:
    assert {OF_ASYNCIO.get(name, name) for name in BLOCKING} == set(AWAITED)
    assert {"verifications.batch", "licenses.iterate", "trust.bundle", "holdings"} <= set(BLOCKING)


def differences(blocking: Callable[..., object], awaited: Callable[..., object]) -> list[str]:
    """Name what a method of one client does not have in common with its twin."""
    overloads = [(parameters(one), awaited_answer(one)) for one in typing.get_overloads(blocking)]
    alike = {
        "parameters": parameters(awaited) == parameters(blocking),
        "answer": answer(awaited) == awaited_answer(blocking),
        "docstring": inspect.getdoc(awaited) == inspect.getdoc(blocking),
        "overloads": [(parameters(one), answer(one)) for one in typing.get_overloads(awaited)] == overloads,
        "awaited": inspect.iscoroutinefunction(awaited) != inspect.isgeneratorfunction(blocking),
    }
    return [name for name, holds in alike.items() if not holds]


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS)
def test_a_method_takes_promises_and_answers_the_same(
    blocking: Callable[..., object], awaited: Callable[..., object]
) -> None:
    assert differences(blocking, awaited) == []


class Planted:
    """Methods that are not what `one` is."""

    def one(self, name: str, *, cursor: str | None = None) -> int:
        """Fetch one."""
        return 1

    async def same(self, name: str, *, cursor: str | None = None) -> int:
        """Fetch one."""
        return 1

    async def parameters(self, name: str, *, cursor: str | None = "") -> int:
        """Fetch one."""
        return 1

    async def answer(self, name: str, *, cursor: str | None = None) -> str:
        """Fetch one."""
        return ""

    async def docstring(self, name: str, *, cursor: str | None = None) -> int:
        """Fetch another."""
        return 1

    def awaited(self, name: str, *, cursor: str | None = None) -> int:
        """Fetch one."""
        return 1


@pytest.mark.parametrize("name", ["same", "parameters", "answer", "docstring", "awaited"])
def test_the_comparison_catches_what_is_planted(name: str) -> None:
    assert differences(Planted.one, getattr(Planted, name)) == ([] if name == "same" else [name])


def test_the_settings_are_the_same() -> None:
    blocking, awaited = (
        [one for one in parameters(made.__init__) if one[0] not in OWN_TYPES]  # type: ignore[misc]
        for made in (Elicense, AsyncElicense)
    )
    assert awaited == blocking
    assert set(inspect.signature(AsyncElicense).parameters) == set(inspect.signature(Elicense).parameters)


def test_the_resources_are_documented_alike() -> None:
    made = [
        Elicense(api_key="k", transport=FakeTransport()),
        AsyncElicense(api_key="k", transport=Awaited(FakeTransport())),
    ]
    blocking, awaited = (
        {name: inspect.getdoc(value) for name, value in vars(one).items() if not name.startswith("_")}
        for one in made
    )
    assert awaited == blocking


def test_it_is_a_public_name_and_its_errors_are_those_of_the_package() -> None:
    assert "AsyncElicense" in elicense.__all__
    assert elicense.APIStatusError is errors.APIStatusError
