"""A whole issuing side in memory: change one field, look at the answer.

`Installation` holds keys, authorities, licenses' states and a clock, and signs what a real one would publish:
root, trust list, status lists, freshness, bundle and credentials. Every payload can be bent before it is signed
(`installation.edits["trust_list"] = lambda payload: ...`), so that a test changes exactly one thing. Nothing here
is used by the product; a simulator is not a stand-in for its database.

    installation = Installation()
    token = installation.credential(elements={"address": "..."})
    report = verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY)
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from elicense.bundle import Bundle, dump_bundle, make_bundle
from elicense.claims import CredentialClaims, Holder, LicenseClaims, credential_window, write_claims
from elicense.cn import LicenseIdentifier, make_uscc
from elicense.credential import CREDENTIAL_TYP
from elicense.encoding import b64url_encode, dump_json, parse_json_object
from elicense.evidence import Evidence, TrustMemory, gather_offline
from elicense.freshness import FRESHNESS_TYP, build_freshness_payload, current_status_list
from elicense.jws import assemble_compact, compact_signing_input, sign_compact, sign_general
from elicense.keys import PublicKey
from elicense.profiles import Profile
from elicense.status_list import STATUS_LIST_TYP, Status, StatusBuffer, build_status_list_payload
from elicense.trust_list import (
    TRUST_LIST_TYP,
    TRUST_ROOT_TYP,
    Authority,
    AuthorityKey,
    Scope,
    Service,
    ServiceUse,
    build_trust_list_payload,
    build_trust_root_payload,
)

NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
TYPE_CODE = "11100000MB0143028R001"
OTHER_TYPE_CODE = f"{make_uscc('1', '1', '320000', 'MA0T0001')}901"
AUTHORITY_CODE = make_uscc("1", "1", "320100", "MA0T0002")
OTHER_AUTHORITY_CODE = make_uscc("1", "1", "320500", "MA0T0003")
HOLDER_CODE = make_uscc("9", "1", "320102", "MA0T0004")

Edit = Callable[[dict[str, Any]], object]


class SimulatedSigner:
    """Sign with a fresh private key of a profile; never written anywhere."""

    def __init__(self, profile: str = "es256") -> None:
        self._key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
        if profile == "es256":
            self._key = ec.generate_private_key(ec.SECP256R1())
        else:
            self._key = ed25519.Ed25519PrivateKey.generate()
        self.public_key = PublicKey.from_cryptography(self._key.public_key())

    @property
    def kid(self) -> str:
        return self.public_key.kid

    @property
    def profile(self) -> Profile:
        return self.public_key.profile

    def sign(self, data: bytes) -> bytes:
        if isinstance(self._key, ed25519.Ed25519PrivateKey):
            return self._key.sign(data)
        r, s = decode_dss_signature(self._key.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class NamedAs:
    """Sign with one's own key while naming another's id in the header: what a forger would do."""

    def __init__(self, signer: SimulatedSigner, kid: str) -> None:
        self._signer = signer
        self.kid = kid
        self.profile = signer.profile
        self.public_key = signer.public_key

    def sign(self, data: bytes) -> bytes:
        return self._signer.sign(data)


def sample_license(**changes: Any) -> LicenseClaims:
    """Make the claims of an invented business license; every field can be replaced."""
    version = changes.get("version", "001")
    authority_code = changes.get("authority_code", AUTHORITY_CODE)
    type_code = changes.get("type_code", TYPE_CODE)
    identifier = LicenseIdentifier.make(
        type_code=type_code, authority_code=authority_code, serial="7K3M9Q2T", version=version
    )
    base = LicenseClaims(
        identifier=identifier.text,
        type_code=type_code,
        type_name="营业执照",
        number=HOLDER_CODE,
        name="营业执照",
        authority_code=authority_code,
        authority_name="演示市场监督管理局",
        holder=Holder(code=HOLDER_CODE, code_type="001", name="演示(南京)贸易有限公司"),
        area_code="320102",
        issue_date=date(2019, 5, 6),
        valid_from=date(2019, 5, 6),
        valid_until=date(2039, 5, 5),
        version=version,
    )
    return replace(base, **changes)


SAMPLE_ELEMENTS: Mapping[str, str] = {
    "company_type": "有限责任公司",
    "legal_representative": "张演示",
    "registered_capital": "壹佰万元整",
    "established_date": "2019-05-06",
    "address": "南京市玄武区示范路 1 号(集群登记)",
    "business_scope": "食品销售;日用百货零售。",
}


@dataclass
class Installation:
    """Hold one installation's keys and data; change any attribute before asking for what it publishes."""

    issuer_url: str = "https://one.example"
    env: str = "test"
    now: datetime = NOW
    sequence: int = 3
    status_seq: int = 7
    event_seq: int = 41
    list_size: int = 1024
    root_version: int = 1
    root_signers: list[SimulatedSigner] = field(default_factory=lambda: [SimulatedSigner() for _ in range(3)])
    list_signers: list[SimulatedSigner] = field(default_factory=lambda: [SimulatedSigner() for _ in range(2)])
    credential_signer: SimulatedSigner = field(default_factory=SimulatedSigner)
    other_signer: SimulatedSigner = field(default_factory=SimulatedSigner)
    status_signer: SimulatedSigner = field(default_factory=SimulatedSigner)
    receipt_signer: SimulatedSigner = field(default_factory=SimulatedSigner)
    freshness_signer: SimulatedSigner = field(default_factory=SimulatedSigner)
    edits: dict[str, Edit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root_expires = self.now + timedelta(days=1000)
        self.type_base = self.issuer_url
        self.status_uri = f"{self.issuer_url}/v1/status-lists/1"
        self.statuses = StatusBuffer(self.list_size)
        self.status_read_at = self.now
        self.status_expires_at = self.now + timedelta(days=7)
        self.authorities = [
            self.make_authority(AUTHORITY_CODE, "演示市场监督管理局", "3201", self.credential_signer),
            self.make_authority(OTHER_AUTHORITY_CODE, "演示交通运输局", "3205", self.other_signer),
        ]
        self.services = self.make_services()

    # --- what the trust list says

    def issuer_of(self, code: str) -> str:
        return f"{self.issuer_url}/authorities/{code}"

    def make_authority(self, code: str, name: str, area: str, signer: SimulatedSigner) -> Authority:
        return Authority(
            code=code,
            name=name,
            level="city",
            area_code=f"{area}00",
            issuer=self.issuer_of(code),
            keys=(
                AuthorityKey(
                    key=signer.public_key,
                    valid_from=self.now - timedelta(days=300),
                    valid_until=self.now + timedelta(days=300),
                ),
            ),
            scopes=(Scope(type_code=TYPE_CODE, areas=(area,)),),
        )

    def make_services(self) -> list[Service]:
        def service(use: ServiceUse, signer: SimulatedSigner, **more: Any) -> Service:
            window = {
                "valid_from": self.now - timedelta(days=30),
                "valid_until": self.now + timedelta(days=400),
            }
            return Service(use=use, key=signer.public_key, **window, **more)

        prefixes = (f"{self.issuer_url}/v1/status-lists/",)
        return [
            service(ServiceUse.STATUS, self.status_signer, uri_prefixes=prefixes, authorities=("*",)),
            service(ServiceUse.RECEIPT, self.receipt_signer),
            service(ServiceUse.FRESHNESS, self.freshness_signer),
        ]

    def change_authority(self, **changes: Any) -> None:
        """Replace fields of the first authority."""
        self.authorities[0] = replace(self.authorities[0], **changes)

    def change_key(self, **changes: Any) -> None:
        """Replace fields of the first authority's key."""
        self.change_authority(keys=(replace(self.authorities[0].keys[0], **changes),))

    def change_service(self, which: ServiceUse, /, **changes: Any) -> None:
        """Replace fields of the service of one use."""
        self.services = [replace(s, **changes) if s.use is which else s for s in self.services]

    # --- what it publishes

    def _edited(self, what: str, payload: bytes) -> bytes:
        edit = self.edits.get(what)
        if edit is None:
            return payload
        members: dict[str, Any] = dict(parse_json_object(payload, max_bytes=1 << 24))
        edit(members)
        return dump_json(members)

    def root_payload(self) -> bytes:
        payload = build_trust_root_payload(
            env=self.env,
            version=self.root_version,
            root_keys=[signer.public_key for signer in self.root_signers],
            root_threshold=2,
            list_keys=[signer.public_key for signer in self.list_signers],
            list_threshold=2,
            expires=self.root_expires,
            type_base=self.type_base,
        )
        return self._edited("trust_root", payload)

    def trust_root(self) -> bytes:
        signers = self.root_signers[:2]
        return self._stable("root", self.root_payload(), lambda payload: _sign_root(payload, signers))

    def list_payload(self) -> bytes:
        payload = build_trust_list_payload(
            env=self.env,
            sequence=self.sequence,
            issued_at=self.now - timedelta(days=1),
            next_update=self.now + timedelta(days=89),
            issuers=[self.issuer_url],
            authorities=self.authorities,
            services=self.services,
        )
        return self._edited("trust_list", payload)

    def trust_list(self) -> bytes:
        signers = self.list_signers
        return self._stable("list", self.list_payload(), lambda payload: _sign_list(payload, signers))

    def status_payload(self) -> bytes:
        payload = build_status_list_payload(
            uri=self.status_uri,
            issuer=self.issuer_url,
            issued_at=self.status_read_at,
            expires_at=self.status_expires_at,
            ttl=300,
            aggregation_uri=f"{self.issuer_url}/v1/status-lists",
            seq=self.status_seq,
            event_seq=self.event_seq,
            bits=self.statuses.to_bytes(),
            env=self.env,
        )
        return self._edited("status_list", payload)

    def status_list(self) -> str:
        def sign(payload: bytes) -> bytes:
            return sign_compact(typ=STATUS_LIST_TYP, payload=payload, signer=self.status_signer).encode()

        return self._stable("status", self.status_payload(), sign).decode()

    def freshness_payload(self) -> bytes:
        current = current_status_list(seq=self.status_seq, token=self.status_list())
        payload = build_freshness_payload(
            issuer=self.issuer_url,
            env=self.env,
            issued_at=self.now,
            expires_at=self.now + timedelta(days=7),
            trust_list_sequence=self.sequence,
            trust_list_sha256=hashlib.sha256(self.trust_list()).hexdigest(),
            status_lists={self.status_uri: current},
        )
        return self._edited("freshness", payload)

    def freshness(self) -> str:
        def sign(payload: bytes) -> bytes:
            return sign_compact(typ=FRESHNESS_TYP, payload=payload, signer=self.freshness_signer).encode()

        return self._stable("freshness", self.freshness_payload(), sign).decode()

    def bundle_parts(self) -> Bundle:
        return make_bundle(
            env=self.env,
            roots=[self.trust_root()],
            trust_list=self.trust_list(),
            freshness=self.freshness(),
            status_lists={self.status_uri: self.status_list()},
        )

    def bundle(self) -> bytes:
        return self._edited("bundle", dump_bundle(self.bundle_parts()))

    def _stable(self, what: str, payload: bytes, sign: Callable[[bytes], bytes]) -> bytes:
        # ECDSA signatures differ each time, and digests are over the signed bytes: the same payload keeps its bytes.
        signed: dict[tuple[str, bytes], bytes] = self.__dict__.setdefault("_signed", {})
        entry = (what, payload)
        if entry not in signed:
            signed[entry] = sign(payload)
        return signed[entry]

    def evidence(self, *, now: datetime | None = None, memory: TrustMemory | None = None) -> Evidence:
        """Gather offline evidence from this installation's own root and bundle."""
        return gather_offline(
            trust_root=self.trust_root(), bundle=self.bundle(), now=now or self.now, memory=memory
        )

    # --- credentials

    def credential(
        self,
        *,
        elements: Mapping[str, str] = SAMPLE_ELEMENTS,
        status_index: int = 5,
        signed_at: datetime | None = None,
        signer: SimulatedSigner | NamedAs | None = None,
        claims: Mapping[str, Any] | None = None,
        edit: Edit | None = None,
        env: str | None = None,
        **license_changes: Any,
    ) -> str:
        """Sign a credential; `claims` replaces registered claims, `edit` bends the payload, the rest the license."""
        license_claims = sample_license(**license_changes)
        issued_at = signed_at or self.now - timedelta(days=10)
        opens, closes = credential_window(
            valid_from=license_claims.valid_from, valid_until=license_claims.valid_until, issued_at=issued_at
        )
        registered = CredentialClaims(
            issuer=self.issuer_of(license_claims.authority_code),
            vct=f"{self.type_base}/types/{license_claims.type_code}/1",
            issued_at=issued_at,
            not_before=opens,
            expires_at=closes,
            status_uri=self.status_uri,
            status_index=status_index,
            subject=license_claims.holder.code,
            license=license_claims,
        )
        registered = replace(registered, **(claims or {}))
        disclosures = [_disclosure(name, value) for name, value in elements.items()]
        digests = [b64url_encode(hashlib.sha256(part.encode()).digest()) for part in disclosures]
        payload = write_claims(registered, env=env or self.env, digests=digests)
        if edit is not None:
            edit(payload)
        return sign_credential(payload, signer or self.credential_signer, disclosures)

    def set_status(self, index: int, status: Status) -> None:
        """Change one entry and publish a new version of the list."""
        self.statuses.set(index, status)
        self.status_seq += 1
        self.event_seq += 1


def sign_credential(
    payload: Mapping[str, Any], signer: SimulatedSigner | NamedAs, disclosures: list[str]
) -> str:
    """Sign any payload as a credential, whether or not it makes sense."""
    header = {"alg": signer.profile.alg, "typ": CREDENTIAL_TYP, "kid": signer.kid}
    signing_input = compact_signing_input(header, dump_json(dict(payload)))
    return "~".join([assemble_compact(signing_input, signer.sign(signing_input)), *disclosures, ""])


def _disclosure(name: str, value: str) -> str:
    salt = hashlib.sha256(f"salt of {name} {value}".encode()).digest()[:16]
    return b64url_encode(dump_json([b64url_encode(salt), name, value]))


def _sign_root(payload: bytes, signers: list[SimulatedSigner]) -> bytes:
    return sign_general(typ=TRUST_ROOT_TYP, payload=payload, signers=signers)


def _sign_list(payload: bytes, signers: list[SimulatedSigner]) -> bytes:
    return sign_general(typ=TRUST_LIST_TYP, payload=payload, signers=signers)
