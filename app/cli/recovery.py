"""`elicense recover`: what a restored database lacks, and going on without it."""

import argparse
from collections.abc import Sequence

from app.cli.common import DONE, REFUSED, guarded, read_input, say, settings_of, with_services
from app.services.container import Services
from app.services.lost_changes import LostChange
from app.services.recovery import Loss, Recovered
from elicense.bundle import MAX_BUNDLE_BYTES
from elicense.report import rfc3339
from elicense.signed_note import Checkpoint
from elicense.trust_root import MAX_ROOT_BYTES

ACTOR = "recover"


def recover(arguments: argparse.Namespace) -> int:
    """Show what is missing, put a trust root back, or accept the loss; exit 1 while something is missing."""

    def command() -> int:
        root = None if arguments.trust_root is None else read_input(arguments.trust_root, MAX_ROOT_BYTES)
        bundle = None if arguments.bundle is None else read_input(arguments.bundle, MAX_BUNDLE_BYTES)

        async def work(services: Services) -> int:
            if root is not None:
                version = await services.recovery.restore_root(root, actor=ACTOR)
                say(f"已放回信任根 trust root put back: {version}")
            if not arguments.accept_loss:
                shown = _show(await services.recovery.loss(), await services.recovery.forgotten_logs())
                if bundle is not None:
                    _list(await services.recovery.lost_changes(bundle))
                return shown
            recovered = await services.recovery.accept_loss(actor=ACTOR, bundle=bundle)
            for one in await services.recovery.accept_forgotten_logs(actor=ACTOR):
                say(
                    f"按数据库所发布者继续 goes on from what this database published: {one.origin} {one.size}"
                )
            return _show(None, ()) if recovered is None else _tell(recovered)

        return with_services(settings_of(arguments.data_dir), work)

    return guarded(command)


def _show(loss: Loss | None, forgotten: Sequence[Checkpoint]) -> int:
    if loss is None and not forgotten:
        say("数据库无缺失 nothing is missing")
        return DONE
    if loss is not None:
        _name(loss)
    for one in forgotten:
        say(f"log-heads.json 中没有 log-heads.json does not know: {one.origin} {one.size}")
    say("接受缺失 to accept the loss: elicense recover --accept-loss")
    return REFUSED


def _name(loss: Loss) -> None:
    since = "?" if loss.since is None else rfc3339(loss.since)
    say(f"缺失时段 gap: {since} … {rfc3339(loss.until)}")
    for one in loss.missing:
        say(f"缺失 missing: {one.zh} {one.en}")
    for name, count in sorted(loss.rows.items()):
        say(f"至少缺失的行 rows lost, at least: {name} {count}")


def _list(changes: Sequence[LostChange]) -> None:
    for one in changes:
        say(f"丢失的状态变更 lost change: {one.identifier} {one.published}")


def _tell(recovered: Recovered) -> int:
    _name(recovered.loss)
    for list_id, count in sorted(recovered.voided.items()):
        say(f"作废的状态索引 indices set to invalid: {list_id} {count}")
    _list(recovered.held)
    if recovered.held:
        say(f"已暂停,待颁发机构重新决定 suspended until their departments decide: {len(recovered.held)}")
    for still in recovered.todo:
        say(f"待办 still to do: {still.zh} {still.en}")
    if recovered.todo:
        return REFUSED
    say("已接受缺失,服务恢复写入 the loss is accepted, the service writes again")
    return DONE
