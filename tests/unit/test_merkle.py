"""Merkle trees: the published RFC 6962 values, every path of every small tree, and every way to bend one."""

import hashlib

import pytest

from elicense import merkle

# The eight leaves and the roots that the Certificate Transparency reference implementations test with.
CT_LEAVES = [
    b"",
    bytes.fromhex("00"),
    bytes.fromhex("10"),
    bytes.fromhex("2021"),
    bytes.fromhex("3031"),
    bytes.fromhex("40414243"),
    bytes.fromhex("5051525354555657"),
    bytes.fromhex("606162636465666768696a6b6c6d6e6f"),
]
CT_ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


def hashes(count: int) -> list[bytes]:
    return [merkle.leaf_hash(f"leaf {number}".encode()) for number in range(count)]


@pytest.mark.parametrize("size", sorted(CT_ROOTS))
def test_roots_equal_the_published_certificate_transparency_values(size: int) -> None:
    leaves = [merkle.leaf_hash(leaf) for leaf in CT_LEAVES[:size]]
    assert merkle.root(leaves).hex() == CT_ROOTS[size]


def split_root(leaves: list[bytes]) -> bytes:
    """The definition in RFC 6962 section 2.1, written as it stands there: split at the largest power of two."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + split_root(leaves[:split]) + split_root(leaves[split:])).digest()


@pytest.mark.parametrize("size", range(1, 40))
def test_the_root_follows_the_recursive_definition_and_every_path_leads_to_it(size: int) -> None:
    leaves = hashes(size)
    tree = merkle.MerkleTree(leaves)
    assert tree.root == split_root(leaves)
    for index, leaf in enumerate(leaves):
        path = tree.path(index)
        assert path == merkle.inclusion_path(leaves, index)
        assert merkle.verify_inclusion(leaf, index, size, path, tree.root)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 13])
def test_no_bent_path_is_accepted(size: int) -> None:
    leaves = hashes(size)
    tree = merkle.MerkleTree(leaves)
    for index, leaf in enumerate(leaves):
        path = tree.path(index)
        assert not merkle.verify_inclusion(merkle.leaf_hash(b"other"), index, size, path, tree.root)
        assert not merkle.verify_inclusion(leaf, index, size, [*path, bytes(32)], tree.root)
        assert not merkle.verify_inclusion(leaf, index, size, path, bytes(32))
        assert not merkle.verify_inclusion(leaf, size, size, path, tree.root)
        assert not merkle.verify_inclusion(leaf, -1, size, path, tree.root)
        if path:
            assert not merkle.verify_inclusion(leaf, index, size, path[:-1], tree.root)
            assert not merkle.verify_inclusion(leaf, index, size, [*path[:-1], path[-1][:31]], tree.root)
        for other in range(size):
            if other != index:
                assert not merkle.verify_inclusion(leaf, other, size, path, tree.root)


def test_raw_leaves_given_as_hashes_are_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        merkle.root([b"raw leaf"])
    with pytest.raises(IndexError):
        merkle.inclusion_path(hashes(3), 3)
