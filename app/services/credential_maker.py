"""Turn a judged request into the exact bytes to sign, and look at our own output with the eyes of a verifier."""

from dataclasses import replace
from datetime import datetime, timedelta

from app.domain.directory import Directory
from app.domain.errors import DomainError, FieldError
from app.domain.ids import LicenseId, new_id, new_salt, new_serial
from app.domain.license import (
    Intent,
    IntentState,
    License,
    LicenseVersion,
    NewLicense,
    Replacement,
    State,
)
from app.domain.publication import ServiceKey
from app.services.status_indices import StatusPlace
from elicense.cn import LicenseIdentifier, parse_identifier
from elicense.credential import (
    CredentialClaims,
    LicenseClaims,
    PreparedCredential,
    credential_window,
    prepare_credential,
)
from elicense.credential import Holder as HolderClaims
from elicense.encoding import civil_today, sha256_hex
from elicense.evidence import Evidence, LiveStatus, RegisterEvidence, TrustEvidence
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.verify import verify_credential

FIRST_VERSION = "001"
LEASE = timedelta(seconds=30)

# What a verifier may say about a genuine license on the day of its signing: dates lie where the authority put them.
_GOOD_REASONS = frozenset({Reason.OK, Reason.EXPIRED, Reason.NOT_YET_VALID})


class CredentialMaker:
    """Makes intents whose bytes the core accepts, under one issuer URL and environment."""

    def __init__(self, *, issuer_url: str, env: str) -> None:
        self._issuer_url = issuer_url
        self.env = env

    def issuer_of(self, authority_code: str) -> str:
        """Return the `iss` of an authority."""
        return f"{self._issuer_url}/authorities/{authority_code}"

    def new_license(
        self, new: NewLicense, *, directory: Directory, now: datetime, source_digest: str | None = None
    ) -> License:
        """Make a license of a judged request: fresh id, fresh identifier, first version."""
        identifier = LicenseIdentifier.make(
            type_code=new.type_code,
            authority_code=new.authority_code,
            serial=new_serial(),
            version=FIRST_VERSION,
        )
        return License(
            id=LicenseId(new_id()),
            identifier=identifier.text,
            version=FIRST_VERSION,
            state=State.ACTIVE,
            type_code=new.type_code,
            type_name=directory.license_types[new.type_code].name,
            number=new.number,
            authority_code=new.authority_code,
            authority_name=directory.authorities[new.authority_code].name,
            holder=new.holder,
            area_code=new.area_code,
            issue_date=new.issue_date,
            valid_from=new.valid_from,
            valid_until=new.valid_until,
            elements=dict(new.elements),
            created_at=now,
            updated_at=now,
            row_version=1,
            source_digest=source_digest,
            holder_key=new.holder_key,
        )

    def next_license(
        self,
        before: License,
        content: NewLicense,
        *,
        version: str,
        directory: Directory,
        now: datetime,
        source_digest: str | None = None,
    ) -> License:
        """Make a license's further version of judged content: the same id, number and serial, the state carried over.

        Without a digest of its own it keeps the one of the row it was last taken from: what a department amends here
        must not be undone by the same file coming again.
        """
        identifier = LicenseIdentifier.make(
            type_code=before.type_code,
            authority_code=before.authority_code,
            serial=parse_identifier(before.identifier).serial,
            version=version,
        )
        return replace(
            before,
            identifier=identifier.text,
            version=version,
            type_name=directory.license_types[before.type_code].name,
            authority_name=directory.authorities[before.authority_code].name,
            holder=content.holder,
            area_code=content.area_code,
            issue_date=content.issue_date,
            valid_from=content.valid_from,
            valid_until=content.valid_until,
            elements=dict(content.elements),
            updated_at=now,
            row_version=before.row_version + 1,
            source_digest=source_digest or before.source_digest,
            holder_key=content.holder_key,
        )

    def make_intent(
        self,
        license: License,
        *,
        directory: Directory,
        trust: TrustEvidence,
        key: ServiceKey,
        place: StatusPlace,
        now: datetime,
        actor: str,
        replaces: Replacement | None = None,
    ) -> Intent:
        """Make the promise of a license version: the bytes to sign, an open lease.

        Raises DomainError `invalid_elements` for a license that would not fit into a credential.
        """
        schema_version = directory.license_types[license.type_code].schema_version
        claims = _claims(
            license,
            issuer=self.issuer_of(license.authority_code),
            vct=f"{trust.root.type_base}/types/{license.type_code}/{schema_version}",
            place=place,
            now=now,
        )
        prepared = self._prepare(claims, license, key)
        return Intent(
            id=new_id(),
            license=license,
            signing_input=prepared.signing_input,
            disclosures=prepared.disclosures,
            kid=key.kid,
            status_list_id=place.list_id,
            status_index=place.index,
            issued_at=now,
            actor=actor,
            state=IntentState.OPEN,
            lease_until=now + LEASE,
            fence=1,
            replaces=replaces,
        )

    def make_version(self, intent: Intent, signature: bytes) -> LicenseVersion:
        """Put the signature to the promised bytes: the version as it will be stored."""
        prepared = PreparedCredential(signing_input=intent.signing_input, disclosures=intent.disclosures)
        license = intent.license
        return LicenseVersion(
            license_id=license.id,
            version=license.version,
            identifier=license.identifier,
            credential=prepared.assemble(signature),
            signing_input_sha256=sha256_hex(intent.signing_input),
            status_list_id=intent.status_list_id,
            status_index=intent.status_index,
            kid=intent.kid,
            issued_at=intent.issued_at,
            state=license.state,
            env=self.env,
        )

    def judge_own_output(
        self, version: LicenseVersion, license: License, *, trust: TrustEvidence, at: datetime
    ) -> None:
        """Verify a finished credential as everybody else will from this moment on.

        Not as of its promise: a promise that was kept late may be older than the trust list. Raises DomainError
        `internal` when it is not good.
        """
        now = max(at, version.issued_at)  # a promise may come from a clock that stands a little ahead
        evidence = Evidence(
            now=now,
            trust=trust,
            # A suspension carried over is the register's word, not the file's: the file is judged as if in force.
            status=LiveStatus(state=State.ACTIVE.value, as_of=now, event_seq=0),
            register=RegisterEvidence(known=True),
        )
        report = verify_credential(version.credential, evidence=evidence, policy=DEFAULT_POLICY)
        shown = report.license or {}
        elements = shown.get("elements")
        if report.reason not in _GOOD_REASONS or elements != dict(license.elements):
            raise DomainError("internal", f"our own credential was judged {report.reason}")

    def _prepare(self, claims: CredentialClaims, license: License, key: ServiceKey) -> PreparedCredential:
        try:
            return prepare_credential(
                claims=claims,
                elements=license.elements,
                kid=key.kid,
                profile=key.profile,
                salts=[new_salt() for _ in license.elements],
                env=self.env,
                holder_key=license.holder_key,
            )
        except FormatError as error:
            raise DomainError(
                "invalid_elements",
                f"the license does not fit into a credential: {error.detail}",
                errors=[FieldError("/elements", error.detail, "无法写入电子证照文件")],
            ) from error


def license_claims(license: License) -> LicenseClaims:
    """Return the always visible claims of a license (GB/T 36903)."""
    holder = license.holder
    return LicenseClaims(
        identifier=license.identifier,
        type_code=license.type_code,
        type_name=license.type_name,
        number=license.number,
        name=license.type_name,
        authority_code=license.authority_code,
        authority_name=license.authority_name,
        holder=HolderClaims(code=holder.code, code_type=holder.code_type, name=holder.name),
        area_code=license.area_code,
        issue_date=license.issue_date,
        valid_from=license.valid_from,
        valid_until=license.valid_until,
        version=license.version,
    )


def require_listed(
    trust: TrustEvidence, *, issuer: str, kid: str, type_code: str, area_code: str, now: datetime
) -> None:
    """Raise DomainError `not_authorized_to_issue` unless the published trust list says the same as the directory.

    A license signed before the list names its authority, key and scope would be refused by every verifier.
    """
    authority = trust.trust_list.authority_by_issuer(issuer)
    key = authority.key(kid) if authority is not None else None
    today = civil_today(now)
    listed = (
        authority is not None
        and key is not None
        and key.compromised is None
        and key.valid_at(now)
        and any(s.covers(type_code=type_code, area_code=area_code, on=today) for s in authority.scopes)
    )
    if not listed:
        raise DomainError(
            "not_authorized_to_issue",
            "the published trust list does not name this authority, key and scope; publish the list first",
        )


def _claims(
    license: License, *, issuer: str, vct: str, place: StatusPlace, now: datetime
) -> CredentialClaims:
    not_before, expires_at = credential_window(
        valid_from=license.valid_from, valid_until=license.valid_until, issued_at=now
    )
    return CredentialClaims(
        issuer=issuer,
        vct=vct,
        issued_at=now,
        not_before=not_before,
        expires_at=expires_at,
        status_uri=place.uri,
        status_index=place.index,
        subject=license.holder.code,
        license=license_claims(license),
    )
