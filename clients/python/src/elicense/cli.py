"""The command `elicense`: verify and inspect credentials, receipts and evidence offline, keep the bundle current.

Further commands come from the entry-point group `elicense.commands`, loaded only for words that are not its own, so
that verifying never pays for a server that happens to be installed.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, NoReturn

from elicense.cli_common import EXIT_ERROR, EXIT_INTERRUPTED, EXIT_USAGE
from elicense.cli_key_id import mark_key_id
from elicense.cli_receipt import add_verify_receipt
from elicense.cli_streams import cannot_go_on, usable_streams
from elicense.cli_trust import add_trust
from elicense.cli_verify import add_inspect, add_verify

if TYPE_CHECKING:
    from elicense.cli_common import Commands

COMMAND_GROUP: Final = "elicense.commands"
_OWN_WORDS: Final = frozenset({"verify", "verify-receipt", "inspect", "trust"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code; argparse ends wrong usage with 2 by itself.

    Nothing but a judgement exits with 1: output that could not be written, input that is closed, a lack of memory and
    faults of the program itself end in one line on stderr and exit 4.
    """
    try:
        with usable_streams():
            return _run(list(sys.argv[1:] if argv is None else argv))
    except BrokenPipeError:
        return EXIT_ERROR  # the reader of our output went away: nothing is left to say
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:  # noqa: BLE001  # Python itself would exit with 1, "invalid"
        return cannot_go_on(error)


def _run(words: list[str]) -> int:
    parser = _build_parser()
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    add_own_commands(commands)
    if not words or words[0] not in _OWN_WORDS:
        _load_more_commands(commands)
    arguments = parser.parse_args([mark_key_id(word) for word in words])
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def add_own_commands(commands: "Commands") -> None:
    """Add the commands that need the SDK alone."""
    add_verify(commands)
    add_verify_receipt(commands)
    add_inspect(commands)
    add_trust(commands)


class _Parser(argparse.ArgumentParser):
    """Says in both languages that a command line cannot be meant; its commands are of this class, too."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"{self.prog}: 用法错误 usage: {message}\n")


def _build_parser() -> argparse.ArgumentParser:
    from elicense import __version__

    parser = _Parser(
        prog="elicense",
        description="电子证照:核验、查看、更新信任数据。 Electronic licenses: verify, inspect, keep trust current.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"elicense {__version__}")
    return parser


def _load_more_commands(commands: "Commands") -> None:
    for entry in entry_points(group=COMMAND_GROUP):
        register: Callable[[Commands], None] = entry.load()
        register(commands)


if __name__ == "__main__":
    sys.exit(main())
