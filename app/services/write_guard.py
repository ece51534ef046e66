"""Whether this installation may write: a restored backup, or a clock nobody can believe at a start, may not.

The guard stands before the two things that matter, whoever asks for them: every transaction that writes
(`GuardedStore`) and every signature of an online key (`GuardedSigners`). Services ask it as well, to refuse before
they begin.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from app.domain.publication import ServiceKey
from app.domain.restriction import Restriction
from app.ports import Signers, Store, UnitOfWork
from app.services.signing_clock import SigningClock
from elicense.keys import PublicKey, Signer
from elicense.profiles import Profile

T = TypeVar("T")

# Set for one flow of work only: what runs beside it stays restricted.
_opened: ContextVar[bool] = ContextVar("opened", default=False)


class WriteGuard:
    """Holds why the service is read-only, if it is."""

    def __init__(self) -> None:
        """Allow everything until `restrict` is called."""
        self.restriction: Restriction | None = None
        self.times_restricted = 0

    @property
    def reason(self) -> str | None:
        """Return the code of the reason, None while writing is allowed."""
        return None if self.restriction is None else self.restriction.reason.value

    def restrict(self, restriction: Restriction) -> None:
        """Allow reading only from now on."""
        if self.restriction is None:
            self.times_restricted += 1
        self.restriction = restriction

    def lift(self) -> None:
        """Allow everything again."""
        self.restriction = None

    def require_writable(self) -> None:
        """Raise ServiceRefusal `read_only` when nothing may be written."""
        if self.restriction is not None and not _opened.get():
            raise self.restriction.refusal()

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Let this flow of work write although the service is read-only: for the recovery, which ends that."""
        token = _opened.set(True)
        try:
            yield
        finally:
            _opened.reset(token)

    @contextmanager
    def opened_for_trust_list(self) -> Iterator[None]:
        """Let the key ceremony write when a trust list is all that is missing. Raises ServiceRefusal otherwise."""
        if self.restriction is None or not self.restriction.needs_trust_list:
            self.require_writable()
            yield
            return
        with self.opened():
            yield


class GuardedStore:
    """A store that writes only while the guard allows it (implements `ports.Store`)."""

    def __init__(self, store: Store, guard: WriteGuard) -> None:
        self._store = store
        self._guard = guard

    async def write(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Write as the store behind does. Raises ServiceRefusal `read_only` before anything is begun."""
        self._guard.require_writable()
        return await self._store.write(work)

    async def read(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """Read as the store behind does."""
        return await self._store.read(work)

    async def ready(self) -> None:
        """Ask the store behind."""
        await self._store.ready()

    async def close(self) -> None:
        """Close the store behind."""
        await self._store.close()


class GuardedSigners:
    """Private keys that sign only while guard and clock allow it (implements `ports.Signers`)."""

    def __init__(self, signers: Signers, *, guard: WriteGuard, signing_clock: SigningClock) -> None:
        self._signers = signers
        self._guard = guard
        self._signing_clock = signing_clock

    def signer(self, key: ServiceKey) -> Signer:
        """Return the signer of a key. Raises DomainError as the one behind; refusals come when it signs."""
        return _GuardedSigner(self._signers.signer(key), self._guard, self._signing_clock)


class _GuardedSigner:
    """One private key behind the guard (implements `elicense.keys.Signer`)."""

    __slots__ = ("_guard", "_signer", "_signing_clock")

    def __init__(self, signer: Signer, guard: WriteGuard, signing_clock: SigningClock) -> None:
        self._signer = signer
        self._guard = guard
        self._signing_clock = signing_clock

    @property
    def kid(self) -> str:
        return self._signer.kid

    @property
    def profile(self) -> Profile:
        return self._signer.profile

    @property
    def public_key(self) -> PublicKey:
        return self._signer.public_key

    def sign(self, data: bytes) -> bytes:
        # Here and not when the signer is fetched: between the two a batch of signatures may take its time.
        self._guard.require_writable()
        self._signing_clock.require_reliable()
        return self._signer.sign(data)
