"""Every field of roots, trust list, freshness, status list and bundle, bent one at a time: none may answer valid.

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

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import combinations
from pathlib import Path

import pytest

from elicense.trust_list import ServiceUse
from tests.simulator import NOW, OTHER_AUTHORITY_CODE, Installation, NamedAs, SimulatedSigner
from tests.unit.bending import (
    Variant,
    bent,
    bent_tokens,
    bundle_of,
    judge,
    part,
    same_keys,
    signing,
    survivors,
    to_bytes,
    twin_judge,
    with_part,
)
from tests.unit.twins import Twin


@pytest.fixture(scope="module")
def ours() -> Installation:
    """Ours: its root has been renewed once, and its users pinned the first."""
    made = Installation()
    made.rotate_root()
    return made


@pytest.fixture(scope="module")
def theirs() -> Installation:
    """The other installation: every name, number and key differs."""
    made = Installation(
        issuer_url="https://two.example",
        env="live",
        now=NOW - timedelta(hours=1),
        sequence=9,
        status_seq=3,
        event_seq=77,
        list_size=2048,
        root_version=2,
    )
    made.rotate_root()
    return made


# --- the variants


def document_variants(ours: Installation, theirs: Installation, what: str) -> list[Variant]:
    """Bend one document of the bundle; of the root also the pinned copy alone, and both alike."""
    token, bundle, root = ours.credential(), bundle_of(ours), ours.pinned_root()
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
    token, root = ours.credential(), ours.pinned_root()
    bends = bent(bundle_of(ours), bundle_of(theirs))
    return [Variant(f"bundle {name}", root, to_bytes(bundle), token) for name, bundle in bends]


def forged_variants(ours: Installation) -> list[Variant]:
    """Mix parts of a forger who copied every name and every public authority key, in every combination."""
    forger = Installation(credential_signer=ours.credential_signer, other_signer=ours.other_signer)
    forger.rotate_root()
    forged, real, token = bundle_of(forger), bundle_of(ours), ours.credential()
    kinds = ("root", "next_root", "trust_list", "freshness", "status_list")
    variants = []
    for count in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, count):
            bundle = real
            for kind in chosen:
                bundle = with_part(bundle, kind, part(forged, kind))
            if "freshness" in chosen:  # a forger makes the unsigned frame fit
                bundle = {**bundle, "checkpoint": forged["checkpoint"]}
            variants.append(Variant(f"forged {chosen}", ours.pinned_root(), to_bytes(bundle), token))
    return variants


def older_variants(ours: Installation) -> list[Variant]:
    """Put one older part of our own, well signed, into the current bundle."""
    older = bundle_of(same_keys(ours, now=NOW - timedelta(hours=2), sequence=2, status_seq=6))
    current, token = bundle_of(ours), ours.credential()
    return [
        Variant(
            f"older {what}", ours.pinned_root(), to_bytes(with_part(current, what, part(older, what))), token
        )
        for what in ("trust_list", "freshness", "status_list")
    ]


def environment_variants(ours: Installation) -> list[Variant]:
    """Let our own keys sign for the other environment under our root, in every combination of documents."""
    kinds = ("trust_root", "trust_list", "freshness", "status_list", "bundle", "credential")
    variants = []
    for count in range(1, len(kinds) + 1):
        for chosen in combinations(kinds, count):
            mixed = same_keys(ours)
            for what in chosen:
                mixed.edits[what] = lambda payload: payload.update(env="live")
            token = mixed.credential(env="live" if "credential" in chosen else "test")
            variants.append(Variant(f"live {chosen}", mixed.pinned_root(), mixed.bundle(), token))
    return variants


def chain_variants(ours: Installation) -> list[Variant]:
    """Let our own keys sign a next root that does not follow, or leave it out although its list was made under it."""
    variants = []
    for name, change in {
        "skips a version": {"version": 3},
        "repeats its version": {"version": 1},
        "moves the type base": {"type_base": "https://else.example"},
    }.items():
        mixed = same_keys(ours)
        mixed.edits["trust_root"] = lambda payload, change=change: payload.update(change)  # type: ignore[misc]
        if "version" in change:
            mixed.edits["trust_list"] = lambda payload: payload.pop("root_version")
        mixed.type_base = change.get("type_base", mixed.type_base)  # type: ignore[assignment]
        token = mixed.credential()
        variants.append(Variant(f"a root that {name}", mixed.pinned_root(), mixed.bundle(), token))
    kept = Installation()
    keys = kept.list_signers
    kept.rotate_root()
    kept.list_signers = keys
    held_back = bundle_of(kept)
    held_back["roots"].pop()
    token = kept.credential()
    variants.append(Variant("a root held back", kept.pinned_root(), to_bytes(held_back), token))
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
        Variant(f"credential {name}", mixed.pinned_root(), mixed.bundle(), token)
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
            Variant(f"status service {name}", mixed.pinned_root(), mixed.bundle(), mixed.credential())
        )
    mixed = same_keys(ours)
    mixed.status_signer = NamedAs(SimulatedSigner(), ours.status_signer.kid)  # type: ignore[assignment]
    variants.append(Variant("forged in its name", mixed.pinned_root(), mixed.bundle(), mixed.credential()))
    mixed = same_keys(ours)
    mixed.change_service(ServiceUse.STATUS, authorities=())
    variants.append(Variant("our own for none", mixed.pinned_root(), mixed.bundle(), mixed.credential()))
    return variants


MIXES = (
    forged_variants,
    older_variants,
    environment_variants,
    chain_variants,
    service_variants,
    credential_variants,
)


# --- the tests


def test_the_untouched_documents_answer_valid(ours: Installation, theirs: Installation) -> None:
    for installation in (ours, theirs):
        variant = Variant("", installation.pinned_root(), installation.bundle(), installation.credential())
        assert judge(variant) == "valid"
    assert judge(Variant("", ours.pinned_root(), to_bytes(bundle_of(ours)), ours.credential())) == "valid"


@pytest.mark.parametrize(
    ("what", "at_least"),
    [("root", 800), ("next_root", 250), ("trust_list", 1000), ("freshness", 90), ("status_list", 90)],
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
            "if not _signature_holds(credential, entry.key, memo):",
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
            "status_check.py",
            "if not part.service.covers_authority(authority.code):",
            "if False:",
            id="service speaks for the authority",
        ),
        pytest.param(
            "status_evidence.py",
            "if not service.covers_uri(uri):",
            "if False:",
            id="service speaks for the URI",
        ),
        pytest.param(
            "status_evidence.py",
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
            "status_evidence.py",
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
        pytest.param("evidence.py", "if parts.env != root.env:", "if False:", id="environment of the bundle"),
        pytest.param(
            "verify.py",
            "if not wrong and credential.env != trust.root.env:",
            "if False:",
            id="environment of the credential",
        ),
        pytest.param(
            "trust_root.py",
            "if anchor not in roots:",
            "if not roots:",
            id="the pinned root is among the bundle's",
        ),
        pytest.param(
            "trust_root.py",
            "require_threshold(jws, before.root_keys, before.root_threshold, what)",
            "pass",
            id="the old root's keys sign the next",
        ),
        pytest.param(
            "trust_root.py",
            "if after.version != before.version + 1:",
            "if False:",
            id="one version at a time",
        ),
        pytest.param(
            "trust_root.py",
            "if (after.env, after.type_base) != (before.env, before.type_base):",
            "if False:",
            id="the next root keeps environment and type base",
        ),
        pytest.param(
            "trust_list.py",
            "if root_version is not None and root_version > root.version:",
            "if False:",
            id="the trust list's root is at hand",
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
    untouched = Variant("", ours.pinned_root(), ours.bundle(), ours.credential())
    assert answer(untouched) == "valid"
    assert survivors(every_variant(ours, theirs), answer) != []
