"""Run a vector over HTTP: a service on a real database that holds the vector's trust documents and its register.

Rows are written by the product's own repositories; the clock and the one key that signs answers are the test's.
"""

import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from app.adapters.db import open_store
from app.adapters.high_water import HighWaterFile
from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import build_services
from app.domain.api_client import ClientKind
from app.domain.authority import ElementDefinition, LicenseType
from app.domain.errors import DomainError
from app.domain.events import LogLeaf, LogName
from app.domain.ids import LicenseId, new_id
from app.domain.license import (
    Action,
    HistoryEntry,
    Holder,
    License,
    LicenseVersion,
    Replacement,
    RevocationKind,
    State,
)
from app.domain.publication import (
    DocumentKind,
    Installation,
    PublishedStatusList,
    ServiceKey,
    SignedDocument,
    StatusListRow,
)
from app.main import create_app
from app.ports import Store, UnitOfWork
from app.settings import load_settings
from elicense.bundle import Bundle, parse_bundle
from elicense.credential import Credential, parse_credential
from elicense.encoding import sha256_hex
from elicense.keys import Signer
from elicense.log_entry import EntryKind
from elicense.status_list import parse_status_list
from elicense.trust_list import ServiceUse, TrustList, parse_trust_list
from elicense.trust_root import parse_trust_root
from tests.simulator import OTHER_TYPE_CODE, SAMPLE_ELEMENTS, TYPE_CODE
from tests.vectors.seeded import RECEIPT_SIGNER
from tests.vectors.vector import Vector

LIST_SIZE = 1024
_ACTIONS = {
    State.REVOKED: "revoke",
    State.CANCELLED: "cancel",
    State.SUSPENDED: "suspend",
    State.ACTIVE: "resume",
    State.TRANSFERRED: "transfer",
}


class StandingClock:
    """A clock that shows one moment (implements `ports.Clock`)."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


class OneSigner:
    """Hold the key that signs answers and no other (implements `ports.Signers`)."""

    def signer(self, key: ServiceKey) -> Signer:
        if key.kid != RECEIPT_SIGNER.kid:
            raise DomainError("unavailable", "a vector's service signs answers alone")
        return RECEIPT_SIGNER


async def run_http(vector: Vector, folder: Path, template: Path) -> Mapping[str, Any]:
    """Answer with `POST /v1/verifications`: the body, and the status it came with."""
    async with _service(vector, folder, template) as (http, key):
        headers = {"Authorization": f"Bearer {key}"}
        if not isinstance(vector.inputs["policy"], str):
            own = {name: vector.inputs["policy"][name] for name in ("name", "parts")}
            made = await http.post("/v1/policies", json=own, headers=headers)
            assert made.status_code == 201
        response = await http.post("/v1/verifications", json=question(vector), headers=headers)
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        return {"status": response.status_code, "problem": answer["code"]}
    assert answer["receipt"].count(".") == 2
    return {**answer, "status": response.status_code}


def question(vector: Vector) -> dict[str, Any]:
    """Give the body of the question; a credential with its log proof goes as the text of its file."""
    file = vector.file_of()
    body: dict[str, Any] = dict(vector.question) if file is None else {"credential": file.decode()}
    if vector.binding:
        body["key_binding"] = dict(vector.binding)
    body["policy"] = vector.policy.id
    if vector.elements is not None:
        body["elements"] = vector.elements
    return body if vector.at is None else {**body, "at": vector.members["at"]}


@asynccontextmanager
async def _service(
    vector: Vector, folder: Path, template: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    database = folder / "register.db"
    shutil.copyfile(template, database)
    keys = KeyFolder(path=folder / "keys", development=True)
    keys.prepare()
    store = open_store(f"sqlite+aiosqlite:///{database}")
    services = build_services(
        store=store,
        clock=StandingClock(vector.now),
        signers=OneSigner(),
        key_maker=FileSigners(keys),
        high_water=HighWaterFile(keys.path),
        signed_heads=SignedHeadsFile(keys.path),
        issuer_url=vector.inputs["issuer_url"],
        env=vector.inputs["env"],
    )
    try:
        await _fill(store, vector)
        client = await services.api_clients.create(name="platform", kind=ClientKind.PLATFORM, actor="test")
        settings = load_settings(
            folder, environ={}, default_environment="development", issuer_url=vector.inputs["issuer_url"]
        )
        transport = httpx.ASGITransport(app=create_app(settings, services=services))
        async with httpx.AsyncClient(transport=transport, base_url="http://service.example") as http:
            yield http, client.secret
    finally:
        await store.close()


async def _fill(store: Store, vector: Vector) -> None:
    installation = Installation(
        issuer_url=vector.inputs["issuer_url"], env=vector.inputs["env"], created_at=vector.now
    )
    await store.write(lambda unit: unit.installation.create(installation))
    await store.write(_declare)
    if vector.bundle is not None:
        bundle = parse_bundle(vector.bundle)
        await store.write(lambda unit: _publish(unit, bundle))
    for license in vector.inputs["register"]:
        await _register(store, license, vector.inputs["env"])


async def _declare(unit: UnitOfWork) -> None:
    """Define the license types of the worlds, with the elements their credentials hold."""
    elements = tuple(ElementDefinition(name=name, label=name, label_en=name) for name in SAMPLE_ELEMENTS)
    for code in (TYPE_CODE, OTHER_TYPE_CODE):
        await unit.directory.put_license_type(
            LicenseType(code=code, name=code, name_en=code, defining_authority=code[:18], elements=elements)
        )


async def _publish(unit: UnitOfWork, bundle: Bundle) -> None:
    root = parse_trust_root(bundle.roots[-1])
    trust_list = parse_trust_list(bundle.trust_list, root=root)
    documents = [
        (DocumentKind.TRUST_ROOT, root.version, bundle.roots[-1], root.expires),
        (DocumentKind.TRUST_LIST, trust_list.sequence, bundle.trust_list, trust_list.next_update),
    ]
    for kind, sequence, content, expires_at in documents:
        document = SignedDocument(
            kind=kind,
            sequence=sequence,
            content=content,
            sha256=sha256_hex(content),
            issued_at=trust_list.issued_at,
            expires_at=expires_at,
        )
        await unit.documents.add(document, follows=0)
    entry = next(service for service in trust_list.services if service.key.kid == RECEIPT_SIGNER.kid)
    await unit.keys.add(
        ServiceKey(
            kid=entry.key.kid,
            use="receipt",
            profile=entry.key.profile.name,
            jwk=dict(entry.key.jwk),
            authority_code=None,
            uri="file:receipt",
            valid_from=entry.valid_from,
            valid_until=entry.valid_until or trust_list.next_update,
        )
    )
    for uri, token in bundle.status_lists.items():
        await _publish_list(unit, trust_list, uri, [*bundle.archive.get(uri, ()), token])


async def _publish_list(unit: UnitOfWork, trust_list: TrustList, uri: str, tokens: Sequence[str]) -> None:
    list_id = uri.rpartition("/")[2]
    await unit.status.add_list(
        StatusListRow(
            id=list_id,
            uri=uri,
            authority_code="*",
            size=LIST_SIZE,
            allocated=LIST_SIZE,
            changes=0,
            published_changes=0,
            seq=0,
        )
    )
    served = 0
    for token in tokens:
        claimed = parse_status_list(token)
        signer = trust_list.service(claimed.kid, ServiceUse.STATUS)
        assert signer is not None
        read = claimed.accept(signer.key)
        version = PublishedStatusList(
            list_id=list_id,
            uri=uri,
            seq=read.seq,
            event_seq=read.event_seq,
            token=token,
            sha256=sha256_hex(token.encode()),
            issued_at=read.issued_at,
            expires_at=read.expires_at,
        )
        await unit.status.publish(version, expected_seq=served, changes=0)
        served = read.seq


async def _register(store: Store, described: Mapping[str, Any], env: str) -> None:
    first, *further = described["versions"]
    license = _license(parse_credential(first["credential"]), _moment(first["recorded_at"]))
    made = (license, _version(license, first, env), _entry(license, "issue", None, license.created_at))
    await store.write(lambda unit: unit.licenses.add_many([made]))
    await store.write(lambda unit: _log(unit, license, first))
    for described_version in further:
        license = await _amend(store, license, described_version, env)
    for change in described["changes"]:
        license = await _change(store, license, change)


async def _amend(store: Store, before: License, described: Mapping[str, Any], env: str) -> License:
    at = _moment(described["recorded_at"])
    made = _license(parse_credential(described["credential"]), at, id=before.id, row=before.row_version + 1)
    replaced = await store.read(lambda unit: unit.licenses.snapshot(before.id))
    assert replaced is not None
    expected = Replacement(
        row_version=before.row_version,
        state=before.state,
        identifier=before.identifier,
        version=before.version,
        status_list_id=replaced.version.status_list_id,
        status_index=replaced.version.status_index,
        signing_input_sha256=replaced.version.signing_input_sha256,
        action=Action.AMEND,
        reason_code="change",
        reason="变更",
    )
    entry = _entry(made, "amend", before.state.value, at)
    version = _version(made, described, env)
    assert await store.write(lambda unit: unit.licenses.add_version(made, version, entry, expected=expected))
    await store.write(lambda unit: _log(unit, made, described))
    return made


async def _change(store: Store, license: License, described: Mapping[str, Any]) -> License:
    state, at = State(described["state"]), _moment(described["at"])
    kind = described["revocation"]
    entry = _entry(license, _ACTIONS[state], license.state.value, at, to=state)

    async def work(unit: UnitOfWork) -> License:
        await unit.licenses.change_state(
            license_id=license.id,
            expected_row_version=license.row_version,
            state=state,
            at=at,
            entry=entry,
            revocation=None if kind is None else RevocationKind(kind),
        )
        changed = await unit.licenses.get(license.id)
        assert changed is not None
        return changed

    return await store.write(work)


async def _log(unit: UnitOfWork, license: License, described: Mapping[str, Any]) -> None:
    place = described["log"]
    leaf = LogLeaf(
        id=new_id(),
        log=LogName.REGISTER,
        kind=EntryKind.ISSUANCE.value,
        subject=license.id,
        identifier=license.identifier,
        entry=b"{}",
        event_sha256=None,
        salt=None,
        recorded_at=license.updated_at,
    )
    await unit.journal.add_leaves([leaf])
    if place is not None:
        await unit.transparency_log.place(place["origin"], first=place["index"], leaf_ids=[leaf.id])


def _license(credential: Credential, at: datetime, *, id: str | None = None, row: int = 1) -> License:
    claims = credential.claims.license
    return License(
        id=LicenseId(id or new_id()),
        identifier=claims.identifier,
        version=claims.version,
        state=State.ACTIVE,
        type_code=claims.type_code,
        type_name=claims.type_name,
        number=claims.number,
        authority_code=claims.authority_code,
        authority_name=claims.authority_name,
        holder=Holder(code=claims.holder.code, code_type=claims.holder.code_type, name=claims.holder.name),
        area_code=claims.area_code,
        issue_date=claims.issue_date,
        valid_from=claims.valid_from,
        valid_until=claims.valid_until,
        elements=dict(credential.elements),
        created_at=at,
        updated_at=at,
        row_version=row,
    )


def _version(license: License, described: Mapping[str, Any], env: str) -> LicenseVersion:
    token = described["credential"]
    credential = parse_credential(token)
    return LicenseVersion(
        license_id=license.id,
        version=license.version,
        identifier=license.identifier,
        credential=token,
        signing_input_sha256=sha256_hex(credential.signing_input),
        status_list_id=credential.claims.status_uri.rpartition("/")[2],
        status_index=credential.claims.status_index,
        kid=credential.kid,
        issued_at=credential.claims.issued_at,
        state=license.state,
        env=env,
    )


def _entry(
    license: License, action: str, from_state: str | None, at: datetime, *, to: State = State.ACTIVE
) -> HistoryEntry:
    return HistoryEntry(
        id=new_id(),
        license_id=license.id,
        version=license.version,
        action=action,
        from_state=from_state,
        to_state=to.value,
        actor="authority",
        recorded_at=at,
        effective_at=at,
        reason_code=None if action == "issue" else "vector",
        reason=None if action == "issue" else "测试向量",
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
