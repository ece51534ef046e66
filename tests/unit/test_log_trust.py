"""Which checkpoints and places in a log count, and that a log never goes back or forks unseen."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.evidence import gather_offline, remember
from elicense.log_trust import (
    LogKind,
    LogName,
    accept_checkpoint,
    accept_inclusion,
    advance_checkpoint,
    parse_consistency,
    read_origin,
    witnessed_at,
)
from elicense.problems import FormatError, Reason
from elicense.signed_note import Checkpoint, parse_note, sign_note
from elicense.trust_list import ServiceUse, TrustList, parse_trust_list, parse_trust_root
from tests.simulated_log import SimulatedLog
from tests.simulator import NOW, Installation, SimulatedSigner

DAY = timedelta(days=1)


@pytest.fixture
def installation() -> Installation:
    return Installation()


def listed(installation: Installation) -> TrustList:
    return parse_trust_list(installation.trust_list(), root=parse_trust_root(installation.trust_root()))


# --- origins


def test_an_origin_tells_host_kind_and_generation() -> None:
    assert read_origin("a.example/log") == LogName("a.example", LogKind.PUBLIC)
    assert read_origin("a.example:8443/receipt-log/12") == LogName("a.example:8443", LogKind.RECEIPTS, 12)
    for origin in ("a.example/log", "a.example/log/2", "a.example/receipt-log", "a.example/receipt-log/7"):
        name = read_origin(origin)
        assert name is not None and name.origin == origin


@pytest.mark.parametrize(
    "origin",
    ["", "log", "/log", "a.example", "a.example/log/", "a.example/log/1", "a.example/log/02", "a.example/logs",
     "a.example/log/2/3", "a.example/x/log", "a b/log", "a.example/log/9999999999"],
)  # fmt: skip
def test_any_other_origin_is_no_log_of_ours(origin: str) -> None:
    assert read_origin(origin) is None


# --- checkpoints


def refusal(note: str, trust_list: TrustList, **at: Any) -> Reason:
    with pytest.raises(FormatError) as caught:
        accept_checkpoint(note, trust_list, at.get("now", NOW))
    return caught.value.reason


def test_a_checkpoint_counts_under_a_key_of_its_log_that_may_sign_now(installation: Installation) -> None:
    accepted = accept_checkpoint(installation.log.note(), listed(installation), NOW)
    assert accepted == installation.log.checkpoint()


def test_a_checkpoint_of_no_listed_log_or_key_fails(installation: Installation) -> None:
    trust_list, log = listed(installation), installation.log
    strange = SimulatedLog("else.example/log", installation.log_signer)
    assert refusal(strange.note(), trust_list) is Reason.LOG_PROOF_FAILED
    log.signer = installation.receipt_log_signer  # a key of another log
    assert refusal(log.note(), trust_list) is Reason.LOG_PROOF_FAILED
    log.signer = SimulatedSigner("eddsa")
    assert refusal(log.note(), trust_list) is Reason.LOG_PROOF_FAILED


def test_a_list_that_does_not_know_a_later_log_yet_is_too_old_to_tell(installation: Installation) -> None:
    for generation in ("2", "999999999"):
        later = SimulatedLog(f"{installation.log.origin}/{generation}", SimulatedSigner("eddsa"))
        later.add(b"first")
        assert refusal(later.note(), listed(installation)) is Reason.TRUST_STALE
    earlier = SimulatedLog(installation.log.origin, installation.log_signer)
    installation.change_log(installation.log.origin, origin=f"{installation.log.origin}/2")
    assert refusal(earlier.note(), listed(installation)) is Reason.LOG_PROOF_FAILED


@pytest.mark.parametrize("change", [{"valid_until": NOW}, {"valid_from": NOW + timedelta(seconds=1)}])
def test_a_log_key_outside_its_window_says_nothing_now(
    installation: Installation, change: dict[str, Any]
) -> None:
    installation.change_log(installation.log.origin, **change)
    assert refusal(installation.log.note(), listed(installation)) is Reason.LOG_PROOF_MISSING


def test_a_witness_who_saw_a_checkpoint_in_time_outlasts_the_log_key(installation: Installation) -> None:
    installation.change_log(installation.log.origin, valid_until=NOW - DAY)
    trust_list = listed(installation)
    log, witness = installation.log, installation.witness_signer
    log.witnesses = [("witness.example", witness, NOW - 2 * DAY)]
    assert accept_checkpoint(log.note(), trust_list, NOW) == log.checkpoint()
    for witnesses in (
        [("witness.example", witness, NOW - DAY)],  # saw it after the key's end
        [("witness.example", SimulatedSigner("eddsa"), NOW - 2 * DAY)],
        [("else.example", witness, NOW - 2 * DAY)],
    ):
        log.witnesses = witnesses  # type: ignore[assignment]
        assert refusal(log.note(), trust_list) is Reason.LOG_PROOF_MISSING


def test_a_compromised_witness_saw_nothing(installation: Installation) -> None:
    log = installation.log
    log.witnesses = [("witness.example", installation.witness_signer, NOW - DAY)]
    note = parse_note(log.note())
    assert witnessed_at(note, listed(installation), known=NOW) == {"witness.example": NOW - DAY}
    installation.compromise(installation.witness_signer, None)
    assert witnessed_at(note, listed(installation), known=NOW) == {}


def test_two_keys_of_a_log_count_side_by_side_and_a_compromised_one_does_not(
    installation: Installation,
) -> None:
    new, log = SimulatedSigner("eddsa"), installation.log
    service = next(s for s in installation.services if s.origin == log.origin)
    installation.services.append(replace(service, key=new.public_key))
    log.signer = new
    assert accept_checkpoint(log.note(), listed(installation), NOW)
    installation.compromise(new, log.checkpoint())
    assert refusal(log.note(), listed(installation)) is Reason.LOG_PROOF_MISSING
    log.signer = installation.log_signer
    assert accept_checkpoint(log.note(), listed(installation), NOW)


# --- places


def test_a_place_counts_in_a_log_of_the_asked_kind_alone(installation: Installation) -> None:
    trust_list, entry = listed(installation), b"entry"
    places = {LogKind.PUBLIC: installation.log, LogKind.RECEIPTS: installation.receipt_log}
    for kind, log in places.items():
        inclusion = log.inclusion(log.add(entry))
        place = accept_inclusion(inclusion, entry, kind=kind, trust_list=trust_list, now=NOW)
        assert (place.origin, place.size) == (log.origin, len(log.entries))
        for other in set(LogKind) - {kind}:
            with pytest.raises(FormatError, match="another kind"):
                accept_inclusion(inclusion, entry, kind=other, trust_list=trust_list, now=NOW)


def test_a_place_says_when_a_witness_first_saw_it(installation: Installation) -> None:
    log = installation.log
    log.witnesses = [("witness.example", installation.witness_signer, NOW - DAY)]
    index = log.add(b"entry")
    place = accept_inclusion(
        log.inclusion(index), b"entry", kind=LogKind.PUBLIC, trust_list=listed(installation), now=NOW
    )
    assert place.seen_at == NOW - DAY


def test_of_several_witnesses_the_first_who_saw_a_place_counts(installation: Installation) -> None:
    second, log = SimulatedSigner("eddsa"), installation.log
    installation.services.append(installation.service(ServiceUse.WITNESS, second, origin="second.example"))
    index = log.add(b"entry")
    for first, later in ((NOW - 2 * DAY, NOW - DAY), (NOW - DAY, NOW - 2 * DAY)):
        log.witnesses = [
            ("witness.example", installation.witness_signer, first),
            ("second.example", second, later),
        ]
        place = accept_inclusion(
            log.inclusion(index), b"entry", kind=LogKind.PUBLIC, trust_list=listed(installation), now=NOW
        )
        assert place.seen_at == NOW - 2 * DAY
    renewed = SimulatedSigner("eddsa")
    installation.services.append(installation.service(ServiceUse.WITNESS, renewed, origin="witness.example"))
    log.witnesses = [
        ("witness.example", renewed, NOW - DAY),
        ("witness.example", installation.witness_signer, NOW - 3 * DAY),
    ]
    note = parse_note(log.note())
    assert witnessed_at(note, listed(installation), known=NOW) == {"witness.example": NOW - 3 * DAY}


# --- memory


def checkpoint(size: int, root: bytes | None = None) -> Checkpoint:
    log = SimulatedLog("a.example/log", SimulatedSigner("eddsa"))
    log.entries = [b"%d" % number for number in range(20)]
    return log.checkpoint(size) if root is None else Checkpoint(log.origin, size, root)


def joined(old: int, new: int) -> Any:
    log = SimulatedLog("a.example/log", SimulatedSigner("eddsa"))
    log.entries = [b"%d" % number for number in range(20)]
    return log.consistency(old, new)


def test_the_first_checkpoint_and_the_same_again_need_no_proof() -> None:
    assert advance_checkpoint(None, checkpoint(5), None) == checkpoint(5)
    assert advance_checkpoint(checkpoint(5), checkpoint(5), None) == checkpoint(5)
    assert advance_checkpoint(checkpoint(0), checkpoint(5), None) == checkpoint(5)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (3, 7), (4, 8), (5, 20), (8, 9), (19, 20)])
def test_a_larger_checkpoint_is_taken_with_a_proof_between_exactly_these_sizes(old: int, new: int) -> None:
    proof = parse_consistency(joined(old, new).to_json())
    assert advance_checkpoint(checkpoint(old), checkpoint(new), proof) == checkpoint(new)
    for wrong in (None, replace(proof, old_size=old + 1), replace(proof, new_size=new + 1)):
        with pytest.raises(FormatError) as refused:
            advance_checkpoint(checkpoint(old), checkpoint(new), wrong)
        assert refused.value.reason is Reason.LOG_PROOF_MISSING


def test_a_step_back_and_a_fork_are_refused() -> None:
    proof = joined(5, 9)
    cases = [
        (checkpoint(9), checkpoint(5), proof, "older"),
        (checkpoint(5), checkpoint(5, bytes(32)), None, "forks"),
        (checkpoint(5, bytes(32)), checkpoint(9), proof, "forks"),
        (checkpoint(5), checkpoint(9, bytes(32)), proof, "forks"),
        (checkpoint(5), checkpoint(9), replace(proof, path=proof.path[:-1]), "forks"),
    ]
    for held, offered, consistency, passage in cases:
        with pytest.raises(FormatError, match=passage) as refused:
            advance_checkpoint(held, offered, consistency)
        assert refused.value.reason is Reason.LOG_PROOF_FAILED
    with pytest.raises(FormatError, match="another log"):
        advance_checkpoint(checkpoint(5), replace(checkpoint(9), origin="b.example/log"), None)


@pytest.mark.parametrize(
    "change",
    [{"origin": 1}, {"from": -1}, {"to": "9"}, {"path": ["AA"]}, {"path": None}, {"path": ["A" * 43] * 65}],
)
def test_a_consistency_proof_of_another_shape_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        parse_consistency({**joined(5, 9).to_json(), **change})  # type: ignore[dict-item]


# --- the bundle's checkpoint


def test_a_bundles_checkpoint_is_accepted_and_remembered(installation: Installation) -> None:
    evidence = installation.evidence()
    assert evidence.log is not None
    assert evidence.log.origin == installation.log.origin
    memory = remember(evidence)
    assert memory is not None
    assert memory.checkpoints == {installation.log.origin: installation.log.checkpoint()}
    installation.log.add(b"more")
    grown = remember(installation.evidence(memory=memory), memory)
    assert grown is not None
    assert grown.checkpoints == {installation.log.origin: installation.log.checkpoint()}
    assert remember(evidence, grown) == grown, "a smaller state never replaces a larger one"


def test_a_log_that_went_back_or_forked_since_is_refused_whole(installation: Installation) -> None:
    memory = remember(installation.evidence())
    installation.log.entries.pop()
    back = installation.evidence(memory=memory)
    assert [part.reason for part in back.refused()] == [Reason.TRUST_STALE]
    assert back.trust is None
    installation.log.entries.append(b"another past")
    assert "forks" in installation.evidence(memory=memory).refused()[0].detail


def test_a_bundle_with_a_proof_from_what_was_seen_must_be_consistent_with_it(
    installation: Installation,
) -> None:
    memory = remember(installation.evidence())
    installation.log.add(b"more")
    proof = installation.log.consistency(3)
    bundle = installation.bundle_parts()

    def gathered(consistency: Any) -> Any:
        installation.edits["bundle"] = lambda members: members.update(consistency=consistency)
        return gather_offline(
            trust_root=installation.trust_root(), bundle=installation.bundle(), now=NOW, memory=memory
        )

    assert bundle.consistency is None
    assert gathered(proof.to_json()).refused() == ()
    assert gathered(None).refused() == ()
    elsewhere = replace(proof, old_size=2, path=())
    assert gathered(elsewhere.to_json()).refused() == (), "it joins other sizes: as good as none"
    wrong = replace(proof, path=(bytes(32), *proof.path[1:]))
    assert gathered(wrong.to_json()).trust is None
    assert gathered({"origin": 5}).trust is None


def test_a_checkpoint_that_no_key_of_its_log_signed_is_refused_by_name(installation: Installation) -> None:
    installation.log.signer = SimulatedSigner("eddsa")
    evidence = installation.evidence()
    assert [part.reason for part in evidence.refused()] == [Reason.LOG_PROOF_FAILED]
    assert evidence.trust is not None and evidence.trust.checkpoint is None


def test_the_receipts_log_is_not_the_public_one(installation: Installation) -> None:
    installation.log = installation.receipt_log
    assert [part.reason for part in installation.evidence().refused()] == [Reason.LOG_PROOF_FAILED]


def test_before_the_first_checkpoint_there_is_no_log(installation: Installation) -> None:
    for what in ("freshness", "bundle"):
        installation.edits[what] = lambda members: members.update(checkpoint=None)
    evidence = installation.evidence()
    assert evidence.refused() == ()
    assert evidence.log is None


def test_a_checkpoint_with_a_note_of_another_shape_is_refused(installation: Installation) -> None:
    note = sign_note("one.example/log\n3\n", name=installation.log.origin, signer=installation.log_signer)
    for what in ("freshness", "bundle"):
        installation.edits[what] = lambda members: members.update(checkpoint=note)
    assert [part.reason for part in installation.evidence().refused()] == [Reason.MALFORMED]


@pytest.mark.parametrize("use", [ServiceUse.LOG, ServiceUse.WITNESS])
@pytest.mark.parametrize("change", [{"origin": None}, {"key": SimulatedSigner().public_key}])
def test_a_log_or_witness_key_is_an_ed25519_key_with_a_name(
    installation: Installation, use: ServiceUse, change: dict[str, Any]
) -> None:
    kept = [s for s in installation.services if s.use is not use]
    first = next(s for s in installation.services if s.use is use)
    installation.services = [*kept, replace(first, **change)]
    with pytest.raises(FormatError, match="Ed25519"):
        listed(installation)
