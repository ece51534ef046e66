"""The licenses behind the sandbox's magic codes: what each says, and what becomes of it. All of it is invented."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from app.domain.amending import Amendment
from app.domain.license import Action, Holder, NewLicense
from app.domain.sandbox import CODE_TYPE, MAGIC_CODES, MagicCode, Scenario
from app.services.demo_directory import issuing_authority

_AREA: Final = "320106"
_SINCE: Final = date(2019, 5, 6)
_ENDED: Final = date(2024, 5, 5)
_REPRESENTATIVE: Final = "赵例甲"
_ADDRESS: Final = "江苏省南京市鼓楼区演示大道1号"
EXPIRING_FOR: Final = timedelta(days=365)
EXPIRING_AT_LEAST: Final = timedelta(days=30)
AMENDMENT: Final = Amendment(elements={"address": "江苏省南京市鼓楼区迁址街2号"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLicense:
    """A license to issue for a magic code, and the order that brings it into its state, None for none."""

    scenario: Scenario
    new: NewLicense
    action: Action | None = None
    reason_code: str = ""
    reason: str = ""


_FATES: Final[Mapping[Scenario, tuple[Action, str, str]]] = {
    Scenario.SUSPENDED: (Action.SUSPEND, "inspection", "沙箱:检查期间暂停"),
    Scenario.REVOKED: (Action.REVOKE, "penalty", "沙箱:依法吊销"),
    Scenario.CANCELLED: (Action.CANCEL, "holder_request", "沙箱:持证主体申请注销"),
}


def sandbox_licenses(*, today: date) -> Iterator[SandboxLicense]:
    """Give the licenses of all magic codes; the one that expires does so a year from `today`."""
    for code in MAGIC_CODES:
        if code.scenario is Scenario.NOT_FOUND:
            continue
        action, reason_code, reason = _FATES.get(code.scenario, (None, "", ""))
        yield SandboxLicense(
            scenario=code.scenario,
            new=_new(code, number=code.holder_code, today=today),
            action=action,
            reason_code=reason_code,
            reason=reason,
        )
        if code.scenario is Scenario.AMBIGUOUS:
            second = _new(code, number=f"{code.holder_code}-2", today=today)
            yield SandboxLicense(scenario=code.scenario, new=second)


def elements_to_send(scenario: Scenario) -> Mapping[str, str]:
    """Return elements to ask with: those on record, or wrong ones where the scenario is a mismatch."""
    if scenario is Scenario.MISMATCH:
        return {"legal_representative": "钱例乙", "address": "江苏省南京市鼓楼区样例街9号"}
    return {"legal_representative": _REPRESENTATIVE}


def _new(code: MagicCode, *, number: str, today: date) -> NewLicense:
    return NewLicense(
        type_code=CODE_TYPE,
        number=number,
        holder=Holder(
            code=code.holder_code, code_type="001", name=f"南京沙箱{code.holder_code[11:16]}(演示)有限公司"
        ),
        area_code=_AREA,
        issue_date=_SINCE,
        valid_from=_SINCE,
        valid_until=_end(code.scenario, today=today),
        elements={
            "legal_representative": _REPRESENTATIVE,
            "address": _ADDRESS,
            "registered_capital": "100万元人民币",
            "established_date": _SINCE.isoformat(),
        },
        authority_code=issuing_authority(CODE_TYPE, _AREA),
    )


def _end(scenario: Scenario, *, today: date) -> date | None:
    if scenario is Scenario.EXPIRED:
        return _ENDED
    return today + EXPIRING_FOR if scenario is Scenario.EXPIRING else None
