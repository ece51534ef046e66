"""The words and options of `elicense clients` and `elicense plans`; what they do stands in `clients` and `plans`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from elicense.cli_key_id import key_id

if TYPE_CHECKING:
    Commands: TypeAlias = argparse._SubParsersAction[argparse.ArgumentParser]

CLIENT_KINDS: Final = ("operator", "authority", "platform", "bank", "holder")

Command: TypeAlias = Callable[["Commands", str, str, str, tuple[str, ...]], argparse.ArgumentParser]
"""Make a command in a group: its name, what it does, the function behind it, its examples."""


def add(actions: "Commands", command: Command) -> None:
    """Add `elicense clients …`."""
    _add_create(actions, command)
    listing = command(
        actions,
        "list",
        "列出调用方 list clients",
        "list_clients",
        ("elicense clients list", "elicense clients list --json"),
    )
    _add_json(listing)
    rotate = command(
        actions,
        "rotate",
        "更换密钥,旧密钥限时有效(至多两把同时有效) new secret, the old one ends later; two count at most",
        "rotate",
        ("elicense clients rotate a-bank", "elicense clients rotate a-bank --overlap 1h"),
    )
    _add_name(rotate)
    rotate.add_argument(
        "--overlap",
        default="24h",
        metavar="AGE",
        help="旧密钥仍有效的时间 how long the key before still counts, e.g. 24h",
    )
    _add_json(rotate)
    revoke = command(
        actions,
        "revoke",
        "停用调用方 revoke a client, its keys and access tokens",
        "revoke",
        ("elicense clients revoke a-platform",),
    )
    _add_name(revoke)
    plan = command(
        actions,
        "plan",
        "设定套餐 put a client on a plan",
        "give_plan",
        ("elicense clients plan a-platform bulk",),
    )
    _add_name(plan)
    plan.add_argument("plan", metavar="PLAN", help="套餐名称 the plan's name")
    _add_networks(actions, command)
    _add_jwks(actions, command)


def _add_create(actions: "Commands", command: Command) -> None:
    create = command(
        actions,
        "create",
        "新建调用方,密钥只显示一次 create a client; its secret is shown once",
        "create",
        (
            "elicense clients create nanjing-market --kind authority --authority 11320100MA0T…",
            "elicense clients create a-platform --kind platform --purpose merchant_onboarding "
            "--default-purpose merchant_onboarding",
            "elicense clients create a-bank --kind bank --plan bulk --network 203.0.113.0/24 --json",
        ),
    )
    _add_name(create)
    create.add_argument("--kind", choices=CLIENT_KINDS, required=True, help="调用方类别 what it is")
    create.add_argument("--authority", metavar="USCC", help="所属颁发机构 for kind authority")
    create.add_argument("--holder", metavar="CODE", help="所属持证主体 for kind holder")
    create.add_argument(
        "--holder-code-type",
        choices=("001", "099"),
        default="001",
        help="持证主体代码类型:001 统一社会信用代码,099 其他 type of that code: social credit code, or another (001)",
    )
    create.add_argument(
        "--scope", action="append", metavar="SCOPE", help="权限,可重复 repeatable; default by kind"
    )
    create.add_argument("--purpose", action="append", metavar="CODE", help="许可用途,可重复 repeatable")
    create.add_argument("--default-purpose", metavar="CODE", help="未说明时的用途 where a call names none")
    create.add_argument("--plan", metavar="PLAN", help="套餐 plan (standard)")
    create.add_argument(
        "--calls-per-minute", type=int, metavar="N", help="自定每分钟调用上限,代替套餐 own quota, no plan"
    )
    create.add_argument(
        "--batch-limit", type=int, metavar="N", help="自定批量核验上限,代替套餐 own batch size, no plan"
    )
    create.add_argument(
        "--network", action="append", metavar="CIDR", help="允许的来源,可重复 allowed source, repeatable"
    )
    _add_json(create)


def _add_networks(actions: "Commands", command: Command) -> None:
    networks = command(
        actions,
        "networks",
        "限定来源地址 say from where a client may call",
        "allow_from",
        (
            "elicense clients networks a-bank --network 203.0.113.0/24 --network 2001:db8::/48",
            "elicense clients networks a-bank --anywhere",
        ),
    )
    _add_name(networks)
    choice = networks.add_mutually_exclusive_group(required=True)
    choice.add_argument(
        "--network", action="append", metavar="CIDR", help="允许的来源,可重复 allowed source, repeatable"
    )
    choice.add_argument("--anywhere", action="store_true", help="不限来源 from anywhere")


def _add_jwks(actions: "Commands", command: Command) -> None:
    register = command(
        actions,
        "add-jwk",
        "登记公钥,用于 OAuth 私钥签名(至多两把同时有效) register a public key for private_key_jwt; two at most",
        "add_jwk",
        ("elicense clients add-jwk a-bank bank-public.jwk.json",),
    )
    _add_name(register)
    register.add_argument("file", type=Path, metavar="FILE", help="公钥 JWK,kty EC、crv P-256 a public JWK")
    end = command(
        actions,
        "end-jwk",
        "停用公钥及其取得的访问令牌 end a public key and the access tokens it got",
        "end_jwk",
        ("elicense clients end-jwk a-bank 0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78",),
    )
    _add_name(end)
    end.add_argument("kid", metavar="KID", type=key_id, help="公钥的 RFC 7638 指纹 the key's thumbprint")


def add_plans(actions: "Commands", command: Command) -> None:
    """Add `elicense plans …`."""
    listing = command(
        actions,
        "list",
        "列出套餐 list plans",
        "list_plans",
        ("elicense plans list", "elicense plans list --json"),
    )
    _add_json(listing)
    put = command(
        actions,
        "set",
        "设定套餐,其调用方立即适用 set a plan; its clients have the figures at once",
        "put",
        (
            "elicense plans set marketplace --calls-per-minute 6000 --burst 1000 --batch-limit 1000",
            "elicense plans set trial --calls-per-minute 60 --calls-per-day 5000 --batch-limit 100",
        ),
    )
    put.add_argument("name", metavar="NAME", help="套餐名称 the plan's name")
    put.add_argument("--calls-per-minute", type=int, required=True, metavar="N", help="每分钟 calls a minute")
    put.add_argument("--burst", type=int, metavar="N", help="一次至多 how many at once (a minute's)")
    put.add_argument("--calls-per-day", type=int, metavar="N", help="每日上限 calls a day (no limit)")
    put.add_argument("--batch-limit", type=int, default=1000, metavar="N", help="批量上限 batch size (1000)")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="调用方名称 the client's name")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="以 JSON 输出 print JSON")
