"""The words and options of `elicense keys rotate|compromise|re-sign|retire-witness`; `key_history` does the work."""

import argparse
from collections.abc import Callable
from typing import Final

from elicense.cli_key_id import key_id

KEY_USES: Final = ("credential", "status", "receipt", "freshness", "log", "receipt_log", "list", "root")
_JSON: Final = "以 JSON 输出 print JSON"
_ROTATE_HELP: Final = """\
示例 examples:
  elicense keys rotate status
  elicense keys rotate credential --authority 11320100MA0T… --at 2027-01-01
  elicense keys rotate log --overlap 400d
  elicense keys rotate list
  elicense keys rotate root --list-keys

新密钥先列入信任列表,至少 ELICENSE_KEY_LEAD_SECONDS 秒后启用(生产环境默认 8 天);旧密钥在其有效期内的签名继续有效。
日志的两把密钥在重叠期内同时签署。信任根的新版本由新旧两版的密钥共同签署,一次一版。
The new key is listed first and signs after ELICENSE_KEY_LEAD_SECONDS at the earliest (8 days in production); what the
old one signed within its window stays good. Both keys of a log sign while they overlap. A new root is signed by the
keys of the old and the new version, one version at a time.
"""
_COMPROMISE_HELP: Final = """\
示例 examples:
  elicense keys compromise KID --since 2026-11-20T08:00:00+08:00 --reason "stolen laptop"
  elicense keys compromise KID --since 2026-11-20 --json

以该时间之前最后一个经见证的检查点为界:已在日志中的仍然有效,其余失效。签名中的时间一概不采信。随后运行 keys re-sign。
What the log's last witnessed checkpoint before that time holds stays good, all else is lost. No time that the key
itself has signed is believed. Then run keys re-sign.
"""
_RESIGN_HELP: Final = """\
示例 examples:
  elicense keys re-sign --dry-run --json
  elicense keys re-sign
  elicense keys re-sign --kid KID

可重复运行:中断后再次运行即可补齐;内容不变,只生成由新密钥签署的新版本。
It can be run again, and goes on after an interruption: a new version of the same content, signed by the new key.
"""

_RETIRE_HELP: Final = """\
示例 example:
  elicense keys retire-witness witness.example

此后不再接受其新的联署;此前的联署仍然有效。之后可为该名称登记新密钥。密钥泄露请用 keys compromise。
Its new cosignatures count no more, those it gave before stay good. The name may then get another key. For a key in
other hands use keys compromise.
"""

Command = Callable[[str, str, str, str], argparse.ArgumentParser]
"""Make a command of a name, with what it does, the function behind it and its examples."""


def add(command: Command) -> None:
    """Add the commands."""
    rotate = command(
        "rotate",
        "换用新密钥:先公布,后启用 list the next key, then let it take over",
        "rotate",
        _ROTATE_HELP,
    )
    rotate.add_argument(
        "use", choices=KEY_USES, metavar="USE", help=f"密钥用途 which key: {', '.join(KEY_USES)}"
    )
    rotate.add_argument("--authority", metavar="USCC", help="所属颁发机构 whose key (credential)")
    rotate.add_argument("--at", metavar="TIME", help="启用时间 when the new key takes over")
    rotate.add_argument(
        "--overlap", metavar="AGE", help="旧密钥续用时间 how long the old one lasts (25h; logs 400d)"
    )
    rotate.add_argument(
        "--list-keys", action="store_true", help="连同信任列表密钥 with `root`: new trust-list keys too"
    )
    rotate.add_argument("--json", action="store_true", help=_JSON)
    compromise = command(
        "compromise",
        "宣布密钥泄露并立即更换 declare a key compromised and replace it at once",
        "compromise",
        _COMPROMISE_HELP,
    )
    compromise.add_argument(
        "kid", metavar="KID", type=key_id, help="密钥标识 the key (see elicense keys list)"
    )
    compromise.add_argument(
        "--since", metavar="TIME", required=True, help="自何时起可能泄露 from when it may have been lost"
    )
    compromise.add_argument("--reason", metavar="TEXT", help="记录在案的原因 kept with the declaration")
    compromise.add_argument("--json", action="store_true", help=_JSON)
    retire = command(
        "retire-witness",
        "停用日志见证方并发布信任列表 retire a witness of the log, then publish the trust list",
        "retire_witness",
        _RETIRE_HELP,
    )
    retire.add_argument("name", metavar="NAME", help="见证方名称 the witness's name")
    resign = command(
        "re-sign",
        "重新签发受影响的证照 sign again what a compromised key has left without worth",
        "resign",
        _RESIGN_HELP,
    )
    resign.add_argument("--kid", metavar="KID", type=key_id, help="仅此密钥 only what this key signed")
    resign.add_argument("--dry-run", action="store_true", help="只计数 only count")
    resign.add_argument("--json", action="store_true", help=_JSON)
