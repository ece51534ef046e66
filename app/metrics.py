"""Measurements of the serving processes, in Prometheus' text form.

Several processes behind one port are asked in turns. They keep their measurements in files of one folder, so that
whichever is asked answers for all: a counter that went back with every second look would make each rate wrong.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4 as CONTENT_TYPE
from prometheus_client.multiprocess import MultiProcessCollector

__all__ = ["CONTENT_TYPE", "Metrics", "measured_together"]

_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable that tells the library to keep measurements in files; it reads it once, when it is imported."""
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts and times requests by route template, method and status: never by path, client or license."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "elicense_http_requests",
            "HTTP requests answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "elicense_http_request_seconds",
            "Time from the first byte of the request to the last of the answer.",
            ("route",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._cells: dict[tuple[str, str, int], tuple[Any, Any]] = {}

    def observe_request(self, scope: MutableMapping[str, Any], *, status: int, seconds: float) -> None:
        """Count one answered request; requests that met no route share one name, so callers cannot add series."""
        route = getattr(scope.get("route"), "path", "(none)")
        method = scope["method"] if scope["method"] in ("GET", "POST") else "(other)"
        cell = self._cells.get((method, route, status))
        if cell is None:
            cell = self._cells[method, route, status] = (
                self._requests.labels(method, route, str(status)),
                self._seconds.labels(route),
            )
        cell[0].inc()
        cell[1].observe(seconds)

    def render(self) -> bytes:
        """Return all series as text: those of all processes that are measured together."""
        folder = os.environ.get(_FOLDER)
        if folder is None:
            return generate_latest(self._registry)
        everyone = CollectorRegistry()
        MultiProcessCollector(everyone, path=folder)  # type: ignore[no-untyped-call]
        return generate_latest(everyone)


@contextmanager
def measured_together() -> Iterator[None]:
    """Let the processes started within this block be measured together; their measurements end with it."""
    folder = tempfile.mkdtemp(prefix="elicense-metrics-")
    os.environ[_FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)
