"""`elicense log`: the witness, a process of its own with a key of its own, and that key."""

import argparse
import signal
import threading
from datetime import timedelta
from pathlib import Path

from app.adapters.clock import SystemClock
from app.adapters.log_sources import FolderLog, HttpLog
from app.adapters.signers.key_files import KeyFileError, load_key_file, make_key_file
from app.adapters.witness_memory import WitnessMemoryError, WitnessMemoryFile
from app.cli.common import DONE, ERROR, REFUSED, UsageError, complain, duration, guarded, say
from app.services.witness import Refused, SourceError, Witness
from elicense.keys import PublicKey
from elicense.problems import FormatError
from elicense.signed_note import (
    NOTE_KEY_COSIGNATURE,
    NOTE_KEY_ED25519,
    parse_verifier_key,
    require_key_name,
    verifier_key,
)

PROFILE = "eddsa"


def witness_key(arguments: argparse.Namespace) -> int:
    """Make a witness's key, or show the public half of the one that is there."""

    def command() -> int:
        name = _name(arguments.name)
        try:
            signer = make_key_file(arguments.key, profile=PROFILE)
        except KeyFileError as error:
            raise UsageError(str(error)) from error
        say(verifier_key(name, signer.public_key, kind=NOTE_KEY_COSIGNATURE))
        return DONE

    return guarded(command)


def witness(arguments: argparse.Namespace) -> int:
    """Look at a log, sign what continues what was seen before; once, or again and again."""

    def command() -> int:
        source = _source(arguments)
        memory = WitnessMemoryFile(arguments.state)
        try:
            signer = load_key_file(arguments.key)
        except KeyFileError as error:
            if isinstance(error.__cause__, OSError):
                raise error.__cause__ from None  # a file that cannot be read, as with every other command
            raise UsageError(str(error)) from error
        if signer.profile.name != PROFILE:
            raise UsageError("--key: 须为 Ed25519 密钥 must be an Ed25519 key (elicense log witness-key)")
        one = Witness(
            source=source,
            memory=memory,
            name=_name(arguments.name),
            signer=signer,
            clock=SystemClock(),
            log_key=_log_key(arguments.log_key),
        )
        try:
            with memory.locked():
                memory.load()  # a damaged one is told whatever the log answers
                if arguments.once:
                    return _look(one, source)
                return _watch(one, source, duration(arguments.every, option="--every"))
        except WitnessMemoryError as error:
            complain(f"运行错误 error: {error}")
            return ERROR

    return guarded(command)


def _look(one: Witness, source: HttpLog | FolderLog) -> int:
    """Look once. A refused checkpoint ends a witness: its notes are the evidence, and it must not sign on."""
    try:
        seen = one.look()
    except Refused as refusal:
        complain(f"拒绝联署 refused [{refusal.reason}] {refusal}")
        for note in refusal.evidence:
            complain(note)
        return REFUSED
    except SourceError as error:
        complain(f"无法读取 could not read: {error}")
        return ERROR
    if not seen.is_new:
        return DONE
    say(seen.note)
    if isinstance(source, FolderLog):
        return DONE
    try:
        source.hand_in(seen.note)
    except SourceError as error:
        complain(f"无法提交 could not hand in: {error}")
        return ERROR
    return DONE


def _watch(one: Witness, source: HttpLog | FolderLog, pause: timedelta) -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    complain(f"见证进程已启动 witness started, every {pause.total_seconds():.0f} s")
    while not stop.is_set():
        if _look(one, source) == REFUSED:
            return REFUSED
        stop.wait(pause.total_seconds())
    return DONE


def _source(arguments: argparse.Namespace) -> HttpLog | FolderLog:
    folder: Path | None = arguments.log_dir
    if folder is not None:
        return FolderLog(folder)
    try:
        return HttpLog(arguments.base_url)
    except ValueError as error:
        raise UsageError(f"--base-url: {error}") from error


def _name(text: str) -> str:
    try:
        return require_key_name(text)
    except FormatError as error:
        raise UsageError(f"--name: {error.detail}") from error


def _log_key(text: str | None) -> tuple[str, PublicKey] | None:
    if text is None:
        return None
    try:
        origin, kind, key = parse_verifier_key(text)
    except FormatError as error:
        raise UsageError(f"--log-key: {error.detail}") from error
    if kind != NOTE_KEY_ED25519:
        raise UsageError("--log-key: 须为日志密钥 must be the key of a log")
    return origin, key
