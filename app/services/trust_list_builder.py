"""Turn directory and registered keys into the payload of the next trust list."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from app.domain.authority import Authority, AuthorityStatus
from app.domain.directory import Directory
from app.domain.key_history import KeyCompromise
from app.domain.publication import ServiceKey
from app.services.key_register import CREDENTIAL, RECEIPT_LOG, WITNESS_SCHEME
from elicense import trust_list as trust
from elicense.keys import PublicKey

NEXT_UPDATE = timedelta(days=90)

# Both logs are logs to whoever reads the list: the origin tells them apart.
_USES = {**{use.value: use for use in trust.ServiceUse}, RECEIPT_LOG: trust.ServiceUse.LOG}


def build_payload(
    *,
    issuer_url: str,
    env: str,
    sequence: int,
    issued_at: datetime,
    next_update: datetime,
    directory: Directory,
    keys: Sequence[ServiceKey],
    compromises: Mapping[str, KeyCompromise],
    before: trust.TrustList | None,
    root_version: int,
) -> bytes:
    """Build the payload to sign; `before` is the list in force, which keeps when an authority ended.

    `compromises` (by key id) mark the keys that may be in other hands. `root_version` names the root in force: a
    verifier who was given only an older one refuses the list.
    """
    declared = {kid: one.declaration for kid, one in compromises.items()}
    earlier: Mapping[str, trust.Authority] = before.authorities if before is not None else {}
    return trust.build_trust_list_payload(
        env=env,
        sequence=sequence,
        issued_at=issued_at,
        next_update=next_update,
        issuers=[issuer_url],
        authorities=[
            _authority(directory.authorities[code], issuer_url, keys, declared, earlier.get(code), issued_at)
            for code in sorted(directory.authorities)
        ],
        services=[
            _service(key, issuer_url, declared.get(key.kid))
            for key in sorted(keys, key=lambda key: (key.use, key.kid))
            if key.use != CREDENTIAL
        ],
        root_version=root_version,
    )


def listed_use(use: str) -> trust.ServiceUse:
    """Return the use a service's key has in the trust list. KeyError for a key of no service."""
    return _USES[use]


def _public(key: ServiceKey) -> PublicKey:
    return PublicKey.from_jwk(key.jwk, profile=key.profile)


def _authority(
    authority: Authority,
    issuer_url: str,
    keys: Sequence[ServiceKey],
    declared: Mapping[str, trust.Compromise],
    earlier: trust.Authority | None,
    issued_at: datetime,
) -> trust.Authority:
    own = sorted((k for k in keys if k.authority_code == authority.code), key=lambda k: (k.valid_from, k.kid))
    ended_at = None
    if authority.status is not AuthorityStatus.ACTIVE:
        ended_at = (earlier.ended_at if earlier is not None else None) or issued_at
    return trust.Authority(
        code=authority.code,
        name=authority.name,
        level=authority.level,
        area_code=authority.area_code,
        parent=authority.parent,
        issuer=f"{issuer_url}/authorities/{authority.code}",
        status=trust.AuthorityState(authority.status.value),
        ended_at=ended_at,
        keys=tuple(
            trust.AuthorityKey(
                key=_public(key),
                valid_from=key.valid_from,
                valid_until=key.valid_until,
                compromised=declared.get(key.kid),
            )
            for key in own
        ),
        scopes=tuple(
            trust.Scope(
                type_code=scope.type_code,
                areas=scope.areas,
                valid_from=scope.valid_from,
                valid_until=scope.valid_until,
            )
            for scope in authority.scopes
        ),
    )


def _service(key: ServiceKey, issuer_url: str, compromised: trust.Compromise | None) -> trust.Service:
    use = listed_use(key.use)
    is_status = use is trust.ServiceUse.STATUS
    origin: str | None = issuer_url
    if use is trust.ServiceUse.LOG:
        origin = key.origin
    elif use is trust.ServiceUse.WITNESS:
        origin = key.uri.removeprefix(WITNESS_SCHEME)
    return trust.Service(
        use=use,
        key=_public(key),
        valid_from=key.valid_from,
        valid_until=key.valid_until,
        compromised=compromised,
        uri_prefixes=(f"{issuer_url}/v1/status-lists/",) if is_status else (),
        origin=None if is_status else origin,
        authorities=(trust.EVERY_AUTHORITY,) if is_status else (),
    )
