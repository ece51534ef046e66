"""`elicense setup apply`: definitions from a file into the register."""

import argparse

from app.adapters.setup_files import SetupFileError, read_setup_file
from app.cli.common import DONE, UsageError, complain, guarded, say, settings_of, with_services
from app.domain.authority import SetupOutcome
from app.services.container import Services

_VERBS = (("added", "新增"), ("changed", "变更"), ("unchanged", "不变"))
_KINDS = {
    "areas": "区域 areas",
    "license_types": "证照类型 license types",
    "authorities": "颁发机构 authorities",
}


def apply(arguments: argparse.Namespace) -> int:
    """Apply a file of definitions; applying it again changes nothing."""

    def command() -> int:
        try:
            plan = read_setup_file(arguments.file)
        except SetupFileError as error:
            for problem in error.problems:
                complain(problem)
            raise UsageError(f"{arguments.file}: {len(error.problems)} 处错误 problems") from error

        async def work(services: Services) -> int:
            outcome = await services.directory.apply(plan, dry_run=arguments.dry_run, actor="cli")
            _report(outcome, dry_run=arguments.dry_run)
            return DONE

        return with_services(settings_of(arguments.data_dir), work, uninitialized=True)

    return guarded(command)


def _report(outcome: SetupOutcome, *, dry_run: bool) -> None:
    if dry_run:
        say("试运行,未保存 dry run, nothing stored")
    for kind, title in _KINDS.items():
        for verb, zh in _VERBS:
            codes = getattr(outcome, verb).get(kind, ())
            shown = "" if verb == "unchanged" else "  " + " ".join(codes)
            say(f"{title}: {zh} {verb} {len(codes)}{shown}".rstrip())
    if not dry_run and any(outcome.added.get(kind) or outcome.changed.get(kind) for kind in _KINDS):
        complain(
            "机构或权限有变化时,请运行 elicense keys publish-trust-list(首次用 keys init)。 "
            "When authorities or scopes changed, run elicense keys publish-trust-list (keys init the first time)."
        )
