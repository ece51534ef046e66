"""The command `elicense`: verify and inspect credentials offline, keep the bundle current.

Further commands come from the entry-point group `elicense.commands`, loaded only for words that are not its own, so
that verifying never pays for a server that happens to be installed.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from elicense.client._evidence import BundleUpdate, OfflineVerifier
    from elicense.report import Lang, VerificationReport

EXIT_VALID: Final = 0
EXIT_INVALID: Final = 1
EXIT_USAGE: Final = 2
EXIT_INDETERMINATE: Final = 3
EXIT_ERROR: Final = 4
COMMAND_GROUP: Final = "elicense.commands"
_OWN_WORDS: Final = frozenset({"verify", "inspect", "trust"})
_GRAVITY: Final = (EXIT_ERROR, EXIT_USAGE, EXIT_INVALID, EXIT_INDETERMINATE, EXIT_VALID)

_VERIFY_HELP: Final = """\
示例 examples:
  elicense verify license.sdjwt --trust-root trust-root.json --bundle bundle.json
  elicense verify *.sdjwt --trust-root trust-root.json --bundle bundle.json --json
  elicense verify a.sdjwt --trust-root trust-root.json --bundle bundle.json --max-status-age 72h

退出码 exit codes:
  0  有效 valid          1  无效 invalid        2  用法错误 usage
  3  无法判断 cannot tell  4  运行错误 error
  多个文件时取最重者 of several files the gravest: 4 > 2 > 1 > 3 > 0

没有内置的信任根:须用 --trust-root 指定经可靠途径取得的文件。
There is no default trust root: name the one you obtained by a reliable way.
"""
_INSPECT_HELP: Final = """\
示例 example:
  elicense inspect license.sdjwt

退出码 exit codes: 0  可解析 readable   1  格式不正确 malformed   2  用法错误 usage   4  运行错误 error
"""
_TRUST_HELP: Final = """\
示例 example:
  elicense trust update --base-url https://license.example --trust-root trust-root.json --bundle bundle.json

退出码 exit codes:
  0  已更新或已是最新 stored, or current already   1  未通过检查,未保存 refused, nothing stored
  2  用法错误 usage                              4  无法获取或写入 could not fetch or write

OUT 同时是记忆:序号低于其中所存的内容会被拒绝。
OUT is the memory as well: sequences lower than it holds are refused.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; argparse ends wrong usage with 2 by itself."""
    words = list(sys.argv[1:] if argv is None else argv)
    _make_output_safe()
    parser = _build_parser()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_verify(commands)
    _add_inspect(commands)
    _add_trust(commands)
    if not words or words[0] not in _OWN_WORDS:
        _load_more_commands(commands)
    arguments = parser.parse_args(words)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return run(arguments)
    except BrokenPipeError:
        # The reader of our output went away; nothing is left to say, and Python must not try at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ERROR
    except KeyboardInterrupt:
        return 130


def _make_output_safe() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _build_parser() -> argparse.ArgumentParser:
    from elicense import __version__

    parser = argparse.ArgumentParser(
        prog="elicense",
        description="电子证照:核验、查看、更新信任数据。 Electronic licenses: verify, inspect, keep trust current.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"elicense {__version__}")
    return parser


if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def _add_command(commands: "Commands", name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_verify(commands: "Commands") -> None:
    parser = _add_command(
        commands, "verify", "离线核验电子证照文件 verify credentials with no network", _VERIFY_HELP
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="+", help="电子证照文件;- 为标准输入 credential; - is stdin"
    )
    parser.add_argument("--trust-root", metavar="F", type=Path, help="信任根文件 the pinned trust root")
    parser.add_argument("--bundle", metavar="F", type=Path, help="离线验证包 the bundle of `trust update`")
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=_moment,
        help="按此时刻判断有效期 judge the dates for this moment (RFC 3339)",
    )
    parser.add_argument(
        "--max-status-age", metavar="AGE", help="状态最大时效,如 24h,不超过 7d how old a status may be"
    )
    parser.add_argument("--policy", metavar="NAME", default="platform-default", help="核验策略 policy preset")
    parser.add_argument(
        "--json", action="store_true", help="每个文件输出一行 JSON one JSON object a line and file"
    )
    _add_language(parser)
    parser.set_defaults(run=_verify, refuse=parser.error)


def _add_inspect(commands: "Commands") -> None:
    parser = _add_command(
        commands, "inspect", "查看文件所述内容(不核验) show what a file claims, unverified", _INSPECT_HELP
    )
    parser.add_argument("file", metavar="FILE", help="电子证照文件;- 为标准输入 credential; - is stdin")
    _add_language(parser)
    parser.set_defaults(run=_inspect)


def _add_trust(commands: "Commands") -> None:
    trust = commands.add_parser("trust", help="信任数据 trust documents", allow_abbrev=False)
    actions = trust.add_subparsers(metavar="ACTION", required=True)
    parser = _add_command(
        actions, "update", "获取、检查并保存离线验证包 fetch, check and store the bundle", _TRUST_HELP
    )
    parser.add_argument("--base-url", metavar="URL", required=True, help="服务地址 address of the service")
    parser.add_argument(
        "--trust-root", metavar="F", type=Path, required=True, help="信任根文件 the pinned trust root"
    )
    parser.add_argument("--bundle", metavar="OUT", type=Path, required=True, help="保存到 where to store it")
    _add_language(parser)
    parser.set_defaults(run=_trust_update)


def _add_language(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="输出语言 language of the output")


def _load_more_commands(commands: "Commands") -> None:
    for entry in entry_points(group=COMMAND_GROUP):
        register: Callable[[Commands], None] = entry.load()
        register(commands)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not a time such as 2026-03-01T12:00:00Z") from None
    if len(text) == len("2026-03-01"):
        from elicense.encoding import CHINA

        moment = moment.replace(tzinfo=CHINA)  # a civil day begins at 00:00 +08:00
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("the time lacks its zone, for example Z or +08:00")
    return moment.astimezone(UTC)


def _complain(lang: str, zh: str, en: str) -> None:
    print(zh if lang == "zh" else en, file=sys.stderr)


def _verify(arguments: argparse.Namespace) -> int:
    from elicense.client.errors import TrustError

    lang: Lang = arguments.lang
    try:
        verifier = _make_verifier(arguments)
    except ValueError as error:
        arguments.refuse(str(error))
    except TrustError as error:
        _complain(lang, f"信任材料不可用:{error.detail}", f"trust material cannot be used: {error.detail}")
        return EXIT_ERROR
    codes = [_verify_file(name, verifier, arguments) for name in arguments.files]
    return next(code for code in _GRAVITY if code in codes)


def _make_verifier(arguments: argparse.Namespace) -> "OfflineVerifier | None":
    """Make the verifier; None without a pinned root. Raises ValueError for options that cannot be meant."""
    from elicense.client._evidence import OfflineVerifier, choose_policy

    policy = choose_policy(arguments.policy, arguments.max_status_age)
    if arguments.trust_root is None:
        _complain(
            arguments.lang,
            "未指定信任根(--trust-root),任何文件都无法采信",
            "no trust root is given (--trust-root): no file can be trusted",
        )
        return None
    bundle: Path | None = arguments.bundle
    if bundle is not None and not bundle.exists():
        # No bundle is a state of affairs the verdict speaks of (cannot tell), not a failure of the command.
        _complain(arguments.lang, f"没有离线验证包:{bundle}", f"there is no bundle: {bundle}")
        bundle = None
    return OfflineVerifier(trust_root=arguments.trust_root, bundle=bundle, policy=policy)


def _verify_file(name: str, verifier: "OfflineVerifier | None", arguments: argparse.Namespace) -> int:
    from elicense.client._report_text import printable, render_report

    lang: Lang = arguments.lang
    try:
        token = _read_file(name)
    except OSError as error:
        shown = printable(name)
        _complain(lang, f"无法读取 {shown}:{error.strerror}", f"cannot read {shown}: {error.strerror}")
        return EXIT_ERROR
    report = _judge(token, verifier, arguments)
    if arguments.json:
        print(json.dumps({"file": name, **report.to_json(lang)}, ensure_ascii=True))
    else:
        print(render_report(report, name=name, lang=lang))
    exits = {"valid": EXIT_VALID, "invalid": EXIT_INVALID, "indeterminate": EXIT_INDETERMINATE}
    return exits[report.verdict.value]


def _judge(
    token: bytes, verifier: "OfflineVerifier | None", arguments: argparse.Namespace
) -> "VerificationReport":
    if verifier is not None:
        return verifier.verify(token, at=arguments.at)
    from elicense.client import _system
    from elicense.client._evidence import choose_policy
    from elicense.verify import gather_offline, verify_credential

    # Without a pinned root nothing can be trusted: the judge says so, and still refuses what is no credential.
    return verify_credential(
        token,
        evidence=gather_offline(trust_root=b"", bundle=None, now=_system.now()),
        policy=choose_policy(arguments.policy, arguments.max_status_age),
        at=arguments.at,
    )


def _read_file(name: str) -> bytes:
    limit = 1 << 20
    if name == "-":
        return sys.stdin.buffer.read(limit + 1).rstrip()
    with Path(name).open("rb") as file:
        return file.read(limit + 1).rstrip()


def _inspect(arguments: argparse.Namespace) -> int:
    from elicense.client._report_text import printable
    from elicense.credential import inspect_credential
    from elicense.problems import REASONS, FormatError

    lang: Lang = arguments.lang
    try:
        shown = inspect_credential(_read_file(arguments.file))
    except OSError as error:
        _complain(lang, f"无法读取:{error.strerror}", f"cannot read: {error.strerror}")
        return EXIT_ERROR
    except FormatError as refusal:
        text = REASONS[refusal.reason].text.in_language(lang)
        _complain(lang, f"{text}({refusal.detail})", f"{text} ({refusal.detail})")
        return EXIT_INVALID
    print("*** 未经核验 UNVERIFIED ***")
    for line in json.dumps(shown, ensure_ascii=False, indent=2, default=str).splitlines():
        print(printable(line))
    print("*** 未经核验 UNVERIFIED ***")
    return EXIT_VALID


def _trust_update(arguments: argparse.Namespace) -> int:
    from elicense.client import _system
    from elicense.client._evidence import store_bundle, update_bundle
    from elicense.client._sync import Elicense
    from elicense.client.errors import ConfigurationError, ElicenseError, TrustError

    lang: str = arguments.lang
    out: Path = arguments.bundle
    try:
        root = arguments.trust_root.read_bytes()
        held = out.read_bytes() if out.exists() else None
        with Elicense(base_url=arguments.base_url, api_key=None, trust_root=root) as client:
            fetched = client.trust.bundle()
        update = update_bundle(fetched, trust_root=root, held=held, now=_system.now())
        if update.changed:
            store_bundle(out, update.content)
    except TrustError as error:
        _complain(lang, f"未通过检查,未保存:{error}", f"refused, nothing stored: {error}")
        return EXIT_INVALID
    except ConfigurationError as error:
        _complain(lang, f"用法错误:{error}", f"wrong usage: {error}")
        return EXIT_USAGE
    except ElicenseError as error:
        _complain(lang, f"无法获取:{error}", f"cannot fetch: {error}")
        return EXIT_ERROR
    except OSError as error:
        _complain(lang, f"无法读写 {error.filename}:{error.strerror}", f"{error.filename}: {error.strerror}")
        return EXIT_ERROR
    print(_update_line(update, out, lang))
    return EXIT_VALID


def _update_line(update: "BundleUpdate", out: Path, lang: str) -> str:
    from elicense.report import rfc3339

    as_of = rfc3339(update.as_of)
    if lang == "zh":
        done = "已更新" if update.changed else "已是最新"
        return (
            f"{done}:{out}(信任列表 {update.trust_list_sequence},颁发机构 {update.authorities},"
            f"状态列表 {update.status_lists},截至 {as_of})"
        )
    done = "updated" if update.changed else "already current"
    return (
        f"{done}: {out} (trust list {update.trust_list_sequence}, {update.authorities} authorities, "
        f"{update.status_lists} status lists, as of {as_of})"
    )


if __name__ == "__main__":
    sys.exit(main())
