"""What the commands of `elicense` share: exit codes, languages, and how files and refusals are handled."""

import argparse
import errno
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.file_text import trimmed

if TYPE_CHECKING:
    from elicense.client.errors import TrustError
    from elicense.report import Verdict

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

EXIT_VALID: Final = 0
EXIT_INVALID: Final = 1
EXIT_USAGE: Final = 2
EXIT_INDETERMINATE: Final = 3
EXIT_ERROR: Final = 4
EXIT_INTERRUPTED: Final = 130
GRAVITY: Final = (EXIT_ERROR, EXIT_USAGE, EXIT_INVALID, EXIT_INDETERMINATE, EXIT_VALID)
MOST_TOKEN_BYTES: Final = 1 << 20


def add_command(commands: "Commands", name: str, text: str, epilog: str) -> argparse.ArgumentParser:
    """Add a command with its help; words are never abbreviated."""
    return commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def add_language(parser: argparse.ArgumentParser) -> None:
    """Add --lang."""
    parser.add_argument("--lang", choices=("zh", "en"), default="zh", help="输出语言 language of the output")


def complain(lang: str, zh: str, en: str) -> None:
    """Say on stderr what is wrong, in one language, on one line; what a service or a file says is made printable."""
    from elicense.client._report_text import printable

    print(printable(zh if lang == "zh" else en), file=sys.stderr)


def read_bounded(name: str, limit: int = MOST_TOKEN_BYTES) -> bytes:
    """Read a file, or stdin for `-`: at most one byte more than the limit, so that too much is seen as too much.

    What editors put around a text is dropped: a byte order mark before it, white space on both sides. Raises OSError
    for what cannot be read, a closed stdin included.
    """
    if name == "-":
        if sys.stdin is None:  # a process started without one (`<&-`)
            raise OSError(errno.EBADF, "标准输入已关闭 stdin is closed", name)
        return trimmed(sys.stdin.buffer.read(limit + 1))
    with Path(name).open("rb") as file:
        return trimmed(file.read(limit + 1))


def read_file(path: Path, limit: int) -> bytes:
    """Read a file as it stands: at most one byte more than the limit, so that too much is seen as too much."""
    with path.open("rb") as file:
        return file.read(limit + 1)


def cannot_read(name: str, error: OSError, lang: str) -> int:
    """Say that a file cannot be read, and return the exit code."""
    complain(lang, f"无法读取 {name}:{error.strerror}", f"cannot read {name}: {error.strerror}")
    return EXIT_ERROR


def cannot_write(name: str, error: OSError, lang: str) -> int:
    """Say that a file cannot be written, and return the exit code."""
    from elicense.client._report_text import printable

    shown = printable(name)
    complain(lang, f"无法写入 {shown}:{error.strerror}", f"cannot write {shown}: {error.strerror}")
    return EXIT_ERROR


def cannot_trust(error: "TrustError", lang: str) -> int:
    """Say that trust material cannot be used, and return the exit code."""
    complain(lang, f"信任材料不可用:{error.detail}", f"trust material cannot be used: {error.detail}")
    return EXIT_ERROR


def exit_of(verdict: "Verdict") -> int:
    """Give the exit code of a verdict."""
    exits = {"valid": EXIT_VALID, "invalid": EXIT_INVALID, "indeterminate": EXIT_INDETERMINATE}
    return exits[verdict.value]


def read_moment(text: str) -> datetime:
    """Read a moment from the command line: RFC 3339 with its zone, or a civil day for its 00:00 at +08:00."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            "不是时间,应如 2026-03-01T12:00:00+08:00 not a time such as 2026-03-01T12:00:00+08:00"
        ) from None
    if len(text) == len("2026-03-01"):
        from elicense.encoding import CHINA

        moment = moment.replace(tzinfo=CHINA)  # a civil day begins at 00:00 +08:00
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError(
            "时间缺少时区,如 Z 或 +08:00 the time lacks its zone, for example Z or +08:00"
        )
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise argparse.ArgumentTypeError("UTC 中没有此时间 no such time in UTC") from None
