"""Bend signed documents one value at a time, and judge what came of it: what the swap matrices share."""

import base64
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from elicense.bundle import dump_bundle
from elicense.freshness import FRESHNESS_TYP
from elicense.jws import sign_compact, sign_general
from elicense.log_proof import parse_log_proof
from elicense.policy import PRESETS
from elicense.problems import FormatError
from elicense.report import Verdict
from elicense.status_list import STATUS_LIST_TYP
from elicense.trust_list import TRUST_LIST_TYP, TRUST_ROOT_TYP
from elicense.verify import gather_offline, verify_credential
from tests.simulator import NOW, Installation, NamedAs, SimulatedSigner
from tests.unit.twins import Twin

Parts = dict[str, Any]
Judge = Callable[["Variant"], str]


class Variant(NamedTuple):
    """One bent set of documents: a name for the report, the pinned root, the bundle, and the credential asked about.

    `proof` is the JSON of the log proof beside it (a proof is then required), `at` a past moment asked about.
    """

    name: str
    root: bytes
    bundle: bytes
    token: str
    proof: Any = None
    at: datetime | None = None

    @property
    def policy(self) -> str:
        return "platform-default" if self.proof is None else "bank-strict"


class Signed(NamedTuple):
    """How one document of the bundle is signed: its `typ`, our signers, and the other installation's."""

    typ: str
    ours: list[SimulatedSigner]
    theirs: list[SimulatedSigner]
    general: bool


def judge(variant: Variant) -> str:
    """Answer with the product's own judge."""
    evidence = gather_offline(trust_root=variant.root, bundle=variant.bundle, now=NOW)
    try:
        proof = None if variant.proof is None else parse_log_proof(variant.proof)
    except FormatError as refusal:
        return refusal.reason.value
    report = verify_credential(
        variant.token, evidence=evidence, policy=PRESETS[variant.policy], proof=proof, at=variant.at
    )
    return report.verdict.value


def twin_judge(twin: Twin) -> Judge:
    """Answer with a broken twin."""
    presets, log_proof = twin.module("policy").PRESETS, twin.module("log_proof")
    refused = twin.module("problems").FormatError

    def answer(variant: Variant) -> str:
        evidence = twin.verify.gather_offline(trust_root=variant.root, bundle=variant.bundle, now=NOW)
        try:
            proof = None if variant.proof is None else log_proof.parse_log_proof(variant.proof)
        except refused as refusal:
            return str(refusal)
        report = twin.verify.verify_credential(
            variant.token, evidence=evidence, policy=presets[variant.policy], proof=proof, at=variant.at
        )
        return str(report.verdict)

    return answer


def survivors(variants: list[Variant], answer: Judge = judge) -> list[str]:
    return [variant.name for variant in variants if answer(variant) == Verdict.VALID.value]


# --- bending one value


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Name every member and entry inside a JSON value, containers included."""
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, child in entries:
        yield (*path, name)
        yield from paths(child, (*path, name))


def reach(value: Any, path: tuple[str | int, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def changed(value: Any) -> Any:
    """Give another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return value[:-1] + ("A" if value[-1:] != "A" else "B")
    if value is None:
        return "something"
    if isinstance(value, dict):
        return {} if value else {"something": 1}
    return [] if value else ["something"]


def bent(document: Any, other: Any) -> Iterator[tuple[str, Any]]:
    """Change, remove and swap every member of a document, one at a time."""
    for path in paths(document):
        *parents, last = path
        name = ".".join(map(str, path))
        copy = deepcopy(document)
        reach(copy, tuple(parents))[last] = changed(reach(document, path))
        yield f"{name} changed", copy
        copy = deepcopy(document)
        del reach(copy, tuple(parents))[last]
        yield f"{name} removed", copy
        try:
            swapped = reach(other, path)
        except (KeyError, IndexError, TypeError):
            continue
        if swapped != reach(document, path):
            copy = deepcopy(document)
            reach(copy, tuple(parents))[last] = swapped
            yield f"{name} swapped", copy


# --- bending one signed document


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=="))


def to_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sign(signed: Signed, payload: bytes, signers: list[Any]) -> str:
    if signed.general:
        return sign_general(typ=signed.typ, payload=payload, signers=signers).decode()
    return sign_compact(typ=signed.typ, payload=payload, signer=signers[0])


def forgers(signed: Signed) -> list[NamedAs]:
    return [NamedAs(theirs, ours.kid) for theirs, ours in zip(signed.theirs, signed.ours, strict=True)]


def envelope(signed: Signed, token: str) -> dict[str, Any]:
    """Take a signed document apart into headers, payload and signatures."""
    if signed.general:
        document = json.loads(token)
        entries = document["signatures"]
        return {
            "payload": document["payload"],
            "signatures": [
                {"protected": unb64(e["protected"]), "signature": e["signature"]} for e in entries
            ],
        }
    header, payload, signature = token.split(".")
    return {"payload": payload, "signatures": [{"protected": unb64(header), "signature": signature}]}


def closed(signed: Signed, parts: dict[str, Any]) -> str | None:
    """Put a bent envelope together again, where its kind still can be written."""
    try:
        entries = [
            {name: b64(to_bytes(value)) if name == "protected" else value for name, value in entry.items()}
            for entry in parts.get("signatures", [])
        ]
        if signed.general:
            rest = {name: value for name, value in parts.items() if name != "signatures"}
            return to_bytes({**rest, "signatures": entries}).decode()
        return f"{entries[0]['protected']}.{parts['payload']}.{entries[0]['signature']}"
    except (KeyError, IndexError, AttributeError):
        return None


def bent_tokens(signed: Signed, token: str, other: str) -> Iterator[tuple[str, str]]:
    """Bend one signed document in every way that does not need our keys."""
    parts, other_parts = envelope(signed, token), envelope(signed, other)
    for name, payload in bent(unb64(parts["payload"]), unb64(other_parts["payload"])):
        data = to_bytes(payload)
        unsigned = closed(signed, {**parts, "payload": b64(data)})
        if unsigned is not None:
            yield f"{name}, old signature", unsigned
        yield f"{name}, signed by the other", sign(signed, data, signed.theirs)
        yield f"{name}, signed by the other in our name", sign(signed, data, forgers(signed))
    for name, bent_parts in bent(parts, other_parts):
        whole = closed(signed, bent_parts)
        if whole is not None:
            yield f"envelope {name}", whole
    untouched = base64.urlsafe_b64decode(parts["payload"] + "==")
    yield "re-signed by the other", sign(signed, untouched, signed.theirs)
    yield "re-signed by the other in our name", sign(signed, untouched, forgers(signed))
    yield "the other's own", other


def bundle_of(installation: Installation) -> Parts:
    parts: Parts = json.loads(dump_bundle(installation.bundle_parts()))
    return parts


def signing(ours: Installation, theirs: Installation) -> dict[str, Signed]:
    """Say how each document is signed: the second root by the keys of the first and its own."""
    first, second = (
        (made.earlier_root_signers[:2], [*made.earlier_root_signers[:2], *made.root_signers[:2]])
        for made in (ours, theirs)
    )
    return {
        "root": Signed(TRUST_ROOT_TYP, first[0], second[0], True),
        "next_root": Signed(TRUST_ROOT_TYP, first[1], second[1], True),
        "trust_list": Signed(TRUST_LIST_TYP, ours.list_signers, theirs.list_signers, True),
        "freshness": Signed(FRESHNESS_TYP, [ours.freshness_signer], [theirs.freshness_signer], False),
        "status_list": Signed(STATUS_LIST_TYP, [ours.status_signer], [theirs.status_signer], False),
    }


_ROOTS = ("root", "next_root")


def part(bundle: Parts, what: str) -> str:
    """Take one document out of a bundle; `archived_0` is the first version in its archive."""
    if what in _ROOTS:
        return str(bundle["roots"][_ROOTS.index(what)])
    if what == "status_list":
        (token,) = bundle["status_lists"].values()
        return str(token)
    if what.startswith("archived_"):
        (tokens,) = bundle["archive"].values()
        return str(tokens[int(what[-1])])
    return str(bundle[what])


def with_part(bundle: Parts, what: str, token: str) -> Parts:
    """Put one document into a copy of a bundle."""
    copy = deepcopy(bundle)
    if what in _ROOTS:
        copy["roots"][_ROOTS.index(what)] = token
    elif what == "status_list":
        copy["status_lists"] = dict.fromkeys(bundle["status_lists"], token)
    elif what.startswith("archived_"):
        (tokens,) = copy["archive"].values()
        tokens[int(what[-1])] = token
    else:
        copy[what] = token
    return copy


def same_keys(installation: Installation, **changes: Any) -> Installation:
    """Make a second installation with the keys, roots and log entries of one, to publish something else."""
    names = (
        "root_version",
        "root_signers",
        "list_signers",
        "credential_signer",
        "other_signer",
        "status_signer",
        "receipt_signer",
        "freshness_signer",
        "log_signer",
        "receipt_log_signer",
        "witness_signer",
    )
    made = Installation(**{**{name: getattr(installation, name) for name in names}, **changes})
    made.earlier_roots = list(installation.earlier_roots)
    made.earlier_root_signers = installation.earlier_root_signers
    made.log.entries = list(installation.log.entries)
    return made


def publishing_alike(made: Installation) -> Installation:
    """Copy what is published, share the keys: an edit of one bundle leaves the others alone."""
    copy = replace(made, edits={})
    copy.__dict__.update({**made.__dict__, "edits": {}, "_signed": dict(made.__dict__.get("_signed", {}))})
    return copy


def entry_digest(token: str) -> str:
    """Digest the signing input of a credential, as its log entry does."""
    return sha256(token.split("~")[0].rpartition(".")[0].encode()).hexdigest()
