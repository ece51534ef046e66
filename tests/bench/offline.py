"""P1 and P2: the SDK verifying with no network, against the bare signature check and against peers."""

from importlib.metadata import version

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwcrypto.jwk import JWK
from openvc.proof.sd_jwt import SdJwtVcProofSuite
from sd_jwt.verifier import SDJWTVerifier

from elicense import quick_json
from elicense.credential import parse_credential
from elicense.encoding import b64url_decode
from elicense.policy import policy_by_name
from elicense.verify import SignatureMemo, verify_credential
from tests.bench.measure import Goal, Rates, Task, interleave
from tests.bench.samples import Installation, make_installation

TOKENS = 500


def measure(*, quick: bool) -> dict[str, Goal]:
    """Measure both goals and the comparison with peers in one interleaved run."""
    installation = make_installation(TOKENS)
    rates = interleave(_tasks(installation), rounds=7 if quick else 25)
    return {
        "P1": _goal(rates, "ours", "raw", floor=0.50, aim=0.65, note=f"÷ raw P-256 verify; {_helpers()}"),
        "P1.openvc": _goal(rates, "ours", "openvc", floor=1.7, aim=2.2, note=_peer("openvc-core")),
        "P1.sd_jwt": _goal(rates, "ours", "sd_jwt", floor=1.8, aim=2.3, note=_peer("sd-jwt")),
        "P2": _goal(rates, "seen", "ours", floor=8, aim=20, note="token seen before ÷ P1"),
    }


def _goal(rates: Rates, ours: str, base: str, *, floor: float, aim: float, note: str) -> Goal:
    ratio, spread = rates.ratio(ours, base)
    return Goal(
        unit="verifications per CPU-second",
        floor=floor,
        aim=aim,
        ratio=ratio,
        ours=rates.median(ours),
        base=rates.median(base),
        spread=spread,
        note=note,
    )


def _helpers() -> str:
    """Name the faster libraries this was measured with: the extra `fast` of the SDK."""
    if quick_json.loads is None:
        return "base installation, without the extra `fast`"
    return f"with orjson {version('orjson')} and pybase64 {version('pybase64')}"


def _peer(package: str) -> str:
    return f"÷ {package} {version(package)}: signature, disclosures and dates; no trust list, no status"


def _tasks(installation: Installation) -> dict[str, Task]:
    evidence, tokens = installation.evidence, installation.tokens
    policy = policy_by_name("platform-default")
    jwk = dict(installation.signer.public_key.jwk)
    suite = SdJwtVcProofSuite()
    peer_key = JWK(**jwk)
    seen = SignatureMemo(4 * TOKENS)

    def ours() -> int:
        memo = SignatureMemo(4 * TOKENS)  # a new one each time: no token was ever seen
        for token in tokens:
            assert verify_credential(token, evidence=evidence, policy=policy, memo=memo)
        return len(tokens)

    def again() -> int:
        for token in tokens:
            assert verify_credential(token, evidence=evidence, policy=policy, memo=seen)
        return len(tokens)

    def openvc() -> int:
        for token in tokens:
            suite.verify(token, public_key_jwk=jwk)
        return len(tokens)

    def sd_jwt() -> int:
        for token in tokens:
            SDJWTVerifier(token, lambda issuer, header: peer_key).get_verified_payload()
        return len(tokens)

    return {"raw": raw_verify(installation), "ours": ours, "seen": again, "openvc": openvc, "sd_jwt": sd_jwt}


def raw_verify(installation: Installation) -> Task:
    """Return the bare signature checks of the installation's credentials."""
    jwk = installation.signer.public_key
    public_key = ec.EllipticCurvePublicNumbers(
        *(int.from_bytes(b64url_decode(jwk.jwk[name]), "big") for name in ("x", "y")), ec.SECP256R1()
    ).public_key()
    algorithm = ec.ECDSA(hashes.SHA256())
    cases = []
    for token in installation.tokens:
        credential = parse_credential(token)
        r, s = (
            int.from_bytes(half, "big") for half in (credential.signature[:32], credential.signature[32:])
        )
        cases.append((encode_dss_signature(r, s), credential.signing_input))

    def raw() -> int:
        for signature, data in cases:
            public_key.verify(signature, data, algorithm)
        return len(cases)

    return raw
