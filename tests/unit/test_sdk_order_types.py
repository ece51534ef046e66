"""What a type checker knows of orders: callers from before stay right, and nobody forgets a proposal."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from mypy import api

import elicense
from elicense.client import errors
from tests.sdk_clients import FakeTransport
from tests.unit.test_async_sdk_parity import surface

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from datetime import date
from typing import assert_type
from elicense import Elicense, License, Proposal, ScheduledChange

client = Elicense()
as_ever = client.licenses.revoke("id", reason_code="x", reason="y")
assert_type(as_ever, License)
print(as_ever.identifier)
later = client.licenses.suspend("id", reason_code="x", reason="y", effective_at=date(2027, 1, 1))
assert_type(later, ScheduledChange | Proposal)
either = client.licenses.cancel("id", reason_code="x", reason="y", allow_proposal=True)
assert_type(either, License | ScheduledChange | Proposal)
assert_type(client.proposals.approve("id"), Proposal)
"""

AWAITED = """
from collections.abc import AsyncIterator
from datetime import date
from typing import assert_type
from elicense import AsyncElicense, License, Page, Proposal, ScheduledChange, Verification

async def work() -> None:
    async with AsyncElicense() as client:
        assert_type(client, AsyncElicense)
        assert_type(await client.verifications.create(code="x"), Verification)
        assert_type(await client.licenses.list(), Page[License])
        assert_type(client.licenses.iterate(), AsyncIterator[License])
        async for license in client.licenses.iterate():
            assert_type(license, License)
        assert_type(await client.licenses.revoke("id", reason_code="x", reason="y"), License)
        later = await client.licenses.suspend("id", reason_code="x", reason="y", effective_at=date(2027, 1, 1))
        assert_type(later, ScheduledChange | Proposal)
        either = await client.licenses.cancel("id", reason_code="x", reason="y", allow_proposal=True)
        assert_type(either, License | ScheduledChange | Proposal)
        assert_type(await client.trust.bundle(), bytes)
"""


def test_the_types_tell_a_changed_license_from_what_was_accepted(tmp_path: Path) -> None:
    program = tmp_path / "department.py"
    program.write_text(PROGRAM, encoding="utf-8")
    wrong = tmp_path / "careless.py"
    wrong.write_text(PROGRAM + "\nprint(either.identifier)\n", encoding="utf-8")
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    found, errors, status = api.run([*config, str(program)])
    assert (status, errors) == (0, ""), found
    found, _, status = api.run([*config, str(wrong)])
    assert status == 1
    assert "identifier" in found


@pytest.mark.parametrize("beginning", ["from elicense import Elicense, OfflineVerifier", "import asyncio"])
def test_what_the_readme_of_the_package_shows_passes_a_strict_type_checker(
    beginning: str, tmp_path: Path
) -> None:
    text = (ROOT / "clients/python/README.md").read_text(encoding="utf-8")
    (example,) = [
        one for one in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if one.startswith(beginning)
    ]
    program = tmp_path / "shown.py"
    program.write_text(example, encoding="utf-8")
    # No settings of this repository: this is how a stranger's type checker sees the package.
    options = ["--strict", "--config-file", "", "--cache-dir", str(tmp_path)]
    found, errors, status = api.run([*options, str(program)])
    assert (status, errors) == (0, ""), found


def test_every_type_in_a_signature_of_the_client_can_be_imported() -> None:
    assert {"Receipt", "Signer", "Response", "Transport", "AsyncTransport", "Request"} <= set(
        elicense.__all__
    )
    assert elicense.NotFoundError is errors.NotFoundError
    names = {name: getattr(elicense, name) for name in elicense.__all__} | {"Iterator": Iterator}
    returned = {
        typing.get_type_hints(method, names).get("return")
        for method in surface(elicense.Elicense(api_key="k", transport=FakeTransport())).values()
    }
    own = {one for one in returned if isinstance(one, type) and one.__module__.startswith("elicense")}
    assert {one.__name__ for one in own} <= set(elicense.__all__)


def test_the_types_of_what_is_awaited_are_the_same(tmp_path: Path) -> None:
    program = tmp_path / "platform.py"
    program.write_text(AWAITED, encoding="utf-8")
    wrong = tmp_path / "careless.py"
    wrong.write_text(AWAITED.replace("await client.trust", "client.trust"), encoding="utf-8")
    config = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    found, errors, status = api.run([*config, str(program)])
    assert (status, errors) == (0, ""), found
    found, _, status = api.run([*config, str(wrong)])
    assert status == 1
    assert "Coroutine" in found
