"""What was seen once is never unlearned: memories only rise, logs only grow, a good signature is good for its key."""

from dataclasses import replace
from datetime import timedelta

import pytest

from elicense.credential import parse_credential
from elicense.element_kinds import ElementKind
from elicense.element_match import is_same_value
from elicense.evidence import Evidence, TrustMemory, remember
from elicense.merkle import EMPTY_ROOT, MerkleTree, leaf_hash, verify_consistency, verify_inclusion
from elicense.verify import SignatureMemo
from tests.simulated_log import SimulatedLog
from tests.simulator import NOW, Installation, SimulatedSigner

# --- memory


@pytest.fixture
def old_and_new() -> tuple[Evidence, Evidence]:
    """Give the evidence of one installation before and after it renewed everything it publishes."""
    made = Installation()
    old = made.evidence()
    made.rotate_root()
    made.sequence += 1
    made.status_seq += 1
    made.log.add(b"one more entry")
    made.now = made.status_read_at = NOW + timedelta(minutes=5)
    return old, made.evidence(now=made.now)


def seen(*evidence: Evidence) -> TrustMemory:
    memory: TrustMemory | None = None
    for one in evidence:
        memory = remember(one, memory)
    assert memory is not None
    return memory


def test_older_evidence_lowers_nothing_that_is_remembered(old_and_new: tuple[Evidence, Evidence]) -> None:
    old, new = old_and_new
    newest = seen(new)
    assert seen(old) != newest
    assert seen(new, old) == seen(old, new) == seen(new, new) == newest
    assert (newest.root_version, newest.trust_list_sequence) == (2, 4)
    assert newest.latest == newest.freshness_issued_at == NOW + timedelta(minutes=5)
    assert set(newest.status_lists.values()) == {8}
    assert [state.size for state in newest.checkpoints.values()] == [4]


def test_evidence_with_parts_missing_takes_nothing_from_the_memory(
    old_and_new: tuple[Evidence, Evidence],
) -> None:
    old, new = old_and_new
    assert old.trust is not None
    for bare in (
        replace(old, status=None, log=None),
        replace(old, trust=replace(old.trust, freshness=None), status=None, log=None),
        replace(old, trust=None),
    ):
        assert seen(new, bare) == seen(new)
    assert remember(replace(old, trust=None)) is None
    without = replace(new, trust=replace(new.trust, freshness=None))  # type: ignore[type-var]
    assert seen(old, without).freshness_issued_at == NOW


# --- the memo of good signatures


def test_a_signature_found_good_is_good_under_that_key_alone() -> None:
    made = Installation()
    credential, good = parse_credential(made.credential()), made.credential_signer.public_key
    memo = SignatureMemo()
    for _ in range(2):
        assert memo.verify(credential, good)
        assert not memo.verify(credential, SimulatedSigner().public_key)
    ended = replace(good, profile=replace(good.profile, verify_until=NOW))
    assert memo.verify(credential, ended), "the same key with other dates still signed it"


# --- trees

HASHES = [leaf_hash(b"%d" % number) for number in range(9)]
OTHER = leaf_hash(b"another")


def tree(size: int) -> MerkleTree:
    return MerkleTree(HASHES[:size])


def proof(old: int, new: int) -> list[bytes]:
    log = SimulatedLog("a.example/log", SimulatedSigner("eddsa"))
    log.entries = [b"%d" % number for number in range(9)]
    return list(log.consistency(old, new).path)


def bent(path: list[bytes]) -> list[list[bytes]]:
    changed = [[*path, OTHER], [OTHER, *path]]
    for place in range(len(path)):
        changed.append(path[:place] + path[place + 1 :])
        for node in (OTHER, path[place][:-1], path[place] + b"x"):
            changed.append([*path[:place], node, *path[place + 1 :]])
    return changed


@pytest.mark.parametrize("new", range(1, 9))
def test_a_log_grew_from_its_beginning_only_where_every_part_of_the_proof_says_so(new: int) -> None:
    for old in range(1, new + 1):
        path, before, after = proof(old, new), tree(old).root, tree(new).root
        assert verify_consistency(old, before, new, after, path)
        for other in bent(path):
            assert not verify_consistency(old, before, new, after, other), (old, new)
        for roots in ((OTHER, after), (before, OTHER), (before[:-1], after), (before, after + b"x")):
            assert not verify_consistency(old, roots[0], new, roots[1], path), (old, new)
        if old < new:
            assert not verify_consistency(new, after, old, before, path)
            assert not verify_consistency(old, before, old, after, path)
        assert not verify_consistency(-old, before, new, after, path)


def test_every_log_grew_from_the_empty_one_and_that_needs_no_proof() -> None:
    for new in range(9):
        root = tree(new).root if new else EMPTY_ROOT
        assert verify_consistency(0, EMPTY_ROOT, new, root, [])
        assert not verify_consistency(0, EMPTY_ROOT, new, root, [OTHER])
        assert not verify_consistency(0, OTHER, new, root, [])


@pytest.mark.parametrize("size", range(1, 9))
def test_an_entry_stands_in_a_log_only_where_every_part_of_its_path_says_so(size: int) -> None:
    root = tree(size).root
    for index in range(size):
        path, leaf = list(tree(size).path(index)), HASHES[index]
        assert verify_inclusion(leaf, index, size, path, root)
        for other in bent(path):
            assert not verify_inclusion(leaf, index, size, other, root), (index, size)
        for place in {*range(-1, size + 2)} - {index}:
            assert not verify_inclusion(leaf, place, size, path, root), (index, place)
        assert not verify_inclusion(leaf[:-1], index, size, path, root)
        assert not verify_inclusion(OTHER, index, size, path, root)
        assert not verify_inclusion(leaf, index, size, path, OTHER)


# --- what commas part


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("食品销售、日用百货零售", "日用百货零售、食品销售", True),
        ("食品、服装批发,药品零售", "药品零售、食品,服装批发", False),
        ("食品、服装批发", "服装批发、食品", False),
        ("批发食品、服装", "服装、批发食品", False),
        ("批发食品、服装,零售药品", "零售药品、服装,批发食品", False),
        ("软件开发、技术咨询,设备租赁", "设备租赁、软件开发,技术咨询", True),
    ],
)
def test_commas_part_a_scope_only_where_each_side_is_whole_by_itself(
    one: str, other: str, same: bool
) -> None:
    assert is_same_value(one, other, ElementKind.SCOPE) is same
    assert is_same_value(other, one, ElementKind.SCOPE) is same
