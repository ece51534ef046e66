"""Measurements: of one process by itself, and of several together, whichever of them is asked."""

import os
import subprocess
import sys

from app.metrics import Metrics, measured_together

_COUNTED = 'elicense_http_requests_total{method="GET",route="(none)",status="200"}'
_OTHER = """
from app.metrics import Metrics
metrics = Metrics()
for _ in range(3):
    metrics.observe_request({"method": "GET"}, status=200, seconds=0.01)
print(metrics.render().decode())
"""


def _counted(text: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(_COUNTED)]
    return float(line.split()[-1])


def _another_process() -> str:
    done = subprocess.run([sys.executable, "-c", _OTHER], capture_output=True, check=True, text=True)
    return done.stdout


def test_a_process_by_itself_tells_what_it_has_answered() -> None:
    metrics = Metrics()
    metrics.observe_request({"method": "GET"}, status=200, seconds=0.01)
    assert _counted(metrics.render().decode()) == 1
    assert _counted(_another_process()) == 3


def test_processes_measured_together_tell_the_sum_whichever_is_asked() -> None:
    with measured_together():
        assert [_counted(_another_process()) for _ in range(3)] == [3, 6, 9]
    assert "PROMETHEUS_MULTIPROC_DIR" not in os.environ
