"""One invented installation in memory: trust documents, a status list, and as many credentials as a run needs."""

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric import ec

from app.adapters.signers.private_keys import PrivateKeySigner
from elicense.bundle import dump_bundle, make_bundle
from elicense.cn import LicenseIdentifier, make_uscc
from elicense.credential import (
    CredentialClaims,
    Holder,
    LicenseClaims,
    credential_window,
    prepare_credential,
)
from elicense.encoding import sha256_hex
from elicense.evidence import Evidence, gather_offline
from elicense.freshness import FRESHNESS_TYP, CurrentStatusList, build_freshness_payload
from elicense.jws import sign_compact, sign_general
from elicense.status_list import STATUS_LIST_TYP, StatusBuffer, build_status_list_payload
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

ISSUER_URL = "https://bench.elicense.example"
TYPE_CODE = "11100000MB0143028R001"
AUTHORITY_CODE = make_uscc("1", "1", "320000", "MA0T1ENC")
AREA_CODE = "320100"
ELEMENTS = {
    "company_type": "有限责任公司(自然人投资或控股)",
    "legal_representative": "示例甲",
    "registered_capital": "184.92万人民币",
    "established_date": "2019-05-06",
    "address": "江苏省南京市玄武区示例路 1 号 2 幢 301 室",
    "business_scope": "食品销售;餐饮服务;道路货物运输。" * 8,
    "registration_authority": "示例市市场监督管理局",
    "registered_on": "2019-05-06",
    "business_term": "长期",
    "phone": "025-00000000",
    "branch_of": "示例集团有限公司",
    "remarks": "无",
}
"""Twelve elements of a believable size: every one is a disclosure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What a bank has at hand, and the tokens merchants show it."""

    now: datetime
    trust_root: bytes
    bundle: bytes
    evidence: Evidence
    tokens: tuple[str, ...]
    signer: PrivateKeySigner


def make_installation(count: int) -> Installation:
    """Sign an installation with `count` different licenses in force."""
    now = datetime.now(UTC).replace(microsecond=0)
    root, trust_list_key, authority, status, freshness = (
        PrivateKeySigner(ec.generate_private_key(ec.SECP256R1())) for _ in range(5)
    )
    trust_root = sign_general(
        typ=TRUST_ROOT_TYP,
        payload=build_trust_root_payload(
            env="test",
            version=1,
            root_keys=[root.public_key],
            root_threshold=1,
            list_keys=[trust_list_key.public_key],
            list_threshold=1,
            expires=now + timedelta(days=3650),
            type_base=ISSUER_URL,
        ),
        signers=[root],
    )
    earlier = now - timedelta(days=1)
    uri = f"{ISSUER_URL}/v1/status-lists/1"
    trust_list = sign_general(
        typ=TRUST_LIST_TYP,
        payload=build_trust_list_payload(
            env="test",
            sequence=1,
            issued_at=earlier,
            next_update=now + timedelta(days=90),
            issuers=[ISSUER_URL],
            authorities=[_authority(authority, earlier)],
            services=[
                Service(
                    use=ServiceUse.STATUS,
                    key=status.public_key,
                    valid_from=earlier,
                    uri_prefixes=(f"{ISSUER_URL}/v1/status-lists/",),
                    authorities=("*",),
                ),
                Service(use=ServiceUse.FRESHNESS, key=freshness.public_key, valid_from=earlier),
            ],
        ),
        signers=[trust_list_key],
    )
    status_list = sign_compact(
        typ=STATUS_LIST_TYP,
        payload=build_status_list_payload(
            uri=uri,
            issuer=ISSUER_URL,
            issued_at=now,
            expires_at=now + timedelta(days=7),
            ttl=300,
            aggregation_uri=f"{ISSUER_URL}/v1/status-lists",
            seq=1,
            event_seq=1,
            bits=StatusBuffer(1 << 17).to_bytes(),
            env="test",
        ),
        signer=status,
    )
    statement = sign_compact(
        typ=FRESHNESS_TYP,
        payload=build_freshness_payload(
            issuer=ISSUER_URL,
            env="test",
            issued_at=now,
            expires_at=now + timedelta(days=7),
            trust_list_sequence=1,
            trust_list_sha256=sha256_hex(trust_list),
            status_lists={uri: CurrentStatusList(seq=1, sha256=sha256_hex(status_list.encode("ascii")))},
        ),
        signer=freshness,
    )
    bundle = dump_bundle(
        make_bundle(
            env="test",
            roots=[trust_root],
            trust_list=trust_list,
            freshness=statement,
            status_lists={uri: status_list},
        )
    )
    return Installation(
        now=now,
        trust_root=trust_root,
        bundle=bundle,
        evidence=gather_offline(trust_root=trust_root, bundle=bundle, now=now),
        tokens=tuple(make_token(authority, uri=uri, index=index, issued_at=now) for index in range(count)),
        signer=authority,
    )


def make_token(signer: PrivateKeySigner, *, uri: str, index: int, issued_at: datetime) -> str:
    """Sign one license with twelve disclosures."""
    holder = make_uscc("9", "1", AREA_CODE, f"MA0T{index % 10000:04d}")
    serial = secrets.token_hex(10).upper()
    identifier = LicenseIdentifier.make(
        type_code=TYPE_CODE, authority_code=AUTHORITY_CODE, serial=serial, version="001"
    )
    valid_from = date(2024, 1, 2)
    opens, ends = credential_window(valid_from=valid_from, valid_until=None, issued_at=issued_at)
    claims = CredentialClaims(
        issuer=f"{ISSUER_URL}/authorities/{AUTHORITY_CODE}",
        vct=f"{ISSUER_URL}/types/{TYPE_CODE}/1",
        issued_at=issued_at,
        not_before=opens,
        expires_at=ends,
        status_uri=uri,
        status_index=index,
        subject=holder,
        license=LicenseClaims(
            identifier=identifier.text,
            type_code=TYPE_CODE,
            type_name="营业执照",
            number=holder,
            name="营业执照",
            authority_code=AUTHORITY_CODE,
            authority_name="示例省市场监督管理局",
            holder=Holder(code=holder, code_type="001", name=f"示例商贸{index}号有限公司"),
            area_code=AREA_CODE,
            issue_date=valid_from,
            valid_from=valid_from,
            valid_until=None,
            version="001",
        ),
    )
    prepared = prepare_credential(
        claims=claims,
        elements=ELEMENTS,
        kid=signer.kid,
        profile="es256",
        salts=[secrets.token_bytes(16) for _ in ELEMENTS],
        env="test",
    )
    return prepared.assemble(signer.sign(prepared.signing_input))


def _authority(signer: PrivateKeySigner, valid_from: datetime) -> Authority:
    return Authority(
        code=AUTHORITY_CODE,
        name="示例省市场监督管理局",
        level="province",
        area_code="320000",
        issuer=f"{ISSUER_URL}/authorities/{AUTHORITY_CODE}",
        keys=(AuthorityKey(key=signer.public_key, valid_from=valid_from),),
        scopes=(Scope(type_code=TYPE_CODE, areas=("32",)),),
    )
