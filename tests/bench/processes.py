"""P10: what a command costs before it does anything: importing the SDK, and one offline verification as a process."""

import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.measure import Goal
from tests.bench.samples import make_installation


def measure(*, quick: bool) -> dict[str, Goal]:
    """Run each command several times in turns; CPU-seconds of the whole process, the interpreter's start included."""
    rounds = 7 if quick else 21
    with tempfile.TemporaryDirectory() as folder:
        verify = _verify_command(Path(folder))
        bare, imported, verified = [], [], []
        for _ in range(rounds):
            bare.append(_cpu_seconds([sys.executable, "-c", "pass"]))
            imported.append(_cpu_seconds([sys.executable, "-c", "import elicense"]))
            verified.append(_cpu_seconds(verify))
    start = statistics.median(bare)
    return {
        "P10.import": _goal(imported, 0.15, 0.10, f"interpreter alone {start:.3f} s"),
        "P10.verify": _goal(verified, 0.40, 0.25, f"interpreter alone {start:.3f} s"),
    }


def _goal(seconds: list[float], floor: float, aim: float, note: str) -> Goal:
    middle = statistics.median(seconds)
    return Goal(
        unit="CPU-seconds per process",
        floor=floor,
        aim=aim,
        value=middle,
        spread=(max(seconds) - min(seconds)) / middle,
        at_most=True,
        note=note,
    )


def _verify_command(folder: Path) -> list[str]:
    installation = make_installation(1)
    files = {"root.json": installation.trust_root, "bundle.json": installation.bundle}
    files["license.sdjwt"] = installation.tokens[0].encode()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    arguments = ["--trust-root", str(folder / "root.json"), "--bundle", str(folder / "bundle.json")]
    command = Path(sys.executable).parent / "elicense"
    return [str(command), "verify", str(folder / "license.sdjwt"), *arguments]


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
