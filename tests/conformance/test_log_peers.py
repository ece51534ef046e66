"""Our logs are opened by the implementation of Go's checksum database (Debian's x/mod): notes, tiles, proofs.

A small program (`logcheck/main.go`) reads what the service serves over HTTP and computes every root and path itself.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.domain.license import LicenseFilter
from elicense.log_entry import parse_entry
from elicense.signed_note import parse_checkpoint_text, parse_note, verifier_key
from elicense.tiles import TileName, tile_width
from elicense.trust_list import ServiceUse
from tests.debian import install
from tests.installation import ISSUER_URL
from tests.integration.bystander import VKEY, add_witness, witness
from tests.integration.http_service import HttpService, open_http

# The databases do not differ in what is served; their own tests say so.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)]

SOURCE = Path(__file__).parent / "logcheck" / "main.go"
PACKAGES = Path("/usr/share/gocode")
HOST = ISSUER_URL.removeprefix("https://")
BATCHES = (1, 3, 60, 256, 400)

Check = Callable[[Path], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def logcheck(tmp_path_factory: pytest.TempPathFactory) -> Check:
    """Build the program once; where Go and its packages are missing, Debian's are installed first."""
    if shutil.which("go") is None or not (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        install("golang-go", "golang-golang-x-mod-dev")
    folder = tmp_path_factory.mktemp("logcheck")
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOPATH": str(PACKAGES),
        "GOCACHE": str(folder / "cache"),
    }
    built = folder / "logcheck"
    subprocess.run(["go", "build", "-o", str(built), str(SOURCE)], check=True, env=environment)

    def run(directory: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(built), str(directory)], capture_output=True, text=True, check=False)

    return run


async def _get(service: HttpService, path: str) -> Any:
    response = await service.http.get(path)
    assert response.status_code == 200, (path, response.text)
    return response


def _std(text: str) -> str:
    """Write base64url as Go's JSON reads bytes."""
    return base64.b64encode(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))).decode()


def _tiles_of(size: int) -> list[TileName]:
    """List every tile of a tree of `size` leaves, entry bundles left out."""
    places = ((level, number) for level in range(3) for number in range(size // 256 + 1))
    return [
        TileName(level, number, width)
        for level, number in places
        if (width := tile_width(level, number, size))
    ]


async def _download(service: HttpService, folder: Path, *, name: str, sizes: list[int]) -> None:
    """Store what the service serves of one log: checkpoints by size, every tile and bundle of each."""
    origin = f"{HOST}/{name}"
    listed = (await service.installation.services.trust_list.evidence()).trust_list.services
    key = next(one.key for one in listed if one.use is ServiceUse.LOG and one.origin == origin)
    (folder / "vkey").write_text(verifier_key(origin, key))
    for size in sizes:
        names = _tiles_of(size)
        bundles = [TileName(None, one.number, one.width) for one in names if one.level == 0]
        for tile in (*names, *bundles):
            path = folder / "tile" / tile.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((await _get(service, f"/logs/{name}/tile/{tile.path}")).content)


async def _grow(service: HttpService, folder: Path) -> list[int]:
    """Issue licenses in batches; keep the checkpoint after each."""
    services = service.installation.services
    sizes = []
    for count in BATCHES:
        rows = [service.installation.new_license() for _ in range(count)]
        await services.issuing.issue_many(rows, actor="t")
        await services.log_sequencer.run_until_done()
        note = (await _get(service, "/log/checkpoint")).text
        size = parse_checkpoint_text(parse_note(note).text).size
        (folder / f"checkpoint-{size}").write_text(note, encoding="utf-8")
        sizes.append(size)
    return sizes


async def _proofs(service: HttpService, sizes: list[int]) -> dict[str, list[dict[str, Any]]]:
    services = service.installation.services
    consistency = []
    for old in sizes:
        for new in (size for size in sizes if size >= old):
            answer = (await _get(service, f"/v1/log/consistency?from={old}&to={new}")).json()
            consistency.append({"from": old, "to": new, "path": [_std(node) for node in answer["path"]]})
    found, _ = await services.store.read(
        lambda unit: unit.licenses.page(LicenseFilter(), cursor=None, limit=200)
    )
    inclusion = []
    queries = [
        "trust_root=1",
        "trust_list=1",
        *(f"identifier={one.identifier}" for one in found[::7]),
    ]
    for query in queries:
        answer = (await _get(service, f"/v1/log/proof?{query}")).json()
        checkpoint = parse_checkpoint_text(parse_note(answer["checkpoint"]).text)
        inclusion.append(
            {
                "index": answer["index"],
                "size": checkpoint.size,
                "entry": _std(answer["entry"]),
                "path": [_std(node) for node in answer["path"]],
            }
        )
    assert len(inclusion) > 20
    return {"inclusion": inclusion, "consistency": consistency}


def _change(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(bytes(content))


async def test_go_opens_every_checkpoint_tile_and_proof_of_the_public_log(
    database_url: str, tmp_path: Path, logcheck: Check, subtests: pytest.Subtests
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with open_http(database_url, tmp_path) as service:
        sizes = await _grow(service, served)
        await _download(service, served, name="log", sizes=sizes)
        proofs = await _proofs(service, sizes)
    (served / "proofs.json").write_text(json.dumps(proofs))
    done = logcheck(served)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{len(BATCHES)} checkpoints, ")

    largest = max(sizes)
    wrong: dict[str, Callable[[Path], None]] = {
        "a changed checkpoint": lambda copy: _change(copy / f"checkpoint-{largest}", 30),
        "a changed tile": lambda copy: _change(copy / "tile/0/000", 40),
        "a changed entry": lambda copy: _change(copy / "tile/entries/000", 40),
        "a changed proof": lambda copy: _change_proof(copy, "inclusion"),
        "a changed consistency": lambda copy: _change_proof(copy, "consistency"),
        "another key": lambda copy: (
            (copy / "vkey").write_text(  # type: ignore[func-returns-value]
                "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
            )
            and None
        ),
    }
    for name, change in wrong.items():
        with subtests.test(case=name):
            copy = tmp_path / name.replace(" ", "-")
            shutil.copytree(served, copy)
            change(copy)
            assert logcheck(copy).returncode == 1, "what was changed must be noticed"


def _change_proof(copy: Path, kind: str) -> None:
    proofs = json.loads((copy / "proofs.json").read_text())
    one = next(one for one in proofs[kind] if one["path"])
    one["path"][-1] = base64.b64encode(bytes(32)).decode()
    (copy / "proofs.json").write_text(json.dumps(proofs))


async def test_go_verifies_the_cosignature_of_a_witness_by_its_own_reading(
    database_url: str, tmp_path: Path, logcheck: Check, subtests: pytest.Subtests
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with open_http(database_url, tmp_path) as service:
        await add_witness(service.installation)
        size = await witness(service.installation)
        note = (await _get(service, "/log/checkpoint")).text
        await _download(service, served, name="log", sizes=[size])
    checkpoint = served / f"checkpoint-{size}"
    checkpoint.write_text(note, encoding="utf-8")
    (served / "witness-vkey").write_text(VKEY)
    (served / "proofs.json").write_text('{"inclusion": [], "consistency": []}')
    done = logcheck(served)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 checkpoints, 0 inclusions, 0 consistencies\n1 cosignatures\n"

    text, signatures = note.split("\n\n")
    own, line = signatures.splitlines()
    name, blob = line.rpartition(" ")[::2]
    signed = bytearray(base64.b64decode(blob))
    wrong = {
        "another time": _line(name, signed, position=4 + 7),
        "another signature": _line(name, signed, position=40),
        "another key": _line(name, signed, position=0),
        "none": "",
    }
    for case, bent in wrong.items():
        with subtests.test(case=case):
            lines = "".join(f"{one}\n" for one in (own, bent) if one)
            checkpoint.write_text(f"{text}\n\n{lines}", encoding="utf-8")
            done = logcheck(served)
            assert done.returncode == 1 and "cosign" in done.stderr, "what was changed must be noticed"


def _line(name: str, signed: bytearray, *, position: int) -> str:
    bent = bytearray(signed)
    bent[position] ^= 1
    return f"{name} {base64.b64encode(bent).decode()}"


async def test_go_opens_the_receipts_log(database_url: str, tmp_path: Path, logcheck: Check) -> None:
    served = tmp_path / "served"
    served.mkdir()
    async with open_http(database_url, tmp_path) as service:
        for _ in range(3):
            await service.verify(license={"identifier": "1.2.3"})
        await service.installation.services.log_sequencer.run_until_done()
        note = (await _get(service, "/logs/receipt-log/checkpoint")).text
        (served / "checkpoint-3").write_text(note, encoding="utf-8")
        await _download(service, served, name="receipt-log", sizes=[3])
        bundle = (await _get(service, "/logs/receipt-log/tile/entries/000.p/3")).content
    (served / "proofs.json").write_text('{"inclusion": [], "consistency": []}')
    done = logcheck(served)
    assert (done.returncode, done.stdout) == (0, "1 checkpoints, 0 inclusions, 0 consistencies\n"), (
        done.stderr
    )
    assert parse_entry(bundle[2 : 2 + int.from_bytes(bundle[:2], "big")]).kind.value == "receipt"
