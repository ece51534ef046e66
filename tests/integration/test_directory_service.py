"""Definitions on a real database: what is refused is refused for trial and in truth, and nothing is stored."""

from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.errors import DomainError
from tests.installation import AUTHORITY, BUSINESS_LICENSE, open_installation
from tests.installation import test_plan as setup

pytestmark = pytest.mark.anyio


async def test_definitions_that_break_issuing_are_refused_for_trial_and_in_truth(
    database_url: str, tmp_path: Path
) -> None:
    plan = setup()
    named = replace(plan.license_types[0], name="营业\n执照")
    circle = replace(plan.authorities[0], parent=AUTHORITY)
    bad = replace(
        plan, license_types=(named,), authorities=(circle,), unversioned=frozenset({BUSINESS_LICENSE})
    )
    async with open_installation(database_url, tmp_path) as office:
        for dry_run in (True, False):
            with pytest.raises(DomainError) as refused:
                await office.services.directory.apply(bad, dry_run=dry_run, actor="test")
            assert refused.value.code == "invalid_request"
            assert [error.pointer for error in refused.value.errors] == [
                f"/license_types/{BUSINESS_LICENSE}/name",
                f"/authorities/{AUTHORITY}/parent",
            ]
        held = await office.services.directory.snapshot()
        assert held.license_types[BUSINESS_LICENSE] == plan.license_types[0]
        assert held.authorities[AUTHORITY] == plan.authorities[0]


async def test_a_type_that_states_no_version_takes_the_next_when_what_is_published_differs(
    database_url: str, tmp_path: Path
) -> None:
    plan = setup()
    first = plan.license_types[0]
    unversioned = replace(plan, unversioned=frozenset({first.code}))
    renamed = replace(first, name="营业执照(新版)")
    changed = replace(unversioned, license_types=(renamed, *plan.license_types[1:]))
    async with open_installation(database_url, tmp_path) as office:
        apply = office.services.directory.apply
        assert not any((await apply(unversioned, dry_run=False, actor="test")).changed.values())
        for dry_run in (True, False):
            outcome = await apply(changed, dry_run=dry_run, actor="test")
            assert outcome.changed["license_types"] == (first.code,)
        held = (await office.services.directory.snapshot()).license_types[first.code]
        assert (held.schema_version, held.name) == (2, renamed.name)
        assert [one.name for one in held.earlier] == [first.name]
        assert not any((await apply(changed, dry_run=False, actor="test")).changed.values())
