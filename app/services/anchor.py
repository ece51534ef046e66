"""The memory outside the database, as services use it: raised once what it speaks of is committed.

Why after the commit, and not before. A mark that is raised first and a commit that then fails look exactly like a
database that lost its last publication: every crash between the two would be a false alarm. Raised right after the
commit, before the publisher or the caller is answered, it lags by the milliseconds in between; and only a machine
that dies in them, while its database is at the same time put back to just before them, goes unnoticed. A recovery
leaves a margin beyond the mark for that. Status indices are better off: a block is committed and the mark raised
before any index of it is given out.
"""

import asyncio
from collections.abc import Callable, Mapping
from types import MappingProxyType

import structlog

from app.domain.errors import ServiceRefusal
from app.domain.high_water import HighWaterMark, KeptOutside, ListMark
from app.ports import HighWaterKeeper
from app.services.signing_clock import SigningClock
from elicense.service_reasons import ServiceReason

_NO_LISTS: Mapping[str, ListMark] = MappingProxyType({})

log = structlog.get_logger()


class Anchor:
    """Raises the mark; stops what it is raised for when it cannot be."""

    def __init__(self, keeper: HighWaterKeeper, signing_clock: SigningClock) -> None:
        self._keeper = keeper
        self._signing_clock = signing_clock
        self._owed: HighWaterMark | None = None

    def load(self) -> KeptOutside | None:
        """Return what is kept outside, None before the first. Raises ServiceRefusal when it cannot be read."""
        return self._keeper.load()

    async def settle(self) -> None:
        """Catch up on a mark that could not be raised. Raises ServiceRefusal `unavailable` while it still cannot be.

        Whoever raises the mark settles first: what cannot be remembered must not go on being given out.
        """
        if self._owed is not None:
            await self.raise_to(self._owed)

    async def remember(
        self,
        *,
        trust_root_version: int = 0,
        trust_list_sequence: int = 0,
        freshness_sequence: int = 0,
        status_lists: Mapping[str, ListMark] = _NO_LISTS,
    ) -> None:
        """Raise the mark to numbers that were just committed, and to the time it is. Raises as `raise_to`."""
        mark = HighWaterMark(
            time=self._signing_clock.good_time(),
            trust_root_version=trust_root_version,
            trust_list_sequence=trust_list_sequence,
            freshness_sequence=freshness_sequence,
            status_lists=status_lists,
        )
        await self.raise_to(mark)

    async def raise_to(self, mark: HighWaterMark) -> None:
        """Raise the mark durably to what was just committed. Raises ServiceRefusal `unavailable` when it cannot be.

        A failed fsync says nothing about what is on the disk: the whole is written anew at the next attempt.
        """
        owed = mark if self._owed is None else mark.merged(self._owed)
        self._owed = owed
        await self._write(lambda: self._keeper.raise_to(owed))
        if self._owed is owed:
            self._owed = None

    async def change(self, work: Callable[[KeptOutside | None], KeptOutside]) -> None:
        """Replace what is kept by what `work` makes of it. Raises ServiceRefusal `unavailable` when it cannot be."""
        await self._write(lambda: self._keeper.change(work))

    async def _write(self, write: Callable[[], None]) -> None:
        try:
            # The file is synced: not on the thread that answers everybody.
            await asyncio.to_thread(write)
        except OSError as error:
            log.exception("anchor_not_written")
            raise ServiceRefusal(
                "unavailable",
                ServiceReason.ANCHOR_UNAVAILABLE,
                f"high-water.json in the keys folder cannot be written: {error.strerror or 'I/O error'}",
                detail_zh="密钥目录中的 high-water.json 无法写入",
            ) from error
