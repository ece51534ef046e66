"""The report of an offline verification: what the judge said, how old its evidence was, and the way to keep it all."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from pathlib import Path

from elicense.client import _system
from elicense.client._storing import PRIVATE, store_file
from elicense.encoding import JsonValue
from elicense.evidence import Evidence
from elicense.evidence_file import Judgement, write_evidence
from elicense.limits import limits_of
from elicense.records import quick_constructor
from elicense.report import Caution, CheckId, Lang, Outcome, VerificationReport


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineReport(VerificationReport):
    """Report one offline verification, with what it rested on.

    `evidence_ages` says how old each piece of evidence was, `limits` what the answer cannot claim besides; both are
    part of `to_json`. `save_evidence` keeps everything that repeats the judgement. Pickled, it holds the bundle that
    was used, and gathers its evidence from that anew.
    """

    judgement: Judgement = field(compare=False, repr=False)
    evidence: Evidence = field(compare=False, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        return _gathered_anew, (_judged(self), self.judgement)

    def __copy__(self) -> "OfflineReport":
        return self

    def __deepcopy__(self, memo: object) -> "OfflineReport":
        return self  # nothing of it changes

    @property
    def limits(self) -> tuple[Caution, ...]:
        """List what this answer cannot claim, beyond what the ages of its evidence say."""
        return limits_of(self)

    def save_evidence(self, path: str | os.PathLike[str]) -> None:
        """Write everything an auditor needs to repeat the judgement: `elicense verify --evidence FILE`.

        The credential, its proof, trust root, bundle, policy and asked values go into one file, exactly as they were
        used, with this report. It holds what the credential discloses and what was asked: keep it as you keep those.
        Of a file that is no credential nothing is kept: it is judged, and repeated, as an empty text. The evidence file
        is replaced at once and whole; a new one is for its owner alone to read. Raises OSError.
        """
        is_one = self.check(CheckId.FORMAT).outcome is Outcome.PASSED
        report = self if is_one else self.judgement.judge(self.evidence)
        content = write_evidence(self.judgement, report, created_at=_system.now())
        store_file(Path(path), content, mode=PRIVATE)

    def to_json(self, lang: Lang = "zh") -> dict[str, JsonValue]:
        """Give the report in the shape of the API's answer, and the ages and limits of its evidence."""
        shown = VerificationReport.to_json(self, lang)
        limits: list[JsonValue] = [limit.to_json(lang) for limit in self.limits]
        return {**shown, "limits": limits}


_judged = attrgetter(*(one.name for one in fields(VerificationReport)))
_new_report: Callable[..., OfflineReport] = quick_constructor(OfflineReport)


def with_evidence(report: VerificationReport, judgement: Judgement, evidence: Evidence) -> OfflineReport:
    """Join a report with what it rested on."""
    # By position, in the order of the fields: a verifier does this with every credential.
    return _new_report(*_judged(report), judgement, evidence)


def _gathered_anew(judged: tuple[object, ...], judgement: Judgement) -> OfflineReport:
    return _new_report(*judged, judgement, judgement.evidence())
