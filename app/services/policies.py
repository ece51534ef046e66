"""Policies of relying parties: made from the parts of the presets, named, versioned, never changed.

A version is what receipts name by digest, so it stays as it was made for good; other parts make the next one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.api_client import Caller
from app.domain.directory import Directory
from app.domain.errors import DomainError, FieldError, NotFound
from app.domain.ids import ClientId
from app.domain.policy import OwnPolicy
from app.ports import IdempotentCall, Store, StoredAnswer, UnitOfWork
from app.services.answers import JSON, moment_json
from app.services.attempts import write_or_repeat
from app.services.audit import add_audit
from app.services.directory import DirectoryService
from app.services.signing_clock import SigningClock
from app.services.write_guard import WriteGuard
from elicense.encoding import JsonValue, dump_json
from elicense.own_policy import (
    PolicyError,
    is_policy_name,
    make_policy,
    parse_reference,
    parts_of,
    policy_json,
)
from elicense.policy import PRESETS, Policy

_LAST_VERSION = 999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A policy as a caller sees it; a preset was never created."""

    policy: Policy
    created_at: datetime | None

    def to_json(self) -> dict[str, object]:
        """Return it as the API shows it: a policy file, with when it was made beside it."""
        created = moment_json(self.created_at)
        return {**policy_json(self.policy), "preset": self.policy.id in PRESETS, "created_at": created}


class PolicyService:
    """Makes and finds policies. Each belongs to the client that made it; presets belong to all."""

    def __init__(
        self, *, store: Store, signing_clock: SigningClock, directory: DirectoryService, guard: WriteGuard
    ) -> None:
        self._store = store
        self._signing_clock = signing_clock
        self._directory = directory
        self._guard = guard

    async def put(
        self, name: str, parts: Mapping[str, JsonValue], *, caller: Caller, call: IdempotentCall | None
    ) -> StoredAnswer:
        """Make version 1, or the next one, and answer 201; parts that the newest version has answer it with 200.

        Raises DomainError invalid_request for a preset's name or a part that cannot be, unknown_type, unknown_area,
        conflict beyond the last version, and the refusals of the idempotency key.
        """
        self._guard.require_writable()
        wanted = read_policy(name, parts)
        _require_known(wanted, await self._directory.snapshot())
        client_id = caller.client.id

        async def work(unit: UnitOfWork, at: datetime) -> tuple[StoredAnswer, StoredAnswer]:
            newest = await unit.policies.get(client_id, name)
            if newest is not None and parts_of(newest.policy) == parts_of(wanted):
                answer = _answer(newest, status=200)
                return answer, answer
            version = 1 if newest is None else newest.policy.version + 1
            if version > _LAST_VERSION:
                raise DomainError("conflict", "this policy has as many versions as there can be")
            made = OwnPolicy(
                client_id=ClientId(client_id),
                policy=read_policy(name, parts, version=version),
                created_at=at.replace(microsecond=0),
            )
            await unit.policies.add(made)
            await add_audit(unit, ("policy.create", f"{name}@{version}"), caller=caller, at=at)
            answer = _answer(made, status=201)
            return answer, answer

        return await write_or_repeat(self._store, self._signing_clock, work, call=call)

    async def get(self, name: str, *, version: int | None, caller: Caller) -> Shown:
        """Return a preset or one of the caller's own policies, the newest version when none is named.

        Raises NotFound, also for another client's.
        """
        preset = PRESETS.get(name)
        if preset is not None and version in (None, preset.version):
            return Shown(policy=preset, created_at=None)
        if not is_policy_name(name):
            raise NotFound("policy")
        client_id = caller.client.id
        found = await self._store.read(lambda unit: unit.policies.get(client_id, name, version=version))
        if found is None:
            raise NotFound("policy")
        return Shown(policy=found.policy, created_at=found.created_at)

    async def page(self, *, caller: Caller, after: str, limit: int) -> Sequence[Shown]:
        """Return the newest version of each policy the caller can name, presets among them, by name after `after`."""
        client_id = caller.client.id
        own = await self._store.read(lambda unit: unit.policies.page(client_id, after=after, limit=limit))
        shown = [Shown(policy=one.policy, created_at=one.created_at) for one in own]
        shown += [Shown(policy=preset, created_at=None) for name, preset in PRESETS.items() if name > after]
        return sorted(shown, key=lambda one: one.policy.id)[:limit]

    async def resolve(self, named: Collection[str], *, client_id: str) -> Mapping[str, Policy]:
        """Return the policies that are meant by names or name@version; those that mean none are left out."""
        found: dict[str, Policy] = {}
        own: list[tuple[str, str, int | None]] = []
        for text in named:
            try:
                name, version = parse_reference(text)
            except ValueError:
                continue
            preset = PRESETS.get(name)
            if preset is None:
                own.append((text, name, version))
            elif version in (None, preset.version):
                found[text] = preset
        if not own:
            return found

        async def read(unit: UnitOfWork) -> None:
            for text, name, version in own:
                held = await unit.policies.get(client_id, name, version=version)
                if held is not None:
                    found[text] = held.policy

        await self._store.read(read)
        return found


def read_policy(name: str, parts: Mapping[str, JsonValue], *, version: int = 1) -> Policy:
    """Make a policy of what a caller sent. Raises DomainError `invalid_request` at the part that cannot be."""
    try:
        return make_policy(name, parts, version=version)
    except PolicyError as error:
        wrong = FieldError(error.pointer, error.text.en, error.text.zh)
        raise DomainError("invalid_request", str(error), errors=[wrong]) from None


def _require_known(policy: Policy, directory: Directory) -> None:
    # A misspelled type would make every license `outside_policy`, and nobody would ask why.
    for index, code in enumerate(policy.types):
        if code not in directory.license_types:
            at = FieldError(f"/parts/types/{index}", "names no license type", "不是已定义的证照类型")
            raise DomainError("unknown_type", "a type of the policy is not known", errors=[at])
    for index, prefix in enumerate(policy.areas):
        if not any(code.startswith(prefix) for code in directory.areas):
            at = FieldError(f"/parts/areas/{index}", "names no area", "不是已定义的区域")
            raise DomainError("unknown_area", "an area of the policy is not known", errors=[at])


def _answer(own: OwnPolicy, *, status: int) -> StoredAnswer:
    policy = own.policy
    body = Shown(policy=policy, created_at=own.created_at).to_json()
    headers = {
        "Location": f"/v1/policies/{policy.id}?version={policy.version}",
        "Content-Type": JSON,
    }
    return StoredAnswer(status=status, headers=headers, body=dump_json(body))
