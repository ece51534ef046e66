"""A complete installation for tests: real database, development keys, trust documents, directory, clients."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TypeVar

from app.adapters.high_water import HighWaterFile
from app.adapters.signed_heads import SignedHeadsFile
from app.adapters.signers.file_signers import FileSigners
from app.adapters.signers.key_files import KeyFolder
from app.bootstrap import build_services, open_root_keys, open_services
from app.domain.api_client import Caller, ClientKind
from app.domain.authority import (
    Area,
    Authority,
    ElementDefinition,
    ElementKind,
    IssuingScope,
    LicenseType,
    SetupPlan,
)
from app.domain.license import Holder, License, NewLicense
from app.domain.restriction import Restriction
from app.domain.verification import LicenseReference, Question
from app.ports import IdempotentCall, Signers, Store, UnitOfWork
from app.services.container import Services
from app.settings import Settings, load_settings
from elicense.cn import make_uscc
from elicense.encoding import sha256_hex
from elicense.service_reasons import ServiceReason

T = TypeVar("T")

ISSUER_URL = "https://issuer.test.example"
AREA = "320100"
OTHER_AREA = "320500"
BUSINESS_LICENSE = "11100000MB0143028R001"
ROLLED_BACK = Restriction(reason=ServiceReason.ROLLBACK_DETECTED, zh="数据库较旧", en="the database is older")


class MovableClock:
    """A clock that runs with the machine's and can be moved: by time that passes, or by a hand that sets it."""

    def __init__(self) -> None:
        self.offset = timedelta()
        self.passed = timedelta()

    def now(self) -> datetime:
        """Return the moved time."""
        return datetime.now(UTC) + self.offset

    def monotonic(self) -> float:
        """Return the machine's monotonic clock, and the time that was let pass."""
        return time.monotonic() + self.passed.total_seconds()

    def advance(self, *, seconds: float = 0, days: float = 0) -> None:
        """Let time pass. Negative sets the clock back, which no monotonic clock follows."""
        span = timedelta(seconds=seconds, days=days)
        self.offset += span
        self.passed += max(span, timedelta())

    def step(self, *, seconds: float = 0, days: float = 0) -> None:
        """Set the clock, forth or back, while no time passes."""
        self.offset += timedelta(seconds=seconds, days=days)


def uscc(index: int) -> str:
    """Make an invented social credit code of a company, both check characters right."""
    return make_uscc("9", "1", AREA, f"MA0T{index:04d}")


def _authority_code(index: int, area: str) -> str:
    return make_uscc("1", "1", area, f"MA0T9{index:03d}")


AUTHORITY = _authority_code(1, AREA)
OTHER_AUTHORITY = _authority_code(2, OTHER_AREA)
FOOD_TYPE = f"{AUTHORITY}801"
TRANSPORT_TYPE = f"{AUTHORITY}802"
HOLDER = Holder(code=uscc(1), code_type="001", name="南京示例商贸有限公司")


def test_plan() -> SetupPlan:
    """Return the directory: two areas, three types, two authorities with different scopes."""
    return SetupPlan(
        areas=(Area(code=AREA, name="南京市"), Area(code=OTHER_AREA, name="苏州市")),
        license_types=(
            LicenseType(
                code=BUSINESS_LICENSE,
                name="营业执照",
                name_en="Business license",
                defining_authority="11100000MB0143028R",
                elements=(
                    _element("legal_representative", "法定代表人", ElementKind.PERSON_NAME),
                    _element("company_type", "类型"),
                    _element("address", "住所", ElementKind.ADDRESS),
                    _element("business_scope", "经营范围", ElementKind.SCOPE),
                ),
            ),
            LicenseType(
                code=FOOD_TYPE,
                name="示例食品经营许可证",
                name_en="Example food license",
                defining_authority=AUTHORITY,
                demonstration=True,
                elements=(replace(_element("premises", "经营场所"), required=True),),
            ),
            LicenseType(
                code=TRANSPORT_TYPE,
                name="示例运输许可证",
                name_en="Example transport license",
                defining_authority=AUTHORITY,
                demonstration=True,
            ),
        ),
        authorities=(
            _authority(AUTHORITY, "南京市示例局", AREA, (BUSINESS_LICENSE, FOOD_TYPE)),
            _authority(OTHER_AUTHORITY, "苏州市示例局", OTHER_AREA, (BUSINESS_LICENSE, TRANSPORT_TYPE)),
        ),
    )


test_plan.__test__ = False  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Installation:
    """An open installation and what tests need to speak about it. `keys` are API secrets by role."""

    services: Services
    settings: Settings
    clock: MovableClock
    keys: dict[str, str]
    numbers: "count[int]" = field(default_factory=lambda: count(1))
    authorities: tuple[str, ...] = (AUTHORITY, OTHER_AUTHORITY)
    types: tuple[str, ...] = (BUSINESS_LICENSE, FOOD_TYPE, TRANSPORT_TYPE)
    area_code: str = AREA

    def new_license(self, **changes: object) -> NewLicense:
        """Return a good request of the first authority, with a number of its own."""
        new = NewLicense(
            type_code=BUSINESS_LICENSE,
            number=f"TEST-{next(self.numbers):06d}",
            holder=HOLDER,
            area_code=AREA,
            issue_date=date(2024, 5, 6),
            valid_from=date(2024, 5, 6),
            valid_until=None,
            elements={"legal_representative": "张示例", "address": "南京市示例路1号(A座)"},
            authority_code=AUTHORITY,
        )
        return replace(new, **changes)  # type: ignore[arg-type]

    async def issue(self, **changes: object) -> License:
        """Issue a license."""
        issued = await self.services.issuing.issue(
            self.new_license(**changes), actor="test", request_id=None, call=None
        )
        assert issued.license is not None
        return issued.license

    async def caller(self, role: str) -> Caller:
        """Return an authenticated caller of a role."""
        found = await self.services.api_clients.authenticate(self.keys[role])
        return Caller(client=found.client, key_handle=found.handle, request_id="request-1")

    async def credential(self, license: License) -> str:
        """Return the credential of a license's current version."""
        role = "authority" if license.authority_code == AUTHORITY else "other_authority"
        return await self.services.credentials.get(license.id, version=None, caller=await self.caller(role))

    async def ask(
        self, question: Question | str | LicenseReference, *, role: str = "platform"
    ) -> dict[str, object]:
        """Verify and return the body of the answer."""
        if isinstance(question, str):
            question = Question(credential=question)
        elif isinstance(question, LicenseReference):
            question = Question(license=question)
        answer = await self.services.verification.verify(question, caller=await self.caller(role), call=None)
        assert answer.body is not None
        return answer.body


def idempotent(
    key: str, *, path: str = "/v1/licenses", body: str = "", client_id: str = "c"
) -> IdempotentCall:
    """Describe a repeatable call."""
    return IdempotentCall(
        client_id=client_id, method="POST", path=path, key=key, body_sha256=sha256_hex(body.encode())
    )


class PausingStore:
    """A store that waits for something else to happen before one of its writes (counted from 1)."""

    def __init__(self, store: Store, *, before_write: int, pause: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._before_write = before_write
        self._pause = pause
        self.writes = 0

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        self.writes += 1
        if self.writes == self._before_write:
            await self._pause()
        return await self._store.write(work)

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._store.read(work)

    async def ready(self) -> None:
        await self._store.ready()

    async def close(self) -> None:
        await self._store.close()


class DawdlingStore:
    """A store whose writes stay open for a while when their work is done, so that others come in between."""

    def __init__(self, store: Store, *, seconds: float = 0.2) -> None:
        self._store = store
        self._seconds = seconds

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        async def slowly(unit: UnitOfWork) -> T:
            done = await work(unit)
            await asyncio.sleep(self._seconds)
            return done

        return await self._store.write(slowly)

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        return await self._store.read(work)

    async def ready(self) -> None:
        await self._store.ready()

    async def close(self) -> None:
        await self._store.close()


def services_over(
    installation: Installation,
    store: Store,
    signers: Signers,
    *,
    env: str = "test",
) -> Services:
    """Return another process' services over a store of the test's own making; nothing was compared yet."""
    folder = KeyFolder(path=installation.settings.keys_dir, development=True)
    return build_services(
        store=store,
        clock=installation.clock,
        signers=signers,
        key_maker=FileSigners(folder),
        high_water=HighWaterFile(installation.settings.keys_dir),
        signed_heads=SignedHeadsFile(installation.settings.keys_dir),
        issuer_url=ISSUER_URL,
        env=env,
    )


@asynccontextmanager
async def open_installation(
    database_url: str, folder: Path, *, clock: MovableClock | None = None, **options: object
) -> AsyncIterator[Installation]:
    """Initialize and open an installation on a migrated, empty database; keys live under `folder`.

    `options` are settings that differ from those of a test.
    """
    clock = clock or MovableClock()
    settings = test_settings(database_url, folder, **options)
    async with open_services(settings, uninitialized=True, clock=clock) as services:
        await services.directory.apply(test_plan(), dry_run=False, actor="test")
        await services.ceremony.init(root_keys=open_root_keys(settings), issuer_url=ISSUER_URL)
        keys = {
            role: (await services.api_clients.create(name=role, actor="test", **options)).secret  # type: ignore[arg-type]
            for role, options in CLIENTS.items()
        }
        yield Installation(services, settings, clock, keys)


@asynccontextmanager
async def open_again(of: Installation) -> AsyncIterator[Installation]:
    """Open the same installation a second time, as another process would."""
    async with open_services(of.settings, clock=of.clock) as services:
        yield replace(of, services=services)


def test_settings(database_url: str, folder: Path, **options: object) -> Settings:
    """Return development settings over a database and a folder, some of them as `options` say."""
    return load_settings(
        folder,
        environ={},
        default_environment="development",
        database_url=database_url,
        issuer_url=ISSUER_URL,
        keys_dir=folder / "keys",
        **options,
    )


test_settings.__test__ = False  # type: ignore[attr-defined]

CLIENTS: Mapping[str, Mapping[str, object]] = {
    "operator": {"kind": ClientKind.OPERATOR},
    "authority": {"kind": ClientKind.AUTHORITY, "authority_code": AUTHORITY},
    "other_authority": {"kind": ClientKind.AUTHORITY, "authority_code": OTHER_AUTHORITY},
    "platform": {"kind": ClientKind.PLATFORM},
    "bank": {"kind": ClientKind.BANK},
    "holder": {"kind": ClientKind.HOLDER, "holder_code": HOLDER.code},
}


def _element(name: str, label: str, kind: ElementKind = ElementKind.TEXT) -> ElementDefinition:
    return ElementDefinition(name=name, label=label, label_en=name.replace("_", " "), kind=kind)


def _authority(code: str, name: str, area: str, types: tuple[str, ...]) -> Authority:
    return Authority(
        code=code,
        name=name,
        level="city",
        area_code=area,
        scopes=tuple(IssuingScope(type_code=item, areas=(area[:4],)) for item in types),
    )
