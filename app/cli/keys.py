"""`elicense keys`: the key ceremony. Nothing else ever opens the root folder (but the demonstration's first run)."""

import argparse
from collections.abc import Mapping

from app.bootstrap import open_root_keys
from app.cli.common import DONE, UsageError, guarded, say, say_json, settings_of, table, with_services
from app.domain.publication import ServiceKey
from app.services.container import Services
from app.services.key_register import WITNESS, WITNESS_SCHEME
from elicense.keys import PublicKey
from elicense.signed_note import NOTE_KEY_COSIGNATURE, verifier_key


def init(arguments: argparse.Namespace) -> int:
    """Make every key and trust document that is missing."""

    def command() -> int:
        settings = settings_of(arguments.data_dir, issuer_url=arguments.issuer_url)

        async def work(services: Services) -> int:
            held = await services.store.read(lambda unit: unit.installation.get())
            if held is None and settings.first_issuer_url is None:
                raise UsageError(
                    "--issuer-url 或 or ELICENSE_ISSUER_URL:首次须给出签发者地址 needed the first time"
                )
            outcome = await services.ceremony.init(
                root_keys=open_root_keys(settings), issuer_url=services.issuer_url
            )
            for made in outcome.made:
                say(f"已生成 made: {made}")
            # For the note of the ceremony: whoever gets the root over a network compares it with this.
            say(f"信任根 trust root {outcome.root_version}  sha256 {outcome.root_sha256}")
            say(f"信任列表 trust list {outcome.trust_list_sequence}  sha256 {outcome.trust_list_sha256}")
            return DONE

        return with_services(settings, work, uninitialized=True)

    return guarded(command)


def list_keys(arguments: argparse.Namespace) -> int:
    """List the public keys of the installation."""

    async def work(services: Services) -> int:
        declared = await services.store.read(lambda unit: unit.keys.compromises())
        lost = {one.kid: one.since for one in declared}
        rows: list[Mapping[str, str]] = [
            {
                "kid": key.kid,
                "use": key.use,
                "profile": key.profile,
                "authority": key.authority_code or "",
                "private": key.uri,
                "vkey": note_key(key),
                "valid_from": key.valid_from.isoformat(timespec="seconds"),
                "valid_until": key.valid_until.isoformat(timespec="seconds"),
                "compromised": lost[key.kid].isoformat(timespec="seconds") if key.kid in lost else "",
            }
            for key in await services.ceremony.keys()
        ]
        if arguments.json:
            say_json(rows)
        else:
            table(rows)
        return DONE

    return guarded(lambda: with_services(settings_of(arguments.data_dir), work, uninitialized=True))


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


def note_key(key: ServiceKey) -> str:
    """Return the key of a log (by its origin) or a witness as other log tools take it, empty for all others."""
    if key.origin is not None:
        return verifier_key(key.origin, PublicKey.from_jwk(key.jwk, profile=key.profile))
    if key.use == WITNESS:
        name, public = (
            key.uri.removeprefix(WITNESS_SCHEME),
            PublicKey.from_jwk(key.jwk, profile=key.profile),
        )
        return verifier_key(name, public, kind=NOTE_KEY_COSIGNATURE)
    return ""


def add_witness(arguments: argparse.Namespace) -> int:
    """Register a witness of the log and publish the trust list that names it."""

    def command() -> int:
        settings = settings_of(arguments.data_dir)

        async def work(services: Services) -> int:
            document = await services.ceremony.add_witness(
                arguments.name, arguments.vkey, root_keys=open_root_keys(settings)
            )
            say(f"已登记见证方 witness {arguments.name};信任列表 trust list {document.sequence}")
            return DONE

        return with_services(settings, work)

    return guarded(command)
