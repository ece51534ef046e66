"""Edits make exactly the wanted bytes, however the two differ, and never more than they may."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from elicense.byte_edits import Edit, apply_edits, find_edits
from elicense.problems import FormatError

TEXTS = st.binary(max_size=300) | st.text(alphabet="ab,{}", max_size=300).map(str.encode)


@given(held=TEXTS, wanted=TEXTS)
@example(held=b"", wanted=b"")
@example(held=b"a,b,", wanted=b"b,a,")
def test_edits_make_what_is_wanted(held: bytes, wanted: bytes) -> None:
    edits = find_edits(held, wanted)
    assert apply_edits(held, edits, most=len(wanted)) == wanted


@given(st.data())
def test_edits_of_a_changed_copy_make_what_is_wanted(data: st.DataObject) -> None:
    held = data.draw(st.binary(min_size=1, max_size=5000))
    wanted = bytearray(held)
    for _ in range(data.draw(st.integers(0, 20))):
        wanted[data.draw(st.integers(0, len(wanted) - 1))] = data.draw(st.integers(0, 255))
    tail = data.draw(st.binary(max_size=40))
    assert apply_edits(held, find_edits(held, bytes(wanted) + tail), most=10_000) == bytes(wanted) + tail


def test_one_changed_byte_costs_one_byte() -> None:
    held = random.Random(1).randbytes(1 << 20)
    wanted = bytearray(held)
    wanted[700_001] ^= 1
    edits = find_edits(held, bytes(wanted))
    assert edits == [Edit(0, 700_001, bytes([wanted[700_001]])), Edit(1, len(held) - 700_002, b"")]


def test_an_insertion_costs_what_was_inserted() -> None:
    members = [b'{"code":"%06d","name":"an authority"}' % number for number in range(2000)]
    held = b",".join(members)
    wanted = b",".join([*members[:700], b'{"code":"new","name":"one more"}', *members[700:]])
    inserted = sum(len(edit.insert) for edit in find_edits(held, wanted))
    assert inserted < 100


@pytest.mark.parametrize(
    "edit", [Edit(-1, 1, b""), Edit(0, 11, b""), Edit(11, 0, b""), Edit(0, -1, b""), Edit(5, 6, b"")]
)
def test_nothing_is_copied_from_outside(edit: Edit) -> None:
    with pytest.raises(FormatError, match="outside"):
        apply_edits(b"0123456789", [edit], most=100)


def test_copying_over_and_over_ends_at_the_bound() -> None:
    with pytest.raises(FormatError, match="more bytes"):
        apply_edits(b"0123456789", [Edit(0, 10, b""), *[Edit(-10, 10, b"")] * 1000], most=1000)
