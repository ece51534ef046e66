"""`elicense keys`: the key ceremony. Nothing else ever opens the root folder (but the demonstration's first run)."""

import argparse
from collections.abc import Mapping

from app.bootstrap import open_root_keys
from app.cli.common import DONE, UsageError, guarded, say, say_json, settings_of, table, with_services
from app.services.container import Services


def init(arguments: argparse.Namespace) -> int:
    """Make every key and trust document that is missing."""

    def command() -> int:
        settings = settings_of(arguments.data_dir, issuer_url=arguments.issuer_url)

        async def work(services: Services) -> int:
            held = await services.store.read(lambda unit: unit.installation.get())
            if held is None and settings.issuer_url is None:
                raise UsageError(
                    "--issuer-url 或 or ELICENSE_ISSUER_URL: 首次须给出签发者地址 needed the first time"
                )
            outcome = await services.ceremony.init(
                root_keys=open_root_keys(settings), issuer_url=services.issuer_url
            )
            for made in outcome.made:
                say(f"已生成 made: {made}")
            say(
                f"信任根版本 trust root {outcome.root_version},信任列表序号 trust list {outcome.trust_list_sequence}"
            )
            return DONE

        return with_services(settings, work, uninitialised=True)

    return guarded(command)


def list_keys(arguments: argparse.Namespace) -> int:
    """List the public keys of the installation."""

    async def work(services: Services) -> int:
        rows: list[Mapping[str, str]] = [
            {
                "kid": key.kid,
                "use": key.use,
                "profile": key.profile,
                "authority": key.authority_code or "",
                "private": key.uri,
                "valid_from": key.valid_from.isoformat(timespec="seconds"),
                "valid_until": key.valid_until.isoformat(timespec="seconds"),
            }
            for key in await services.ceremony.keys()
        ]
        if arguments.json:
            say_json(rows)
        else:
            table(rows)
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialised=True))


def publish_trust_list(arguments: argparse.Namespace) -> int:
    """Make keys for new authorities and publish the next trust list."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)

        async def work(services: Services) -> int:
            document = await services.ceremony.publish_trust_list(root_keys=open_root_keys(settings))
            say(f"信任列表 trust list {document.sequence}  sha256 {document.sha256}")
            return DONE

        return with_services(settings, work)

    return guarded(command)
