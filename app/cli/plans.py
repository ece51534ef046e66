"""`elicense plans`: named quotas of clients."""

import argparse

from app.cli.common import DONE, guarded, say, say_json, settings_of, table, with_services
from app.domain.plan import Plan
from app.services.container import Services

_ACTOR = "cli"


def list_plans(arguments: argparse.Namespace) -> int:
    """List plans."""

    async def work(services: Services) -> int:
        plans = await services.plans.list()
        if arguments.json:
            say_json([_row(plan) for plan in plans])
        else:
            table(
                [
                    {name: "" if value is None else str(value) for name, value in _row(plan).items()}
                    for plan in plans
                ]
            )
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def put(arguments: argparse.Namespace) -> int:
    """Set a plan; the clients on it have its figures at once."""
    plan = Plan(
        name=arguments.name,
        calls_per_minute=arguments.calls_per_minute,
        burst=arguments.burst,
        calls_per_day=arguments.calls_per_day,
        batch_limit=arguments.batch_limit,
    )

    async def work(services: Services) -> int:
        await services.plans.put(plan, actor=_ACTOR)
        say(f"已设定 set: {plan.name}")
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


def _row(plan: Plan) -> dict[str, str | int | None]:
    return {
        "name": plan.name,
        "calls_per_minute": plan.calls_per_minute,
        "burst": plan.burst,
        "calls_per_day": plan.calls_per_day,
        "batch_limit": plan.batch_limit,
    }
