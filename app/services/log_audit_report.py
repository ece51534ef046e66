"""What an audit finds: faults, each in one column of one row, and what is only not finished yet.

A fault says where and by what rule, never a value: elements, names and reasons stay in the register.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from app.log_ports import UNREADABLE, AuditRow
from elicense.problems import Text

GRACE: Final = timedelta(seconds=60)
"""How long a promise may be open and a row may wait for its place before that is a fault."""


_TOLD_EVERY: Final = 5_000


class Expected(Enum):
    """Say by what rule a value was expected otherwise."""

    READABLE = Text("可读的值", "a value that can be read")
    CREDENTIAL = Text("与已签名证照文件一致", "what the signed credential says")
    SIGNATURE = Text(
        "由可信密钥在其有效期内所作的有效签名", "a good signature of a trusted key valid at that time"
    )
    DIGEST = Text("与字节摘要一致", "the digest of the bytes themselves")
    HISTORY = Text("与变更历史一致", "what the history says")
    RULES = Text("符合状态与动作规则", "what the rules of states and actions allow")
    VERSION = Text("与该版本的记录一致", "what the license's version says")
    LICENSE = Text("与证照登记一致", "what the license's entry says")
    EVENT = Text(
        "与日志所记事件的摘要一致", "the event whose digest is logged (one of the columns named differs)"
    )
    LEAF = Text("每次变更恰有一条相符的日志条目", "exactly one log entry that fits each change")
    FEED = Text("每次变更恰有一条相符的事件", "exactly one event that fits each change")
    AUDIT = Text("每次变更恰有一条相符的审计记录", "exactly one audit entry that fits each change")
    GAP_FREE = Text("连续编号,无缺无重", "numbers without a gap, each once")
    PROMISE = Text("与签发承诺一致", "what the promise to issue says")
    STATUS = Text("与证照版本状态对应的状态值", "the status value of the version's state")
    NUMBER = Text("证照号码由其证照唯一持有", "the number held by its license alone")
    DOCUMENT = Text("与已签名文件一致", "what the signed document says")
    CHAIN = Text("与前一版本摘要相接", "the digest of the version before")
    NOT_BEFORE = Text("不早于前一版本的时间", "a time not before that of the version before")
    TRUST = Text("与信任列表一致", "what the trust list says")
    TREE = Text("与重算的默克尔树一致", "what the recomputed Merkle tree gives")
    CHECKPOINT = Text("已签名检查点,且为日志的前缀", "a signed checkpoint of the log's own beginning")
    RECEIPT = Text("与已签名回执一致", "what the signed receipt says")
    ORDER = Text("与所引用的指令一致", "what the order it names says")
    FINISHED = Text("60 秒内完成", "to be finished within 60 seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong: `where` is `table.column`; `license` its id and `identifier` the version's or the
    document's (`<uri>#<number>`), None where there is none.
    """

    license: str | None
    identifier: str | None
    where: str
    expected: Expected

    @property
    def table(self) -> str:
        """Name the table."""
        return self.where.partition(".")[0]

    @property
    def column(self) -> str:
        """Name the column."""
        return self.where.partition(".")[2]


@dataclass(frozen=True, slots=True)
class Pending:
    """Something not finished and too young to be a fault."""

    where: str
    identifier: str | None


@dataclass(frozen=True, slots=True)
class About:
    """Whom the next faults concern."""

    license: str | None = None
    identifier: str | None = None


NOBODY: Final = About()


@dataclass(slots=True)
class Findings:
    """Collect what an audit finds. `tell` hears how many rows of a table have been looked at."""

    tell: Callable[[str, int], None] | None = None
    checked: Counter[str] = field(default_factory=Counter)
    pending: list[Pending] = field(default_factory=list)
    _faults: dict[Fault, None] = field(default_factory=dict)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the faults, each once, in the order they were found."""
        return tuple(self._faults)

    def fault(self, about: About, where: str, expected: Expected) -> None:
        """Note a fault."""
        self._faults[
            Fault(license=about.license, identifier=about.identifier, where=where, expected=expected)
        ] = None

    def require(self, holds: bool, about: About, where: str, expected: Expected) -> bool:
        """Note a fault unless something holds; return whether it does."""
        if not holds:
            self.fault(about, where, expected)
        return holds

    def compare(
        self, row: AuditRow, wanted: Mapping[str, Any], about: About, table: str, expected: Expected
    ) -> bool:
        """Note a fault for each column of a row that has not its wanted value; return whether all have."""
        wrong = [name for name, value in wanted.items() if not same(row[name], value)]
        for name in wrong:
            self.fault(about, f"{table}.{name}", expected)
        return not wrong

    def count(self, what: str, number: int = 1) -> None:
        """Count something as checked."""
        before = self.checked[what]
        self.checked[what] = before + number
        if self.tell is not None and before // _TOLD_EVERY != self.checked[what] // _TOLD_EVERY:
            self.tell(what, self.checked[what])

    def readable(self, row: AuditRow, about: About, table: str) -> bool:
        """Note every value that cannot be read; return whether there is none."""
        bad = [name for name, value in row.items() if value is UNREADABLE]
        for name in bad:
            self.fault(about, f"{table}.{name}", Expected.READABLE)
        return not bad

    def all_readable(self, rows: Iterable[AuditRow], about: About, table: str) -> list[AuditRow]:
        """Return the rows that can be read, and note the others."""
        return [row for row in rows if self.readable(row, about, table)]

    def wait(self, where: str, identifier: str | None, *, since: datetime, now: datetime) -> None:
        """Note something unfinished: pending while young, a fault afterwards."""
        if now - since <= GRACE:
            self.pending.append(Pending(where, identifier))
        else:
            self.fault(About(identifier=identifier), where, Expected.FINISHED)


def same(stored: Any, wanted: Any) -> bool:
    """Compare without taking True for 1 or 1 for True."""
    return stored == wanted and (isinstance(stored, bool) == isinstance(wanted, bool))
