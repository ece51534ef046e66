"""Those who watch keys change: a bank with root 1 pinned, a witness, and a thief with a copy of a key file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from cryptography.hazmat.primitives.asymmetric import ed25519

from app.adapters.signers.key_files import KeyFolder
from app.adapters.signers.private_keys import PrivateKeySigner
from app.bootstrap import open_root_keys
from app.domain.license import License
from app.domain.publication import ServiceKey
from elicense.bundle import parse_bundle
from elicense.client._evidence import OfflineVerifier, update_bundle
from elicense.credential import CREDENTIAL_TYP, credential_window
from elicense.encoding import dump_json, parse_json_object, to_unix
from elicense.jws import assemble_compact, compact_signing_input, parse_compact
from elicense.keys import Signer
from elicense.report import VerificationReport
from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    cosign,
    parse_checkpoint_text,
    parse_note,
    verifier_key,
)
from tests.installation import Installation

WITNESS = PrivateKeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(bytes([7]) * 32))
WITNESS_NAME = "witness.example"
VKEY = verifier_key(WITNESS_NAME, WITNESS.public_key, kind=NOTE_KEY_COSIGNATURE)


async def add_witness(installation: Installation) -> None:
    """Register the witness."""
    await installation.services.ceremony.add_witness(
        WITNESS_NAME, VKEY, root_keys=open_root_keys(installation.settings)
    )


async def witness(installation: Installation) -> int:
    """Sequence everything, let the witness see the newest checkpoint, return its size."""
    services = installation.services
    await services.log_sequencer.run_until_done()
    note = (await services.transparency_log.checkpoint(None)).note
    now = installation.clock.now().replace(microsecond=0)
    await services.log_witnesses.accept(cosign(note, name=WITNESS_NAME, signer=WITNESS, time=now))
    return (await services.transparency_log.checkpoint(None)).size


@dataclass(slots=True)
class Bank:
    """Holds root 1 and a bundle that it keeps current; refuses what goes back, as the SDK does."""

    installation: Installation
    root: bytes
    bundle: bytes | None = None

    async def update(self) -> None:
        """Fetch the bundle and take it as `trust update` does."""
        services = self.installation.services
        fetched = await services.freshness.bundle()
        now = self.installation.clock.now()
        joined = await self._consistency(fetched)
        self.bundle = update_bundle(
            fetched, trust_root=self.root, held=self.bundle, now=now, consistency=lambda *_: joined
        ).content

    async def _consistency(self, fetched: bytes) -> Mapping[str, object]:
        """Ask for the proof that joins the log of the bundle held to that of the new one, where there is one to ask."""
        notes = [parse_bundle(one).checkpoint for one in (self.bundle, fetched) if one is not None]
        if len(notes) < 2 or None in notes:
            return {}
        old, new = (parse_checkpoint_text(parse_note(note or "").text) for note in notes)
        if old.origin != new.origin or not 0 < old.size < new.size:
            return {}
        proof = await self.installation.services.transparency_log.consistency(
            origin=old.origin, old_size=old.size, new_size=new.size
        )
        return dict(proof.to_json())

    async def judge(self, text: str, *, policy: str = "platform-default") -> VerificationReport:
        """Judge a credential, stapled or not, with the bundle held."""
        verifier = OfflineVerifier(
            trust_root=self.root, bundle=self.bundle, policy=policy, clock=self.installation.clock.now
        )
        return verifier.verify(text)

    async def reason(self, text: str, *, policy: str = "platform-default") -> str:
        """Return the reason that a fresh bundle leads to."""
        await self.update()
        return (await self.judge(text, policy=policy)).reason.value


async def open_bank(installation: Installation) -> Bank:
    """Pin root 1."""
    return Bank(installation, (await installation.services.trust_list.root(1)).content)


async def stapled(installation: Installation, license: License) -> str:
    """Return the credential of a license with its log proof."""
    caller = await installation.caller("authority")
    proven = await installation.services.log_proofs.of_credential(license.id, version=None, caller=caller)
    return json.dumps(proven.to_json())


async def key_of(installation: Installation, use: str, authority_code: str | None = None) -> ServiceKey:
    """Return the newest registered key of a use."""
    keys = await installation.services.ceremony.keys()
    own = [one for one in keys if (one.use, one.authority_code) == (use, authority_code)]
    return max(own, key=lambda one: (one.valid_from, one.uri))


def steal(installation: Installation, key: ServiceKey) -> Signer:
    """Copy a private key out of the keys folder, as a thief would."""
    folder = KeyFolder(path=installation.settings.keys_dir, development=True)
    return folder.load(key.uri.removeprefix("file:"))


def forge(token: str, thief: Signer, *, signed_at: datetime, name: str = "冒名公司") -> str:
    """Make a credential of another holder's name out of a good long-term one, at whatever time suits the thief."""
    jws, *disclosures = token.split("~")
    claims = parse_json_object(parse_compact(jws, typ=CREDENTIAL_TYP).payload, max_bytes=1 << 16)
    license = dict(claims["license"])  # type: ignore[arg-type]
    license["holder"] = {**license["holder"], "name": name}  # type: ignore[dict-item]
    _, expires_at = credential_window(
        valid_from=date.fromisoformat(license["valid_from"]), valid_until=None, issued_at=signed_at
    )
    payload = {**claims, "license": license, "iat": to_unix(signed_at), "exp": to_unix(expires_at)}
    header = {"alg": thief.profile.alg, "typ": CREDENTIAL_TYP, "kid": thief.kid}
    signing_input = compact_signing_input(header, dump_json(payload))
    return "~".join([assemble_compact(signing_input, thief.sign(signing_input)), *disclosures])
