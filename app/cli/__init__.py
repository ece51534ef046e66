"""Server commands of `elicense`: the words and their options. What they do stands beside, and is imported late."""

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.cli import client_commands, key_commands, log_commands

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

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

可重复运行:已导入的行不变(unchanged)。中断后再次运行即可补齐。内容与现有证照不同的行为变更(amended):生成新版本,旧版本失效;
文件中没有的列不受影响,空单元格表示删去该值。已终止证照的编号不再使用(refused)。
Running it again changes nothing (unchanged); after an interruption, running it again finishes it. A row that differs
from a live license amends it: a new version, the old one superseded. What no column gives stays; an empty cell takes
the value away. The number of an ended license is taken (refused).

退出码 exit codes: 0  全部正确 all rows good   1  部分行被拒 some refused   2  用法错误 usage   4  运行错误 error
"""
_DOCTOR_HELP: Final = f"""\
示例 examples:
  elicense doctor
  elicense doctor --data-dir .elicense
  elicense doctor --accept-time

--accept-time:确认系统时钟无误后使用。时钟早于已经历的时间、正式环境停机超过 7 天、或运行中时钟跳变后,
服务停止签名;接受后数秒内恢复。接受的时间写入审计与密钥目录。
--accept-time: once you are sure of the clock. The service signs nothing while the clock stands before a time that has
been, after more than 7 days off in production, or after the clock was moved; accepted, it goes on within seconds. What
was accepted is written to the audit and to the keys folder.

{_EXITS}"""
_RECOVER_HELP: Final = """\
示例 examples:
  elicense recover
  elicense recover --accept-loss
  elicense recover --accept-loss --bundle bundle.json
  elicense recover --trust-root trust-root.json

不带选项只显示缺失的内容;--accept-loss 接受缺失并继续;--bundle 同时暂停丢失了吊销的证照;--trust-root 放回丢失的信任根。
Without options it shows what is missing; --accept-loss goes on without it; --bundle also suspends what the bundle shows
as ended; --trust-root puts a lost trust root back.

先停止所有 serve 与 worker,并尽力找回较新的数据库:缺失的内容都曾答复过某人。接受后,缺失期间签发的证照一律
失效,须重新签发;所有序号越过库外记录,不会重复使用。缺失期间的吊销也会丢失:任何用证方在此期间取得的离线验证包
都能指出它们。信任列表或存证日志若有缺失,须再运行 elicense keys publish-trust-list。
Stop every serve and worker first, and look for the newer database: what is missing was acknowledged to somebody. Once
accepted, licenses issued in the gap count for nothing and must be issued again; every sequence moves past what is
remembered outside, and none is used twice. Revocations of the gap are lost as well: any bundle that a relying party
fetched in it names them. A trust list or a log that is missing needs elicense keys publish-trust-list.

退出码 exit codes:
  0  无缺失或已恢复 nothing missing, or recovered   1  有缺失或仍有待办 something missing or still to do
  2  用法错误 usage                                4  运行错误 error
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
  two_person = ["revoke", "cancel"]   # 双人复核 need a second client's approval
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
_SANDBOX_HELP: Final = f"""\
示例 examples:
  elicense sandbox init
  elicense sandbox init --data-dir /var/lib/elicense

沙箱有自己的数据库、密钥与信任根,正式环境不信任它签发的任何内容;其密钥以 elk_test_ 开头。数据库在 SQLite 上为
<数据目录>/sandbox/elicense.db,在 PostgreSQL 上为模式 elicense_sandbox,或由 ELICENSE_SANDBOX_DATABASE_URL 指定。
对沙箱使用其他命令时,以其目录为 --data-dir,如 elicense doctor --data-dir .elicense/sandbox。
可重复运行:补齐缺失的内容,重新签署信任列表(有效 90 天),延续将到期的样例。删除目录中的 SANDBOX 文件即停用。
The sandbox has a database of its own (on SQLite <data-dir>/sandbox/elicense.db, on PostgreSQL the schema
elicense_sandbox, or ELICENSE_SANDBOX_DATABASE_URL), keys and a root of its own; nothing live trusts what it signs. Its
keys begin with elk_test_. Other commands (clients, doctor …) work on it with its folder as --data-dir. Run again it
adds what is missing, and renews the trust list (good for 90 days) and samples near their end. Without the file SANDBOX
in it nothing of it is served.

{_EXITS}"""
_ADD_WITNESS_HELP: Final = f"""\
示例 example:
  elicense keys add-witness witness.example witness.example+1a2b3c4d+BA…

见证方自行保管私钥;此处只登记公钥。The witness keeps its private key; only the public half is registered here.

{_EXITS}"""
_WITNESS_KEY_HELP: Final = f"""\
示例 example:
  elicense log witness-key --key witness.pem --name witness.example

已有的密钥只显示公钥,不覆盖。打印的公钥交登记库一侧登记:elicense keys add-witness NAME VKEY
A key that is there is shown, never overwritten. Hand the printed key to the register, which lists it:
elicense keys add-witness NAME VKEY

{_EXITS}"""
_WITNESS_HELP: Final = """\
示例 examples:
  elicense log witness --base-url https://license.example --key witness.pem --name witness.example \\
      --state witness.json --every 60s
  elicense log witness --log-dir ./log --log-key VKEY --key witness.pem --name witness.example \\
      --state witness.json --once

见证方记住上次所见的检查点,只联署与之一致且只增不减的检查点;联署后的文本写到标准输出。
首次运行未给 --log-key 时,记住首次所见的日志密钥,此后不变。
A witness remembers the last checkpoint it saw and cosigns only one that continues it. The cosigned note goes to stdout.
Without --log-key the first run keeps the log's key as published then, for good.

退出码 exit codes: 0  已联署或无新内容 cosigned, or nothing new
                   1  拒绝:签名不符、换日志、变小或分叉 refused: signature, another log, step back, fork
                   2  用法错误 usage   4  无法读取或提交 could not read or hand in
"""


def register(commands: "Commands") -> None:
    """Add the server's commands to those of `elicense` (entry-point group `elicense.commands`)."""
    _add_demo(commands)
    _add_processes(commands)
    _add_setup(commands)
    _add_sandbox(commands)
    _add_clients(commands)
    _add_keys(commands)
    _add_log(commands)
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
    doctor = _command(
        commands,
        "doctor",
        "检查设置与运行状况 show settings, name what is wrong",
        _later("processes", "doctor"),
        _DOCTOR_HELP,
    )
    doctor.add_argument(
        "--accept-time", action="store_true", help="确认系统时钟无误 take the clock for right (audited)"
    )
    recover = _command(
        commands,
        "recover",
        "恢复了旧备份之后 after an older backup was restored",
        _later("recovery", "recover"),
        _RECOVER_HELP,
    )
    recover.add_argument(
        "--accept-loss", action="store_true", help="接受缺失并继续 accept the loss and go on (audited)"
    )
    recover.add_argument(
        "--bundle",
        type=Path,
        metavar="FILE",
        help="缺失期间发布的离线验证包,据此找回丢失的吊销 a bundle of the gap: finds the revocations lost",
    )
    recover.add_argument(
        "--trust-root", type=Path, metavar="FILE", help="放回丢失的信任根 put a lost trust root back"
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


def _add_sandbox(commands: "Commands") -> None:
    actions = _group(
        commands, "sandbox", "沙箱:与正式服务并列的试用环境 sandbox: a test installation beside the live one"
    )
    _command(
        actions,
        "init",
        "建立或更新沙箱(可重复) make the sandbox, or bring it up to date",
        _later("sandbox", "init"),
        _SANDBOX_HELP,
    )


def _add_clients(commands: "Commands") -> None:
    client_commands.add(
        _group(commands, "clients", "接口调用方及其密钥 API clients and their keys"), _make_for("clients")
    )
    plans = _group(commands, "plans", "调用方套餐 plans: named quotas of clients")
    client_commands.add_plans(plans, _make_for("plans"))


def _make_for(module: str) -> client_commands.Command:
    def make(
        actions: "Commands", name: str, text: str, function: str, examples: tuple[str, ...]
    ) -> argparse.ArgumentParser:
        return _command(actions, name, text, _later(module, function), _examples(*examples))

    return make


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
        "为新机构与日志生成密钥并发布信任列表 keys for new authorities and logs, then publish the trust list",
        _later("keys", "publish_trust_list"),
        _examples("elicense keys publish-trust-list"),
    )
    add = _command(
        actions,
        "add-witness",
        "登记日志见证方并发布信任列表 register a witness of the log, then publish the trust list",
        _later("keys", "add_witness"),
        _examples("elicense keys add-witness witness.example witness.example+1a2b3c4d+BA…"),
    )
    add.add_argument("name", metavar="NAME", help="见证方名称 the witness's name")
    add.add_argument("vkey", metavar="VKEY", help="其公钥 its key, as `elicense log witness-key` prints it")
    key_commands.add(
        lambda name, text, run, epilog: _command(
            actions, name, text, _later("key_history", run), f"{epilog}\n{_EXITS}"
        )
    )


def _add_log(commands: "Commands") -> None:
    actions = _group(commands, "log", "存证日志 transparency log")
    key = _command(
        actions,
        "witness-key",
        "生成见证方密钥并显示其公钥 make a witness's key, show its public half",
        _later("log", "witness_key"),
        _WITNESS_KEY_HELP,
    )
    key.add_argument("--key", metavar="FILE", type=Path, required=True, help="私钥文件 private key")
    key.add_argument("--name", metavar="NAME", required=True, help="见证方名称 the witness's name")
    witness = _command(
        actions,
        "witness",
        "见证存证日志并联署检查点 watch the log and cosign its checkpoints",
        _later("log", "witness"),
        _WITNESS_HELP,
    )
    where = witness.add_mutually_exclusive_group(required=True)
    where.add_argument("--base-url", metavar="URL", help="服务地址 where the service is")
    where.add_argument(
        "--log-dir", metavar="DIR", type=Path, help="含日志文件的目录 a folder with the log's files"
    )
    witness.add_argument("--key", metavar="FILE", type=Path, required=True, help="私钥文件 private key")
    witness.add_argument("--name", metavar="NAME", required=True, help="见证方名称 the witness's name")
    witness.add_argument(
        "--state", metavar="FILE", type=Path, required=True, help="记忆文件 what it remembers"
    )
    witness.add_argument("--log-key", metavar="VKEY", help="日志公钥 the log's key (see elicense keys list)")
    often = witness.add_mutually_exclusive_group()
    often.add_argument("--once", action="store_true", help="只看一次 look once and end")
    often.add_argument("--every", metavar="AGE", default="60s", help="间隔 pause between looks (60s)")
    log_commands.add(
        lambda *words: _command(actions, words[0], words[1], _later("log_audit", words[2]), words[3])
    )


def _add_import(commands: "Commands") -> None:
    parser = _command(
        commands, "import", "批量归集证照 import a register", _later("importing", "import_file"), _IMPORT_HELP
    )
    parser.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        help="CSV 文件(UTF-8、GB18030 或 UTF-16;逗号或制表符) a CSV file, commas or tabs",
    )
    parser.add_argument("--authority", metavar="USCC", required=True, help="颁发机构 issuing authority")
    parser.add_argument("--type", metavar="CODE", required=True, help="证照类型 license type")
    parser.add_argument("--map", metavar="MAP.toml", type=Path, help="列映射 mapping of columns")
    parser.add_argument("--dry-run", action="store_true", help="只检查不签发不变更 judge, change nothing")
    parser.add_argument(
        "--allow-holder-change",
        action="store_true",
        help="允许变更持证主体 rows may name another holder than the license does",
    )
    parser.add_argument("--errors", metavar="FILE", type=Path, help="被拒行写入此 CSV refused rows go here")
    parser.add_argument("--json", action="store_true", help="最后一行输出 JSON 汇总 summary as the last line")
