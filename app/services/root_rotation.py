"""Renew the trust root: version n+1 is signed by the thresholds of n and of its own, one version at a time.

Whoever pinned any earlier version follows the chain. Statements about compromised keys count only under the newest
root, so they are signed again; root, statements, and the trust list made under it are stored in one transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from app.domain.errors import DomainError
from app.domain.key_history import KeyChanges, KeyCompromise
from app.domain.publication import DocumentKind, SignedDocument
from app.ports import RootKeys
from app.services.key_making import PROFILE
from app.services.trust_publication import TrustPublisher, TrustState
from elicense.compromise import build_compromise_payload, sign_compromise
from elicense.jws import sign_general
from elicense.keys import PublicKey, Signer
from elicense.trust_root import (
    TRUST_ROOT_TYP,
    TrustRoot,
    build_trust_root_payload,
    parse_trust_root,
    verify_root_chain,
)

ROOT_LIFETIME = timedelta(days=3652)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedRoot:
    """The new root: its version and digest (hex), and the trust list published under it."""

    version: int
    sha256: str
    trust_list_sequence: int


class RootRotation:
    """Makes the next version of the trust root."""

    def __init__(self, *, publisher: TrustPublisher, env: str) -> None:
        self._publisher = publisher
        self._env = env

    async def rotate(
        self,
        *,
        root_keys: RootKeys,
        issuer_url: str,
        new_root_keys: bool = False,
        new_list_keys: bool = False,
        dropped: Collection[str] = (),
    ) -> RotatedRoot:
        """Publish the next root with new keys for a whole role, or with new ones for those `dropped` (key ids).

        Cut off half-way it is run again: the keys of a version keep their names until the version is stored. Raises
        DomainError `unavailable` without a root, or with too few keys of either root (those dropped sign neither) at
        hand; `conflict` when others were faster.
        """
        made: list[TrustRoot] = []

        async def plan(state: TrustState, now: datetime) -> KeyChanges:
            if state.root is None:
                raise DomainError("unavailable", "there is no trust root yet: run `elicense keys init`")
            before = parse_trust_root(state.root.content)
            version = before.version + 1
            root_roles = _next_keys(
                before.root_keys, root_keys.make_root_keys, version, new_root_keys, dropped
            )
            list_roles = _next_keys(
                before.list_keys, root_keys.make_list_keys, version, new_list_keys, dropped
            )
            content = self._sign(
                root_keys,
                before,
                root_roles=root_roles,
                list_roles=list_roles,
                dropped=dropped,
                expires=now + ROOT_LIFETIME,
            )
            root = parse_trust_root(content)
            made.append(root)
            document = SignedDocument(
                kind=DocumentKind.TRUST_ROOT,
                sequence=root.version,
                content=content,
                sha256=root.sha256,
                issued_at=now,
                expires_at=root.expires,
            )
            return KeyChanges(root=document, compromised=self._sign_statements_again(root_keys, root, state))

        published = await self._publisher.publish(root_keys=root_keys, issuer_url=issuer_url, plan=plan)
        root = made[-1]
        return RotatedRoot(version=root.version, sha256=root.sha256, trust_list_sequence=published.sequence)

    def _sign(
        self,
        root_keys: RootKeys,
        before: TrustRoot,
        *,
        root_roles: Sequence[PublicKey],
        list_roles: Sequence[PublicKey],
        dropped: Collection[str],
        expires: datetime,
    ) -> bytes:
        payload = build_trust_root_payload(
            env=before.env,
            version=before.version + 1,
            root_keys=root_roles,
            root_threshold=before.root_threshold,
            list_keys=list_roles,
            list_threshold=before.list_threshold,
            expires=expires,
            type_base=before.type_base,
        )
        of_old = [key for key in before.root_keys if key.kid not in dropped]
        # A key that is given up because it may be in other hands must not be needed, and so does not sign either.
        signers = {
            **{signer.kid: signer for signer in signers_of(root_keys, of_old, before.root_threshold)},
            **{signer.kid: signer for signer in signers_of(root_keys, root_roles, before.root_threshold)},
        }
        content = sign_general(typ=TRUST_ROOT_TYP, payload=payload, signers=list(signers.values()))
        # As everybody who pinned the version before will read it.
        verify_root_chain(before.raw, [before.raw, content])
        return content

    def _sign_statements_again(
        self, root_keys: RootKeys, root: TrustRoot, state: TrustState
    ) -> Sequence[KeyCompromise]:
        signers = signers_of(root_keys, root.root_keys, root.root_threshold)
        return [
            replace(
                one, statement=sign_statement(one, env=self._env, signers=signers), root_version=root.version
            )
            for one in state.compromises.values()
        ]


class _Make(Protocol):
    def __call__(self, count: int, *, profile: str, version: int) -> Sequence[Signer]: ...


def _next_keys(
    held: Sequence[PublicKey], make: _Make, version: int, all_new: bool, dropped: Collection[str]
) -> Sequence[PublicKey]:
    """Return a role's keys in the next root: those kept, and a new one for each that goes."""
    kept = [key for key in held if not all_new and key.kid not in dropped]
    going = len(held) - len(kept)
    made = make(going, profile=PROFILE, version=version) if going else ()
    return [*kept, *(signer.public_key for signer in made)]


def sign_statement(compromise: KeyCompromise, *, env: str, signers: Sequence[Signer]) -> bytes:
    """Sign what is declared about a key with root keys."""
    payload = build_compromise_payload(
        env=env,
        kid=compromise.kid,
        use=compromise.use,
        since=compromise.since,
        checkpoint=compromise.checkpoint,
    )
    return sign_compromise(payload, signers=signers)


def signers_of(root_keys: RootKeys, keys: Sequence[PublicKey], threshold: int) -> Sequence[Signer]:
    """Return those of a root's keys that are at hand. Raises DomainError `unavailable` below the threshold."""
    wanted = {key.kid for key in keys}
    found = [signer for signer in root_keys.root_signers() if signer.kid in wanted]
    if len(found) < threshold:
        raise DomainError("unavailable", f"{threshold} root keys are needed, {len(found)} are at hand")
    return found
