"""Every field of log proofs, compromise statements and archived lists, bent one at a time: none may answer valid.

As in the matrix of the trust documents, the variants are generated from the documents: each member changed, removed or
swapped for the other installation's, under the old signature, the other's, and the other's in our name. Beside them
stand mixes: proofs of other entries and logs, statements that trust-list keys alone cannot make, lists held back.
"""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from elicense.compromise import COMPROMISE_TYP, build_compromise_payload
from elicense.encoding import dump_json
from elicense.jws import sign_general
from elicense.log_proof import LogProof
from elicense.status_list import Status
from tests.simulated_log import SimulatedLog
from tests.simulator import NOW, Installation, NamedAs, SimulatedSigner
from tests.unit.bending import (
    Signed,
    Variant,
    bent,
    bent_tokens,
    bundle_of,
    entry_digest,
    judge,
    part,
    publishing_alike,
    signing,
    survivors,
    to_bytes,
    twin_judge,
    with_part,
)
from tests.unit.twins import Twin

HOUR = timedelta(hours=1)
THEN = NOW - 5 * HOUR


class Case(NamedTuple):
    """One installation with two credentials: one logged, one logged after the theft of their key."""

    made: Installation
    early: str
    late: str


def make_case(**settings: Any) -> Case:
    """Publish lists 6, 4 and 2 hours ago: active, suspended, active; log one credential, then another."""
    made = Installation(**settings)
    made.rotate_root()
    made.status_read_at = made.now - 6 * HOUR
    made.publish_next(made.now - 4 * HOUR, index_5=Status.SUSPENDED)
    made.publish_next(made.now - 2 * HOUR, index_5=Status.VALID)
    early, late = made.credential(), made.credential(status_index=6)
    made.prove(early)
    made.prove(late)
    return Case(made, early, late)


@pytest.fixture(scope="module")
def ours() -> Case:
    return make_case()


@pytest.fixture(scope="module")
def theirs() -> Case:
    return make_case(issuer_url="https://two.example", env="live", sequence=9, status_seq=3, event_seq=77)


@pytest.fixture(scope="module")
def stolen() -> Case:
    """Ours again, its key stolen between the two credentials, as the root's keys have stated."""
    case = make_case()
    case.made.compromise(case.made.credential_signer, case.made.log.checkpoint(4))
    return case


def ask(case: Case, token: str, proof: Any, name: str = "", bundle: Any = None) -> Variant:
    content = case.made.bundle() if bundle is None else to_bytes(bundle)
    return Variant(name, case.made.pinned_root(), content, token, proof=proof)


# --- the variants


def proof_variants(case: Case, theirs: Case) -> list[Variant]:
    """Bend the proof beside a credential, and put other proofs beside it."""
    good, other = case.made.prove(case.early).to_json(), theirs.made.prove(theirs.early).to_json()
    variants = [ask(case, case.early, proof, f"proof {name}") for name, proof in bent(good, other)]
    mixes = {
        "of another credential": case.made.prove(case.late),
        "of theirs for ours": theirs.made.prove(case.early),
        "in a forger's log of our name": forged_proof(case, case.made.log.origin),
        "in a forger's log of our host": forged_proof(case, "one.example/log/2"),
        "in a forger's own log": forged_proof(case, "else.example/log"),
        "in the receipts' log": in_receipts_log(case),
        "logged for the other environment": logged_for_live(case),
        "in a state the log never signed": replace_note(case),
    }
    variants += [ask(case, case.early, proof.to_json(), f"proof {name}") for name, proof in mixes.items()]
    return variants


def with_log(case: Case, log: SimulatedLog) -> LogProof:
    """Prove the credential in another log."""
    held, case.made.log = case.made.log, log
    try:
        return case.made.prove(case.early)
    finally:
        case.made.log = held


def forged_proof(case: Case, origin: str) -> LogProof:
    return with_log(case, SimulatedLog(origin, SimulatedSigner("eddsa")))


def in_receipts_log(case: Case) -> LogProof:
    """Log an issuance where only receipts stand: what a thief of that log's key could do."""
    return with_log(case, SimulatedLog(case.made.receipt_log.origin, case.made.receipt_log_signer))


def logged_for_live(case: Case) -> LogProof:
    """Let our own log hold the entry, written for the other environment."""
    log = SimulatedLog(case.made.log.origin, case.made.log_signer)
    proof = replace(case.made.prove(case.early), env="live")
    digest = entry_digest(case.early)
    return replace(proof, inclusion=log.inclusion(log.add(proof.entry(digest))))


def replace_note(case: Case) -> LogProof:
    """Lead to a state of our log that carries a signature over another one."""
    proof = case.made.prove(case.early)
    log = SimulatedLog(case.made.log.origin, SimulatedSigner("eddsa"))
    log.entries = [*case.made.log.entries, b"never logged"]
    text, signature = log.note().split("\n\n")[0], proof.inclusion.checkpoint.split("\n\n")[1]
    inclusion = log.inclusion(proof.inclusion.index)
    return replace(proof, inclusion=replace(inclusion, checkpoint=f"{text}\n\n{signature}"))


def statement_variants(stolen: Case, theirs: Case) -> list[Variant]:
    """Let our trust-list keys, but not the root's, publish other statements about the stolen key."""
    made, late = stolen.made, made_late(stolen)
    kid = made.credential_signer.kid
    entry = json.loads(made.list_payload())["authorities"][0]["keys"][0]["compromised"]
    larger = made.log.checkpoint(5)
    stated = {"env": "test", "kid": kid, "use": "credential", "since": NOW, "checkpoint": larger}
    members = json.loads(build_compromise_payload(**stated))  # type: ignore[arg-type]
    signed = Signed(COMPROMISE_TYP, made.root_signers[:2], theirs.made.root_signers[:2], True)
    compromised = make_case()
    compromised.made.compromise(compromised.made.credential_signer, compromised.made.log.checkpoint(5))
    foreign = json.loads(compromised.made.list_payload())["authorities"][0]["keys"][0]["compromised"]
    variants = []
    for name, declared in bent(entry, foreign):
        variants.append(republished(stolen, declared, late, f"declaration {name}"))
        variants.append(republished(stolen, declared, (stolen.early, None), f"declaration {name}, no proof"))
    body = {name: members[name] for name in ("since", "log_origin", "log_size", "log_root")}
    token = dump_json(entry["statement"]).decode()
    other = dump_json(foreign["statement"]).decode()
    for name, statement in bent_tokens(signed, token, other):
        declared = {**entry, "statement": json.loads(statement)}
        variants.append(republished(stolen, declared, late, f"statement {name}"))
    for name, signers in {
        "the other's root keys": theirs.made.root_signers[:2],
        "the other's, named as ours": [
            NamedAs(theirs_, ours_.kid)
            for theirs_, ours_ in zip(theirs.made.root_signers, made.root_signers, strict=True)
        ],
        "our trust-list keys": made.list_signers,
        "one root key twice": [made.root_signers[0]] * 2,
        "the earlier root's keys": made.earlier_root_signers[:2],
    }.items():
        data = sign_general(
            typ=COMPROMISE_TYP,
            payload=build_compromise_payload(**stated),  # type: ignore[arg-type]
            signers=signers,
        )
        declared = {**body, "statement": json.loads(data)}
        variants.append(republished(stolen, declared, late, f"a larger state stated by {name}"))
    return variants


def made_late(stolen: Case) -> tuple[str, Any]:
    return stolen.late, stolen.made.prove(stolen.late).to_json()


def republished(stolen: Case, declared: Any, asked: tuple[str, Any], name: str) -> Variant:
    """Publish a trust list, well signed by its own keys, that declares this about the stolen key."""
    made = publishing_alike(stolen.made)
    made.edits["trust_list"] = lambda payload: payload["authorities"][0]["keys"][0].update(
        compromised=declared
    )
    return Variant(name, made.pinned_root(), made.bundle(), asked[0], proof=asked[1])


def theft_variants(stolen: Case) -> list[Variant]:
    """Ask about what a stolen key signed: without a proof, too late, in states and logs that do not count."""
    made = stolen.made
    early = made.prove(stolen.early)
    unlogged = made.credential(status_index=7, signed_at=NOW - timedelta(days=200))
    asked = {
        "logged after the theft": (stolen.late, made.prove(stolen.late)),
        "never logged, dated back": (unlogged, early),
        "logged after, with the proof of one before": (stolen.late, early),
        "logged in a forger's earlier log": (stolen.early, forged_proof(stolen, "one.example/log")),
        "logged in a forger's later log": (stolen.early, forged_proof(stolen, "one.example/log/2")),
    }
    variants = [ask(stolen, token, proof.to_json(), name) for name, (token, proof) in asked.items()]
    variants.append(ask(stolen, stolen.early, None, "no proof"))
    variants.append(ask(stolen, unlogged, None, "never logged, no proof"))
    return variants


def log_theft_variants(ours: Case) -> list[Variant]:
    """Let the log's key be stolen: only the state that the root's keys fixed is left."""
    made = publishing_alike(ours.made)
    held = made.log
    made.log = SimulatedLog(held.origin, made.log_signer)
    made.log.entries = list(held.entries)
    exact = made.log.checkpoint()
    made.log.add(b"what a thief wrote")
    larger = made.prove(ours.early)
    smaller = replace(larger, inclusion=made.log.inclusion(larger.inclusion.index, 4))
    made.compromise(made.log_signer, exact)
    bundle, root = made.bundle(), made.pinned_root()
    forked = SimulatedLog(held.origin, made.log_signer)
    forked.entries = [b"another past", *held.entries[1:]]
    fork = replace(larger, inclusion=forked.inclusion(larger.inclusion.index))
    proofs = {"a larger state": larger, "a smaller state": smaller, "a fork of the same size": fork}
    return [
        Variant(f"stolen log key, {name}", root, bundle, ours.early, proof=proof.to_json())
        for name, proof in proofs.items()
    ]


def status_theft_variants(ours: Case) -> list[Variant]:
    """Let the status key be stolen: a list counts by its own proof in the log before that."""
    variants = []
    for name, change in {
        "no proof": lambda proofs: proofs.clear(),
        "the proof of another list": lambda proofs: proofs.update(
            dict(zip(proofs, reversed(proofs.values()), strict=True))
        ),
        "another list before it": lambda proofs: [
            proof.update(previous="0" * 64) for proof in proofs.values()
        ],
        "another place": lambda proofs: [proof.update(index=0) for proof in proofs.values()],
    }.items():
        made = status_theft(ours)
        bundle = bundle_of(made)
        change(bundle["list_proofs"])
        variants.append(
            Variant(f"stolen status key, {name}", made.pinned_root(), to_bytes(bundle), ours.early)
        )
    made = status_theft(ours, late=True)
    variants.append(Variant("stolen status key, logged later", made.pinned_root(), made.bundle(), ours.early))
    return variants


def status_theft(ours: Case, *, late: bool = False) -> Installation:
    made = publishing_alike(ours.made)
    held = made.log
    made.log = SimulatedLog(held.origin, made.log_signer)
    made.log.entries = list(held.entries)
    made.list_proofs = {}
    before = made.log.checkpoint()
    made.prove_list(made.archive[0])
    made.prove_list(made.status_list())
    made.compromise(made.status_signer, before if late else made.log.checkpoint())
    return made


def archive_variants(ours: Case, theirs: Case) -> list[Variant]:
    """Bend each archived list and the archive itself, asking about the moment the first one covers."""
    bundle, root = bundle_of(ours.made), ours.made.pinned_root()
    foreign = bundle_of(theirs.made)
    signed = signing(ours.made, theirs.made)["status_list"]
    variants = []
    for what in ("archived_0", "archived_1"):
        for name, token in bent_tokens(signed, part(bundle, what), part(foreign, what)):
            changed = to_bytes(with_part(bundle, what, token))
            variants.append(Variant(f"{what} {name}", root, changed, ours.early, at=THEN))
    for name, archive in bent(bundle["archive"], foreign["archive"]):
        changed = to_bytes({**bundle, "archive": archive})
        variants.append(Variant(f"archive {name}", root, changed, ours.early, at=THEN))
    return variants


def moment_variants(ours: Case) -> list[Variant]:
    """Ask about moments that no list shows to be good: suspended, held back, before everything."""
    made, root = ours.made, ours.made.pinned_root()
    bundle = bundle_of(made)
    ((uri, (first, second)),) = bundle["archive"].items()
    suspended = NOW - 3 * HOUR
    archives = {"whole": [first, second], "without the suspension": [first], "the suspension alone": [second]}
    variants = []
    for name, tokens in archives.items():
        bent_bundle = to_bytes({**bundle, "archive": {uri: tokens}})
        variants.append(Variant(f"suspended, archive {name}", root, bent_bundle, ours.early, at=suspended))
    later = made.credential(signed_at=NOW - HOUR)
    variants.append(Variant("before it was signed", root, made.bundle(), later, at=THEN))
    variants.append(Variant("before the archive", root, made.bundle(), ours.early, at=NOW - 7 * HOUR))
    return variants


# --- the tests


def test_the_untouched_cases_answer_valid(ours: Case, theirs: Case, stolen: Case) -> None:
    for case in (ours, stolen):
        assert judge(ask(case, case.early, case.made.prove(case.early).to_json())) == "valid"
    assert judge(ask(theirs, theirs.late, theirs.made.prove(theirs.late).to_json())) == "valid"
    assert judge(ask(ours, ours.early, None)._replace(at=THEN)) == "valid"
    made = status_theft(ours)
    assert judge(Variant("", made.pinned_root(), made.bundle(), ours.early)) == "valid"


def test_no_bent_or_borrowed_proof_answers_valid(ours: Case, stolen: Case, theirs: Case) -> None:
    for case in (ours, stolen):
        variants = proof_variants(case, theirs)
        assert len(variants) >= 30
        assert survivors(variants) == []


def test_no_statement_but_the_roots_own_answers_valid(stolen: Case, theirs: Case) -> None:
    variants = statement_variants(stolen, theirs)
    assert len(variants) >= 90
    assert survivors(variants) == []


def test_nothing_a_thief_could_make_answers_valid(ours: Case, stolen: Case) -> None:
    variants = [*theft_variants(stolen), *log_theft_variants(ours), *status_theft_variants(ours)]
    assert len(variants) >= 15
    assert survivors(variants) == []


def test_no_bent_archive_answers_valid(ours: Case, theirs: Case) -> None:
    variants = [*archive_variants(ours, theirs), *moment_variants(ours)]
    assert len(variants) >= 180
    assert survivors(variants) == []


@pytest.fixture(scope="module")
def every_variant(ours: Case, stolen: Case, theirs: Case) -> list[Variant]:
    return [
        *proof_variants(ours, theirs),
        *proof_variants(stolen, theirs),
        *statement_variants(stolen, theirs),
        *theft_variants(stolen),
        *log_theft_variants(ours),
        *status_theft_variants(ours),
        *archive_variants(ours, theirs),
        *moment_variants(ours),
    ]


@pytest.mark.parametrize(
    ("file", "passage", "instead"),
    [
        pytest.param(
            "log_trust.py",
            "if not inclusion.includes(entry, checkpoint):",
            "if False:",
            id="the path leads from the entry to the root",
        ),
        pytest.param(
            "log_trust.py",
            "signed = [key for key in keys if is_signed_by(parsed, name=checkpoint.origin, key=key.key)]",
            "signed = list(keys)",
            id="a key of the log signed the checkpoint",
        ),
        pytest.param(
            "log_trust.py",
            "good = [key for key in signed if key.compromised is None]",
            "good = list(signed)",
            id="a stolen log key signs nothing",
        ),
        pytest.param(
            "log_trust.py",
            "if name is None or name.kind is not kind:",
            "if False:",
            id="receipts' log and public log apart",
        ),
        pytest.param(
            "log_trust.py",
            "if not keys:",
            "if not keys: return checkpoint\n    if False:",
            id="the log is a listed one",
        ),
        pytest.param(
            "log_check.py", "if proof.env != trust.root.env:", "if False:", id="environment of the proof"
        ),
        pytest.param(
            "log_check.py",
            "if place is None or not logged_before(place, compromise, trust_list):",
            "if False:",
            id="logged before the theft",
        ),
        pytest.param(
            "compromise.py",
            'require_threshold(jws, root.root_keys, root.root_threshold, "compromise statement")',
            "pass",
            id="signatures of the statement",
        ),
        pytest.param(
            "status_evidence.py",
            "if service.compromised is not None:",
            "if False:",
            id="lists of a stolen status key",
        ),
        pytest.param(
            "status_evidence.py",
            "if not logged_before(place, compromise, trust.trust_list):",
            "if False:",
            id="the list was logged before the theft",
        ),
        pytest.param(
            "status_evidence.py",
            "if after.status_list.seq == before.status_list.seq + 1:",
            "if True:",
            id="the next version ends a list's span",
        ),
        pytest.param(
            "status_list.py",
            "or not key.verify(jws.signature, jws.signing_input)",
            "",
            id="signatures of archived lists",
        ),
        pytest.param(
            "status_check.py",
            "    if moment < now:\n        if moment < credential.claims.issued_at:",
            "    if moment < now:\n        if False:",
            id="no list speaks of what was not signed yet",
        ),
    ],
)
def test_a_twin_without_this_check_lets_a_variant_through(
    ours: Case, every_variant: list[Variant], tmp_path: Path, file: str, passage: str, instead: str
) -> None:
    name = f"twin_{abs(hash((file, passage))):x}"
    answer = twin_judge(Twin(tmp_path, name, file=file, passage=passage, instead=instead))
    assert answer(ask(ours, ours.early, ours.made.prove(ours.early).to_json())) == "valid"
    assert any(answer(variant) == "valid" for variant in every_variant)
