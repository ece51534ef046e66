"""The trust root: the one document that is pinned, signed by its own keys.

The root's keys sign only roots; its trust-list keys sign trust lists, as The Update Framework separates them, so
that adding an authority never needs the root keys. It is a JWS in general JSON form (RFC 7515 section 7.2.1),
good with a threshold of distinct keys. A new version is signed by the thresholds of the version before it and of its
own, so that whoever has pinned one version can follow the chain to the newest.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

from elicense.encoding import JsonValue, dump_json, malformed, parse_json_object, sha256_hex, to_unix
from elicense.fields import Fields
from elicense.jws import GeneralJws, parse_general, valid_signers
from elicense.keys import PublicKey
from elicense.problems import FormatError, Reason

TRUST_ROOT_TYP = "elicense-trust-root"
TRUST_FMT = 1
MAX_ROOT_BYTES = 1 << 20
MAX_ROOTS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustRoot:
    """Hold a root whose own threshold of signatures holds; `sha256` (hex) is over its exact bytes `raw`."""

    env: str
    version: int
    root_keys: tuple[PublicKey, ...]
    root_threshold: int
    list_keys: tuple[PublicKey, ...]
    list_threshold: int
    expires: datetime
    type_base: str
    raw: bytes = field(repr=False)
    sha256: str


def build_trust_root_payload(
    *,
    env: str,
    version: int,
    root_keys: Sequence[PublicKey],
    root_threshold: int,
    list_keys: Sequence[PublicKey],
    list_threshold: int,
    expires: datetime,
    type_base: str,
) -> bytes:
    """Build the payload of a root; sign it with `sign_general(typ=TRUST_ROOT_TYP, ...)` and the root keys."""
    payload = {
        "fmt": TRUST_FMT,
        "env": env,
        "version": version,
        "roles": {
            "root": {"keys": [key_json(key) for key in root_keys], "threshold": root_threshold},
            "trust_list": {"keys": [key_json(key) for key in list_keys], "threshold": list_threshold},
        },
        "expires": to_unix(expires),
        "type_base": type_base,
    }
    return dump_json(payload)


def parse_trust_root(data: bytes) -> TrustRoot:
    """Parse a root and check that it is signed by its own root threshold.

    That makes it whole, not trusted: trust comes from having pinned these bytes. FormatError (malformed) for any
    other shape, for thresholds outside 1 to the number of keys, and for a key that holds both roles;
    signature_invalid below the threshold.
    """
    jws = parse_general(data, typ=TRUST_ROOT_TYP, max_bytes=MAX_ROOT_BYTES)
    fields = Fields(parse_json_object(jws.payload, max_bytes=MAX_ROOT_BYTES), "trust root")
    fields.require_format(TRUST_FMT)
    roles = fields.child("roles")
    root_keys, root_threshold = _read_role(roles.child("root"), "trust root.roles.root")
    list_keys, list_threshold = _read_role(roles.child("trust_list"), "trust root.roles.trust_list")
    require_distinct([*root_keys, *list_keys], "trust root")
    root = TrustRoot(
        env=fields.env(),
        version=fields.integer("version", minimum=1),
        root_keys=root_keys,
        root_threshold=root_threshold,
        list_keys=list_keys,
        list_threshold=list_threshold,
        expires=fields.time("expires"),
        type_base=_read_url(fields, "type_base"),
        raw=data,
        sha256=sha256_hex(data),
    )
    require_threshold(jws, root.root_keys, root.root_threshold, "trust root")
    return root


def verify_root_chain(pinned: bytes, roots: Sequence[bytes]) -> TrustRoot:
    """Walk from the pinned root to the newest of `roots` and return that one; refusals as `read_root_chain`."""
    return read_root_chain(pinned, roots)[-1]


def read_root_chain(pinned: bytes, roots: Sequence[bytes]) -> tuple[TrustRoot, ...]:
    """Check a chain of roots, oldest first, against the pinned one, and return all of them.

    The pinned root (white space around it aside) must stand among them, byte for byte; it may be older or newer than
    any other. Each next root has the next version, the same `env` and `type_base`, and the signatures of two
    thresholds: its own and that of the root before it. The end of an older root does not matter, only that of the
    newest, which the judge looks at. FormatError: trust_unavailable without the pinned root or for more than 1,024;
    malformed for a gap, a repeated version (a fork) or another environment; signature_invalid below a threshold.
    """
    anchor = pinned.strip()
    trusted = parse_trust_root(anchor)
    if len(roots) > MAX_ROOTS:
        raise FormatError(Reason.TRUST_UNAVAILABLE, f"there are more than {MAX_ROOTS} trust roots")
    if anchor not in roots:
        raise FormatError(Reason.TRUST_UNAVAILABLE, "the pinned trust root is not among the roots")
    chain = tuple(trusted if root == anchor else parse_trust_root(root) for root in roots)
    for before, after in pairwise(chain):
        _require_successor(before, after)
    return chain


def _require_successor(before: TrustRoot, after: TrustRoot) -> None:
    if after.version != before.version + 1:
        raise malformed(f"trust root {after.version} does not follow {before.version}")
    if (after.env, after.type_base) != (before.env, before.type_base):
        raise malformed(f"trust root {after.version} changes env or type_base")
    # Its own threshold was checked when it was parsed: without the old one too, anybody could add a root.
    jws = parse_general(after.raw, typ=TRUST_ROOT_TYP, max_bytes=MAX_ROOT_BYTES)
    what = f"trust root {after.version} under the keys of version {before.version}"
    require_threshold(jws, before.root_keys, before.root_threshold, what)


def key_json(key: PublicKey) -> dict[str, JsonValue]:
    """Give a key as both trust documents carry it: {jwk, kid, profile}."""
    return {"jwk": dict(key.jwk), "kid": key.kid, "profile": key.profile.name}


def require_threshold(jws: GeneralJws, keys: Sequence[PublicKey], threshold: int, what: str) -> None:
    """Refuse a document with fewer good signatures of distinct keys than its threshold."""
    good = len(valid_signers(jws, keys))
    if good < threshold:
        raise FormatError(
            Reason.SIGNATURE_INVALID, f"{what} has {good} good signatures of {threshold} needed"
        )


def require_distinct(keys: Sequence[PublicKey], what: str) -> None:
    """Refuse a document in which one key stands in two places."""
    # One key, one purpose: a key in two places would let one role speak for another.
    if len({key.kid for key in keys}) != len(keys):
        raise malformed(f"{what} names a key twice")


def _read_role(fields: Fields, where: str) -> tuple[tuple[PublicKey, ...], int]:
    keys = tuple(read_key(Fields(entry, f"{where}.keys")) for entry in fields.array("keys"))
    threshold = fields.integer("threshold", minimum=1)
    if threshold > len(keys):
        raise malformed(f"{where}.threshold is more than its keys")
    return keys, threshold


def read_key(fields: Fields) -> PublicKey:
    """Read a key entry {jwk, kid, profile}; the kid must be the thumbprint."""
    key = PublicKey.from_jwk(fields.child("jwk").members(), profile=fields.text("profile"))
    if fields.text("kid") != key.kid:
        raise malformed("kid of a key is not its thumbprint")
    return key


def _read_url(fields: Fields, name: str) -> str:
    url = fields.text(name)
    if not url.startswith("https://") or url.endswith("/") or any(sign in url for sign in "?#\\ "):
        raise malformed(f"{name} is not an https URL without query and final slash")
    return url
