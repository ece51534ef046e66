"""What the inside needs of the database about callers: plans and quotas, keys and tokens of OAuth, request logs."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.api_client import ApiClient
from app.domain.oauth import AccessToken, ClientJwk
from app.domain.plan import Plan, QuotaState
from app.domain.request_log import LoggedRequest
from app.domain.sandbox import SandboxCaller


class PlanRepository(Protocol):
    """Named quotas, and what each client has spent of its own."""

    async def all(self) -> Sequence[Plan]: ...
    async def held(self, name: str) -> Plan | None:
        """Return a plan to give its figures to a client. Whoever changes it meanwhile, or this, runs again."""
        ...

    async def put(self, plan: Plan) -> None:
        """Store a plan; the clients that are on it get its figures."""
        ...

    async def give(self, client_id: str, plan: Plan) -> None:
        """Give one client a plan's name and figures."""
        ...

    async def spent(self, client_id: str) -> QuotaState | None: ...
    async def keep_spent(self, state: QuotaState) -> None:
        """Store what a client has spent. Two that do so at once are told apart by the database: one runs again."""
        ...


class OAuthRepository(Protocol):
    """Public keys of clients, their access tokens, and the assertions that were used."""

    async def add_jwk(self, jwk: ClientJwk) -> None:
        """Store a key. Raises DomainError `conflict` when the client has registered it before."""
        ...

    async def jwks(self, client_id: str) -> Sequence[ClientJwk]:
        """Return a client's keys, newest first, ended ones included."""
        ...

    async def jwks_of_all(self) -> Mapping[str, Sequence[ClientJwk]]: ...
    async def end_jwk(self, client_id: str, kid: str, *, at: datetime) -> bool:
        """End a live key and every token it got. False when there is none."""
        ...

    async def add_token(self, token: AccessToken) -> None: ...
    async def by_handle(self, handle: str) -> tuple[ApiClient, AccessToken] | None:
        """Return a token and its client, None once the key it was got with has ended, whichever was stored first."""
        ...

    async def is_used(self, client_id: str, jti_sha256: str) -> bool: ...
    async def use_assertion(self, client_id: str, jti_sha256: str, *, expires_at: datetime) -> bool:
        """Mark an assertion as used; False when it was used before."""
        ...

    async def sweep(self, *, now: datetime, limit: int) -> int:
        """Delete up to `limit` tokens and used assertions past their end; return how many."""
        ...


class RequestLogRepository(Protocol):
    """Request logs, and when each key was last used."""

    async def add_many(self, entries: Sequence[LoggedRequest]) -> None: ...
    async def page(
        self, client_id: str, *, cursor: str | None, limit: int
    ) -> tuple[Sequence[LoggedRequest], str | None]:
        """Return one page of a client's requests, newest first, and the cursor of the next."""
        ...

    async def sweep(self, *, before: datetime, limit: int) -> int:
        """Delete up to `limit` entries older than a moment; return how many."""
        ...

    async def mark_used(
        self, used: Mapping[str, datetime], *, jwks: Mapping[tuple[str, str], datetime]
    ) -> None:
        """Keep when API keys (by handle) and public keys (by client and kid) were last used; later times stay."""
        ...


class SandboxRepository(Protocol):
    """What the sandbox remembers of its clients; empty in a live installation."""

    async def get(self, client_id: str) -> SandboxCaller | None: ...
    async def put(self, caller: SandboxCaller) -> None:
        """Store what is remembered. Two that do so at once are told apart by the database: one runs again."""
        ...
