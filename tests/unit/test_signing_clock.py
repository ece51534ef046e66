"""The signing clock: what stops signatures, what lets them go on, and that each change is said once."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from app.adapters.clock import SystemClock
from app.domain.errors import DomainError, ServiceRefusal
from app.domain.good_time import SIGNS_WITHIN
from app.domain.publication import ServiceKey
from app.domain.restriction import Restriction
from app.services.signing_clock import SigningClock
from app.services.write_guard import GuardedSigners, WriteGuard
from elicense.keys import Signer
from elicense.service_reasons import ServiceReason
from tests.simulator import SimulatedSigner

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)


class TwoClocks:
    """A wall clock and a monotonic one that move as they are told."""

    def __init__(self) -> None:
        self.wall = NOON
        self.seconds = 5.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def clocks() -> TwoClocks:
    return TwoClocks()


@pytest.mark.parametrize(
    "step", [timedelta(hours=-1), timedelta(days=365), -SIGNS_WITHIN * 1.1, SIGNS_WITHIN * 1.1]
)
def test_a_clock_that_is_moved_stops_signing_until_it_is_moved_back(
    clocks: TwoClocks, step: timedelta
) -> None:
    signing = SigningClock(clocks)
    clocks.pass_time(3600)
    assert signing.signing_time() == NOON + timedelta(hours=1)
    clocks.wall += step
    with pytest.raises(ServiceRefusal) as refusal:
        signing.signing_time()
    assert (refusal.value.code, refusal.value.reason) == ("unavailable", ServiceReason.CLOCK_UNRELIABLE)
    assert f"{round(step.total_seconds()):+d} seconds" in refusal.value.detail
    assert signing.good_time() == NOON + timedelta(hours=1)
    clocks.pass_time(60)
    assert not signing.is_reliable()
    clocks.wall -= step
    assert signing.signing_time() == NOON + timedelta(seconds=3660)


def test_a_moved_clock_that_is_accepted_signs_again(clocks: TwoClocks) -> None:
    signing = SigningClock(clocks)
    clocks.wall -= timedelta(hours=1)
    assert not signing.is_reliable()
    signing.accept()
    assert signing.signing_time() == NOON - timedelta(hours=1)
    clocks.wall += timedelta(hours=1)
    assert not signing.is_reliable()


def test_each_change_is_logged_once(clocks: TwoClocks) -> None:
    signing = SigningClock(clocks)
    with capture_logs() as lines:
        for _ in range(3):
            signing.is_reliable()
        clocks.wall += timedelta(days=365)
        for _ in range(3):
            signing.is_reliable()
        clocks.wall -= timedelta(days=365)
        for _ in range(3):
            signing.is_reliable()
    assert [line["event"] for line in lines] == ["clock_unreliable", "clock_reliable_again"]


def test_the_machines_clocks_run_alike() -> None:
    clock = SystemClock()
    signing = SigningClock(clock)
    before = clock.monotonic()
    while clock.monotonic() - before < 0.05:
        assert signing.is_reliable()
    assert abs(signing.look().deviation) < timedelta(seconds=1)


class OneSigner:
    """Give one signer, whatever the key (implements `ports.Signers`)."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def signer(self, key: ServiceKey) -> Signer:
        return self._signer


def key() -> ServiceKey:
    return ServiceKey(
        kid="k",
        use="status",
        profile="es256",
        jwk={},
        authority_code=None,
        uri="file:k",
        valid_from=NOON,
        valid_until=NOON,
    )


def test_a_signer_fetched_before_signs_nothing_once_the_clock_was_moved(clocks: TwoClocks) -> None:
    inner = SimulatedSigner()
    signing = SigningClock(clocks)
    signer = GuardedSigners(OneSigner(inner), guard=WriteGuard(), signing_clock=signing).signer(key())
    assert inner.public_key.verify(signer.sign(b"x"), b"x")
    assert (signer.kid, signer.profile, signer.public_key) == (inner.kid, inner.profile, inner.public_key)
    clocks.wall += timedelta(hours=1)
    with pytest.raises(DomainError, match="clock_unreliable"):
        signer.sign(b"x")


def test_a_signer_fetched_before_signs_nothing_once_the_service_is_read_only(clocks: TwoClocks) -> None:
    guard = WriteGuard()
    signers = GuardedSigners(OneSigner(SimulatedSigner()), guard=guard, signing_clock=SigningClock(clocks))
    signer = signers.signer(key())
    guard.restrict(Restriction(reason=ServiceReason.ROLLBACK_DETECTED, zh="旧", en="old"))
    with pytest.raises(DomainError, match="rollback_detected"):
        signer.sign(b"x")
    with guard.opened():
        signer.sign(b"x")
    with pytest.raises(DomainError, match="rollback_detected"):
        signer.sign(b"x")
    guard.lift()
    signer.sign(b"x")
