"""Key binding: a presenter proves to hold the key that the credential names (RFC 9901, sections 4.3 and 7.3).

The key-binding JWT at the end of a presentation is signed with the holder's own key over the verifier's nonce and
audience, the time, and a digest of exactly what is presented. Whether it is asked for is the verifier's decision
(policy and question), never the presenter's: taking the signature off must not make anything easier. Pure.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from elicense.credential import (
    KEY_BINDING_HEADER,
    KEY_BINDING_TYP,
    Credential,
    disclosed_part,
    parse_credential,
    select_disclosures,
)
from elicense.encoding import b64url_encode, dump_json, malformed, parse_json_object, sha256, to_unix
from elicense.jws import MAX_TOKEN_BYTES, assemble_compact, compact_signing_input, parse_compact
from elicense.keys import PublicKey, Signer
from elicense.policy import HolderBinding, Policy
from elicense.problems import FormatError, Reason, Text
from elicense.report import PASSED, Check, CheckId, Outcome

__all__ = [
    "BEARER",
    "HOLDER_PROFILE",
    "KEY_BINDING_AGE",
    "ExpectedBinding",
    "check_by_reference",
    "check_holder_binding",
    "digest_of_presentation",
    "present",
]

HOLDER_PROFILE: Final = "es256"
"""The profile of holders' keys: the one that wallets and secure elements share."""

KEY_BINDING_AGE: Final = timedelta(minutes=5)
"""How old a key binding may be at the moment of verification."""

BEARER: Final = Check(
    CheckId.HOLDER_BINDING,
    Outcome.SKIPPED,
    required=False,
    text=Text(
        "持证主体身份:未核验(凭文件出示,不说明出示人就是持证主体)",
        "Holder binding: not checked (bearer: says nothing about who shows it)",
    ),
    detail="bearer",
)
"""Nobody asked who presents: the answer speaks of the license alone."""

_PASSED = PASSED[CheckId.HOLDER_BINDING]
_UNASKED = Check(
    CheckId.HOLDER_BINDING,
    Outcome.CANNOT_TELL,
    Reason.INCOMPLETE,
    text=Text(
        "策略要求核验持证主体的绑定签名,但所问缺少随机数与受众,无法验证。",
        "The policy asks for the key binding, and the question lacks its nonce and audience.",
    ),
    detail="the question states no nonce and audience",
)
_NOT_PRESENTED = Check(
    CheckId.HOLDER_BINDING,
    Outcome.CANNOT_TELL,
    Reason.INCOMPLETE,
    text=Text(
        "策略要求证明持证主体身份,须由持证主体出示电子证照文件。",
        "The policy asks for the holder's proof: ask with the credential the holder presents.",
    ),
    detail="a question by reference presents nothing",
)
_NOT_ASKED = Check(CheckId.HOLDER_BINDING, Outcome.SKIPPED, required=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedBinding:
    """State what a key binding must answer: the nonce given to this presenter, and this verifier's own audience.

    `used_before` says that the nonce was used already; remembering that is the caller's business, since a pure
    judge has no memory. ValueError for an empty nonce or audience.
    """

    nonce: str
    audience: str
    used_before: bool = False

    def __post_init__(self) -> None:
        """Refuse empty texts, which anybody could have guessed."""
        if not self.nonce or not self.audience:
            raise ValueError("a key binding is asked for with a nonce and an audience")


def check_holder_binding(
    token: str | bytes,
    credential: Credential,
    expected: ExpectedBinding | None,
    *,
    policy: Policy,
    now: datetime,
) -> Check:
    """Judge whether the presenter of `token` (parsed as `credential`) holds the key that its `cnf` names.

    A question that states what it expects always asks; else the policy decides. `required`: a presentation without
    key or signature failed, one with them cannot be told without a nonce (`incomplete`). `if_present`: the same, but
    none is needed. `ignored`: bearer. The time is held against `now`, the moment of the verification, also where
    another moment of the license is asked about: a holder proves to be there now.
    """
    if expected is not None:
        fault = _fault(token, credential, expected, policy=policy, now=now)
        return _failed(fault) if fault else _PASSED
    asked = policy.holder_binding
    if asked is HolderBinding.IGNORED:
        return BEARER
    if credential.key_binding is None:
        return BEARER if asked is HolderBinding.IF_PRESENT else _failed(_no_proof(credential))
    return _UNASKED


def check_by_reference(policy: Policy) -> Check:
    """Judge a question that presents no credential: it cannot meet a policy that requires the holder's proof."""
    return _NOT_PRESENTED if policy.holder_binding is HolderBinding.REQUIRED else _NOT_ASKED


def _failed(detail: str) -> Check:
    return Check(CheckId.HOLDER_BINDING, Outcome.FAILED, Reason.HOLDER_BINDING_FAILED, detail=detail)


def _no_proof(credential: Credential) -> str:
    if credential.cnf is None:
        return "the credential names no holder key (cnf): nobody can prove to be its holder"
    return "the presentation has no key binding"


def _fault(
    token: str | bytes, credential: Credential, expected: ExpectedBinding, *, policy: Policy, now: datetime
) -> str:
    """Follow RFC 9901 section 7.3, step 5; empty where the binding holds."""
    if credential.cnf is None or credential.key_binding is None:
        return _no_proof(credential)
    if expected.used_before:
        return "the nonce was used before: each counts once"
    try:
        key = PublicKey.from_jwk(credential.cnf["jwk"], profile=HOLDER_PROFILE)  # type: ignore[arg-type]
    except FormatError:
        return f"cnf holds no public key of the profile {HOLDER_PROFILE}"
    jws = parse_compact(credential.key_binding, typ=KEY_BINDING_TYP, allowed_header=KEY_BINDING_HEADER)
    if jws.alg != key.profile.alg:
        return "the key binding names another algorithm than that of the holder's key"
    if not key.verify(jws.signature, jws.signing_input):
        return "the key binding is not signed by the holder's key"
    members = parse_json_object(jws.payload, max_bytes=MAX_TOKEN_BYTES)
    if members["aud"] != expected.audience:
        return "the key binding is for another audience"
    if members["nonce"] != expected.nonce:
        return "the key binding answers another nonce"
    if members["sd_hash"] != digest_of_presentation(token):
        return "the key binding is about another presentation: sd_hash differs"
    return _time_fault(members, leeway=policy.leeway, now=now)


def _time_fault(members: Mapping[str, object], *, leeway: timedelta, now: datetime) -> str:
    moment, ahead = now.timestamp(), (now + leeway).timestamp()
    issued_at, ends, begins = members["iat"], members.get("exp"), members.get("nbf")
    if not isinstance(issued_at, int) or issued_at > ahead:
        return "the key binding was signed in the future"
    if issued_at < (now - KEY_BINDING_AGE).timestamp():
        return "the key binding is older than five minutes"
    # Neither is needed, but a JWT that states them means them (RFC 7519 sections 4.1.4 and 4.1.5).
    if "exp" in members and (type(ends) is not int or moment >= ends):
        return "the key binding has expired"
    if "nbf" in members and (type(begins) is not int or begins > ahead):
        return "the key binding is not valid yet"
    return ""


def digest_of_presentation(token: str | bytes) -> str:
    """Give `sd_hash`: the SHA-256, as base64url, of the exact bytes up to and including the last tilde."""
    return b64url_encode(sha256(disclosed_part(token)))


def present(
    token: str | bytes,
    *,
    disclose: Collection[str] | None = None,
    signer: Signer,
    nonce: str,
    audience: str,
    issued_at: datetime,
) -> str:
    """Make a presentation: the chosen disclosures (None: all there are), bound with the holder's key.

    `nonce` and `audience` are the verifier's. Refuses with FormatError (malformed) a token that is no credential,
    one that names no holder key or another one than the signer's, a name it does not disclose, and an empty nonce or
    audience: what a verifier would refuse is not presented.
    """
    credential = parse_credential(token)
    if not nonce or not audience:
        raise malformed("a key binding needs a nonce and an audience")
    named = credential.cnf["jwk"] if credential.cnf is not None else None
    if not isinstance(named, dict):
        raise malformed("credential names no holder key (cnf)")
    if PublicKey.from_jwk(named, profile=HOLDER_PROFILE) != signer.public_key:
        raise malformed("credential names another holder key than this one")
    chosen = frozenset(credential.elements) if disclose is None else frozenset(disclose)
    if not chosen <= credential.elements.keys():
        raise malformed("credential does not disclose every element that is to be shown")
    shown = select_disclosures(token, chosen)
    payload = {
        "iat": to_unix(issued_at),
        "aud": audience,
        "nonce": nonce,
        "sd_hash": digest_of_presentation(shown),
    }
    header = {"alg": signer.profile.alg, "typ": KEY_BINDING_TYP}
    signing_input = compact_signing_input(header, dump_json(payload))
    return shown + assemble_compact(signing_input, signer.sign(signing_input))
