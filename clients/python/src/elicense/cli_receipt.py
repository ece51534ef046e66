"""`elicense verify-receipt`: a receipt, with no network."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.cli_common import (
    EXIT_INVALID,
    add_command,
    add_language,
    cannot_read,
    cannot_trust,
    complain,
    exit_of,
    read_bounded,
    read_file,
)

if TYPE_CHECKING:
    from elicense.cli_common import Commands
    from elicense.encoding import JsonValue
    from elicense.evidence import Evidence
    from elicense.log_proof import ReceiptProof
    from elicense.report import Lang

_HELP: Final = """\
示例 examples:
  elicense verify-receipt answer.json --trust-root trust-root.json --bundle bundle.json
  elicense verify-receipt receipt.jws --trust-root trust-root.json --bundle bundle.json --json
  elicense verify-receipt answer.json --question question.json --trust-root trust-root.json --bundle bundle.json
  elicense verify-receipt answer.json --proof receipt-proof.json --trust-root trust-root.json --bundle bundle.json

FILE 为回执(JWS)、一次核验的答复 JSON,或批量核验的答复 JSON(逐条检查其 Merkle 路径)。
FILE is a receipt (JWS), the JSON answer of a verification, or of a batch (each result's Merkle path is checked).

--question 为当时提交的请求 JSON;其盐取自答复的 question_salt,或由 --salt 给出。
--question is the request as it was sent; its salt is the answer's question_salt, or --salt.

成立只说明服务作出过该答复,不说明证照现在有效。密钥期限已过的回执,只要签署时在期限内,仍然成立。
That a receipt holds means that the service gave this answer, not that the license is in force now. A receipt whose
key has reached its end still holds if it was signed before.

退出码 exit codes:
  0  成立 holds            1  不成立 does not hold   2  用法错误 usage
  3  无法判断(没有或过期的离线验证包) cannot tell (no bundle, or a stale one)   4  运行错误 error
"""
_MOST_JSON: Final = 16 << 20


def add_verify_receipt(commands: "Commands") -> None:
    """Add `verify-receipt`."""
    parser = add_command(commands, "verify-receipt", "离线核验回执 verify a receipt with no network", _HELP)
    parser.add_argument("file", metavar="FILE", help="回执或答复;- 为标准输入 receipt or answer; - is stdin")
    parser.add_argument("--trust-root", metavar="F", type=Path, help="信任根文件 the pinned trust root")
    parser.add_argument("--bundle", metavar="F", type=Path, help="离线验证包 the bundle of `trust update`")
    parser.add_argument("--question", metavar="F", help="当时的请求 the question as it was sent")
    parser.add_argument("--salt", metavar="TEXT", help="问题的盐 the question's salt (base64url)")
    parser.add_argument("--proof", metavar="F", help="回执的存证日志证明 the receipt's log proof")
    parser.add_argument("--json", action="store_true", help="输出 JSON one JSON object")
    add_language(parser)
    parser.set_defaults(run=_verify_receipt, refuse=parser.error)


def _verify_receipt(arguments: argparse.Namespace) -> int:
    from elicense.client._receipt_text import render_receipt_report
    from elicense.client.errors import TrustError
    from elicense.problems import FormatError
    from elicense.receipt_check import check_receipt_bytes
    from elicense.receipt_file import MAX_RECEIPT_FILE_BYTES

    lang: Lang = arguments.lang
    try:
        content = read_bounded(arguments.file, MAX_RECEIPT_FILE_BYTES)
        question, salt = _read_question(arguments)
        proof = _read_proof(arguments)
        evidence = _gather(arguments)
    except OSError as error:
        return cannot_read(str(error.filename or arguments.file), error, lang)
    except TrustError as error:
        return cannot_trust(error, lang)
    except FormatError as refusal:
        complain(lang, f"存证日志证明不成立:{refusal.detail}", f"the log proof is none: {refusal.detail}")
        return EXIT_INVALID
    try:
        report = check_receipt_bytes(content, evidence=evidence, proof=proof, question=question, salt=salt)
    except ValueError as error:
        arguments.refuse(f"--question 不可用 cannot be used: {error}")
    if arguments.json:
        print(json.dumps({"file": arguments.file, **report.to_json(lang)}, ensure_ascii=True))
    else:
        print(render_receipt_report(report, name=arguments.file, lang=lang))
    return exit_of(report.verdict)


def _gather(arguments: argparse.Namespace) -> "Evidence":
    from elicense.bundle import MAX_BUNDLE_BYTES
    from elicense.cli_verify import existing_bundle
    from elicense.client import _system
    from elicense.client._evidence import require_root
    from elicense.evidence import gather_offline
    from elicense.trust_root import MAX_ROOT_BYTES

    root = b""
    if arguments.trust_root is None:
        complain(
            arguments.lang,
            "未指定信任根(--trust-root),任何回执都无法采信",
            "no trust root is given (--trust-root): no receipt can be trusted",
        )
    else:
        root = read_file(arguments.trust_root, MAX_ROOT_BYTES)
        require_root(root)
    bundle = existing_bundle(arguments)
    held = read_file(bundle, MAX_BUNDLE_BYTES) if bundle is not None else None
    return gather_offline(trust_root=root, bundle=held, now=_system.now())


def _read_question(arguments: argparse.Namespace) -> "tuple[dict[str, JsonValue] | None, bytes | None]":
    from elicense.encoding import parse_json_object
    from elicense.problems import FormatError
    from elicense.receipt_file import read_salt

    if arguments.question is None:
        if arguments.salt is not None:
            arguments.refuse("--salt 须与 --question 同用 --salt opens a --question")
        return None, None
    content = read_bounded(arguments.question, _MOST_JSON)
    try:
        question = parse_json_object(content, max_bytes=_MOST_JSON)
        return question, read_salt(arguments.salt) if arguments.salt is not None else None
    except FormatError as refusal:
        arguments.refuse(f"--question 与 --salt 不可用 cannot be used: {refusal.detail}")
        raise  # argparse has ended the process


def _read_proof(arguments: argparse.Namespace) -> "ReceiptProof | None":
    from elicense.encoding import parse_json
    from elicense.log_proof import parse_receipt_proof

    if arguments.proof is None:
        return None
    return parse_receipt_proof(parse_json(read_bounded(arguments.proof)))
