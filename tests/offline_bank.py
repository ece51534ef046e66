"""An offline verifier of a simulated installation, and a clock for it."""

from datetime import datetime

from elicense import OfflineVerifier
from tests.simulator import Installation


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        return self.moment


def verifier(installation: Installation, **settings: object) -> OfflineVerifier:
    return OfflineVerifier(
        trust_root=installation.trust_root(),
        bundle=installation.bundle(),
        clock=Clock(installation.now),
        **settings,  # type: ignore[arg-type]
    )
