"""Cases about the state of a license, the age of what says so, and what only the register can tell."""

from datetime import date
from typing import Any

from elicense.cn import LicenseIdentifier
from tests.simulator import (
    AUTHORITY_CODE,
    HOLDER_CODE,
    NOW,
    OTHER_TYPE_CODE,
    SAMPLE_ELEMENTS,
    TYPE_CODE,
)
from tests.vectors.case import (
    ISSUED,
    NO_FILE,
    Members,
    answer,
    case,
    changed,
    failed,
    passed,
    registered,
    unknown,
)
from tests.vectors.worlds import DAY, REVOKED, SUPERSEDED, SUSPENDED, VALID, aged, archived, current

BY_HOLDER = {"license": {"holder_code": HOLDER_CODE, "type_code": TYPE_CODE}}


def make() -> list[Members]:
    """Give every case of this file."""
    return [*_ended(), *_only_online(), *_dated(), *_stale(), *_register(), *_compared()]


def _credential(**changes: Any) -> str:
    return current().installation.credential(**changes)


def _ended() -> list[Members]:
    revoked, suspended = _credential(status_index=REVOKED), _credential(status_index=SUSPENDED)
    annulled = archived().tokens["plain"]
    first, second = _credential(status_index=SUPERSEDED), _credential(version="002", signed_at=ISSUED + DAY)
    return [
        case(
            "revoked_fail",
            ("颁发机构已吊销该证照。", "Its authority has revoked the license."),
            world=current(),
            question={"credential": revoked},
            register=[registered(revoked, changes=[changed("revoked", revocation="penalty")])],
            expected=answer(
                "invalid", "revoked", (3, 0), {**failed("revoked", "status"), **passed("signature")}
            ),
        ),
        case(
            "revoked_annulled_fail",
            (
                "证照已被撤销,自始无效,所问的过去时刻亦然;名单不区分吊销与撤销,离线只见当时的名单。",
                "Annulled, and so void at every moment, a past one too; offline the list of then is all there is.",
            ),
            world=archived(),
            at=NOW - 2 * DAY,
            question={"credential": annulled},
            register=[registered(annulled, changes=[changed("revoked", revocation="annulled")])],
            expected=answer("invalid", "revoked", (3, 0), failed("revoked", "status")),
            by={runner: answer("valid", "ok", (0, 0), passed("status")) for runner in ("core", "cli")},
        ),
        case(
            "suspended_fail",
            ("证照暂时失效。", "The license is suspended."),
            world=current(),
            question={"credential": suspended},
            register=[registered(suspended, changes=[changed("suspended")])],
            expected=answer("invalid", "suspended", (2, 0), failed("suspended", "status")),
        ),
        case(
            "superseded_fail",
            (
                "出示的是旧版本,登记系统已有新版本。",
                "The version shown was replaced; the register holds a newer one.",
            ),
            world=current(),
            question={"credential": first},
            register=[registered(first, second)],
            expected=answer("invalid", "superseded", (3, 0), failed("superseded", "status")),
        ),
    ]


def _only_online() -> list[Members]:
    token = _credential(status_index=REVOKED)
    listed = {"reason": "revoked", "checks": failed("revoked", "status")}
    return [
        case(
            f"{state}_fail",
            (
                f"{zh}。名单对此不作区分,离线只能得知已失效。",
                f"{en}. A status list does not tell which end it was: offline it reads revoked.",
            ),
            world=current(),
            question={"credential": token},
            register=[registered(token, changes=[changed(state)])],
            core_asks="register",
            expected=answer("invalid", state, (3, 0), failed(state, "status")),
            by={"cli": listed},
        )
        for state, zh, en in (
            ("cancelled", "证照已注销", "The license was cancelled"),
            ("transferred", "证照已迁出", "The license was transferred elsewhere"),
        )
    ]


def _dated() -> list[Members]:
    ended, begins = _credential(valid_until=date(2026, 11, 1)), _credential(valid_from=date(2026, 11, 3))
    return [
        case(
            "expired_fail",
            (
                "有效期至 2026-11-01(含当日),核验于次日。",
                "Valid until 2026-11-01, that day included; verified the day after.",
            ),
            world=current(),
            question={"credential": ended},
            register=[registered(ended)],
            expected=answer("invalid", "expired", (3, 0), {**failed("expired", "dates"), **passed("status")}),
        ),
        case(
            "not_yet_valid_fail",
            ("有效期自次日起。", "Its validity begins tomorrow."),
            world=current(),
            question={"credential": begins},
            register=[registered(begins)],
            expected=answer(
                "invalid", "not_yet_valid", (1, 0), {**failed("not_yet_valid", "dates"), **passed("status")}
            ),
        ),
    ]


def _stale() -> list[Members]:
    plain, old = current().tokens["plain"], aged().tokens["plain"]
    return [
        case(
            "trust_unavailable_fail",
            (
                "没有信任列表:离线无法判断,服务则不作回答。",
                "No trust list: offline nothing can be told, and a service gives no answer at all.",
            ),
            world=current(),
            bundle=False,
            question={"credential": plain},
            expected=answer(
                "indeterminate", "trust_unavailable", (None, None), unknown("trust_unavailable", "trust")
            ),
            by={"http": {"status": 503, "problem": "unavailable"}},
        ),
        case(
            "trust_stale_fail",
            (
                "信任列表已到规定的更新时刻。",
                "The trust list has reached the moment of its next update.",
            ),
            world=current(),
            now=NOW + 89 * DAY,
            question={"credential": plain},
            register=[registered(plain)],
            expected=answer(
                "indeterminate",
                "trust_stale",
                (None, 0),
                {**unknown("trust_stale", "trust"), **passed("signature")},
            ),
        ),
        case(
            "status_stale_fail",
            (
                "所问时刻最新的名单已有两天,策略只许 24 小时。",
                "The newest list of the moment asked about was two days old then; the policy allows 24 hours.",
            ),
            world=aged(),
            at=NOW - DAY,
            question={"credential": old},
            register=[registered(old)],
            expected=answer("indeterminate", "status_stale", (None, 0), unknown("status_stale", "status")),
        ),
        case(
            "status_unavailable_fail",
            ("没有名单覆盖所问时刻。", "No list covers the moment asked about."),
            world=current(),
            at=NOW - 2 * DAY,
            question={"credential": plain},
            register=[registered(plain)],
            expected=answer(
                "indeterminate", "status_unavailable", (None, 0), unknown("status_unavailable", "status")
            ),
        ),
        case(
            "clock_unreliable_fail",
            (
                "本机时钟早于信任列表的签署时间。",
                "The clock shows a time before the trust list was signed.",
            ),
            world=current(),
            now=NOW - 2 * DAY,
            question={"credential": plain},
            register=[registered(plain)],
            expected=answer(
                "indeterminate", "clock_unreliable", (None, 0), unknown("clock_unreliable", "clock")
            ),
        ),
    ]


def _register() -> list[Members]:
    plain = current().tokens["plain"]
    other = LicenseIdentifier.make(
        type_code=TYPE_CODE, authority_code=AUTHORITY_CODE, serial="8M4N2R5V", version="001"
    ).text
    second = _credential(identifier=other, number="演示字第 2 号", status_index=VALID + 1)
    return [
        case(
            "not_registered_fail",
            (
                "签名正确,登记系统却从未签发此文件(密钥被盗用);离线无从发现。",
                "A good signature over what the register never issued: a stolen key's. Offline nobody can see that.",
            ),
            world=current(),
            question={"credential": plain},
            core_asks="register",
            expected=answer("invalid", "not_registered", (5, 2), failed("not_registered", "register")),
            by={"cli": answer("valid", "ok", (0, 0), {"register": {"outcome": "skipped", "code": "ok"}})},
        ),
        case(
            "not_found_fail",
            ("登记系统中没有所问的证照。", "The register holds no license that fits."),
            world=current(),
            question={"license": {"number": "演示字第 404 号", "type_code": TYPE_CODE}},
            core_asks="register",
            register=[registered(plain)],
            expected=answer("invalid", "not_found", (5, None), failed("not_found", "register")),
            not_by={"cli": NO_FILE},
        ),
        case(
            "ambiguous_fail",
            (
                "该持证主体有两个同类现行证照,只答数目,不代为选择。",
                "The holder has two live licenses of this type: their count is told, none is picked.",
            ),
            world=current(),
            question=BY_HOLDER,
            core_asks="register",
            register=[registered(plain), registered(second)],
            expected=answer("indeterminate", "ambiguous", (4, None), unknown("ambiguous", "register")),
            not_by={"cli": NO_FILE},
        ),
        case(
            "code_unknown_fail",
            ("没有此用证码。", "No such presentation code is known."),
            world=current(),
            question={"code": "7K3M-9Q2T-XW4R"},
            expected=answer("invalid", "code_unknown", (5, None), failed("code_unknown", "holder_binding")),
            not_by={
                "core": "a presentation code is known to its service alone",
                "cli": "a presentation code is known to its service alone",
            },
        ),
    ]


def _compared() -> list[Members]:
    plain = current().tokens["plain"]
    bare = plain.split("~")[0] + "~"
    moved = {**SAMPLE_ELEMENTS, "address": "南京市玄武区示范路 9 号"}
    renamed = _credential(version="002", elements=moved, signed_at=ISSUED + DAY)
    old_address = {"address": SAMPLE_ELEMENTS["address"]}
    mismatch = failed("mismatch", "elements")
    return [
        case(
            "outside_policy_fail",
            (
                "证照有效,但不是用证方策略所接受的类型。",
                "The license is in force, and not of a type that the relying party's own policy accepts.",
            ),
            world=current(),
            question={"credential": plain},
            policy={"fmt": 1, "name": "other-type", "parts": {"types": [OTHER_TYPE_CODE]}},
            register=[registered(plain)],
            expected=answer("invalid", "outside_policy", (6, 0), failed("outside_policy", "policy")),
        ),
        case(
            "holder_binding_failed_fail",
            (
                "要求出示人证明自己是持证主体,文件未载明持证主体的公钥。",
                "The presenter is asked to prove to be the holder, and the credential names no holder's key.",
            ),
            world=current(),
            question={
                "credential": plain,
                "key_binding": {"nonce": "n-0S6_WzA2Mj-2026-11-02", "audience": "https://bank.example"},
            },
            register=[registered(plain)],
            expected=answer(
                "invalid",
                "holder_binding_failed",
                (6, 0),
                failed("holder_binding_failed", "holder_binding"),
            ),
        ),
        case(
            "mismatch_fail",
            (
                "所填法定代表人与证照不一致。",
                "The legal representative asked about is not the license's.",
            ),
            world=current(),
            question={"credential": plain},
            elements={"legal_representative": "王另一", "address": SAMPLE_ELEMENTS["address"]},
            register=[registered(plain)],
            expected=answer(
                "invalid", "mismatch", (6, 0), mismatch, legal_representative="mismatch", address="match"
            ),
        ),
        case(
            "mismatch_former_value_fail",
            (
                "所填住所是变更前的;登记系统能指出,文件本身不能。",
                "The address asked about is the one before a change: the register can say so, a file cannot.",
            ),
            world=current(),
            question={"credential": renamed},
            elements=old_address,
            register=[registered(_credential(status_index=SUPERSEDED), renamed)],
            expected=answer("invalid", "mismatch", (6, 0), mismatch, address="mismatch"),
            by={
                "http": {
                    "elements": [{"name": "address", "outcome": "former_value", "changed_on": "2026-10-24"}]
                }
            },
        ),
        case(
            "incomplete_fail",
            (
                "所问照面信息未在文件中出示,无法比较;联网时由登记系统比较。",
                "The element asked about is not disclosed in the file; online the register compares its own value.",
            ),
            world=current(),
            question={"credential": bare},
            elements=old_address,
            register=[registered(plain)],
            expected=answer(
                "indeterminate",
                "incomplete",
                (4, 0),
                unknown("incomplete", "elements"),
                address="cannot_tell",
            ),
            by={"http": answer("valid", "ok", (0, 0), passed("elements"), address="match")},
        ),
    ]
