"""What a restored backup means for the transparency logs: a log that has been seen longer is never continued."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from app.domain.errors import ConcurrentChange, DomainError
from app.domain.high_water import LogMark
from app.domain.transparency_log import EMPTY_ROOT, LogHead, LogState, generation_of
from app.ports import UnitOfWork
from app.services.journal_rows import make_audit
from app.services.log_memory import LogMemory
from elicense.problems import Text
from elicense.signed_note import Checkpoint, parse_checkpoint_text

GIVE_UP: Final = "log.give_up"
ACTOR: Final = "recover"


class LogRecovery:
    """The logs as the high-water mark and a recovery see them: held against the heads that were signed.

    What was committed and never signed is nothing anybody has seen, so losing it is no fork.
    """

    def __init__(self, memory: LogMemory) -> None:
        self._memory = memory

    def seen(self) -> Mapping[str, LogMark]:
        """Return the largest head signed of every log by origin, as remembered outside the database.

        Raises ServiceRefusal `unavailable` when that cannot be read.
        """
        signed = self._memory.signed()
        return {origin: LogMark(size=head.size, root=head.root.hex()) for origin, head in signed.items()}

    async def heads(self, unit: UnitOfWork) -> Mapping[str, LogMark]:
        """Return how far every log of this database is by origin, so that it can be held against `seen`."""
        return await self._memory.held(unit)

    async def forgotten(self, unit: UnitOfWork) -> Sequence[Checkpoint]:
        """Return the published heads that the memory outside the database does not know at all."""
        return await self._memory.forgotten(unit)

    async def take_for_signed(self, heads: Sequence[Checkpoint]) -> None:
        """Remember these heads as the largest signed. Raises ServiceRefusal `unavailable`."""
        for head in heads:
            await self._memory.take_for_signed(head)

    async def recover_log(
        self, unit: UnitOfWork, *, beyond: Mapping[str, LogMark], at: datetime
    ) -> Sequence[Text]:
        """Give up the logs of which more (or other) entries have been seen than this database holds.

        `beyond` maps their origins to what was seen. Going on would give the same places to other entries, a fork:
        each is frozen where it was published last, and what was committed beyond waits for the next generation. That
        one begins in the key ceremony (`LogKeys.ensure`) and not here: a checkpoint counts for nobody before a trust
        list names its log's key, and freshness would carry it to everybody. Returns what an operator must still do.
        Runs in the recovery's transaction, which itself remembers the origins as given up. Raises DomainError
        `conflict` when a log grows meanwhile.
        """
        heads = await unit.transparency_log.heads()
        todo = []
        for base in sorted({generation_of(origin)[0] for origin in beyond}):
            own = [head for head in heads if generation_of(head.origin)[0] == base]
            for head in own:
                if head.state is LogState.OPEN:
                    await _freeze(unit, head, at=at)
            last = max([self._memory.last_generation(base), *(head.generation for head in own)])
            todo.append(_begin_next(f"{base}/{last + 1}"))
        return todo


async def _freeze(unit: UnitOfWork, head: LogHead, *, at: datetime) -> None:
    served = await unit.transparency_log.checkpoint(head.origin)
    root = EMPTY_ROOT if served is None else parse_checkpoint_text(served.text).root
    try:
        await unit.transparency_log.cut_off(head, root=root)
    except ConcurrentChange as error:
        detail = f"log {head.origin} still grows; stop every worker and run the command again"
        raise DomainError("conflict", detail) from error
    subject = f"{head.origin} at {head.published_size}"
    await unit.journal.add_audit([make_audit(action=GIVE_UP, subject=subject, actor=ACTOR, at=at)])


def _begin_next(origin: str) -> Text:
    return Text(
        f"存证日志以新名 {origin} 继续:请运行 elicense keys publish-trust-list,生成其密钥并列入信任列表;此前新条目等待",
        f"the log goes on as {origin}: run elicense keys publish-trust-list, which makes its key and lists it; "
        "new entries wait until then",
    )
