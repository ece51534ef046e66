"""Bundle deltas: what changed since the bundle a client holds, so that yesterday's bundle costs kilobytes.

A delta says for each member of the new bundle whether it is the held one, a new value, or a text made of the held
text by edits inside its base64url and its compressed list (`elicense.folding`, `elicense.byte_edits`). It carries the
digests of both bundles: applying it gives exactly the bytes of the new one or is refused, and then the whole bundle
is fetched. A delta is not signed and need not be: what it makes is checked like every other bundle.

    {"fmt": 1, "env", "alg": "sha-256", "from": hex, "to": hex, "size": bytes of the new bundle,
     "deflate": fingerprint | null, "patch": base64url of zlib of the patch}

A patch is one of ["held"], ["new", value], ["object", {name: patch}], ["array", [patch]] (both against the held
member or entry of the same name or place), ["text", inflated, shape, [[skip, copy, base64url, …] of each part]].
"""

import zlib
from collections.abc import Iterator, Sequence
from itertools import chain

from elicense.bundle import MAX_BUNDLE_BYTES, MOST_VALUES, require_few_values
from elicense.byte_edits import Edit, apply_edits, find_edits
from elicense.encoding import (
    JsonValue,
    b64url_decode,
    b64url_encode,
    dump_json,
    malformed,
    parse_json,
    parse_json_object,
    sha256_hex,
)
from elicense.fields import Fields
from elicense.folding import deflate_fingerprint, fold, unfold

BUNDLE_DELTA_FMT = 1
BUNDLE_DELTA_TYPE = "application/elicense-bundle-delta+json"
MAX_DELTA_BYTES = 32 << 20
MAX_PATCH_BYTES = 64 << 20
_FRAME_VALUES = 64
_MOST_EDITS = 1 << 17
_DIGEST = "sha-256"
_PATCH_DEPTH = 16
_BUNDLE_DEPTH = 8
_SHORT_TEXT = 256
_SPARE = 65536


def make_delta(held: bytes, wanted: bytes, *, deflate: str | None = None) -> bytes:
    """Write the delta from one bundle to another; it may be no smaller than the wanted bundle.

    `deflate` is the client's `deflate_fingerprint`: where it is this machine's own, entries of status lists are
    compared, else their compressed segments. FormatError (malformed) for bytes that are no bundle.
    """
    inflate = deflate == deflate_fingerprint()
    new = _read_bundle(wanted)
    patch = _compare(_read_bundle(held), new, inflate=inflate)
    return dump_json(
        {
            "fmt": BUNDLE_DELTA_FMT,
            "env": Fields(new, "bundle").env(),
            "alg": _DIGEST,
            "from": sha256_hex(held),
            "to": sha256_hex(wanted),
            "size": len(wanted),
            "deflate": deflate_fingerprint() if inflate else None,
            "patch": b64url_encode(zlib.compress(dump_json(patch), 9)),
        }
    )


def apply_delta(held: bytes, delta: bytes) -> bytes:
    """Make the exact bytes of the new bundle out of the held one.

    FormatError (malformed): another shape or `fmt`; a delta from another bundle, to another environment, or for
    another zlib; a patch out of all proportion to what is held and to the delta itself; edits that reach outside what
    is held, are too many, or grow beyond bounds; and every result whose digest is not the delta's. Nothing of the
    result has been verified: it is a bundle like one fetched whole.
    """
    require_few_values(delta, _FRAME_VALUES, "bundle delta")
    fields = Fields(parse_json_object(delta, max_bytes=MAX_DELTA_BYTES, max_depth=2), "bundle delta")
    fields.require_format(BUNDLE_DELTA_FMT)
    if fields.text("alg") != _DIGEST or fields.integer("size") > MAX_BUNDLE_BYTES:
        raise malformed("bundle delta has another digest algorithm or makes too large a bundle")
    if fields.digest("from") != sha256_hex(held):
        raise malformed("bundle delta is from another bundle than the one held")
    if fields.optional_text("deflate") not in (None, deflate_fingerprint()):
        raise malformed("bundle delta is for another zlib")
    patch = _read_patch(b64url_decode(fields.text("patch")), held=len(held), wanted=fields.integer("size"))
    old = _read_bundle(held)
    new = _apply(old, patch, there=True)
    if not isinstance(new, dict) or not new.get("env") == old.get("env") == fields.env():
        raise malformed("bundle delta leads to another environment")
    made = dump_json(new)
    if len(made) != fields.integer("size") or sha256_hex(made) != fields.digest("to"):
        raise malformed("bundle delta does not make the bundle it names")
    return made


def _read_bundle(data: bytes) -> dict[str, JsonValue]:
    require_few_values(data, MOST_VALUES, "bundle")
    return parse_json_object(data, max_bytes=MAX_BUNDLE_BYTES, max_depth=_BUNDLE_DEPTH)


def _read_patch(compressed: bytes, *, held: int, wanted: int) -> JsonValue:
    # What is compared leaves edits in proportion to what is held; what is new is mostly signatures and digests, which
    # hardly compress, whatever size the delta states.
    most = min(MAX_PATCH_BYTES, 4 * held + 2 * min(wanted, 32 * len(compressed)) + _SPARE)
    patch = _inflate(compressed, most)
    require_few_values(patch, MOST_VALUES, "patch of a bundle delta")
    return parse_json(patch, max_bytes=MAX_PATCH_BYTES, max_depth=_PATCH_DEPTH)


def _inflate(compressed: bytes, most: int) -> bytes:
    inflater = zlib.decompressobj()
    try:
        patch = inflater.decompress(compressed, most + 1)
    except zlib.error:
        raise malformed("patch of a bundle delta is not a zlib stream") from None
    if len(patch) > most or not inflater.eof or inflater.unused_data:
        raise malformed("patch of a bundle delta is too long, cut short, or followed by other data")
    return patch


# --- making


def _compare(held: JsonValue, wanted: JsonValue, *, inflate: bool) -> JsonValue:
    if held == wanted and type(held) is type(wanted):
        return ["held"]
    if isinstance(held, dict) and isinstance(wanted, dict):
        return [
            "object",
            {
                name: _compare(held[name], value, inflate=inflate) if name in held else ["new", value]
                for name, value in wanted.items()
            },
        ]
    if isinstance(held, list) and isinstance(wanted, list):
        both = [_compare(old, new, inflate=inflate) for old, new in zip(held, wanted, strict=False)]
        more: list[JsonValue] = [["new", value] for value in wanted[len(held) :]]
        return ["array", [*both, *more]]
    if isinstance(held, str) and isinstance(wanted, str) and len(wanted) > _SHORT_TEXT:
        return _compare_texts(held.encode("utf-8"), wanted, inflate=inflate)
    return ["new", wanted]


def _compare_texts(held: bytes, wanted: str, *, inflate: bool) -> JsonValue:
    new = wanted.encode("utf-8")
    shape, leaves = unfold(new, inflate=inflate)
    old_shape, old_leaves = unfold(held, inflate=inflate)
    if inflate and shape != old_shape:
        # One of the two was compressed by another zlib: their compressed bytes are what can be compared.
        inflate = False
        shape, leaves = unfold(new, inflate=False)
        old_leaves = unfold(held, inflate=False)[1]
    edits = [find_edits(old_leaves[i] if i < len(old_leaves) else b"", leaf) for i, leaf in enumerate(leaves)]
    copied = sum(edit.copy for edit in chain.from_iterable(edits))
    if copied > _most_copied(old_leaves):
        return ["new", wanted]
    return ["text", inflate, shape, [_write_edits(one) for one in edits]]


def _write_edits(edits: Sequence[Edit]) -> JsonValue:
    return [part for skip, copy, insert in edits for part in (skip, copy, b64url_encode(insert))]


def _most_copied(leaves: Sequence[bytes]) -> int:
    """Bound what one text may copy of the held one, so that no delta makes much of little."""
    return 2 * sum(map(len, leaves)) + _SPARE


# --- applying


def _apply(held: JsonValue, patch: JsonValue, *, there: bool) -> JsonValue:
    if not isinstance(patch, list) or not patch:
        raise malformed("patch of a bundle delta is of an unknown kind")
    match patch:
        case ["new", value]:
            return value
        case ["held"] if there:
            return held
        case ["object", dict(members)] if isinstance(held, dict):
            return {name: _apply(held.get(name), part, there=name in held) for name, part in members.items()}
        case ["array", list(entries)] if isinstance(held, list):
            return [
                _apply(held[i] if i < len(held) else None, part, there=i < len(held))
                for i, part in enumerate(entries)
            ]
        case ["text", bool(inflate), list(shape), list(edits)] if isinstance(held, str):
            return _apply_text(held, shape, edits, inflate=inflate)
    raise malformed("patch of a bundle delta does not fit what is held")


def _apply_text(held: str, shape: list[JsonValue], edits: list[JsonValue], *, inflate: bool) -> str:
    old_leaves = unfold(held.encode("utf-8"), inflate=inflate)[1]
    leaves = iter(_edited(old_leaves, edits))
    text = fold(shape, leaves)
    if next(leaves, None) is not None:
        raise malformed("patch of a bundle delta holds more parts than its shape")
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("patch of a bundle delta makes no text") from None


def _edited(old_leaves: Sequence[bytes], edits: Sequence[JsonValue]) -> Iterator[bytes]:
    spare = _most_copied(old_leaves)
    for i, written in enumerate(edits):
        one = _read_edits(written)
        inserted = sum(len(edit.insert) for edit in one)
        yield apply_edits(old_leaves[i] if i < len(old_leaves) else b"", one, most=spare + inserted)
        spare -= sum(edit.copy for edit in one)


def _read_edits(written: JsonValue) -> list[Edit]:
    if not isinstance(written, list) or len(written) % 3:
        raise malformed("edits of a bundle delta are not threes")
    if len(written) > 3 * _MOST_EDITS:
        raise malformed("edits of a bundle delta are too many")
    edits = []
    for skip, copy, insert in zip(written[::3], written[1::3], written[2::3], strict=True):
        if type(skip) is not int or type(copy) is not int or not isinstance(insert, str):
            raise malformed("edit of a bundle delta is not two numbers and a text")
        edits.append(Edit(skip, copy, b64url_decode(insert)))
    return edits
