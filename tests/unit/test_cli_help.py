"""`--help` of every command: examples that this very command line takes, exit codes, no option unexplained."""

import argparse
import re
import shlex
from collections.abc import Iterator

import pytest

from app.cli import register
from elicense.cli import add_own_commands


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="elicense")
    commands = parser.add_subparsers(required=True)
    add_own_commands(commands)
    register(commands)
    return parser


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for inner in group.choices.values():
            yield from _commands(inner)


COMMANDS = {command.prog: command for command in _commands(_parser())}


def _examples(epilog: str) -> list[list[str]]:
    """Return the words after `elicense` of every example; settings before it and continued lines are allowed."""
    whole = epilog.replace("\\\n", " ")
    return [shlex.split(found) for found in re.findall(r"^  (?:[A-Z_]+=\S+ )*elicense (.*)$", whole, re.M)]


def test_all_commands_are_looked_at() -> None:
    assert {
        "elicense serve",
        "elicense keys init",
        "elicense verify-receipt",
        "elicense trust update",
    } < COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_examples_of_the_command_that_it_takes(name: str) -> None:
    examples = _examples(COMMANDS[name].epilog or "")
    assert examples
    for words in examples:
        assert ["elicense", *words][: len(name.split())] == name.split()
        _parser().parse_args(words)  # wrong usage ends the test with SystemExit


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_the_exit_codes_and_explains_every_argument(name: str) -> None:
    assert re.search(r"退出码 exit codes:\s+0 ", COMMANDS[name].epilog or "")
    assert [action.dest for action in COMMANDS[name]._actions if not action.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_help_is_in_both_languages(name: str) -> None:
    told = {
        action.dest: re.sub(r"--[a-z-]+|elicense [a-z -]+", "", action.help or "")
        for action in COMMANDS[name]._actions
        if action.dest != "help"  # argparse's own
    }
    told["what it does"] = COMMANDS[name].description or ""
    alone = [
        dest
        for dest, text in told.items()
        if not (re.search("[\u4e00-\u9fff]", text) and re.search("[a-z]{3}", text))
    ]
    assert alone == []
