"""Fill an installation with the demonstration's data, through the services and idempotently."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.domain.api_client import DEFAULT_SCOPES, ApiClient, Caller, ClientKind
from app.domain.errors import DomainError
from app.domain.ids import ClientId
from app.domain.license import Action, License, NewLicense, State
from app.ports import UnitOfWork
from app.services.container import Services
from app.services.credential_maker import FIRST_VERSION
from app.services.demo_changes import demo_amendment, demo_renewal
from app.services.demo_data import DemoLicense, Fate, demo_licenses
from app.services.import_rows import digest_of

_ACTOR = "demo"
_CHUNK = 250
_ROUNDS = 60
_PAUSE = 1.0
_FATES: Mapping[Fate, tuple[Action, str, str]] = {
    Fate.SUSPENDED: (Action.SUSPEND, "inspection", "演示:检查期间暂停"),
    Fate.REVOKED: (Action.REVOKE, "penalty", "演示:依法吊销"),
    Fate.CANCELLED: (Action.CANCEL, "holder_request", "演示:持证主体申请注销"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One license to show, and which of its versions: its identifier and number, None for whichever is current."""

    license: License
    identifier: str
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeded:
    """What stands in the register: all demonstration licenses, and the samples by name."""

    licenses: int
    samples: Mapping[str, Sample]


async def seed_licenses(
    services: Services, count: int, *, today: date, on_progress: Callable[[int], None]
) -> Seeded:
    """Issue what is missing, then let happen what was to happen to each. Doing it again changes nothing."""
    samples: dict[str, Sample] = {}
    planned: list[DemoLicense] = []
    total = 0
    for one in demo_licenses(count, today=today):
        planned.append(one)
        if len(planned) == _CHUNK:
            samples |= await _seed_chunk(services, planned)
            total += len(planned)
            on_progress(len(planned))
            planned = []
    if planned:
        samples |= await _seed_chunk(services, planned)
        on_progress(len(planned))
    return Seeded(licenses=total + len(planned), samples=samples)


async def _seed_chunk(services: Services, planned: Sequence[DemoLicense]) -> dict[str, Sample]:
    held = await issue_missing(services, [one.new for one in planned], actor=_ACTOR)
    samples = {}
    for one in planned:
        license_ = held[_key(one.new)]
        license_ = await _meet_fate(services, license_, one)
        if one.sample is not None:
            samples[one.sample] = await _sample(services, license_, one.fate)
    return samples


async def _sample(services: Services, license_: License, fate: Fate) -> Sample:
    if fate is not Fate.AMENDED:
        return Sample(license=license_, identifier=license_.identifier)
    # Shown is what its holder may still carry: the file from before the change.
    first, *_ = await services.store.read(lambda work: work.licenses.versions(license_.id))
    return Sample(license=license_, identifier=first.identifier, version=first.version)


async def issue_missing(
    services: Services, wanted: Sequence[NewLicense], *, actor: str
) -> dict[tuple[str, str], License]:
    """Return the license of each type and number, issuing those that have none.

    A run that was killed leaves promises that hold their numbers: recovery takes them over once their lease is out.
    """
    for _ in range(_ROUNDS):
        held = await _held(services, wanted)
        missing = [new for new in wanted if _key(new) not in held]
        answers = await services.issuing.issue_many(
            missing, actor=actor, source_digests=[digest_of(new) for new in missing]
        )
        held |= {_key(answer): answer for answer in answers if isinstance(answer, License)}
        refusals = [answer for answer in answers if isinstance(answer, DomainError)]
        if not refusals:
            return held
        if any(refusal.code != "number_taken" for refusal in refusals):
            break
        await asyncio.sleep(_PAUSE)
        while await services.issuing.recover():
            pass
    raise refusals[0]


def _key(of: NewLicense | License) -> tuple[str, str]:
    return of.type_code, of.number


async def _held(services: Services, wanted: Sequence[NewLicense]) -> dict[tuple[str, str], License]:
    by_type: dict[str, list[str]] = {}
    for new in wanted:
        by_type.setdefault(new.type_code, []).append(new.number)

    async def read(work: UnitOfWork) -> dict[tuple[str, str], License]:
        held = {}
        for type_code, numbers in by_type.items():
            found = await work.licenses.by_numbers(type_code=type_code, numbers=numbers)
            held.update({(type_code, number): license_ for number, license_ in found.items()})
        return held

    return await services.store.read(read)


async def _meet_fate(services: Services, license_: License, planned: DemoLicense) -> License:
    # A license that is not active any more, or has a second version, met its fate before, or a visitor of the
    # demonstration changed it.
    fate = planned.fate
    if license_.state is not State.ACTIVE or license_.version != FIRST_VERSION:
        return license_
    caller = authority_caller(license_.authority_code, created_at=license_.created_at)
    if fate in _FATES:
        action, reason_code, reason = _FATES[fate]
        changed = await services.lifecycle.act(
            action, license_.id, reason_code=reason_code, reason=reason, caller=caller, call=None
        )
    elif fate is Fate.AMENDED:
        changed = await services.amending.amend(
            license_.id,
            demo_amendment(planned.new),
            reason_code="change_of_address",
            reason="演示:住所及负责人变更",
            caller=caller,
            call=None,
        )
    elif fate is Fate.RENEWED:
        changed = await services.amending.renew(
            license_.id,
            demo_renewal(planned.new),
            reason_code="renewal",
            reason="演示:到期延续",
            caller=caller,
            call=None,
        )
    else:
        return license_
    return changed.license or license_


def authority_caller(authority_code: str, *, created_at: datetime, actor: str = _ACTOR) -> Caller:
    """Return the demonstration (or another `actor` of ours) acting for an authority: no client, without a key."""
    client = ApiClient(
        id=ClientId(actor),
        name=actor,
        kind=ClientKind.AUTHORITY,
        authority_code=authority_code,
        holder_code=None,
        scopes=DEFAULT_SCOPES[ClientKind.AUTHORITY],
        purposes=(),
        default_purpose="",
        calls_per_minute=0,
        batch_limit=0,
        created_at=created_at,
    )
    return Caller(client=client, key_handle=actor, request_id=actor)


async def seed_clients(
    services: Services, kept: Mapping[str, str], *, authority_code: str, holder_code: str
) -> dict[str, str]:
    """Return a working API key for each kind of client: the one kept from an earlier run, or a new one."""
    return {
        kind.value: await seed_client(
            services,
            kept.get(kind.value),
            name=f"demo-{kind.value}",
            kind=kind,
            authority_code=authority_code if kind is ClientKind.AUTHORITY else None,
            holder_code=holder_code if kind is ClientKind.HOLDER else None,
        )
        for kind in ClientKind
    }


async def seed_client(
    services: Services,
    kept: str | None,
    *,
    name: str,
    kind: ClientKind,
    authority_code: str | None = None,
    holder_code: str | None = None,
) -> str:
    """Return a working API key of one client: the one kept from an earlier run, or a new one."""
    if kept is not None and await _works(services, kept):
        return kept
    if any(entry.client.name == name for entry in await services.api_clients.list()):
        return (await services.api_clients.rotate(name, actor=_ACTOR)).secret
    made = await services.api_clients.create(
        name=name, kind=kind, authority_code=authority_code, holder_code=holder_code, actor=_ACTOR
    )
    return made.secret


async def _works(services: Services, key: str) -> bool:
    try:
        await services.api_clients.authenticate(key)
    except DomainError:
        return False
    return True
