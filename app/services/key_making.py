"""Make the keys of authorities and services: their names, profiles and lifetimes."""

from datetime import datetime, timedelta
from typing import Final

from app.domain.publication import ServiceKey
from app.ports import KeyMaker
from app.services.key_register import CREDENTIAL

PROFILE: Final = "es256"
CREDENTIAL_KEY_LIFETIME: Final = timedelta(days=3 * 365)
SERVICE_KEY_LIFETIME: Final = timedelta(days=2 * 365)


def make_service_key(
    key_maker: KeyMaker, *, use: str, authority_code: str | None, number: int, valid_from: datetime
) -> ServiceKey:
    """Make the key of an authority or a service, or find the one made under the same number; nothing is registered.

    The file comes first: a key registered without its file could be listed and never used.
    """
    stem = f"authority-{authority_code.lower()}" if authority_code is not None else use
    uri, public = key_maker.make_key(f"{stem}-{number}", profile=PROFILE)
    lifetime = CREDENTIAL_KEY_LIFETIME if use == CREDENTIAL else SERVICE_KEY_LIFETIME
    return ServiceKey(
        kid=public.kid,
        use=use,
        profile=PROFILE,
        jwk=dict(public.jwk),
        authority_code=authority_code,
        uri=uri,
        valid_from=valid_from,
        valid_until=valid_from + lifetime,
    )
