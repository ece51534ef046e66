"""Every field of root, trust list, freshness, status list and bundle, bent one at a time: none may answer valid.

The variants are generated from the documents themselves, so a new field is covered the day it appears:

* each member and array entry changed, removed, or swapped for the other installation's, with the old signature
  left on it, and re-signed by the other installation under its own key ids and under ours;
* each header member and each signature bent in the same ways;
* every combination of whole parts from a forger who copied all public keys and names but has only keys of his own;
* older parts of our own, parts of our own for another environment, and a status list of ours signed by the service
  of another authority.

A control shows that the untouched documents answer valid, and broken twins of the core show that each check is
what keeps some variant out.
"""

import base64
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from elicense.bundle import dump_bundle
from elicense.freshness import FRESHNESS_TYP
from elicense.jws import sign_compact, sign_general
from elicense.policy import DEFAULT_POLICY
from elicense.report import Verdict
from elicense.status_list import STATUS_LIST_TYP
from elicense.trust_list import TRUST_LIST_TYP, TRUST_ROOT_TYP, ServiceUse
from elicense.verify import gather_offline, verify_credential
from tests.simulator import NOW, OTHER_AUTHORITY_CODE, Installation, NamedAs, SimulatedSigner
from tests.unit.twins import Twin

Parts = dict[str, Any]
Judge = Callable[["Variant"], str]


class Variant(NamedTuple):
    """One bent set of documents: a name for the report, the pinned root, the bundle, and the credential asked."""

    name: str
    root: bytes
    bundle: bytes
    token: str


class Signed(NamedTuple):
    """How one document of the bundle is signed: its `typ`, our signers, and the other installation's."""

    typ: str
    ours: list[SimulatedSigner]
    theirs: list[SimulatedSigner]
    general: bool


@pytest.fixture(scope="module")
def ours() -> Installation:
    return Installation()


@pytest.fixture(scope="module")
def theirs() -> Installation:
    """The other installation: every name, number and key differs."""
    return Installation(
        issuer_url="https://two.example",
        env="live",
        now=NOW - timedelta(hours=1),
        sequence=9,
        status_seq=3,
        event_seq=77,
        list_size=2048,
        root_version=2,
    )


def judge(variant: Variant) -> str:
    """Answer with the product's own judge."""
    evidence = gather_offline(trust_root=variant.root, bundle=variant.bundle, now=NOW)
    return verify_credential(variant.token, evidence=evidence, policy=DEFAULT_POLICY).verdict.value


def twin_judge(twin: Twin) -> Judge:
    """Answer with a broken twin."""
    policy = twin.module("policy").DEFAULT_POLICY

    def answer(variant: Variant) -> str:
        evidence = twin.verify.gather_offline(trust_root=variant.root, bundle=variant.bundle, now=NOW)
        report = twin.verify.verify_credential(variant.token, evidence=evidence, policy=policy)
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
    return {
        "root": Signed(TRUST_ROOT_TYP, ours.root_signers[:2], theirs.root_signers[:2], True),
        "trust_list": Signed(TRUST_LIST_TYP, ours.list_signers, theirs.list_signers, True),
        "freshness": Signed(FRESHNESS_TYP, [ours.freshness_signer], [theirs.freshness_signer], False),
        "status_list": Signed(STATUS_LIST_TYP, [ours.status_signer], [theirs.status_signer], False),
    }


def part(bundle: Parts, what: str) -> str:
    if what == "root":
        return str(bundle["roots"][0])
    if what == "status_list":
        (token,) = bundle["status_lists"].values()
        return str(token)
    return str(bundle[what])


def with_part(bundle: Parts, what: str, token: str) -> Parts:
    copy = dict(bundle)
    if what == "root":
        copy["roots"] = [token]
    elif what == "status_list":
        copy["status_lists"] = dict.fromkeys(bundle["status_lists"], token)
    else:
        copy[what] = token
    return copy


# --- the variants


def document_variants(ours: Installation, theirs: Installation, what: str) -> list[Variant]:
    """Bend one document of the bundle; of the root also the pinned copy alone, and both alike."""
    token, bundle, root = ours.credential(), bundle_of(ours), ours.trust_root()
    signed = signing(ours, theirs)[what]
    variants = []
    for name, document in bent_tokens(signed, part(bundle, what), part(bundle_of(theirs), what)):
        bent_bundle = to_bytes(with_part(bundle, what, document))
        variants.append(Variant(f"{what} {name}", root, bent_bundle, token))
        if what == "root":
            variants.append(Variant(f"pinned {name}", document.encode(), to_bytes(bundle), token))
            # A root that is whole under other keys, pinned and carried, is another anchor chosen by its user.
            if "signed by the other" not in name:
                variants.append(Variant(f"pinned and carried {name}", document.encode(), bent_bundle, token))
    return variants


def bundle_variants(ours: Installation, theirs: Installation) -> list[Variant]:
    token, root = ours.credential(), ours.trust_root()
    bends = bent(bundle_of(ours), bundle_of(theirs))
    return [Variant(f"bundle {name}", root, to_bytes(bundle), token) for name, bundle in bends]


def forged_variants(ours: Installation) -> list[Variant]:
    """Mix parts of a forger who copied every name and every public authority key, in every combination."""
    forger = Installation(credential_signer=ours.credential_signer, other_signer=ours.other_signer)
    forged, real, token = bundle_of(forger), bundle_of(ours), ours.credential()
    kinds = ("root", "trust_list", "freshness", "status_list")
    variants = []
    for count in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, count):
            bundle = real
            for kind in chosen:
                bundle = with_part(bundle, kind, part(forged, kind))
            variants.append(Variant(f"forged {chosen}", ours.trust_root(), to_bytes(bundle), token))
    return variants


def same_keys(installation: Installation, **changes: Any) -> Installation:
    names = (
        "root_signers",
        "list_signers",
        "credential_signer",
        "other_signer",
        "status_signer",
        "receipt_signer",
        "freshness_signer",
    )
    return Installation(**{**{name: getattr(installation, name) for name in names}, **changes})


def older_variants(ours: Installation) -> list[Variant]:
    """Put one older part of our own, well signed, into the current bundle."""
    older = bundle_of(same_keys(ours, now=NOW - timedelta(hours=2), sequence=2, status_seq=6))
    current, token = bundle_of(ours), ours.credential()
    return [
        Variant(
            f"older {what}", ours.trust_root(), to_bytes(with_part(current, what, part(older, what))), token
        )
        for what in ("trust_list", "freshness", "status_list")
    ]


def environment_variants(ours: Installation) -> list[Variant]:
    """Let our own keys sign for the other environment under our root, in every combination of documents."""
    kinds = ("trust_list", "freshness", "status_list", "bundle", "credential")
    variants = []
    for count in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, count):
            mixed = same_keys(ours)
            for what in chosen:
                mixed.edits[what] = lambda payload: payload.update(env="live")
            token = mixed.credential(env="live" if "credential" in chosen else "test")
            variants.append(Variant(f"live {chosen}", mixed.trust_root(), mixed.bundle(), token))
    return variants


def credential_variants(ours: Installation) -> list[Variant]:
    """Ask about credentials nobody of ours signed so, under untouched documents."""
    forger = SimulatedSigner()
    mixed = same_keys(ours)
    tokens = {
        "forged in our name": mixed.credential(signer=NamedAs(forger, mixed.credential_signer.kid)),
        "forged under its own key": mixed.credential(signer=forger),
        "by another authority's key": mixed.credential(signer=mixed.other_signer),
        "by the status key": mixed.credential(signer=mixed.status_signer),
        "in an area outside the scope": mixed.credential(area_code="320500"),
        "with another holder": mixed.credential(claims={"subject": "91320102MA0T00099X"}),
    }
    return [
        Variant(f"credential {name}", mixed.trust_root(), mixed.bundle(), token)
        for name, token in tokens.items()
    ]


def service_variants(ours: Installation) -> list[Variant]:
    """Let a status service of ours that serves another authority, or other URIs, sign the list of this one."""
    variants = []
    for name, changes in {
        "for another authority": {"authorities": (OTHER_AUTHORITY_CODE,)},
        "for none": {"authorities": ()},
        "for other URIs": {"uri_prefixes": ("https://one.example/v1/other-lists/",)},
    }.items():
        mixed = same_keys(ours)
        stranger = SimulatedSigner()
        base = mixed.services[0]
        mixed.services.append(replace(base, key=stranger.public_key, **changes))  # type: ignore[arg-type]
        mixed.status_signer = stranger
        variants.append(
            Variant(f"status service {name}", mixed.trust_root(), mixed.bundle(), mixed.credential())
        )
    mixed = same_keys(ours)
    mixed.status_signer = NamedAs(SimulatedSigner(), ours.status_signer.kid)  # type: ignore[assignment]
    variants.append(Variant("forged in its name", mixed.trust_root(), mixed.bundle(), mixed.credential()))
    mixed = same_keys(ours)
    mixed.change_service(ServiceUse.STATUS, authorities=())
    variants.append(Variant("our own for none", mixed.trust_root(), mixed.bundle(), mixed.credential()))
    return variants


MIXES = (forged_variants, older_variants, environment_variants, service_variants, credential_variants)


# --- the tests


def test_the_untouched_documents_answer_valid(ours: Installation, theirs: Installation) -> None:
    for installation in (ours, theirs):
        variant = Variant("", installation.trust_root(), installation.bundle(), installation.credential())
        assert judge(variant) == "valid"
    assert judge(Variant("", ours.trust_root(), to_bytes(bundle_of(ours)), ours.credential())) == "valid"


@pytest.mark.parametrize(
    ("what", "at_least"), [("root", 800), ("trust_list", 800), ("freshness", 90), ("status_list", 90)]
)
def test_no_bent_document_answers_valid(
    ours: Installation, theirs: Installation, what: str, at_least: int
) -> None:
    variants = document_variants(ours, theirs, what)
    assert len(variants) >= at_least
    assert survivors(variants) == []


def test_no_bent_bundle_answers_valid(ours: Installation, theirs: Installation) -> None:
    variants = bundle_variants(ours, theirs)
    assert len(variants) >= 20
    assert survivors(variants) == []


@pytest.mark.parametrize("make", MIXES, ids=lambda make: str(make.__name__))
def test_no_mix_of_parts_answers_valid(
    ours: Installation, make: Callable[[Installation], list[Variant]]
) -> None:
    variants = make(ours)
    assert len(variants) >= 3
    assert survivors(variants) == []


def every_variant(ours: Installation, theirs: Installation) -> list[Variant]:
    mixed = [variant for make in MIXES for variant in make(ours)]
    documents = [v for what in ("freshness", "status_list") for v in document_variants(ours, theirs, what)]
    return [*mixed, *bundle_variants(ours, theirs), *documents]


@pytest.mark.parametrize(
    ("file", "passage", "instead"),
    [
        pytest.param(
            "trust_list.py",
            'require_threshold(jws, root.list_keys, root.list_threshold, "trust list")',
            "pass",
            id="signatures of the trust list",
        ),
        pytest.param(
            "freshness.py",
            "or not key.verify(jws.signature, jws.signing_input)",
            "",
            id="signature of the freshness",
        ),
        pytest.param(
            "status_list.py",
            "or not key.verify(jws.signature, jws.signing_input)",
            "",
            id="signature of the status list",
        ),
        pytest.param(
            "verify.py",
            "if not _signature_holds(credential, entry.key, memo, digest):",
            "if False:",
            id="signature of the credential",
        ),
        pytest.param(
            "verify.py",
            "if scope.covers(type_code=type_code, area_code=area_code, on=reading.signed_on):",
            "if True:",
            id="scope of the authority",
        ),
        pytest.param(
            "reading.py", "if claims.subject != license_claims.holder.code:", "if False:", id="holder"
        ),
        pytest.param(
            "verify.py",
            "if not part.service.covers_authority(authority.code):",
            "if False:",
            id="service speaks for the authority",
        ),
        pytest.param(
            "evidence.py", "if not service.covers_uri(uri):", "if False:", id="service speaks for the URI"
        ),
        pytest.param(
            "evidence.py",
            "if (current.seq, current.sha256) != (status_list.seq, status_list.sha256):",
            "if False:",
            id="freshness names the status list's digest",
        ),
        pytest.param(
            "freshness.py",
            "if named != (trust_list.sequence, trust_list.sha256):",
            "if False:",
            id="freshness names the trust list's digest",
        ),
        pytest.param(
            "evidence.py",
            "if claims.env != trust.trust_list.env:",
            "if False:",
            id="environment of the status list",
        ),
        pytest.param(
            "freshness.py",
            "if freshness.env != trust_list.env:",
            "if False:",
            id="environment of the freshness",
        ),
        pytest.param("trust_list.py", "if env != root.env:", "if False:", id="environment of the trust list"),
        pytest.param(
            "evidence.py", "if bundle.env != root.env:", "if False:", id="environment of the bundle"
        ),
        pytest.param(
            "verify.py",
            "if not wrong and credential.env != trust.root.env:",
            "if False:",
            id="environment of the credential",
        ),
        pytest.param(
            "evidence.py",
            "if bundle.roots != (root.raw,):",
            "if False:",
            id="the bundle's root is the pinned one",
        ),
        pytest.param(
            "evidence.py",
            "if bundle.created_at != freshness.issued_at or bundle.checkpoint != freshness.checkpoint:",
            "if False:",
            id="the bundle's age is its freshness's",
        ),
    ],
)
def test_a_twin_without_this_check_lets_a_variant_through(
    ours: Installation, theirs: Installation, tmp_path: Path, file: str, passage: str, instead: str
) -> None:
    name = f"twin_{abs(hash((file, passage))):x}"
    answer = twin_judge(Twin(tmp_path, name, file=file, passage=passage, instead=instead))
    untouched = Variant("", ours.trust_root(), ours.bundle(), ours.credential())
    assert answer(untouched) == "valid"
    assert survivors(every_variant(ours, theirs), answer) != []
