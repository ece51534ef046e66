"""How old each piece of evidence is, how old it may become, and what it therefore cannot claim.

An offline answer is as young as its oldest necessary piece. Who relies on it is told so piece by piece, in words that
name what may have happened since.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from elicense.encoding import JsonValue, rfc3339
from elicense.problems import Text


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustTimes:
    """Hold the times of the trust documents an answer rests on; the freshness's are None without one.

    `log_size` counts the entries of the log's checkpoint that the freshness names, None without one.
    """

    root_version: int
    root_expires_at: datetime
    list_issued_at: datetime
    list_next_update: datetime
    stated_at: datetime | None
    stated_until: datetime | None
    log_size: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTimes:
    """Hold when the status was read, how old the policy lets it become, and when its list ends."""

    as_of: datetime
    max_age: timedelta
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceAge:
    """Tell the age of one piece of evidence at the moment of the verification.

    `part` is trust_root, trust_list, freshness, status_list, checkpoint or log_proof. `as_of` is None for what carries
    no time; `limit_seconds` is the age past which it no longer counts, `expires_at` the moment; None without an end.
    """

    part: str
    as_of: datetime | None
    age_seconds: int | None
    limit_seconds: int | None
    expires_at: datetime | None
    note: Text

    def to_json(self, lang: Literal["zh", "en"] = "zh") -> dict[str, JsonValue]:
        """Give the age as the report shows it, the note in one language."""
        return {
            "part": self.part,
            "as_of": rfc3339(self.as_of) if self.as_of is not None else None,
            "age_seconds": self.age_seconds,
            "limit_seconds": self.limit_seconds,
            "expires_at": rfc3339(self.expires_at) if self.expires_at is not None else None,
            "note": self.note.in_language(lang),
        }


def trust_ages(times: TrustTimes, now: datetime) -> list[EvidenceAge]:
    """Tell the ages of root and trust list, and of the freshness where there is one."""
    ages = [_root_age(times), _list_age(times, now)]
    if times.stated_at is not None and times.stated_until is not None:
        note = _freshness_note(times.stated_at)
        ages.append(_age("freshness", times.stated_at, times.stated_until, now, note))
    return ages


def checkpoint_ages(times: TrustTimes, now: datetime) -> list[EvidenceAge]:
    """Tell the age of the log's checkpoint, which is the freshness's that names it; nothing without one."""
    if times.stated_at is None or times.stated_until is None or times.log_size is None:
        return []
    note = _log_note(times.stated_at, times.log_size)
    return [_age("checkpoint", times.stated_at, times.stated_until, now, note)]


def status_age(times: ListTimes, now: datetime, *, at: datetime) -> EvidenceAge:
    """Tell the age of the status list; for a moment in the past it is measured at that moment."""
    ends = times.as_of + times.max_age
    if times.expires_at is not None:
        ends = min(ends, times.expires_at)
    read = rfc3339(times.as_of)
    note = Text(
        f"状态读取于 {read}。此后的吊销、撤销、注销、暂停或恢复无从得知。",
        f"The status was read at {read}. A revocation, cancellation, suspension or resumption since is not known.",
    )
    if at < now:
        note = Text(
            f"所示为读取于 {read} 的状态,只说明所问时刻,不说明此后;此后作出的撤销(自始无效)列表不作区分。",
            f"This is the status as read at {read}: it speaks of the moment asked about, not of later ones. A list "
            "does not tell an annulment made since, which holds from the start.",
        )
    return _age("status_list", times.as_of, ends, min(at, now), note)


def proof_age(*, size: int, seen_at: datetime | None, now: datetime) -> EvidenceAge:
    """Tell what a log proof says about time: a witness's, or nothing."""
    if seen_at is None:
        note = Text(
            f"文件在日志前 {size} 条之内。证明不含时间:说明已登记,不说明何时,也不说明现状。",
            f"The file stands among the first {size} entries of the log. The proof carries no time: it tells that the "
            "file was logged, not when, and nothing about its state now.",
        )
    else:
        seen = rfc3339(seen_at)
        note = Text(
            f"文件在日志前 {size} 条之内,见证方于 {seen} 见过:登记不晚于该时刻。不说明现状。",
            f"The file stands among the first {size} entries of the log, which a witness saw at {seen}: it was logged "
            "no later than that. It tells nothing about its state now.",
        )
    age = _seconds(now - seen_at) if seen_at is not None else None
    return EvidenceAge(
        part="log_proof", as_of=seen_at, age_seconds=age, limit_seconds=None, expires_at=None, note=note
    )


def _root_age(times: TrustTimes) -> EvidenceAge:
    ends = rfc3339(times.root_expires_at)
    note = Text(
        f"信任根第 {times.root_version} 版,有效至 {ends}。是否已有更新的版本,凭此无从得知。",
        f"Trust root version {times.root_version}, good until {ends}. Whether a newer one exists it cannot tell.",
    )
    return EvidenceAge(
        part="trust_root",
        as_of=None,
        age_seconds=None,
        limit_seconds=None,
        expires_at=times.root_expires_at,
        note=note,
    )


def _list_age(times: TrustTimes, now: datetime) -> EvidenceAge:
    issued = rfc3339(times.list_issued_at)
    if times.stated_at is None:
        note = Text(
            f"信任列表发布于 {issued}。没有声明表明其仍为最新:此后撤下或泄露的密钥无从得知。",
            f"The trust list was issued at {issued}. Nothing says that it is still the current one: keys withdrawn or "
            "compromised since are not known.",
        )
    else:
        known = rfc3339(times.stated_at)
        note = Text(
            f"信任列表发布于 {issued},至 {known} 仍为最新。在那之后撤下或泄露的密钥、终止的机构无从得知。",
            f"The trust list was issued at {issued} and was the current one at {known}. Keys withdrawn or compromised "
            "and authorities ended after that are not known.",
        )
    return _age("trust_list", times.list_issued_at, times.list_next_update, now, note)


def _freshness_note(stated_at: datetime) -> Text:
    stated = rfc3339(stated_at)
    return Text(
        f"声明作出于 {stated}:当时信任列表与各状态列表为最新。此后发布的无从得知。",
        f"Stated at {stated}: trust list and status lists were the current ones then. What was published since is not "
        "known.",
    )


def _log_note(stated_at: datetime, size: int) -> Text:
    stated = rfc3339(stated_at)
    return Text(
        f"存证日志至 {stated} 有 {size} 条。此后登记的不在其中。",
        f"The log held {size} entries at {stated}. What was logged since is not among them.",
    )


def _age(part: str, as_of: datetime, ends: datetime, now: datetime, note: Text) -> EvidenceAge:
    return EvidenceAge(
        part=part,
        as_of=as_of,
        age_seconds=_seconds(now - as_of),
        limit_seconds=_seconds(ends - as_of),
        expires_at=ends,
        note=note,
    )


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
