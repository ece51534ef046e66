"""One offline verifier in many threads, while `reload` takes up another bundle."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from elicense import OfflineVerifier
from elicense.client._offline_report import OfflineReport
from elicense.report import Verdict
from elicense.status_list import Status
from tests.simulator import Installation

ROUNDS = 40
THREADS = 4


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class RunningClock:
    """A clock that goes on whenever it is asked."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        self.moment += timedelta(microseconds=1)
        return self.moment


class TwoBundles:
    """An older and a newer bundle of one installation, in turns in one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        installation = Installation()
        self.now = installation.now
        self.root, self.token = installation.trust_root(), installation.credential()
        self.older = installation.bundle()
        installation.set_status(5, Status.INVALID)
        self.newer = installation.bundle()
        path.write_bytes(self.older)

    def replace(self, content: bytes) -> None:
        self.path.with_suffix(".new").write_bytes(content)
        self.path.with_suffix(".new").replace(self.path)

    def verifier(self, clock: RunningClock) -> OfflineVerifier:
        return OfflineVerifier(trust_root=self.root, bundle=self.path, clock=clock)


@pytest.fixture
def bundles(tmp_path: Path) -> TwoBundles:
    return TwoBundles(tmp_path / "bundle.json")


def test_what_reload_has_seen_stays_seen_while_others_verify(
    bundles: TwoBundles, hasty_threads: None
) -> None:
    for _ in range(ROUNDS):
        bundles.replace(bundles.older)
        bank = bundles.verifier(RunningClock(bundles.now))
        bundles.replace(bundles.newer)
        reload_among_verifications(bank)
        bundles.replace(bundles.older)
        bank.reload()
        assert bank.verify(bundles.token).verdict is Verdict.INDETERMINATE, "the older bundle was taken again"


def reload_among_verifications(bank: OfflineVerifier) -> None:
    is_over = threading.Event()

    def verify() -> None:
        while not is_over.is_set():
            bank.verify("~")

    threads = [threading.Thread(target=verify) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    bank.reload()
    is_over.set()
    for thread in threads:
        thread.join()


def test_a_report_keeps_the_bundle_that_was_judged_when_another_is_being_taken_up(
    bundles: TwoBundles,
) -> None:
    reports: list[OfflineReport] = []

    class Interrupting(RunningClock):
        """Has another thread verify a credential just when `reload` asks the time."""

        interrupts = False

        def __call__(self) -> datetime:
            if self.interrupts:
                self.interrupts = False
                with ThreadPoolExecutor(1) as other:
                    reports.append(other.submit(bank.verify, bundles.token).result())
            return super().__call__()

    clock = Interrupting(bundles.now)
    bank = bundles.verifier(clock)
    bundles.replace(bundles.newer)
    clock.interrupts = True
    bank.reload()
    reports.append(bank.verify(bundles.token))
    assert [report.judgement.bundle for report in reports] == [bundles.older, bundles.newer]
    assert [report.verdict for report in reports] == [Verdict.VALID, Verdict.INVALID]
    for report in reports:
        assert report.judgement.judge(report.judgement.evidence()).verdict is report.verdict
