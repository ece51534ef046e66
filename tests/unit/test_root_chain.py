"""Roots follow one another by two thresholds, one version at a time, and nobody is led back or aside."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import Evidence, gather_offline, remember
from elicense.jws import sign_general
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.trust_list import parse_trust_list
from elicense.trust_root import TRUST_ROOT_TYP, parse_trust_root, verify_root_chain
from elicense.verify import verify_credential
from tests.simulator import NOW, Installation, SimulatedSigner


@pytest.fixture
def installation() -> Installation:
    """An installation whose root has been renewed twice."""
    made = Installation()
    made.rotate_root()
    made.rotate_root()
    return made


def gather(installation: Installation, pinned: bytes, **more: Any) -> Evidence:
    return gather_offline(trust_root=pinned, bundle=installation.bundle(), now=NOW, **more)


def signed_root(installation: Installation, *signers: SimulatedSigner) -> bytes:
    return sign_general(typ=TRUST_ROOT_TYP, payload=installation.root_payload(), signers=signers)


def test_whoever_pinned_any_version_reaches_the_newest(installation: Installation) -> None:
    roots = installation.roots()
    for pinned in (*roots, roots[0] + b"\n"):
        assert verify_root_chain(pinned, roots).version == 3
        assert gather(installation, pinned).refused() == ()
        evidence = gather(installation, pinned)
        assert verify_credential(installation.credential(), evidence=evidence, policy=DEFAULT_POLICY)


def test_a_chain_may_begin_after_the_first_root(installation: Installation) -> None:
    first, second, third = installation.roots()
    assert verify_root_chain(second, [second, third]).version == 3
    with pytest.raises(FormatError, match="pinned"):
        verify_root_chain(first, [second, third])


@pytest.mark.parametrize(
    ("pick", "passage"),
    [
        pytest.param(lambda roots: [roots[0], roots[2]], "follow", id="gap"),
        pytest.param(lambda roots: [roots[0], roots[1], roots[1], roots[2]], "follow", id="repeated"),
        pytest.param(lambda roots: [roots[0], roots[2], roots[1]], "follow", id="out of order"),
        pytest.param(lambda roots: roots[1:], "pinned", id="without the pinned one"),
        pytest.param(lambda roots: [], "pinned", id="none"),
        pytest.param(lambda roots: [roots[0]] * 1025, "more than", id="too many"),
        pytest.param(
            lambda roots: [*roots, Installation(root_version=4).trust_root()], "under the keys", id="stranger"
        ),
        pytest.param(
            lambda roots: [roots[0], Installation(root_version=2).trust_root(), roots[2]],
            "under the keys",
            id="forked",
        ),
    ],
)
def test_a_chain_with_a_fault_is_refused_whole(
    installation: Installation, pick: Callable[[list[bytes]], list[bytes]], passage: str
) -> None:
    roots = installation.roots()
    with pytest.raises(FormatError, match=passage):
        verify_root_chain(roots[0], pick(roots))


def test_a_new_root_needs_the_old_threshold_and_its_own() -> None:
    installation = Installation()
    old, pinned = installation.root_signers, installation.trust_root()
    installation.rotate_root()
    new = installation.root_signers
    assert verify_root_chain(pinned, [pinned, signed_root(installation, *old[1:], *new[:2])]).version == 2
    for signers in ([*new[:2]], [*old[:2]], [old[0], *new[:2]], [*old[:2], new[0]], [old[0], old[0], *new]):
        with pytest.raises(FormatError) as refusal:
            verify_root_chain(pinned, [pinned, signed_root(installation, *signers)])
        assert refusal.value.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("change", [{"env": "live"}, {"type_base": "https://else.example"}])
def test_environment_and_type_base_are_kept(change: dict[str, str]) -> None:
    installation = Installation()
    pinned = installation.trust_root()
    installation.rotate_root()
    installation.edits["trust_root"] = lambda payload: payload.update(change)
    with pytest.raises(FormatError, match="env or type_base"):
        verify_root_chain(pinned, [pinned, installation.trust_root()])


def test_the_end_of_an_older_root_does_not_matter_but_that_of_the_newest_does() -> None:
    installation = Installation()
    installation.root_expires = NOW - timedelta(days=1)
    installation.rotate_root()
    installation.root_expires = NOW + timedelta(days=1)
    token = installation.credential()
    assert verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY)
    later = installation.evidence(now=NOW + timedelta(days=1))
    assert verify_credential(token, evidence=later, policy=DEFAULT_POLICY).reason is Reason.TRUST_STALE


def test_a_trust_list_made_under_a_newer_root_is_not_read_under_an_older_one() -> None:
    installation = Installation()
    keys = installation.list_signers
    installation.rotate_root()
    installation.list_signers = (
        keys  # the new root keeps the trust-list keys: both roots would accept the list
    )
    first, second = (parse_trust_root(root) for root in installation.roots())
    assert parse_trust_list(installation.trust_list(), root=second).root_version == 2
    with pytest.raises(FormatError, match="trust root 2"):
        parse_trust_list(installation.trust_list(), root=first)


def test_memory_refuses_an_older_newest_root_and_another_one_of_the_same_version() -> None:
    installation = Installation()
    pinned, older = installation.trust_root(), installation.bundle()
    installation.rotate_root()
    memory = remember(gather(installation, pinned))
    assert memory is not None and memory.root_version == 2
    back = gather_offline(trust_root=pinned, bundle=older, now=NOW, memory=memory)
    assert [part.reason for part in back.refused()] == [Reason.TRUST_STALE]
    assert "trust root 1" in back.refused()[0].detail
    forked = gather(installation, pinned, memory=replace(memory, root_sha256="0" * 64))
    assert "another one" in forked.refused()[0].detail
    assert gather(installation, pinned, memory=memory).refused() == ()


def test_memory_refuses_an_older_trust_list_under_a_newer_root() -> None:
    installation = Installation()
    memory = remember(installation.evidence())
    installation.rotate_root()
    installation.sequence -= 1
    evidence = gather(installation, installation.pinned_root(), memory=memory)
    assert [part.reason for part in evidence.refused()] == [Reason.TRUST_STALE]
