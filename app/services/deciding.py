"""Decide: may this authority sign this content here and now, and with which key. The first step of every version."""

from datetime import datetime

from app.domain.directory import Directory
from app.domain.issuing_rules import judge_new_license, require_authority
from app.domain.license import NewLicense
from app.domain.publication import ServiceKey
from app.services.credential_maker import CredentialMaker, require_listed
from app.services.key_register import CREDENTIAL, KeyRegister
from elicense.encoding import civil_today
from elicense.evidence import TrustEvidence


async def permit(
    content: NewLicense,
    *,
    keys: KeyRegister,
    maker: CredentialMaker,
    directory: Directory,
    trust: TrustEvidence,
    now: datetime,
    as_it_stands: bool = False,
) -> tuple[NewLicense, ServiceKey]:
    """Return the judged content and the key to sign it with: the one that the given trust list names.

    `as_it_stands` is for what has been issued and is only signed again: of the rules only the authority's right to sign
    it today is asked. Raises DomainError: every code of `judge_new_license`, not_authorized_to_issue while the
    published trust list does not say the same, unavailable without a key.
    """
    today, judged = civil_today(now), content
    if as_it_stands:
        require_authority(
            directory,
            authority_code=content.authority_code,
            type_code=content.type_code,
            area_code=content.area_code,
            today=today,
        )
    else:
        judged = judge_new_license(content, directory, today=today)
    key = await keys.current(CREDENTIAL, now=now, authority_code=judged.authority_code, trust=trust)
    require_listed(
        trust,
        issuer=maker.issuer_of(judged.authority_code),
        kid=key.kid,
        type_code=judged.type_code,
        area_code=judged.area_code,
        now=now,
    )
    return judged, key
