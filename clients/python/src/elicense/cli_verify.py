"""`elicense verify` and `inspect`: credentials and kept evidence, with no network."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.cli_common import (
    EXIT_ERROR,
    EXIT_INDETERMINATE,
    EXIT_INVALID,
    EXIT_VALID,
    GRAVITY,
    add_command,
    add_language,
    cannot_read,
    cannot_trust,
    cannot_write,
    complain,
    exit_of,
    read_bounded,
    read_file,
    read_moment,
)

if TYPE_CHECKING:
    from elicense.cli_common import Commands
    from elicense.client._evidence import OfflineVerifier
    from elicense.evidence_file import KeptEvidence, Repeated
    from elicense.report import Lang, VerificationReport

DEFAULT_POLICY: Final = "platform-default"
_VERIFY_HELP: Final = """\
示例 examples:
  elicense verify license.sdjwt --trust-root trust-root.json --bundle bundle.json
  elicense verify *.sdjwt --trust-root trust-root.json --bundle bundle.json --json
  elicense verify a.sdjwt --trust-root trust-root.json --bundle bundle.json --max-status-age 72h
  elicense verify a.sdjwt --trust-root trust-root.json --bundle bundle.json --policy own-policy.json
  elicense verify license.sdjwt --trust-root trust-root.json --bundle bundle.json --save-evidence evidence.json
  elicense verify --evidence evidence.json --trust-root trust-root.json
  elicense verify shown.sdjwt --trust-root trust-root.json --bundle bundle.json --nonce N --audience https://bank.example

FILE 为电子证照文件,或带存证日志证明的 JSON 文件。
FILE is a credential, or the JSON that holds one with its log proof.

退出码 exit codes:
  0  有效 valid          1  无效 invalid        2  用法错误 usage
  3  无法判断 cannot tell  4  运行错误 error
  多个文件时取最重者 of several files the gravest: 4 > 2 > 1 > 3 > 0

--nonce 与 --audience 同用:要求出示人以其密钥证明是持证主体;随机数只用一次,由调用方记住用过的。
--nonce with --audience: the presenter must prove to be the holder; a nonce counts once, remember the used ones.

没有内置的信任根:须用 --trust-root 指定经可靠途径取得的文件。
There is no default trust root: name the one you obtained by a reliable way.

--evidence 以保存的材料和时刻重复当时的判断,并与当时的结论比较:
  0  重复得出有效且与所存一致   1  重复得出无效,或所存结论不能由材料得出
  3  无法判断;未用 --trust-root 指定信任根时,有效也只到此:信任取决于所示的信任根摘要
--evidence repeats a judgement from what was kept, at the moment kept, and compares:
  0  valid again, as kept     1  invalid, or the kept answer does not follow from the material
  3  cannot tell; and valid without --trust-root: trust then rests on the digest of the root that is printed
"""
_INSPECT_HELP: Final = """\
示例 example:
  elicense inspect license.sdjwt

退出码 exit codes: 0  可解析 readable   1  格式不正确 malformed   2  用法错误 usage   4  运行错误 error
"""


def add_verify(commands: "Commands") -> None:
    """Add `verify`."""
    parser = add_command(
        commands, "verify", "离线核验电子证照文件 verify credentials with no network", _VERIFY_HELP
    )
    parser.add_argument(
        "files", metavar="FILE", nargs="*", help="电子证照文件;- 为标准输入 credential; - is stdin"
    )
    parser.add_argument("--trust-root", metavar="F", type=Path, help="信任根文件 the pinned trust root")
    parser.add_argument("--bundle", metavar="F", type=Path, help="离线验证包 the bundle of `trust update`")
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=read_moment,
        help="按此时刻的日期与状态判断 judge dates and status as of this moment (RFC 3339)",
    )
    parser.add_argument(
        "--max-status-age", metavar="AGE", help="状态最大时效,如 24h,不超过 7d how old a status may be"
    )
    parser.add_argument(
        "--policy",
        metavar="NAME|FILE",
        help=f"预置策略名或策略文件 a preset's name or a policy file ({DEFAULT_POLICY})",
    )
    parser.add_argument(
        "--nonce", metavar="N", help="给出示人的随机数(与 --audience 同用) the nonce given to the presenter"
    )
    parser.add_argument(
        "--audience", metavar="A", help="本核验方的名称(与 --nonce 同用) the verifier's own audience"
    )
    parser.add_argument(
        "--save-evidence",
        metavar="OUT",
        type=Path,
        help="将判断所依据的一切存入文件(仅一个 FILE 时) keep all it rests on in a file (for one FILE)",
    )
    parser.add_argument(
        "--evidence", metavar="F", help="重复所存的判断 repeat the judgement kept in this file"
    )
    parser.add_argument(
        "--json", action="store_true", help="每个文件输出一行 JSON one JSON object a line and file"
    )
    add_language(parser)
    parser.set_defaults(run=_verify, refuse=parser.error)


def add_inspect(commands: "Commands") -> None:
    """Add `inspect`."""
    parser = add_command(
        commands, "inspect", "查看文件所述内容(不核验) show what a file claims, unverified", _INSPECT_HELP
    )
    parser.add_argument("file", metavar="FILE", help="电子证照文件;- 为标准输入 credential; - is stdin")
    add_language(parser)
    parser.set_defaults(run=_inspect)


def make_verifier(arguments: argparse.Namespace) -> "OfflineVerifier | None":
    """Make the verifier; None without a pinned root.

    Raises ValueError for options that cannot be meant, TrustError for a root that is none.
    """
    from elicense.client import _system
    from elicense.client._asked import choose_policy
    from elicense.client._evidence import OfflineVerifier

    policy = choose_policy(arguments.policy or DEFAULT_POLICY, arguments.max_status_age)
    if arguments.trust_root is None:
        complain(
            arguments.lang,
            "未指定信任根(--trust-root),任何文件都无法采信",
            "no trust root is given (--trust-root): no file can be trusted",
        )
        return None
    bundle = existing_bundle(arguments)
    return OfflineVerifier(trust_root=arguments.trust_root, bundle=bundle, policy=policy, clock=_system.now)


def existing_bundle(arguments: argparse.Namespace) -> Path | None:
    """Give the bundle's path, None when there is no such file, and say so."""
    bundle: Path | None = arguments.bundle
    if bundle is not None and not bundle.exists():
        # No bundle is a state of affairs the verdict speaks of (cannot tell), not a failure of the command.
        complain(arguments.lang, f"没有离线验证包:{bundle}", f"there is no bundle: {bundle}")
        return None
    return bundle


def _verify(arguments: argparse.Namespace) -> int:
    from elicense.client.errors import TrustError

    lang: Lang = arguments.lang
    _require_sense(arguments)
    if arguments.evidence is not None:
        return _repeat(arguments)
    try:
        verifier = make_verifier(arguments)
    except ValueError as error:
        arguments.refuse(f"--policy 或 --max-status-age 不可用 cannot be used: {error}")
    except TrustError as error:
        return cannot_trust(error, lang)
    codes = [_verify_file(name, verifier, arguments) for name in arguments.files]
    return next(code for code in GRAVITY if code in codes)


def _require_sense(arguments: argparse.Namespace) -> None:
    given = [
        option
        for option in ("bundle", "at", "max_status_age", "policy", "save_evidence", "nonce", "audience")
        if getattr(arguments, option) is not None
    ]
    if arguments.evidence is None:
        if not arguments.files:
            arguments.refuse("请给出 FILE 或 --evidence name a FILE, or --evidence")
        if arguments.save_evidence is not None and (len(arguments.files) != 1 or not arguments.trust_root):
            arguments.refuse(
                "--save-evidence 只用于一个 FILE,并须有 --trust-root "
                "--save-evidence takes one FILE and needs --trust-root"
            )
        if bool(arguments.nonce) != bool(arguments.audience) or "" in (arguments.nonce, arguments.audience):
            arguments.refuse(
                "--nonce 与 --audience 须同时给出,且均不得为空 --nonce and --audience go together, and neither is empty"
            )
        if arguments.nonce is not None and len(arguments.files) != 1:
            arguments.refuse(
                "--nonce 只用于一个 FILE:每个出示人各用一个随机数 "
                "--nonce takes one FILE: each presenter gets a nonce of its own"
            )
        if not _is_text(arguments.nonce) or not _is_text(arguments.audience):
            arguments.refuse(
                "--nonce 与 --audience 应为 UTF-8 文本 --nonce and --audience are texts in UTF-8"
            )
    elif arguments.files or given:
        other = "FILE" if arguments.files else f"--{given[0].replace('_', '-')}"
        arguments.refuse(
            f"--evidence 已含除信任根以外的一切,请去掉 {other} "
            f"--evidence brings everything but the trust root: leave out {other}"
        )


def _is_text(word: str | None) -> bool:
    # Bytes of a command line that are no UTF-8 arrive as lone surrogates.
    return word is None or not any("\ud800" <= character <= "\udfff" for character in word)


def _verify_file(name: str, verifier: "OfflineVerifier | None", arguments: argparse.Namespace) -> int:
    lang: Lang = arguments.lang
    try:
        report = _judge(read_bounded(name), verifier, arguments)
    except OSError as error:
        if arguments.json:
            # A line for each file, so that whoever reads them counts none for judged that was not.
            print(json.dumps({"file": name, "verdict": None, "error": error.strerror}, ensure_ascii=True))
        return cannot_read(name, error, lang)
    _show(name, report, arguments)
    return _keep(report, arguments.save_evidence, lang) or exit_of(report.verdict)


def _show(name: str, report: "VerificationReport", arguments: argparse.Namespace) -> None:
    from elicense.client._report_text import render_report

    if arguments.json:
        print(json.dumps({"file": name, **report.to_json(arguments.lang)}, ensure_ascii=True))
    else:
        print(render_report(report, name=name, lang=arguments.lang))


def _keep(report: "VerificationReport", out: Path | None, lang: str) -> int:
    """Save the evidence where that was asked for; what cannot be written is no word on the credential."""
    from elicense.client._offline_report import OfflineReport

    if out is None or not isinstance(report, OfflineReport):  # with --save-evidence it always is one
        return EXIT_VALID
    try:
        report.save_evidence(out)
    except OSError as error:
        return cannot_write(str(out), error, lang)
    return EXIT_VALID


def _judge(
    token: bytes, verifier: "OfflineVerifier | None", arguments: argparse.Namespace
) -> "VerificationReport":
    if verifier is not None:
        return verifier.verify(token, at=arguments.at, nonce=arguments.nonce, audience=arguments.audience)
    from elicense.client import _system
    from elicense.client._asked import choose_policy, expected_binding
    from elicense.stapled import take_apart
    from elicense.verify import gather_offline, verify_credential

    # Without a pinned root nothing can be trusted: the judge says so, and still refuses what is no credential.
    return verify_credential(
        take_apart(token)[0],
        evidence=gather_offline(trust_root=b"", bundle=None, now=_system.now()),
        policy=choose_policy(arguments.policy or DEFAULT_POLICY, arguments.max_status_age),
        at=arguments.at,
        binding=expected_binding(arguments.nonce, arguments.audience),
    )


def _repeat(arguments: argparse.Namespace) -> int:
    from elicense.evidence_file import MAX_EVIDENCE_BYTES, parse_evidence, repeat
    from elicense.problems import FormatError
    from elicense.trust_root import MAX_ROOT_BYTES

    lang, name = arguments.lang, arguments.evidence
    try:
        content = read_bounded(name, MAX_EVIDENCE_BYTES)
    except OSError as error:
        return cannot_read(name, error, lang)
    try:
        pinned = arguments.trust_root
        root = None if pinned is None else read_file(pinned, MAX_ROOT_BYTES)
    except OSError as error:
        return cannot_read(str(arguments.trust_root), error, lang)
    try:
        kept = parse_evidence(content)
    except FormatError as refusal:
        complain(lang, f"证据文件不成立:{refusal.detail}", f"the evidence does not hold: {refusal.detail}")
        return EXIT_INVALID
    try:
        repeated = repeat(kept, trust_root=root)
    except FormatError as refusal:
        complain(lang, f"信任根不可用:{refusal.detail}", f"the trust root cannot be used: {refusal.detail}")
        return EXIT_ERROR
    _show_repeated(kept, repeated, arguments)
    return _exit_of_repeated(repeated)


def _exit_of_repeated(repeated: "Repeated") -> int:
    code = exit_of(repeated.report.verdict)
    if code == EXIT_VALID and repeated.differences:
        return EXIT_INVALID  # the file says something else than its own material
    # A root that came with the evidence vouches for itself: whoever made up the one made up the other.
    return code if repeated.pinned or code != EXIT_VALID else EXIT_INDETERMINATE


def _show_repeated(kept: "KeptEvidence", repeated: "Repeated", arguments: argparse.Namespace) -> None:
    from elicense.client._evidence_text import render_repeated, repeated_json

    lang: Lang = arguments.lang
    if arguments.json:
        shown = {"file": arguments.evidence, **repeated_json(kept, repeated, lang)}
        print(json.dumps(shown, ensure_ascii=True))
    else:
        print(render_repeated(kept, repeated, name=arguments.evidence, lang=lang))


def _inspect(arguments: argparse.Namespace) -> int:
    from elicense.client._report_text import printable
    from elicense.credential import inspect_credential
    from elicense.problems import REASONS, FormatError
    from elicense.stapled import split_stapled

    lang: Lang = arguments.lang
    try:
        token, proof = split_stapled(read_bounded(arguments.file))
        shown = inspect_credential(token)
    except OSError as error:
        return cannot_read(arguments.file, error, lang)
    except FormatError as refusal:
        text = REASONS[refusal.reason].text.in_language(lang)
        complain(lang, f"{text}({refusal.detail})", f"{text} ({refusal.detail})")
        return EXIT_INVALID
    if proof is not None:
        shown["proof"] = proof.to_json()
    print("*** 未经核验 UNVERIFIED ***")
    for line in json.dumps(shown, ensure_ascii=False, indent=2, default=str).splitlines():
        print(printable(line))
    print("*** 未经核验 UNVERIFIED ***")
    return EXIT_VALID
