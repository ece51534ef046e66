"""How `elicense log audit` is called: its parser and its help, which lists what no audit can derive."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.services.log_audit_columns import EXCEPTIONS, UNSEEN, Coverage

AUDIT_TEXT: Final = "由日志与证照文件重算整个登记库 re-derive the whole register from log and credentials"


def audit_help() -> str:
    """Return the help below the options: examples, what is not derived and why, exit codes."""
    lines = [
        "示例 examples:",
        "  elicense log audit --data-dir /var/lib/elicense",
        "  elicense log audit --json --trust-root root.json --data-dir /var/lib/elicense",
        "",
        "服务运行时亦可执行;只读一个快照。It may run beside the service: it reads one snapshot and writes nothing.",
        "每条问题一行:证照标识、证照编号、表.列、应有的规则;不显示要素值。",
        "One line for each fault: identifier, license id, table.column, the rule; never a value.",
        "未满 60 秒的签发承诺与未入日志的条目列为待完成。Unfinished for less than 60 s is pending.",
        "",
        "不能由日志与证照推得的列 columns that cannot be derived:",
    ]
    for name, exception in EXCEPTIONS.items():
        if exception.coverage is Coverage.NONE:
            lines.append(f"  {name}: {exception.why.zh} {exception.why.en}")
    lines += ["", "只能部分推得的列 columns that can be derived in part:"]
    for name, exception in EXCEPTIONS.items():
        if exception.coverage is Coverage.PART:
            lines.append(f"  {name}: {exception.why.zh} {exception.why.en}")
    lines += ["", "以下行被人删改可能不被发现 rows that may be removed or altered by hand unseen:"]
    lines += [f"  {table}: {why.zh} {why.en}" for table, why in UNSEEN.items()]
    lines += [
        "",
        "退出码 exit codes: 0  一致 clean   1  有问题 faults   2  用法错误 usage   4  运行错误 error",
    ]
    return "\n".join(lines)


def add(command: Callable[[str, str, str, str], argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = command("audit", AUDIT_TEXT, "audit", audit_help())
    parser.add_argument("--json", action="store_true", help="以 JSON 输出 print JSON")
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="语言 language (zh)")
    parser.add_argument(
        "--trust-root",
        metavar="FILE",
        type=Path,
        help="另行保存的信任根,须在库中的链上 a root kept elsewhere that must stand in the stored chain",
    )
