"""What stays of a verification: the answer as evidence, and nothing of the holder's that was shown or asked."""

import json
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from app.domain.verification import LicenseReference, Question
from tests.installation import open_installation

pytestmark = pytest.mark.anyio


async def _everything(database_url: str) -> str:
    engine = create_async_engine(database_url)
    try:
        async with engine.connect() as connection:
            found = []
            for table in ("verifications", "audit", "idempotency"):
                rows = await connection.execute(text(f"SELECT * FROM {table}"))
                found += [repr(dict(row._mapping)) for row in rows]
            return "\n".join(found)
    finally:
        await engine.dispose()


async def test_no_disclosed_element_is_kept_with_a_verification(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license_ = await installation.issue()
        answer = await installation.ask(await installation.credential(license_))
        shown = answer["license"]
        assert isinstance(shown, dict)
        assert shown["elements"]["legal_representative"] == "张示例"
        caller = await installation.caller("platform")
        kept = await installation.services.verification.get(str(answer["id"]), caller=caller)
        assert json.loads(json.dumps(kept.answer))["license"]["elements"] == {}
        assert kept.answer["receipt"] == answer["receipt"]
    assert "张示例" not in await _everything(database_url)


async def test_no_asked_value_is_kept_with_a_verification(database_url: str, tmp_path: Path) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        license_ = await installation.issue()
        reference = LicenseReference(identifier=license_.identifier)
        asked = {"legal_representative": "李另名"}
        answer = await installation.ask(Question(license=reference, elements=asked))
        assert answer["reason"] == "mismatch"
    kept = await _everything(database_url)
    assert "李另名" not in kept
    assert "张示例" not in kept
