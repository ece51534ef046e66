"""Bundle deltas: exact, small, and harmless whatever they hold."""

import json
import random
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from elicense.bundle import parse_bundle
from elicense.bundle_delta import apply_delta, make_delta
from elicense.encoding import b64url_decode, b64url_encode, dump_json, sha256_hex
from elicense.folding import deflate_fingerprint, fold, unfold
from elicense.problems import FormatError
from elicense.status_list import Status
from tests.simulator import Installation
from tests.unit.twins import Twin

OTHER_ZLIB = "0" * 16


@pytest.fixture
def installation() -> Installation:
    return Installation(list_size=200_000)


def publish_next(installation: Installation, *changed: int) -> bytes:
    """Publish a later bundle in which some entries have changed."""
    for index in changed:
        installation.statuses.set(index, Status.INVALID)
    installation.status_seq += 1
    installation.event_seq += len(changed)
    installation.status_read_at += timedelta(hours=1)
    return installation.bundle()


def fill(installation: Installation, share: float) -> None:
    chosen = random.Random(5).sample(range(installation.list_size), int(installation.list_size * share))
    for index in chosen:
        installation.statuses.set(index, Status.INVALID)


@pytest.mark.parametrize("deflate", [None, OTHER_ZLIB, deflate_fingerprint()])
@pytest.mark.parametrize("changed", [(), (7,), (0, 1, 2, 199_999), tuple(range(0, 200_000, 997))])
def test_a_delta_gives_exactly_the_new_bundle(
    installation: Installation, changed: tuple[int, ...], deflate: str | None
) -> None:
    fill(installation, 0.02)
    held = installation.bundle()
    wanted = publish_next(installation, *changed)
    assert apply_delta(held, make_delta(held, wanted, deflate=deflate)) == wanted


def test_a_delta_of_nothing_says_nothing(installation: Installation) -> None:
    held = installation.bundle()
    delta = make_delta(held, held, deflate=deflate_fingerprint())
    assert len(delta) < 500
    assert apply_delta(held, delta) == held


def test_one_revocation_among_ten_million_costs_a_few_kilobytes() -> None:
    installation = Installation(list_size=10_000_000)
    for index in random.Random(3).sample(range(10_000_000), 100_000):
        installation.statuses.set(index, Status.INVALID)
    held = installation.bundle()
    wanted = publish_next(installation, 5_000_000)
    assert len(wanted) > 300_000
    for deflate, most in ((deflate_fingerprint(), 2_000), (OTHER_ZLIB, 6_000)):
        delta = make_delta(held, wanted, deflate=deflate)
        assert len(delta) < most, deflate
        assert apply_delta(held, delta) == wanted


def test_a_day_of_changes_is_a_small_part_of_the_whole() -> None:
    installation = Installation(list_size=1_000_000)
    fill(installation, 0.05)
    held = installation.bundle()
    wanted = publish_next(installation, *random.Random(4).sample(range(1_000_000), 300))
    assert len(make_delta(held, wanted, deflate=deflate_fingerprint())) < len(wanted) / 20


def test_lists_authorities_and_roots_may_come_and_go(installation: Installation) -> None:
    held = json.loads(installation.bundle())
    wanted = json.loads(publish_next(installation, 3))
    wanted["status_lists"] = {"https://one.example/v1/status-lists/2": "new", **wanted["status_lists"]}
    wanted["roots"] = [*wanted["roots"], "a second root"]
    wanted["archive"] = {"https://one.example/v1/status-lists/1": ["a", "b"]}
    wanted["trust_list"] = wanted["trust_list"].replace("signatures", "signatures ")
    bundles = [dump_json(held), dump_json(wanted), dump_json({**held, "status_lists": {}})]
    for old in bundles:
        for new in bundles:
            assert apply_delta(old, make_delta(old, new)) == new


def test_a_list_compressed_by_another_zlib_is_still_compared(installation: Installation) -> None:
    fill(installation, 0.02)
    held = installation.bundle()
    # What a publisher with another compressor would have signed: the same entries, other bytes.
    (uri, token) = next(iter(json.loads(held)["status_lists"].items()))
    header, payload, signature = token.split(".")
    content = json.loads(b64url_decode(payload))
    packed = zlib.decompress(b64url_decode(content["status_list"]["lst"]))
    content["status_list"]["lst"] = b64url_encode(zlib.compress(packed, 1))
    other = json.loads(held)
    other["status_lists"][uri] = f"{header}.{b64url_encode(dump_json(content))}.{signature}"
    foreign = dump_json(other)
    for old, new in ((held, foreign), (foreign, held)):
        assert apply_delta(old, make_delta(old, new, deflate=deflate_fingerprint())) == new


# --- hostile deltas


def rewritten(delta: bytes, change: Callable[[dict[str, Any], list[Any]], object]) -> bytes:
    """Change a delta's frame and its patch, and write it again."""
    frame = json.loads(delta)
    patch = json.loads(zlib.decompress(b64url_decode(frame["patch"])))
    change(frame, patch)
    frame["patch"] = b64url_encode(zlib.compress(dump_json(patch)))
    return dump_json(frame)


@pytest.fixture
def pair(installation: Installation) -> tuple[bytes, bytes, bytes]:
    fill(installation, 0.01)
    held = installation.bundle()
    wanted = publish_next(installation, 77)
    return held, wanted, make_delta(held, wanted, deflate=deflate_fingerprint())


def refused(held: bytes, delta: bytes, match: str | None = None) -> None:
    with pytest.raises(FormatError, match=match):
        apply_delta(held, delta)


@pytest.mark.parametrize(
    ("member", "value", "match"),
    [
        ("fmt", 2, "fmt 2"),
        ("env", "live", "environment"),
        ("env", "moon", "env"),
        ("alg", "md5", "algorithm"),
        ("from", "0" * 64, "another bundle"),
        ("to", "0" * 64, "names"),
        ("to", "x", "digest"),
        ("size", 1, "names"),
        ("size", 1 << 40, "too large"),
        ("size", -1, "size"),
        ("deflate", OTHER_ZLIB, "another zlib"),
        ("patch", "!", "base64url"),
        ("patch", b64url_encode(b"no zlib"), "zlib"),
        ("patch", b64url_encode(zlib.compress(b"null")), "unknown"),
        ("patch", b64url_encode(zlib.compress(b'["held"]')[:-1]), "cut short"),
        ("patch", b64url_encode(zlib.compress(b'["held"]') + b"x"), "followed"),
        ("patch", b64url_encode(zlib.compress(b'["new",1]')), "environment"),
        ("patch", b64url_encode(zlib.compress(b'["new",{}]')), "environment"),
    ],
)
def test_a_bent_frame_is_refused(
    pair: tuple[bytes, bytes, bytes], member: str, value: object, match: str
) -> None:
    held, _, delta = pair
    refused(held, dump_json({**json.loads(delta), member: value}), match)


@pytest.mark.parametrize("member", ["fmt", "env", "alg", "from", "to", "size", "deflate", "patch"])
def test_a_missing_member_is_refused(pair: tuple[bytes, bytes, bytes], member: str) -> None:
    held, _, delta = pair
    frame = json.loads(delta)
    del frame[member]
    refused(held, dump_json(frame))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"fmt":1,"fmt":1}'])
def test_what_is_no_delta_is_refused(pair: tuple[bytes, bytes, bytes], text: bytes) -> None:
    refused(pair[0], text)


def test_a_bomb_is_refused_before_it_is_read(pair: tuple[bytes, bytes, bytes]) -> None:
    held, _, delta = pair
    packer = zlib.compressobj(9)
    parts = [packer.compress(b" " * (1 << 20)) for _ in range(65)]
    bomb = b"".join([*parts, packer.flush()])
    refused(held, dump_json({**json.loads(delta), "patch": b64url_encode(bomb)}), "too long")
    deep = b64url_encode(zlib.compress(b"[" * 100_000))
    refused(held, dump_json({**json.loads(delta), "patch": deep}))


@pytest.mark.parametrize(
    "text",
    [
        ["text", True, [0], [[0, 1 << 40, ""]]],
        ["text", True, [0], [[-1, 1, ""]]],
        ["text", True, [0], [[0, 4, "", -4, 4, ""] * 60_000]],
        ["text", True, [[0]], [[0, 4, "", -4, 4, ""] * 60_000]],
        ["text", True, [[[1]]], [[0, 4, "", -4, 4, ""] * 60_000]],
        ["text", True, [0], []],
        ["text", True, [], [[0, 1, ""]]],
        ["text", True, [2], [[0, 1, ""]]],
        ["text", True, [True], [[0, 1, ""]]],
        ["text", True, [[[[0]]]], [[0, 1, ""]]],
        ["text", True, [0], [[0, 1]]],
        ["text", True, [0], [[0, "1", ""]]],
        ["text", True, [0], [[0, 1, 1]]],
        ["text", True, [0], [[0, 1, "!"]]],
        ["text", True, [0], [[0, 0, "_w"]]],
        ["text", 1, [0], [[0, 1, ""]]],
        ["text", True, "0", [[0, 1, ""]]],
        ["text"],
        ["array", []],
        ["object", {}],
        ["held", 1],
        [],
        {},
        ["jump", 1],
        None,
    ],
)
def test_a_bent_patch_is_refused(pair: tuple[bytes, bytes, bytes], text: object) -> None:
    held, _, delta = pair
    refused(held, rewritten(delta, lambda frame, patch: patch[1].update(freshness=text)))


@pytest.mark.parametrize(
    ("patch", "match"),
    [
        (
            b'["object",{"env":["held"],"trust_list":["text",false,[0],[['
            + b'0,0,"",' * 1_000_000
            + b"]]]}]",
            "too long",
        ),
        (b'["new",[' + b"[]," * 1_000_000 + b"[]]]", "too long"),
    ],
    ids=["edits", "lists"],
)
def test_a_patch_out_of_proportion_is_refused_whatever_size_is_stated(
    pair: tuple[bytes, bytes, bytes], patch: bytes, match: str
) -> None:
    held, _, delta = pair
    compressed = b64url_encode(zlib.compress(patch, 9))
    refused(held, dump_json({**json.loads(delta), "size": 200 << 20, "patch": compressed}), match)


@pytest.mark.parametrize(
    ("patch", "match"),
    [
        (["new", [[]] * 300_000], "values"),
        (["object", {"freshness": ["text", True, [0], [[0, 0, ""] * 140_000]]}], "too many"),
    ],
    ids=["values", "edits"],
)
def test_a_patch_of_too_many_values_or_edits_is_refused(
    pair: tuple[bytes, bytes, bytes], patch: object, match: str
) -> None:
    held, _, delta = pair
    larger = held + b" " * 1_000_000  # so that the patch is in proportion to it
    compressed = b64url_encode(zlib.compress(dump_json(patch)))
    frame = {**json.loads(delta), "from": sha256_hex(larger), "patch": compressed}
    refused(larger, dump_json(frame), match)


def test_a_frame_of_many_values_is_refused_before_it_is_parsed(pair: tuple[bytes, bytes, bytes]) -> None:
    held, _, delta = pair
    refused(held, delta[:-1] + b',"x":[' + b"{}," * 100_000 + b"{}]}", "values")


def test_a_bundle_of_many_values_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(FormatError, match="values"):
        parse_bundle(b'{"fmt":1,"x":[' + b"{}," * 600_000 + b"{}]}")


def test_held_says_nothing_about_what_is_not_held(pair: tuple[bytes, bytes, bytes]) -> None:
    held, _, delta = pair
    refused(held, rewritten(delta, lambda frame, patch: patch[1].update(archive=["held"])), "fit")


def test_a_delta_of_another_installation_leads_nowhere(pair: tuple[bytes, bytes, bytes]) -> None:
    other = Installation(issuer_url="https://two.example")
    refused(other.bundle(), pair[2], "another bundle")
    elsewhere = Installation(env="live")
    across = make_delta(pair[0], elsewhere.bundle())
    refused(pair[0], across, "environment")


def test_any_flipped_bit_of_a_delta_is_noticed(pair: tuple[bytes, bytes, bytes]) -> None:
    held, wanted, delta = pair
    chance = random.Random(9)
    for _ in range(200):
        bent = bytearray(delta)
        bent[chance.randrange(len(bent))] ^= 1 << chance.randrange(7)
        try:
            assert apply_delta(held, bytes(bent)) == wanted
        except FormatError:
            continue


def test_a_twin_that_does_not_look_at_the_digest_makes_other_bundles(
    pair: tuple[bytes, bytes, bytes], tmp_path: Path
) -> None:
    held, _, delta = pair
    twin = Twin(
        tmp_path,
        "twin_delta",
        file="bundle_delta.py",
        passage='if len(made) != fields.integer("size") or sha256_hex(made) != fields.digest("to"):',
        instead="if False:",
    )
    bent = rewritten(delta, lambda frame, patch: patch[1].update(created_at=["new", "2026-11-02T04:00:09Z"]))
    made = twin.module("bundle_delta").apply_delta(held, bent)
    assert sha256_hex(made) != json.loads(bent)["to"]
    refused(held, bent, "names")


# --- unfolding


@pytest.mark.parametrize("inflate", [True, False])
def test_unfolding_is_exact_whatever_the_text(installation: Installation, inflate: bool) -> None:
    texts = [
        installation.status_list().encode(),
        installation.freshness().encode(),
        installation.trust_list(),
        installation.credential().encode(),
        b"",
        b"A" * 79,
        b"A" * 80,
        b"A" * 81,
        b"B" * 82,
        b"z" * 500 + b"." + b"A" * 120,
        b64url_encode(zlib.compress(b"\0" * 5000, 9) + b"tail").encode() * 2,
        bytes(range(256)) * 3,
    ]
    for text in texts:
        shape, leaves = unfold(text, inflate=inflate)
        assert fold(shape, iter(leaves)) == text


def test_a_status_list_unfolds_to_its_entries(installation: Installation) -> None:
    packed = installation.statuses.to_bytes()
    assert packed in unfold(installation.status_list().encode(), inflate=True)[1]
    assert packed not in unfold(installation.status_list().encode(), inflate=False)[1]


def test_the_fingerprint_is_one_name_for_one_compressor() -> None:
    assert len(deflate_fingerprint()) == 16
    deflate_fingerprint.cache_clear()
    assert deflate_fingerprint() == deflate_fingerprint()
