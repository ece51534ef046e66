"""A bank that installs the SDK gets no server framework, and offline verification no HTTP client."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FRAMEWORKS = (
    "app",
    "fastapi",
    "starlette",
    "pydantic",
    "sqlalchemy",
    "uvicorn",
    "structlog",
    "alembic",
)
NAMES = "import elicense; [getattr(elicense, name) for name in elicense.__all__]"
PROBE = "; import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def modules_after(statement: str) -> set[str]:
    """Import in a fresh interpreter that sees the SDK's source before anything installed."""
    done = subprocess.run(
        [sys.executable, "-c", statement + PROBE],
        capture_output=True,
        check=True,
        env={"PYTHONPATH": str(ROOT / "clients/python/src"), "PATH": ""},
        cwd=ROOT / "clients",
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    "statement",
    [
        NAMES,
        "import elicense.cli",
        "import elicense.client._sync, elicense.client._async, elicense.client._transport",
        "import elicense.verify, elicense.receipt, elicense.client._evidence",
    ],
)
def test_the_sdk_never_loads_a_server_framework(statement: str) -> None:
    assert modules_after(statement) & set(FRAMEWORKS) == set()


@pytest.mark.parametrize(
    "statement",
    [
        NAMES,
        "from elicense import OfflineVerifier",
        "import elicense.verify, elicense.receipt, elicense.status_list, elicense.trust_list",
        "import elicense.cli",
    ],
)
def test_offline_verification_never_loads_the_http_client(statement: str) -> None:
    assert modules_after(statement) & {"httpx", "httpcore", "anyio"} == set()


def test_importing_the_package_loads_neither_cryptography_nor_http() -> None:
    assert modules_after("import elicense") & {"cryptography", "httpx", "argparse", "asyncio"} == set()


def test_the_blocking_client_does_not_load_asyncio_nor_the_one_for_asyncio_http_before_it_is_made() -> None:
    assert "asyncio" not in modules_after("from elicense import Elicense")
    assert modules_after("from elicense import AsyncElicense") & {"cryptography", "httpx", "anyio"} == set()


def test_the_probe_sees_what_is_loaded() -> None:
    assert "httpx" in modules_after("import elicense.client._transport")


def test_the_sdk_declares_nothing_but_cryptography_and_httpx() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {entry.split(">")[0] for entry in project["dependencies"]} == {"cryptography", "httpx"}
