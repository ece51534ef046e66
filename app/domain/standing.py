"""How an installation stands: the mark kept outside, the database, the clock, and what follows from comparing them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from app.domain.good_time import ClockState, judge_start
from app.domain.high_water import HighWaterMark, KeptOutside, LogMark, Missing, Part
from app.domain.restriction import Restriction
from elicense.report import rfc3339
from elicense.service_reasons import ServiceReason

_NAMED_AT_MOST: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One look at everything. `outside` is None before the first mark, `inside` before the first trust list.

    `logs` is what was signed of each log, which is remembered outside too, in a file of its own.
    """

    outside: KeptOutside | None
    inside: HighWaterMark | None
    clock: ClockState
    logs: Mapping[str, LogMark] = field(default_factory=dict)

    @property
    def seen(self) -> HighWaterMark | None:
        """Return the highest of all that is remembered outside, None when nothing is."""
        if self.outside is not None:
            return replace(self.outside.mark, logs=self.logs)
        if self.inside is None or not self.logs:
            return None
        return HighWaterMark(time=self.inside.time, logs=self.logs)

    @property
    def missing(self) -> tuple[Missing, ...]:
        """Name what the database lacks of the mark; nothing where either is not there."""
        seen = self.seen
        if seen is None or self.inside is None:
            return ()
        return seen.missing_in(self.inside)

    @property
    def only_trust_is_missing(self) -> bool:
        """Tell whether all that is missing is what only a ceremony can publish: trust root and trust list."""
        return {one.part for one in self.missing} <= {Part.TRUST_ROOT, Part.TRUST_LIST}

    @property
    def known(self) -> datetime | None:
        """Return the latest time that is known to have been, None when nothing is known.

        What the database has signed up to the moment an operator disregarded says nothing.
        """
        known = [] if self.outside is None else [self.outside.mark.time]
        accepted = None if self.outside is None else self.outside.acceptance
        if self.inside is not None and (accepted is None or self.inside.time > accepted.disregarded):
            known.append(self.inside.time)
        return max(known, default=None)

    def rollback(self) -> Restriction | None:
        """Return why nothing may be written into this database: it lacks what was published before."""
        if self.inside is None:
            seen = 0 if self.outside is None else self.outside.mark.trust_list_sequence
            if seen == 0:
                return None  # the mark knows a time and nothing that was published
            return _rollback(
                zh=f"数据库中没有信任列表,而已发布到第 {seen} 版",
                en=f"the database holds no trust list at all, and number {seen} has been published",
            )
        missing = self.missing
        if not missing:
            return None
        zh, en = _listed(missing, "zh"), _listed(missing, "en")
        if not self.only_trust_is_missing:
            return _rollback(zh=zh, en=en)
        if any(one.part is Part.TRUST_ROOT for one in missing):
            # Never made a second time: relying parties have pinned those very bytes.
            return _rollback(
                zh=f"{zh};请用 elicense recover --trust-root FILE 放回丢失的信任根(用证方都存有该文件)",
                en=f"{en}; put the trust root back, as relying parties hold it: elicense recover --trust-root FILE",
            )
        return _rollback(
            zh=f"{zh};请运行 elicense keys publish-trust-list",
            en=f"{en}; run elicense keys publish-trust-list",
            needs_trust_list=True,
        )

    def wrong_clock(self, *, production: bool, starting: bool) -> Restriction | None:
        """Return why the clock cannot be believed when held against what is known (see `judge_start`)."""
        known = self.known
        reason = judge_start(self.clock.shown, known=known, production=production, starting=starting)
        if reason is None or known is None:
            return None
        shown = rfc3339(self.clock.shown)
        return Restriction(
            reason=reason,
            zh=f"时钟显示 {shown},最后已知时间为 {rfc3339(known)}",
            en=f"the clock shows {shown}, the latest time known is {rfc3339(known)}",
        )


def _rollback(*, zh: str, en: str, needs_trust_list: bool = False) -> Restriction:
    reason = ServiceReason.ROLLBACK_DETECTED
    return Restriction(reason=reason, zh=zh, en=en, needs_trust_list=needs_trust_list)


def _listed(missing: Sequence[Missing], lang: str) -> str:
    """Name the first of them; the whole is what `elicense recover` and `doctor` show."""
    named = missing[:_NAMED_AT_MOST]
    rest = len(missing) - len(named)
    if lang == "zh":
        more = f";另有 {rest} 项" if rest else ""
        return "数据库缺少:" + ";".join(one.zh for one in named) + more
    more = f"; and {rest} more" if rest else ""
    return "the database lacks: " + "; ".join(one.en for one in named) + more
