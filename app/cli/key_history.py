"""`elicense keys rotate|compromise|re-sign|retire-witness`: renewing keys, and what to do when one may be lost."""

import argparse
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from app.bootstrap import open_root_keys
from app.cli.common import (
    DONE,
    REFUSED,
    UsageError,
    duration,
    guarded,
    say,
    say_json,
    settings_of,
    with_services,
)
from app.cli.progress import progress
from app.services.container import Services
from app.services.key_compromise import Declared
from app.services.key_rotation import Rotated
from app.services.resigning import Resigned
from app.services.root_rotation import RotatedRoot
from app.settings import Settings
from elicense.encoding import CHINA, rfc3339

ROOT, LIST = "root", "list"


def rotate(arguments: argparse.Namespace) -> int:
    """Make and list the next key of a use, or the next trust root."""
    return guarded(lambda: _rotate(arguments))


def compromise(arguments: argparse.Namespace) -> int:
    """Declare a key compromised, replace it, publish the list that says so."""
    return guarded(lambda: _compromise(arguments))


def resign(arguments: argparse.Namespace) -> int:
    """Sign licenses again whose credential a compromised key has left without worth; exit 1 when some were refused."""
    return guarded(lambda: _resign(arguments))


def retire_witness(arguments: argparse.Namespace) -> int:
    """End the window of a witness's key and publish the list that says so."""

    async def work(services: Services, settings: Settings) -> int:
        document = await services.ceremony.retire_witness(arguments.name, root_keys=open_root_keys(settings))
        say(f"已停用见证方 retired witness {arguments.name};信任列表 trust list {document.sequence}")
        return DONE

    return guarded(lambda: _run(arguments, work))


def _rotate(arguments: argparse.Namespace) -> int:
    begins, overlap = _moment(arguments.at, "--at"), _overlap(arguments.overlap)
    of_root = arguments.use in (ROOT, LIST)
    if of_root and (begins or overlap or arguments.authority):
        raise UsageError("--at --overlap --authority: 信任根即时生效 a new root counts at once")
    if arguments.list_keys and arguments.use != ROOT:
        raise UsageError("--list-keys: 仅用于 only with `rotate root`")

    async def work(services: Services, settings: Settings) -> int:
        root_keys = open_root_keys(settings)
        if of_root:
            root = await services.key_rotation.rotate_root(
                root=arguments.use == ROOT,
                trust_list=arguments.use == LIST or arguments.list_keys,
                root_keys=root_keys,
                issuer_url=services.issuer_url,
            )
            return _show_root(root, as_json=arguments.json)
        rotated = await services.key_rotation.rotate(
            arguments.use,
            authority_code=arguments.authority,
            at=begins,
            overlap=overlap,
            root_keys=root_keys,
            issuer_url=services.issuer_url,
        )
        return _show_rotated(rotated, as_json=arguments.json)

    return _run(arguments, work)


def _compromise(arguments: argparse.Namespace) -> int:
    since = _moment(arguments.since, "--since")
    if since is None:
        raise UsageError("--since: 须给出时间 a time is needed")

    async def work(services: Services, settings: Settings) -> int:
        declared = await services.key_compromise.declare(
            arguments.kid,
            since=since,
            reason=arguments.reason,
            root_keys=open_root_keys(settings),
            issuer_url=services.issuer_url,
        )
        if declared.root is not None:
            return _show_root(declared.root, as_json=arguments.json)
        return _show_declared(declared, as_json=arguments.json)

    return _run(arguments, work)


def _resign(arguments: argparse.Namespace) -> int:
    async def work(services: Services, settings: Settings) -> int:
        kid: str | None = arguments.kid
        total = await services.resigning.count(kid)
        if arguments.dry_run:
            done = Resigned(affected=total)
        else:
            with progress("重新签发 signing again", total) as step:
                done = await services.resigning.run(kid, progress=step)
        if arguments.json:
            say_json(
                {
                    "dry_run": arguments.dry_run,
                    "affected": done.affected,
                    "resigned": done.resigned,
                    "refused": [{"license_id": one, "code": code} for one, code in done.refused.items()],
                }
            )
        else:
            say(f"受影响 affected {done.affected},已重新签发 signed again {done.resigned}")
            for license_id, code in done.refused.items():
                say(f"未能重新签发 refused {license_id} [{code}]")
        return REFUSED if done.refused else DONE

    return _run(arguments, work)


def _run(arguments: argparse.Namespace, work: Callable[[Services, Settings], Awaitable[int]]) -> int:
    settings = settings_of(arguments.data_dir)
    return with_services(settings, lambda services: work(services, settings))


def _show_rotated(rotated: Rotated, *, as_json: bool) -> int:
    old, new = rotated.old, rotated.new
    if as_json:
        say_json(
            {
                "use": new.use,
                "old": old.kid,
                "new": new.kid,
                "valid_from": rfc3339(new.valid_from),
                "trust_list": rotated.trust_list_sequence,
            }
        )
        return DONE
    say(f"新密钥 new key {new.kid}")
    say(f"自此签发 signs from {rfc3339(new.valid_from)};旧密钥 old key {old.kid}")
    say(f"信任列表 trust list {rotated.trust_list_sequence}")
    return DONE


def _show_root(root: RotatedRoot, *, as_json: bool) -> int:
    if as_json:
        say_json({"root": root.version, "sha256": root.sha256, "trust_list": root.trust_list_sequence})
        return DONE
    say(f"信任根 trust root {root.version}  sha256 {root.sha256}")
    say(f"信任列表 trust list {root.trust_list_sequence}")
    return DONE


def _show_declared(declared: Declared, *, as_json: bool) -> int:
    one = declared.compromise
    assert one is not None  # a key of the trust root is shown as a root
    replacement = declared.replacement
    if as_json:
        say_json(
            {
                "kid": one.kid,
                "use": one.use,
                "since": rfc3339(one.since),
                "log_origin": one.log_origin,
                "log_size": one.log_size,
                "witnessed": one.witnessed,
                "replacement": replacement.kid if replacement is not None else None,
                "next_origin": declared.next_origin,
                "trust_list": declared.trust_list_sequence,
            }
        )
        return DONE
    say(f"已宣布泄露 declared compromised: {one.kid} ({one.use}) since {rfc3339(one.since)}")
    if one.log_origin is None:
        say("此前日志无任何检查点:其全部签名失效 nothing was logged before: none of its signatures counts")
    else:
        say(f"保留 kept: {one.log_origin} < {one.log_size}")
    if one.log_origin is not None and not one.witnessed:
        say("注意:此前没有见证方联署,该状态仅凭本系统自述。")
        say(
            "NOTE: no witness had cosigned before then; that this state is older is this register's own word alone."
        )
    if replacement is not None:
        say(f"替代密钥 replacement: {replacement.kid}")
    if declared.next_origin is not None:
        say(f"日志改用 the log goes on as: {declared.next_origin}")
    say(f"信任列表 trust list {declared.trust_list_sequence}")
    if one.use == "credential":
        say("下一步 next: elicense keys re-sign")
    return DONE


def _moment(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option}: 时间格式 a time such as 2026-03-01T12:00:00Z") from None
    if len(text) == len("2026-03-01"):
        moment = moment.replace(tzinfo=CHINA)  # a civil day begins at 00:00 +08:00
    if moment.tzinfo is None:
        raise UsageError(f"{option}: 须带时区 the time lacks its zone, for example Z or +08:00")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{option}: 时间超出范围 the time is out of range") from None


def _overlap(text: str | None) -> timedelta | None:
    return None if text is None else duration(text, option="--overlap")
