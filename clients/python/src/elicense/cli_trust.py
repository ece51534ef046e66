"""`elicense trust update`: keep the bundle current."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.cli_common import (
    EXIT_ERROR,
    EXIT_INVALID,
    EXIT_USAGE,
    EXIT_VALID,
    add_command,
    add_language,
    complain,
    read_file,
    read_moment,
)

if TYPE_CHECKING:
    from elicense.cli_common import Commands
    from elicense.client._evidence import BundleUpdate

_TRUST_HELP: Final = """\
示例 example:
  elicense trust update --base-url https://license.example --trust-root trust-root.json --bundle bundle.json
  elicense trust update --base-url https://license.example --trust-root trust-root.json --bundle bundle.json \\
    --at 2026-03-01T12:00:00+08:00

退出码 exit codes:
  0  已更新或已是最新 stored, or current already   1  未通过检查,未保存 refused, nothing stored
  2  用法错误 usage                              4  无法获取或写入 could not fetch or write

OUT 同时是记忆:序号低于其中所存的内容会被拒绝,存证日志只许增长;只取其后变化的部分。
OUT is the memory as well: sequences lower than it holds are refused, the log may only grow, and only what changed
since is fetched.

--at 取得的状态列表留在包中,供 `elicense verify --at` 离线核验该时刻。
What --at fetches stays in the bundle: `elicense verify --at` then judges that moment offline.
签名密钥其后泄露的状态列表,连同其存证日志证明一并取得。Lists whose key was compromised since come with their log proofs.
"""


def add_trust(commands: "Commands") -> None:
    """Add `trust update`."""
    trust = commands.add_parser("trust", help="信任数据 trust documents", allow_abbrev=False)
    actions = trust.add_subparsers(metavar="ACTION", required=True)
    parser = add_command(
        actions, "update", "获取、检查并保存离线验证包 fetch, check and store the bundle", _TRUST_HELP
    )
    parser.add_argument("--base-url", metavar="URL", required=True, help="服务地址 address of the service")
    parser.add_argument(
        "--trust-root", metavar="F", type=Path, required=True, help="信任根文件 the pinned trust root"
    )
    parser.add_argument("--bundle", metavar="OUT", type=Path, required=True, help="保存到 where to store it")
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=read_moment,
        help="另取过去某一时刻的状态列表 fetch the status lists of a past moment, too (RFC 3339)",
    )
    add_language(parser)
    parser.set_defaults(run=_trust_update, refuse=parser.error)


def _trust_update(arguments: argparse.Namespace) -> int:
    from elicense.client.errors import ConfigurationError, ElicenseError, TrustError

    lang: str = arguments.lang
    out: Path = arguments.bundle
    try:
        update = _fetch_and_store(arguments, out)
    except TrustError as error:
        complain(lang, f"未通过检查,未保存:{error}", f"refused, nothing stored: {error}")
        return EXIT_INVALID
    except ConfigurationError as error:
        complain(lang, f"用法错误:{error}", f"wrong usage: {error}")
        return EXIT_USAGE
    except ElicenseError as error:
        complain(lang, f"无法获取:{error}", f"cannot fetch: {error}")
        return EXIT_ERROR
    except OSError as error:
        complain(lang, f"无法读写 {error.filename}:{error.strerror}", f"{error.filename}: {error.strerror}")
        return EXIT_ERROR
    print(_update_line(update, out, lang))
    if update.uncovered:
        complain(
            lang,
            f"{update.uncovered} 份状态列表没有覆盖所问时刻的存档版本",
            f"{update.uncovered} status lists have no archived version of that moment",
        )
    return EXIT_VALID


def _fetch_and_store(arguments: argparse.Namespace, out: Path) -> "BundleUpdate":
    from elicense.client import _system
    from elicense.client._storing import PUBLIC, sole_writer, store_file
    from elicense.client._sync import Elicense
    from elicense.client._updating import fetch_update
    from elicense.trust_root import MAX_ROOT_BYTES

    if arguments.at is not None and arguments.at > _system.now():
        arguments.refuse("--at 不得晚于现在 --at must not be in the future")
    root = read_file(arguments.trust_root, MAX_ROOT_BYTES)
    # No call of an update carries a key, not even one of the environment: a mirror may do with http.
    with Elicense(base_url=arguments.base_url, allow_http=True, trust_root=root) as client:
        while True:
            held = _held(out)
            update = fetch_update(
                client.trust, trust_root=root, held=held, now=_system.now(), at=arguments.at
            )
            if not update.changed:
                return update
            with sole_writer(out):
                if _held(out) == held:
                    store_file(out, update.content, mode=PUBLIC)
                    return update
            # Another run stored a bundle meanwhile: what was fetched must hold against that one's memory.


def _held(out: Path) -> bytes | None:
    from elicense.client._updating import MAX_HELD_BYTES

    try:
        return read_file(out, MAX_HELD_BYTES)
    except FileNotFoundError:
        return None


def _update_line(update: "BundleUpdate", out: Path, lang: str) -> str:
    from elicense.report import rfc3339

    as_of, received = rfc3339(update.as_of), f"{update.received:,}"
    if lang == "zh":
        done = "已更新" if update.changed else "已是最新"
        how = "增量" if update.by_delta else "全量"
        return (
            f"{done}:{out}(信任列表 {update.trust_list_sequence},颁发机构 {update.authorities},"
            f"状态列表 {update.status_lists},截至 {as_of};接收 {received} 字节,{how})"
        )
    done = "updated" if update.changed else "already current"
    how = "the changes alone" if update.by_delta else "the whole bundle"
    return (
        f"{done}: {out} (trust list {update.trust_list_sequence}, {update.authorities} authorities, "
        f"{update.status_lists} status lists, as of {as_of}; received {received} bytes, {how})"
    )
