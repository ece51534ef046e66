"""A whole issuing side in memory: change one field, look at the answer.

`Installation` holds keys, authorities, licenses' states, two logs and a clock, and signs what a real one would publish:
roots, trust list, status lists, freshness, bundle, credentials and log proofs. Every payload can be bent before it is
signed (`installation.edits["trust_list"] = lambda payload: ...`), so that a test changes exactly one thing. Nothing
here is used by the product; a simulator is not a stand-in for its database.

    installation = Installation()
    token = installation.credential(elements={"address": "..."})
    report = verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY)
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from elicense.bundle import Bundle, dump_bundle, make_bundle
from elicense.claims import CredentialClaims, Holder, LicenseClaims, credential_window, write_claims
from elicense.cn import LicenseIdentifier, make_uscc
from elicense.compromise import build_compromise_payload, parse_compromise, sign_compromise
from elicense.encoding import b64url_encode, dump_json, parse_json_object, sha256_hex
from elicense.evidence import Evidence, TrustMemory, gather_offline
from elicense.freshness import FRESHNESS_TYP, CurrentStatusList, build_freshness_payload
from elicense.jws import sign_compact, sign_general
from elicense.list_proof import ListProof, list_entry
from elicense.log_entry import receipts_entry
from elicense.log_proof import LogProof, ReceiptProof
from elicense.signed_note import Checkpoint
from elicense.stapled import StapledCredential
from elicense.status_list import (
    STATUS_LIST_TYP,
    Status,
    StatusBuffer,
    build_status_list_payload,
    parse_status_list,
)
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
    parse_trust_root,
)
from tests.simulated_log import NOWHERE, SimulatedLog
from tests.simulated_signers import NamedAs, SimulatedSigner, make_disclosure, sign_credential

NOW = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
TYPE_CODE = "11100000MB0143028R001"
OTHER_TYPE_CODE = f"{make_uscc('1', '1', '320000', 'MA0T0001')}901"
AUTHORITY_CODE = make_uscc("1", "1", "320100", "MA0T0002")
OTHER_AUTHORITY_CODE = make_uscc("1", "1", "320500", "MA0T0003")
HOLDER_CODE = make_uscc("9", "1", "320102", "MA0T0004")

Edit = Callable[[dict[str, Any]], object]


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
    log_signer: SimulatedSigner = field(default_factory=lambda: SimulatedSigner("eddsa"))
    receipt_log_signer: SimulatedSigner = field(default_factory=lambda: SimulatedSigner("eddsa"))
    witness_signer: SimulatedSigner = field(default_factory=lambda: SimulatedSigner("eddsa"))
    edits: dict[str, Edit] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root_expires = self.now + timedelta(days=1000)
        self.type_base = self.issuer_url
        self.status_uri = f"{self.issuer_url}/v1/status-lists/1"
        self.statuses = StatusBuffer(self.list_size)
        self.status_read_at = self.now
        self.status_expires_at = self.now + timedelta(days=7)
        self.earlier_roots: list[bytes] = []
        self.earlier_root_signers: list[SimulatedSigner] = []
        self.archive: list[str] = []
        self.list_proofs: dict[str, ListProof] = {}
        host = self.issuer_url.removeprefix("https://")
        self.log = SimulatedLog(f"{host}/log", self.log_signer)
        self.receipt_log = SimulatedLog(f"{host}/receipt-log", self.receipt_log_signer)
        for number in range(3):
            self.log.add(b"an earlier entry %d" % number)
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

    def service(self, use: ServiceUse, signer: SimulatedSigner, **more: Any) -> Service:
        """Describe the key of a service, with the window that all of them have."""
        window = {"valid_from": self.now - timedelta(days=30), "valid_until": self.now + timedelta(days=400)}
        return Service(use=use, key=signer.public_key, **window, **more)

    def list_log(self, log: SimulatedLog, signer: SimulatedSigner) -> None:
        """Let the trust list name another log, or another key of one."""
        self.services.append(self.service(ServiceUse.LOG, signer, origin=log.origin))

    def make_services(self) -> list[Service]:
        service = self.service
        prefixes = (f"{self.issuer_url}/v1/status-lists/",)
        return [
            service(ServiceUse.STATUS, self.status_signer, uri_prefixes=prefixes, authorities=("*",)),
            service(ServiceUse.RECEIPT, self.receipt_signer),
            service(ServiceUse.FRESHNESS, self.freshness_signer),
            service(ServiceUse.LOG, self.log_signer, origin=self.log.origin),
            service(ServiceUse.LOG, self.receipt_log_signer, origin=self.receipt_log.origin),
            service(ServiceUse.WITNESS, self.witness_signer, origin="witness.example"),
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

    def change_log(self, origin: str, /, **changes: Any) -> None:
        """Replace fields of the key of one log."""
        self.services = [replace(s, **changes) if s.origin == origin else s for s in self.services]

    def compromise(self, signer: SimulatedSigner, checkpoint: Checkpoint | None, **bent: Any) -> None:
        """Declare the key of a service, or of the first authority, compromised; `bent` replaces what is stated."""
        use = next((s.use.value for s in self.services if s.key.kid == signer.kid), "credential")
        stated: dict[str, Any] = {"env": self.env, "kid": signer.kid, "use": use, **bent}
        payload = build_compromise_payload(
            since=self.now - timedelta(days=1), checkpoint=checkpoint, **stated
        )
        statement = sign_compromise(payload, signers=self.root_signers[:2])
        root = parse_trust_root(self.trust_root())
        declared = parse_compromise(statement, root=root, kid=stated["kid"], use=stated["use"])
        if use == "credential":
            self.change_key(compromised=declared)
        self.services = [
            replace(s, compromised=declared) if s.key.kid == signer.kid else s for s in self.services
        ]

    def rotate_root(self) -> None:
        """Make the next root: new root and trust-list keys, signed by the old threshold and the new one."""
        self.earlier_roots.append(self.trust_root())
        self.earlier_root_signers = self.root_signers
        self.root_signers = [SimulatedSigner() for _ in range(3)]
        self.list_signers = [SimulatedSigner() for _ in range(2)]
        self.root_version += 1

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
        signers = [*self.earlier_root_signers[:2], *self.root_signers[:2]]
        return self._stable("root", self.root_payload(), lambda payload: _sign_root(payload, signers))

    def pinned_root(self) -> bytes:
        """Give the first root: what its users have pinned."""
        return self.roots()[0]

    def roots(self) -> list[bytes]:
        """Give all roots, the first first."""
        return [*self.earlier_roots, self.trust_root()]

    def list_payload(self) -> bytes:
        payload = build_trust_list_payload(
            env=self.env,
            sequence=self.sequence,
            issued_at=self.now - timedelta(days=1),
            next_update=self.now + timedelta(days=89),
            issuers=[self.issuer_url],
            authorities=self.authorities,
            services=self.services,
            root_version=self.root_version,
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
        current = CurrentStatusList(seq=self.status_seq, sha256=sha256_hex(self.status_list().encode()))
        payload = build_freshness_payload(
            issuer=self.issuer_url,
            env=self.env,
            issued_at=self.now,
            expires_at=self.now + timedelta(days=7),
            trust_list_sequence=self.sequence,
            trust_list_sha256=hashlib.sha256(self.trust_list()).hexdigest(),
            status_lists={self.status_uri: current},
            checkpoint=self.log.note(),
        )
        return self._edited("freshness", payload)

    def freshness(self) -> str:
        def sign(payload: bytes) -> bytes:
            return sign_compact(typ=FRESHNESS_TYP, payload=payload, signer=self.freshness_signer).encode()

        return self._stable("freshness", self.freshness_payload(), sign).decode()

    def bundle_parts(self) -> Bundle:
        return make_bundle(
            env=self.env,
            roots=self.roots(),
            trust_list=self.trust_list(),
            freshness=self.freshness(),
            status_lists={self.status_uri: self.status_list()},
            checkpoint=self.log.note(),
            archive={self.status_uri: self.archive} if self.archive else {},
            list_proofs={digest: proof.to_json() for digest, proof in self.list_proofs.items()},
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
            trust_root=self.pinned_root(), bundle=self.bundle(), now=now or self.now, memory=memory
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
        disclosures = [make_disclosure(name, value) for name, value in elements.items()]
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

    def publish_next(self, at: datetime, **statuses: Status) -> None:
        """Put the current list into the archive and publish the next version, read at a moment."""
        self.archive.append(self.status_list())
        for index, status in statuses.items():
            self.statuses.set(int(index.removeprefix("index_")), status)
        self.status_seq += 1
        self.event_seq += 1
        self.status_read_at = at
        self.status_expires_at = at + timedelta(days=7)

    # --- the logs

    def prove(self, token: str) -> LogProof:
        """Log a credential, if it is not yet, and prove it at the log's present size."""
        digest = hashlib.sha256(token.split("~")[0].rpartition(".")[0].encode()).hexdigest()
        opened = LogProof(
            env=self.env,
            event_sha256=hashlib.sha256(b"event of " + digest.encode()).hexdigest(),
            salt=hashlib.sha256(b"salt of " + digest.encode()).digest()[:16],
            inclusion=NOWHERE,
        )
        return replace(opened, inclusion=self.log.inclusion(self.log.add(opened.entry(digest))))

    def staple(self, token: str, proof: LogProof | None = None) -> bytes:
        """Write a credential and its log proof as one file, as the service hands them out."""
        shown = proof if proof is not None else self.prove(token)
        return dump_json(StapledCredential(env=self.env, credential=token, proof=shown).to_json())

    def prove_list(self, token: str, previous: str | None = None) -> ListProof:
        """Log a status list, if it is not yet, prove it, and carry the proof in the bundle."""
        accepted = parse_status_list(token).accept(self.status_signer.public_key)
        index = self.log.add(list_entry(accepted, previous=previous))
        proof = ListProof(inclusion=self.log.inclusion(index), previous=previous)
        self.list_proofs[accepted.sha256] = proof
        return proof

    def prove_receipt(self, token: str, *, anchored: bool = True) -> ReceiptProof:
        """Log a receipt in the receipts' log, and that log's state in the public one."""
        bare = ReceiptProof(env=self.env, inclusion=NOWHERE)
        digest = hashlib.sha256(token.encode()).hexdigest()
        index = self.receipt_log.add(bare.entry(digest))
        proof = replace(bare, inclusion=self.receipt_log.inclusion(index))
        if not anchored:
            return proof
        entry = receipts_entry(env=self.env, checkpoint=self.receipt_log.checkpoint(), stated_at=self.now)
        anchor = self.log.inclusion(self.log.add(entry))
        return replace(proof, anchor=anchor, anchored_at=int(self.now.timestamp()))


def _sign_root(payload: bytes, signers: list[SimulatedSigner]) -> bytes:
    return sign_general(typ=TRUST_ROOT_TYP, payload=payload, signers=signers)


def _sign_list(payload: bytes, signers: list[SimulatedSigner]) -> bytes:
    return sign_general(typ=TRUST_LIST_TYP, payload=payload, signers=signers)
