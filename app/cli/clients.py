"""`elicense clients`: API clients and their secrets. A secret is shown once and stored as a digest only."""

import argparse
from collections.abc import Mapping
from typing import Any

from app.cli.common import (
    DONE,
    UsageError,
    complain,
    duration,
    guarded,
    read_input,
    say,
    say_json,
    settings_of,
    table,
    with_services,
)
from app.domain.api_client import RELYING_PARTIES, ApiClient, ClientKind, Scope
from app.domain.purpose import PURPOSES
from app.services.api_clients import NewKey
from app.services.container import Services
from elicense.cn import CodeError, check_uscc
from elicense.encoding import parse_json_object
from elicense.problems import FormatError

_ACTOR = "cli"
_MOST_JWK_BYTES = 65536


def create(arguments: argparse.Namespace) -> int:
    """Create a client and show its secret."""

    def command() -> int:
        options = _checked_options(arguments)

        async def work(services: Services) -> int:
            made = await services.api_clients.create(
                name=arguments.name, kind=ClientKind(arguments.kind), actor=_ACTOR, **options
            )
            _show_secret(made, as_json=arguments.json)
            return DONE

        return with_services(settings_of(arguments.data_dir), work, uninitialized=True)

    return guarded(command)


def _require_uscc(code: str) -> None:
    try:
        check_uscc(code)
    except CodeError as error:
        raise UsageError(f"--holder: {error.message.zh} {error.message.en} (--holder-code-type)") from error


def _checked_options(arguments: argparse.Namespace) -> dict[str, Any]:
    kind = ClientKind(arguments.kind)
    if (kind is ClientKind.AUTHORITY) != (arguments.authority is not None):
        raise UsageError(
            "--authority: 仅用于 authority 类调用方,且为必填 "
            "--authority goes with --kind authority, and is needed there"
        )
    if (kind is ClientKind.HOLDER) != (arguments.holder is not None):
        raise UsageError(
            "--holder: 仅用于 holder 类调用方,且为必填 --holder goes with --kind holder, and is needed there"
        )
    if arguments.holder is not None and arguments.holder_code_type == "001":
        _require_uscc(arguments.holder)
    if kind not in RELYING_PARTIES and (arguments.purpose or arguments.default_purpose):
        raise UsageError(
            "用途仅用于 platform 与 bank 类调用方 purposes go with --kind platform and --kind bank"
        )
    for purpose in (*(arguments.purpose or ()), *filter(None, [arguments.default_purpose])):
        if purpose not in PURPOSES:
            raise UsageError(f"未知用途 unknown purpose {purpose}; known are {', '.join(PURPOSES)}")
    return _given(
        authority_code=arguments.authority,
        holder_code=arguments.holder,
        scopes=_scopes(arguments.scope),
        purposes=tuple(arguments.purpose) if arguments.purpose else None,
        default_purpose=arguments.default_purpose,
        plan=arguments.plan,
        calls_per_minute=arguments.calls_per_minute,
        batch_limit=arguments.batch_limit,
        allowed_networks=arguments.network,
    )


def _given(**options: object) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _scopes(names: list[str] | None) -> frozenset[Scope] | None:
    if not names:
        return None
    unknown = sorted(set(names) - {scope.value for scope in Scope})
    if unknown:
        raise UsageError(f"未知权限 unknown scopes {', '.join(unknown)}; known are {', '.join(Scope)}")
    return frozenset(Scope(name) for name in names)


def list_clients(arguments: argparse.Namespace) -> int:
    """List clients and the public handles of their live keys."""

    async def work(services: Services) -> int:
        rows: list[Mapping[str, str]] = []
        registered = await services.oauth.jwks_of_all()
        for entry in await services.api_clients.list():
            live = [key for key in entry.keys if key.is_live(services.clock.now())]
            jwks = registered.get(entry.client.id, ())
            times = [*(key.last_used_at for key in entry.keys), *(jwk.last_used_at for jwk in jwks)]
            used = [time for time in times if time is not None]
            rows.append(
                _client_row(entry.client)
                | {
                    "keys": ",".join(key.handle for key in live),
                    "jwks": ",".join(jwk.kid for jwk in jwks if jwk.ended_at is None),
                    "last_used_at": max(used).isoformat(timespec="seconds") if used else "",
                }
            )
        if arguments.json:
            say_json(rows)
        else:
            table(rows)
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def _client_row(client: ApiClient) -> dict[str, str]:
    return {
        "name": client.name,
        "kind": client.kind.value,
        "bound_to": client.authority_code or client.holder_code or "",
        "scopes": ",".join(sorted(client.scopes)),
        "plan": client.plan,
        "networks": ",".join(client.allowed_networks),
        "created_at": client.created_at.isoformat(timespec="seconds"),
        "revoked_at": "" if client.revoked_at is None else client.revoked_at.isoformat(timespec="seconds"),
    }


def rotate(arguments: argparse.Namespace) -> int:
    """Make a new secret; older ones end after the overlap."""

    def command() -> int:
        overlap = duration(arguments.overlap, option="--overlap")

        async def work(services: Services) -> int:
            made = await services.api_clients.rotate(arguments.name, overlap=overlap, actor=_ACTOR)
            _show_secret(made, as_json=arguments.json)
            return DONE

        return with_services(settings_of(arguments.data_dir), work, uninitialized=True)

    return guarded(command)


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a client: every key of it stops working."""

    async def work(services: Services) -> int:
        client = await services.api_clients.revoke(arguments.name, actor=_ACTOR)
        say(f"已停用 revoked: {client.name}")
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def give_plan(arguments: argparse.Namespace) -> int:
    """Put a client on a plan."""

    async def work(services: Services) -> int:
        client = await services.plans.give(arguments.name, arguments.plan, actor=_ACTOR)
        say(f"已设定套餐 on plan {client.plan}: {client.name}")
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def allow_from(arguments: argparse.Namespace) -> int:
    """Say from where a client may call."""

    async def work(services: Services) -> int:
        networks = arguments.network or ()
        client = await services.api_clients.allow_from(arguments.name, networks, actor=_ACTOR)
        say(f"已设定来源 may call from: {', '.join(client.allowed_networks) or '不限 anywhere'}")
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def add_jwk(arguments: argparse.Namespace) -> int:
    """Register a client's public key for private_key_jwt."""

    def command() -> int:
        try:
            jwk = parse_json_object(read_input(arguments.file, _MOST_JWK_BYTES), max_bytes=_MOST_JWK_BYTES)
        except FormatError as error:
            raise UsageError(f"{arguments.file}: {error.detail}") from error

        async def work(services: Services) -> int:
            made = await services.oauth.register_jwk(arguments.name, jwk, actor=_ACTOR)
            say(f"已登记 registered: client_id {made.client_id} kid {made.kid}")
            return DONE

        return with_services(settings_of(arguments.data_dir), work, uninitialized=True)

    return guarded(command)


def end_jwk(arguments: argparse.Namespace) -> int:
    """End a client's public key and the access tokens it got."""

    async def work(services: Services) -> int:
        client = await services.oauth.end_jwk(arguments.name, arguments.kid, actor=_ACTOR)
        say(f"已停用公钥 ended: {client.name} {arguments.kid}")
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def _show_secret(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        say_json({"name": made.client.name, "handle": made.key.handle, "secret": made.secret})
        return
    complain("密钥只显示这一次,请立即妥善保存。 This secret is shown once: keep it safe now.")
    say(made.secret)
