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
    text = inspect.formatannotation(inspect.signature(method).return_annotation)
    return text.replace("AsyncIterator", "Iterator").replace("AsyncElicense", "Elicense")


def test_nothing_is_offered_by_one_client_alone() -> None:
    assert {OF_ASYNCIO.get(name, name) for name in BLOCKING} == set(AWAITED)
    assert {"verifications.batch", "licenses.iterate", "trust.bundle", "holdings"} <= set(BLOCKING)


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS)
def test_a_method_takes_answers_and_promises_the_same(
    blocking: Callable[..., object], awaited: Callable[..., object]
) -> None:
    assert parameters(awaited) == parameters(blocking)
    assert answer(awaited) == answer(blocking)
    assert inspect.getdoc(awaited) == inspect.getdoc(blocking)
    kinds = [
        [(parameters(one), answer(one)) for one in typing.get_overloads(method)]
        for method in (awaited, blocking)
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(("blocking", "awaited"), PAIRS)
def test_a_method_is_awaited_or_iterated(
    blocking: Callable[..., object], awaited: Callable[..., object]
) -> None:
    if inspect.isgeneratorfunction(blocking):
        assert "AsyncIterator" in str(inspect.signature(awaited).return_annotation)
    else:
        assert inspect.iscoroutinefunction(awaited)


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
