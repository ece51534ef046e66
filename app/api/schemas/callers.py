"""What operators send and get about clients and plans, what callers get about themselves, and OAuth's forms."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.api.schemas.answers import Answer, ApiKeyAnswer, ClientAnswer
from app.api.schemas.fields import Cursor, Limit, StrictModel
from app.domain.api_client import ClientKind
from app.domain.plan import MOST_CALLS_PER_DAY, MOST_CALLS_PER_MINUTE, MOST_ITEMS

ShortText = Annotated[
    str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")
]
PlanName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]
Network = Annotated[str, StringConstraints(min_length=2, max_length=64, pattern=r"^[0-9A-Fa-f:./]*$")]
KindName = Annotated[str, StringConstraints(pattern=f"^({'|'.join(ClientKind)})$")]
CallsPerMinute = Annotated[int, Field(ge=1, le=MOST_CALLS_PER_MINUTE)]
CallsPerDay = Annotated[int, Field(ge=1, le=MOST_CALLS_PER_DAY)]
BatchLimit = Annotated[int, Field(ge=1, le=MOST_ITEMS)]


class NewClientBody(StrictModel):
    """A client to create. Without `plan` and figures it is on the standard plan; scopes default by kind."""

    name: ShortText
    kind: KindName
    authority_code: ShortText | None = None
    holder_code: ShortText | None = None
    scopes: list[ShortText] | None = Field(default=None, max_length=20)
    purposes: list[ShortText] | None = Field(default=None, max_length=50)
    default_purpose: ShortText | None = None
    plan: PlanName | None = None
    calls_per_minute: CallsPerMinute | None = None
    batch_limit: BatchLimit | None = None
    allowed_networks: list[Network] = Field(default=[], max_length=50)


class RotateBody(StrictModel):
    """How long the key before goes on counting, in seconds."""

    overlap_seconds: Annotated[int, Field(ge=0, le=90 * 86400)] = 86400


class NoBody(StrictModel):
    """Nothing to say: an empty object."""


class ClientPlanBody(StrictModel):
    """Which plan a client is to be on."""

    plan: PlanName


class AllowListBody(StrictModel):
    """From where a client may call: CIDR blocks or addresses, IPv4 and IPv6; none for anywhere."""

    networks: list[Network] = Field(max_length=50)


class JwkBody(StrictModel):
    """A public key to register (RFC 7517): kty EC, crv P-256, x, y."""

    jwk: dict[str, Any]


class PlanBody(StrictModel):
    """A plan to set. `burst`: how many calls may come at once (default: a minute's). `calls_per_day` null: no limit."""

    name: PlanName
    calls_per_minute: CallsPerMinute
    burst: CallsPerMinute | None = None
    calls_per_day: CallsPerDay | None = None
    batch_limit: BatchLimit


class RequestQuery(StrictModel):
    """Which page of one's own requests."""

    cursor: Cursor | None = None
    limit: Limit = 50


class ClientJwkAnswer(Answer):
    """A registered public key of a client."""

    kid: str
    jwk: dict[str, str]
    created_at: str
    ended_at: str | None
    last_used_at: str | None


class ClientDetail(ClientAnswer):
    """A client with its registered public keys."""

    jwks: list[ClientJwkAnswer]


class NewKeyAnswer(Answer):
    """A key just made. `secret` is shown once: null when the answer is repeated."""

    client: ClientAnswer
    key: ApiKeyAnswer
    secret: str | None


class PlanAnswer(Answer):
    """A plan."""

    name: str
    calls_per_minute: int
    burst: int | None
    calls_per_day: int | None
    batch_limit: int


class PlanPage(Answer):
    """All plans."""

    data: list[PlanAnswer]
    next_cursor: str | None


class LoggedRequestAnswer(Answer):
    """One request: the route's template, never its path; no query, no body. `duration_ms` has three decimals."""

    at: str
    method: str
    route: str
    status: int
    request_id: str
    duration_ms: float


class LoggedRequestPage(Answer):
    """One page of the caller's own requests, newest first."""

    data: list[LoggedRequestAnswer]
    next_cursor: str | None


class TokenForm(BaseModel):
    """A token request (RFC 6749 §4.4.2, RFC 7521 §4.2). Fields that are not known are passed over."""

    model_config = ConfigDict(extra="ignore")

    grant_type: Literal["client_credentials"]
    client_assertion_type: Literal["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]
    client_assertion: str
    client_id: str | None = None
    scope: str | None = None


class TokenAnswer(Answer):
    """An access token (RFC 6749 §5.1). `expires_in` is seconds, `scope` what it may do."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class OAuthErrorAnswer(Answer):
    """An error of the token endpoint (RFC 6749 §5.2)."""

    error: Literal[
        "invalid_request", "invalid_client", "invalid_scope", "unauthorized_client", "unsupported_grant_type"
    ]
    error_description: str
