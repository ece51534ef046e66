"""What an answer cannot claim because a piece of evidence is not there at all. Pure."""

from collections.abc import Iterator

from elicense.problems import Text
from elicense.report import Caution, CheckId, Outcome, VerificationReport

_NO_TRUST_LIST = Caution(
    "no_trust_list",
    Text(
        "没有可用的信任列表:不能说明由谁颁发,也不能说明是否有效。",
        "Without a trust list it cannot say who issued this, nor whether it is in force.",
    ),
)
_NO_STATUS = Caution(
    "no_status",
    Text(
        "没有证照状态:不能说明证照未被暂停、吊销或注销。",
        "Without a status it cannot say that the license is not suspended, revoked or cancelled.",
    ),
)
_NOT_SHOWN_LOGGED = Caution(
    "not_shown_logged",
    Text(
        "没有成立的存证日志证明:离线不能说明登记库中确有这份文件。",
        "Without a log proof that holds it cannot say, offline, that the register holds exactly this file.",
    ),
)
_BEARER = Caution(
    "bearer",
    Text(
        "只说明证照本身,不说明出示人就是持证主体。",
        "It speaks of the license, not of who shows it.",
    ),
)


def limits_of(report: VerificationReport) -> tuple[Caution, ...]:
    """List what this offline report cannot claim, beyond what the ages of its evidence say."""
    return tuple(_limits(report))


def _limits(report: VerificationReport) -> Iterator[Caution]:
    if report.trust is None:
        yield _NO_TRUST_LIST
    if report.status is None:
        yield _NO_STATUS
    if (
        report.check(CheckId.LOG_PROOF).outcome is not Outcome.PASSED
        and report.check(CheckId.REGISTER).outcome is not Outcome.PASSED
    ):
        yield _NOT_SHOWN_LOGGED
    if report.check(CheckId.HOLDER_BINDING).outcome is not Outcome.PASSED:
        yield _BEARER
