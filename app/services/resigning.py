"""Sign again what a compromised key has signed and the log cannot show to be older: one new version of each license.

The content stays, word for word; the new version is made by the same promises as any other (`amending`), so a crash
loses nothing and running it again goes on where it stopped: what has been signed again is no longer found.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.amending import content_of
from app.domain.errors import DomainError, NotFound
from app.domain.key_history import KeyCompromise, SignedVersion
from app.domain.license import Action
from app.ports import Store
from app.services.amending import AmendingService, VersionRequest
from app.services.trust_list import TrustListService
from app.services.write_guard import WriteGuard
from elicense.log_trust import logged_before
from elicense.references import LogPlace
from elicense.trust_list import KeyUse, TrustList

ACTOR = "keys"
REASON_CODE = "key_compromised"
REASON = "原签名密钥已泄露,内容不变,重新签发。The signing key was compromised; the content is unchanged."
_PAGE = 500

Progress = Callable[[int], None]
"""Told how many licenses more have been dealt with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resigned:
    """What signing again did: how many licenses were affected, how many have a new version, which were refused why."""

    affected: int = 0
    resigned: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)


class ResigningService:
    """Finds and mends credentials that a compromised key has left without worth."""

    def __init__(
        self, *, store: Store, trust_list: TrustListService, amending: AmendingService, guard: WriteGuard
    ) -> None:
        self._store = store
        self._trust_list = trust_list
        self._amending = amending
        self._guard = guard

    async def run(self, kid: str | None, *, progress: Progress) -> Resigned:
        """Sign every affected license again, of one key or of all that are compromised; `progress` hears of each page.

        Raises NotFound for a key that is not a compromised credential key, DomainError for what stops everything
        (unavailable, read_only): running it again goes on.
        """
        self._guard.require_writable()
        affected = resigned = 0
        refused: dict[str, str] = {}
        async for page in self.affected(kid):
            affected += len(page)
            answers = await self._amending.make_many([_request(one) for one in page])
            for one, answer in zip(page, answers, strict=True):
                if isinstance(answer, DomainError):
                    refused[one.license_id] = answer.code
                else:
                    resigned += 1
            progress(len(page))
        return Resigned(affected=affected, resigned=resigned, refused=refused)

    async def count(self, kid: str | None, *, most: int | None = None) -> int:
        """Count affected licenses, at most as far as `most`. Raises as `run`."""
        found = 0
        async for page in self.affected(kid):
            found += len(page)
            if most is not None and found >= most:
                return most
        return found

    async def affected(self, kid: str | None) -> AsyncIterator[Sequence[SignedVersion]]:
        """Go through the live licenses whose version in force counts no more, page by page.

        Raises NotFound as `run`.
        """
        declared = await self._store.read(lambda unit: unit.keys.compromises())
        keys = [one for one in declared if one.use == KeyUse.CREDENTIAL and kid in (None, one.kid)]
        if kid is not None and not keys:
            raise NotFound("compromised credential key")
        self._trust_list.forget()
        for compromise in keys:
            async for page in self._affected_by(compromise):
                yield page

    async def _affected_by(self, compromise: KeyCompromise) -> AsyncIterator[Sequence[SignedVersion]]:
        listed = (await self._trust_list.evidence()).trust_list
        after: str | None = None
        while True:
            page = await self._page(compromise, after)
            if not page:
                return
            after = page[-1].license_id
            lost = [one for one in page if not _is_older(one, compromise, listed)]
            if lost:
                yield lost

    async def _page(self, compromise: KeyCompromise, after: str | None) -> Sequence[SignedVersion]:
        return await self._store.read(
            lambda unit: unit.licenses.signed_after(
                compromise.kid,
                log_origin=compromise.log_origin,
                log_size=compromise.log_size,
                after=after,
                limit=_PAGE,
            )
        )


def _is_older(version: SignedVersion, compromise: KeyCompromise, listed: TrustList) -> bool:
    """Judge a place as every verifier does: earlier generations of the log count as far as they are kept."""
    if version.log_origin is None or version.log_index is None:
        return False
    place = LogPlace(version.log_origin, version.log_index)
    return logged_before(place, compromise.declaration, listed)


def _request(version: SignedVersion) -> VersionRequest:
    return VersionRequest(
        license_id=version.license_id,
        action=Action.REISSUE,
        content=content_of,
        reason_code=REASON_CODE,
        reason=REASON,
        actor=ACTOR,
        unchanged_too=True,
    )
