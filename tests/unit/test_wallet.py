"""The holder's side of the SDK: load a key, present a credential, and be taken by a verifier."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from elicense import HolderSigner, OfflineVerifier, present
from elicense.problems import FormatError, Reason
from tests.simulator import Installation

KEY = ec.generate_private_key(ec.SECP256R1())
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
ASKED = {"nonce": "n-1", "audience": "https://bank.example"}


def credential(installation: Installation, signer: HolderSigner) -> str:
    jwk = dict(signer.public_key.jwk)
    return installation.credential(edit=lambda payload: payload.update(cnf={"jwk": jwk}))


def test_what_a_wallet_presents_is_taken_by_a_bank() -> None:
    installation = Installation(now=datetime.now(UTC).replace(microsecond=0))
    key = HolderSigner.from_pem(PEM)
    bank = OfflineVerifier(trust_root=installation.trust_root(), bundle=installation.bundle())
    shown = present(credential(installation, key) + "\n", disclose=["address"], key=key, **ASKED)
    report = bank.verify(shown, **ASKED)
    assert report and report.shown is not None and set(report.shown.elements) == {"address"}
    assert bank.verify(shown, nonce="n-2", audience=ASKED["audience"]).reason is Reason.HOLDER_BINDING_FAILED


def test_another_holders_key_presents_nothing() -> None:
    other = HolderSigner(ec.generate_private_key(ec.SECP256R1()))
    token = credential(Installation(), HolderSigner.from_pem(PEM))
    with pytest.raises(FormatError, match="another holder key"):
        present(token, key=other, **ASKED)


def test_keys_come_from_both_forms_of_pem_and_with_a_password() -> None:
    plain = HolderSigner.from_pem(PEM)
    traditional = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    signers = [plain, HolderSigner.from_pem(traditional), HolderSigner.from_pem(locked, password=b"word")]
    assert {signer.kid for signer in signers} == {plain.public_key.kid}
    assert plain.profile.name == "es256"
    assert all(plain.public_key.verify(signer.sign(b"data"), b"data") for signer in signers)


def test_what_is_no_key_of_a_holder_is_refused_without_telling_it() -> None:
    locked = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"word"))
    wide = ec.generate_private_key(ec.SECP384R1())
    others = [
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for key in (wide, ed25519.Ed25519PrivateKey.generate())
    ]
    for pem in (b"", b"no key", PEM[:80], locked, *others):
        with pytest.raises(FormatError) as caught:
            HolderSigner.from_pem(pem)
        assert "word" not in str(caught.value).replace("password", "")
    with pytest.raises(FormatError):
        HolderSigner.from_pem(locked, password=b"another")
