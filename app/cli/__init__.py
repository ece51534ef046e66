"""Server commands of `elicense`: the words and their options. What they do stands beside, and is imported late."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

CLIENT_KINDS: Final = ("operator", "authority", "platform", "bank", "holder")
_EXITS: Final = (
    "退出码 exit codes: 0  完成 done   1  未通过 refused   2  用法错误 usage   4  运行错误 error\n"
)
_DEMO_HELP: Final = f"""\
示例 examples:
  elicense demo
  elicense demo --data-dir /tmp/demo --port 8010 --licenses 50
  elicense demo --reset

可重复运行:再次运行沿用已有数据与密钥;--reset 重新开始。Ctrl-C 结束。
Running it again keeps data and keys; --reset starts over; Ctrl-C ends it.

{_EXITS}"""
_IMPORT_HELP: Final = """\
示例 examples:
  elicense import register.csv --authority 11320100MA0T… --type 11100000MB0143028R001 --map map.toml \\
      --errors refused.csv --json

映射文件 mapping file (TOML):
  [columns]
  number = "统一社会信用代码"
  "holder.code" = "统一社会信用代码"
  "holder.name" = "企业名称"
  issue_date = "成立日期"
  "elements.address" = "地址"
  [constants]
  "holder.code_type" = "001"
  [empty]
  values = ["N/A", "-", ""]

可重复运行:已导入的行不变。中断后再次运行即可补齐。
Running it again changes nothing; after an interruption, running it again finishes it.

退出码 exit codes: 0  全部正确 all rows good   1  部分行被拒 some refused   2  用法错误 usage   4  运行错误 error
"""
_SETUP_HELP: Final = f"""\
示例 examples:
  elicense setup apply province.toml --dry-run
  elicense setup apply province.toml

配置文件 province.toml:
  [[areas]]
  code = "320100"
  name = "南京市"

  [[license_types]]
  code = "11100000MB0143028R001"
  name = "营业执照"
  name_en = "Business license"
  defining_authority = "11100000MB0143028R"
  [[license_types.elements]]
  name = "address"
  label = "住所"
  label_en = "address"
  kind = "address"

  [[authorities]]
  code = "…"
  name = "…"
  level = "city"
  area_code = "320100"
  [[authorities.scopes]]
  type_code = "11100000MB0143028R001"
  areas = ["3201"]

{_EXITS}"""


def register(commands: "Commands") -> None:
    """Add the server's commands to those of `elicense` (entry-point group `elicense.commands`)."""
    _add_demo(commands)
    _add_processes(commands)
    _add_setup(commands)
    _add_clients(commands)
    _add_keys(commands)
    _add_import(commands)


def _later(module: str, function: str) -> Callable[[argparse.Namespace], int]:
    def run(arguments: argparse.Namespace) -> int:
        found: Callable[[argparse.Namespace], int] = getattr(import_module(f"app.cli.{module}"), function)
        return found(arguments)

    return run


def _examples(*lines: str) -> str:
    return "\n".join(("示例 examples:", *(f"  {line}" for line in lines), "", _EXITS))


def _command(
    commands: "Commands", name: str, text: str, run: Callable[[argparse.Namespace], int], epilog: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="数据目录 data directory (.elicense)")
    parser.set_defaults(run=run)
    return parser


def _group(commands: "Commands", name: str, text: str) -> "Commands":
    parser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    return parser.add_subparsers(metavar="ACTION", required=True)


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="监听地址 address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, help="端口 port (8000)")


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="调用方名称 the client's name")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="以 JSON 输出 print JSON")


def _add_demo(commands: "Commands") -> None:
    parser = _command(
        commands,
        "demo",
        "演示:一条命令建好并运行 a running demonstration",
        _later("demo", "demo"),
        _DEMO_HELP,
    )
    _add_address(parser)
    parser.add_argument(
        "--licenses", type=int, default=500, metavar="N", help="证照数量 number of licenses (500)"
    )
    parser.add_argument(
        "--reset", action="store_true", help="删除演示数据重新开始 delete the demo's data first"
    )


def _add_processes(commands: "Commands") -> None:
    serve = _command(
        commands,
        "serve",
        "运行接口服务 serve the API",
        _later("processes", "serve"),
        _examples(
            "elicense serve --workers 4",
            "ELICENSE_ENV=development elicense serve --data-dir .elicense --port 8010",
        ),
    )
    _add_address(serve)
    serve.add_argument("--workers", type=int, metavar="N", help="进程数 number of processes (1)")
    _command(
        commands,
        "worker",
        "运行后台发布进程 run the publishing worker",
        _later("processes", "worker"),
        _examples("elicense worker", "elicense worker --data-dir /var/lib/elicense"),
    )
    _command(
        commands,
        "migrate",
        "建立或升级数据库 create or upgrade the database",
        _later("processes", "migrate"),
        _examples(
            "elicense migrate",
            "ELICENSE_DATABASE_URL=postgresql+asyncpg://elicense@127.0.0.1/elicense elicense migrate",
        ),
    )
    _command(
        commands,
        "doctor",
        "检查设置与运行状况 show settings, name what is wrong",
        _later("processes", "doctor"),
        _examples("elicense doctor", "elicense doctor --data-dir .elicense"),
    )


def _add_setup(commands: "Commands") -> None:
    actions = _group(commands, "setup", "颁发机构、证照类型与区域 authorities, license types, areas")
    parser = _command(
        actions,
        "apply",
        "应用配置文件(可重复) apply a file of definitions",
        _later("setup", "apply"),
        _SETUP_HELP,
    )
    parser.add_argument("file", metavar="FILE.toml", type=Path, help="配置文件 the definitions")
    parser.add_argument("--dry-run", action="store_true", help="只显示将做什么 only say what would be done")


def _add_clients(commands: "Commands") -> None:
    actions = _group(commands, "clients", "接口调用方及其密钥 API clients and their keys")
    create = _command(
        actions,
        "create",
        "新建调用方,密钥只显示一次 create a client; its secret is shown once",
        _later("clients", "create"),
        _examples(
            "elicense clients create nanjing-market --kind authority --authority 11320100MA0T…",
            "elicense clients create a-platform --kind platform --purpose merchant_onboarding "
            "--default-purpose merchant_onboarding",
            "elicense clients create a-bank --kind bank --json",
        ),
    )
    _add_name(create)
    create.add_argument("--kind", choices=CLIENT_KINDS, required=True, help="调用方类别 what it is")
    create.add_argument("--authority", metavar="USCC", help="所属颁发机构 for kind authority")
    create.add_argument("--holder", metavar="USCC", help="所属持证主体 for kind holder")
    create.add_argument(
        "--scope", action="append", metavar="SCOPE", help="权限,可重复 repeatable; default by kind"
    )
    create.add_argument("--purpose", action="append", metavar="CODE", help="许可用途,可重复 repeatable")
    create.add_argument("--default-purpose", metavar="CODE", help="未说明时的用途 where a call names none")
    create.add_argument("--calls-per-minute", type=int, metavar="N", help="每分钟调用上限 quota of calls")
    create.add_argument("--batch-limit", type=int, metavar="N", help="批量核验上限 most questions of a batch")
    _add_json(create)
    listing = _command(
        actions,
        "list",
        "列出调用方 list clients",
        _later("clients", "list_clients"),
        _examples("elicense clients list", "elicense clients list --json"),
    )
    _add_json(listing)
    rotate = _command(
        actions,
        "rotate",
        "更换密钥,旧密钥限时有效 new secret, the old one ends later",
        _later("clients", "rotate"),
        _examples("elicense clients rotate a-bank", "elicense clients rotate a-bank --overlap 1h"),
    )
    _add_name(rotate)
    rotate.add_argument("--overlap", default="24h", metavar="AGE", help="旧密钥仍有效的时间 e.g. 24h")
    _add_json(rotate)
    revoke = _command(
        actions,
        "revoke",
        "停用调用方 revoke a client and its keys",
        _later("clients", "revoke"),
        _examples("elicense clients revoke a-platform"),
    )
    _add_name(revoke)


def _add_keys(commands: "Commands") -> None:
    actions = _group(commands, "keys", "密钥 key ceremony")
    init = _command(
        actions,
        "init",
        "首次生成全部密钥与信任文件(可重复) make all keys and trust documents",
        _later("keys", "init"),
        _examples("elicense keys init --issuer-url https://licenses.example.gov.cn", "elicense keys init"),
    )
    init.add_argument("--issuer-url", metavar="URL", help="签发者地址,首次确定后不变 fixed at first init")
    listing = _command(
        actions,
        "list",
        "列出密钥 list keys",
        _later("keys", "list_keys"),
        _examples("elicense keys list", "elicense keys list --json"),
    )
    _add_json(listing)
    _command(
        actions,
        "publish-trust-list",
        "为新机构生成密钥并发布信任列表 keys for new authorities, then publish the trust list",
        _later("keys", "publish_trust_list"),
        _examples("elicense keys publish-trust-list"),
    )


def _add_import(commands: "Commands") -> None:
    parser = _command(
        commands, "import", "批量归集证照 import a register", _later("importing", "import_file"), _IMPORT_HELP
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="CSV(UTF-8 或 GB18030;逗号或制表符)")
    parser.add_argument("--authority", metavar="USCC", required=True, help="颁发机构 issuing authority")
    parser.add_argument("--type", metavar="CODE", required=True, help="证照类型 license type")
    parser.add_argument("--map", metavar="MAP.toml", type=Path, help="列映射 mapping of columns")
    parser.add_argument("--dry-run", action="store_true", help="只检查不签发 judge, issue nothing")
    parser.add_argument("--errors", metavar="FILE", type=Path, help="被拒行写入此 CSV refused rows go here")
    parser.add_argument("--json", action="store_true", help="最后一行输出 JSON 汇总 summary as the last line")
