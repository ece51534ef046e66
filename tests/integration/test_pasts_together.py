"""What many questions need of the past of their licenses is read at once, and told as if each were asked alone."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from app.domain.license import License
from app.domain.succession import Relation
from app.domain.verification import LicenseReference, Question
from tests.amending import amend, old_credential
from tests.installation import BUSINESS_LICENSE, Installation, open_installation

pytestmark = pytest.mark.anyio

OLD_ADDRESS = {"address": "南京市示例路1号(A座)"}


async def _amended(installation: Installation) -> list[Question]:
    """Amend a license; ask about its old file, its old identifier and its number with the old address."""
    license = await installation.issue()
    await amend(installation, license.id)
    old = await old_credential(installation, license.id, "001")
    return [
        Question(credential=old, elements=OLD_ADDRESS),
        Question(license=LicenseReference(identifier=license.identifier), elements=OLD_ADDRESS),
        Question(
            license=LicenseReference(number=license.number, type_code=BUSINESS_LICENSE), elements=OLD_ADDRESS
        ),
    ]


async def _succeeded(installation: Installation, *, over: int) -> list[Question]:
    """Let a license be succeeded, over some others in between; ask about its file and its identifier."""
    chain: list[License] = [await installation.issue() for _ in range(over + 2)]
    token = await installation.credential(chain[0])
    caller = await installation.caller("authority")
    for before, after in pairwise(chain):
        await installation.services.succession.record(
            before.id,
            Relation.REPLACED_BY,
            [after.id],
            reason_code="merger",
            reason="吸收合并",
            caller=caller,
            call=None,
        )
    return [Question(credential=token), Question(license=LicenseReference(identifier=chain[0].identifier))]


async def _ask_together(installation: Installation, questions: Sequence[Question]) -> list[dict[str, object]]:
    caller = await installation.caller("platform")
    answer = await installation.services.verification.batch(questions, caller=caller, call=None)
    assert answer.body is not None
    results = answer.body["results"]
    assert isinstance(results, list)
    return results


def _told(answer: dict[str, object]) -> dict[str, object]:
    return {
        name: answer.get(name) for name in ("verdict", "reason", "elements", "superseded_by", "successors")
    }


async def test_each_question_of_a_batch_is_told_the_past_of_its_own_license(
    database_url: str, tmp_path: Path
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        questions = [
            *await _amended(installation),
            *await _succeeded(installation, over=0),
            *await _succeeded(installation, over=2),
            *await _amended(installation),
        ]
        together = await _ask_together(installation, questions)
        assert [_told(one) for one in together] == [
            _told(await installation.ask(question)) for question in questions
        ]
        outcomes = [one["elements"][0]["outcome"] for one in together if one.get("elements")]  # type: ignore[index]
        assert outcomes == ["former_value"] * 6
        ends = [one["superseded_by"] for one in together[3:7]]
        assert ends[0] == ends[1] and ends[2] == ends[3] and None not in ends and ends[0] != ends[2]


async def test_the_number_of_statements_does_not_grow_with_the_questions(
    database_url: str, tmp_path: Path, statements: list[tuple[str, object]]
) -> None:
    async with open_installation(database_url, tmp_path) as installation:
        pairs = [[*await _amended(installation), *await _succeeded(installation, over=1)] for _ in range(4)]

        async def read(questions: Sequence[Question]) -> int:
            del statements[:]
            await _ask_together(installation, questions)
            pasts = ("FROM license_versions", "FROM license_successors", "FROM licenses")
            return sum(any(table in sql for table in pasts) for sql, _ in statements)

        assert await read(pairs[0]) == await read([question for pair in pairs for question in pair])
