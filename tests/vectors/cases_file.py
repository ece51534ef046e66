"""Cases about a credential itself: its form, its signature, its key and issuer, and good ones beside them."""

from dataclasses import replace

from tests.simulator import NOW, NamedAs
from tests.vectors.case import Members, answer, case, changed, failed, passed, registered, unknown
from tests.vectors.seeded import SeededSigner
from tests.vectors.worlds import DAY, archived, compromised, current

AUTHORITY = SeededSigner("authority")


def make() -> list[Members]:
    """Give every case of this file."""
    return [*_good(), *_broken(), *_foreign(), *_stolen()]


def _good() -> list[Members]:
    world, past = current(), archived()
    plain, then = world.tokens["plain"], past.tokens["plain"]
    fine = answer("valid", "ok", (0, 0), passed("format", "trust", "issuer", "signature", "status", "dates"))
    return [
        case(
            "ok",
            ("证照真实有效,未要求存证日志证明。", "A license in force; no log proof is asked for."),
            world=world,
            question={"credential": plain},
            register=[registered(plain)],
            expected=fine,
        ),
        case(
            "ok_disclosures_removed",
            (
                "持证主体只出示一项照面信息,其余隐去,签名仍然成立。",
                "The holder shows one element and keeps the others back; the signature holds.",
            ),
            world=world,
            question={"credential": "~".join((*plain.split("~")[:2], ""))},
            register=[registered(plain)],
            expected=fine,
        ),
        case(
            "ok_log_proof",
            (
                "附存证日志证明的文件,满足银行策略的要求。",
                "A file with its log proof, as the bank's policy requires.",
            ),
            world=world,
            question={"stapled": world.stapled["plain"]},
            policy="bank-strict",
            register=[registered(plain, log=world.index_of("plain"))],
            expected=answer("valid", "ok", (0, 0), passed("signature", "status", "log_proof")),
        ),
        case(
            "ok_past_moment",
            (
                "今日已被吊销,但所问时刻的名单显示其当时有效。",
                "Revoked today; the list that was the newest at the moment asked about shows it in force.",
            ),
            world=past,
            at=NOW - 2 * DAY,
            question={"credential": then},
            register=[registered(then, changes=[changed("revoked", revocation="penalty")])],
            expected=fine,
        ),
        case(
            "ok_logged_before_compromise",
            (
                "签名密钥后来被宣布泄露,但存证日志表明该文件签发在先。",
                "The signing key was lost later; the log shows that this credential is older than that.",
            ),
            world=compromised(),
            question={"stapled": compromised().stapled["before"]},
            register=[registered(compromised().tokens["before"], log=compromised().index_of("before"))],
            expected=answer("valid", "ok", (0, 0), passed("key", "log_proof")),
        ),
    ]


def _broken() -> list[Members]:
    world = current()
    make_credential = world.installation.credential
    forger = NamedAs(SeededSigner("forger"), AUTHORITY.kid)
    weak = NamedAs(AUTHORITY, AUTHORITY.kid)
    weak.profile = replace(weak.profile, alg="HS256")
    return [
        case(
            "malformed_fail",
            ("不是电子证照文件的文本。", "A text that is no credential."),
            world=world,
            question={"credential": "这不是证照 not a credential"},
            expected=answer("invalid", "malformed", (6, 2), failed("malformed", "format")),
        ),
        case(
            "unsupported_algorithm_fail",
            (
                "签名头写明 HS256,不在算法表中。",
                "The header names HS256, which the table of algorithms does not have.",
            ),
            world=world,
            question={"credential": make_credential(signer=weak)},
            expected=answer(
                "invalid", "unsupported_algorithm", (6, 2), failed("unsupported_algorithm", "format")
            ),
        ),
        case(
            "signature_invalid_fail",
            (
                "以他人密钥签名,却署颁发机构的密钥标识。",
                "Signed with another key under the id of the authority's.",
            ),
            world=world,
            question={"credential": make_credential(signer=forger)},
            expected=answer("invalid", "signature_invalid", (6, 1), failed("signature_invalid", "signature")),
        ),
        case(
            "claims_inconsistent_fail",
            (
                "sub 与所载持证主体代码不一致,尽管签名正确。",
                "`sub` is not the holder's code, though the signature is good.",
            ),
            world=world,
            question={
                "credential": make_credential(edit=lambda payload: payload.update(sub="91320102MA0T00099X"))
            },
            expected=answer(
                "invalid",
                "claims_inconsistent",
                (6, 2),
                {**failed("claims_inconsistent", "claims"), **passed("signature")},
            ),
        ),
    ]


def _foreign() -> list[Members]:
    world = current()
    make_credential = world.installation.credential
    early, elsewhere = make_credential(signed_at=NOW - 301 * DAY), make_credential(area_code="320501")
    return [
        case(
            "issuer_unknown_fail",
            (
                "所署密钥不是该颁发机构在信任列表中的密钥。",
                "The trust list names no such key for this issuer.",
            ),
            world=world,
            question={"credential": make_credential(signer=SeededSigner("stranger"))},
            expected=answer("invalid", "issuer_unknown", (6, 1), failed("issuer_unknown", "issuer")),
        ),
        case(
            "issuer_not_authorized_fail",
            (
                "颁发机构的权限只及 3201,证照属 320501。",
                "The authority's scope is 3201, the license is of 320501.",
            ),
            world=world,
            question={"credential": elsewhere},
            register=[registered(elsewhere)],
            expected=answer(
                "invalid",
                "issuer_not_authorized",
                (6, 1),
                {**failed("issuer_not_authorized", "scope"), **passed("signature", "claims")},
            ),
        ),
        case(
            "key_not_valid_at_issue_fail",
            (
                "签发时间早于该密钥有效期起始一天。",
                "Signed one day before the key's validity began.",
            ),
            world=world,
            question={"credential": early},
            register=[registered(early)],
            expected=answer(
                "invalid",
                "key_not_valid_at_issue",
                (6, 1),
                {**failed("key_not_valid_at_issue", "key"), **passed("signature")},
            ),
        ),
    ]


def _stolen() -> list[Members]:
    world = compromised()
    before, after = world.tokens["before"], world.tokens["after"]
    bent = {**current().stapled["plain"]["proof"], "index": 0}
    return [
        case(
            "key_compromised_fail",
            (
                "密钥泄露之后才写入存证日志;文件自称的签发时间不作数。",
                "Logged after the theft of its key; the time of signing it claims does not count.",
            ),
            world=world,
            question={"stapled": world.stapled["after"]},
            register=[registered(after, log=world.index_of("after"))],
            expected=answer(
                "invalid",
                "key_compromised",
                (6, 1),
                {**failed("key_compromised", "key"), **passed("signature", "log_proof")},
            ),
        ),
        case(
            "log_proof_missing_fail",
            (
                "密钥已泄露,又无存证日志证明,无从得知签发于何时。",
                "The key was stolen and nothing shows whether this credential is older: it cannot be told.",
            ),
            world=world,
            question={"credential": before},
            register=[registered(before)],
            expected=answer(
                "indeterminate",
                "log_proof_missing",
                (None, 0),
                unknown("log_proof_missing", "log_proof"),
            ),
        ),
        case(
            "log_proof_failed_fail",
            (
                "所附存证日志证明指向另一位置,证明不成立。",
                "The log proof names another place than its path leads to.",
            ),
            world=current(),
            question={"stapled": {**current().stapled["plain"], "proof": bent}},
            register=[registered(current().tokens["plain"])],
            expected=answer(
                "invalid",
                "log_proof_failed",
                (6, 0),
                {**failed("log_proof_failed", "log_proof"), **passed("signature", "status")},
            ),
        ),
    ]
