"""The offline verifier: what it takes, what it remembers, and that it never raises for a bad credential."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from elicense import OfflineVerifier, TrustError
from elicense.client._evidence import update_bundle
from elicense.encoding import civil_day_start
from elicense.evidence_file import parse_evidence, repeat
from elicense.key_binding import present
from elicense.problems import Reason
from elicense.report import CheckId, ElementOutcome, Outcome, Verdict
from elicense.status_list import Status
from tests.offline_bank import Clock, verifier
from tests.simulator import Installation, NamedAs, SimulatedSigner


@pytest.fixture
def installation() -> Installation:
    return Installation()


def test_a_good_credential_is_true_with_all_it_discloses(installation: Installation) -> None:
    report = verifier(installation).verify(installation.credential())
    assert report
    assert report.verdict is Verdict.VALID
    assert report.license is not None
    assert report.license["elements"]["address"]  # type: ignore[index,call-overload]
    assert report.env == "test"
    assert report.status_as_of == installation.now
    assert report.to_json()["verdict"] == "valid"


def test_text_bytes_and_paths_are_taken_alike(installation: Installation, tmp_path: Path) -> None:
    token = installation.credential()
    path = tmp_path / "c.sdjwt"
    path.write_text(token + "\n")
    bank = verifier(installation)
    assert all(bank.verify(source) for source in (token, token.encode(), path, str(path)))


@pytest.mark.parametrize("before", ["\ufeff", "\n", "\r\n \t", "\ufeff\n"])
def test_what_editors_put_around_a_credential_is_no_part_of_it(
    installation: Installation, tmp_path: Path, before: str
) -> None:
    bare, path = installation.credential(), tmp_path / "c.sdjwt"
    token = before + bare + " \r\n"
    path.write_bytes(token.encode())
    bank = verifier(installation)
    for source in (token, token.encode(), bytearray(token.encode()), path):
        assert bank.verify(source)
    assert bank.verify_text(bytearray(token.encode()))
    assert bank.verify_text(token).judgement.token == bare
    assert bank.verify_text(bare.replace("~", "\n~", 1)).reason is Reason.MALFORMED


def test_what_a_stranger_shows_is_never_opened(installation: Installation, tmp_path: Path) -> None:
    token, path = installation.credential(), tmp_path / "c.sdjwt"
    path.write_text(token)
    bank = verifier(installation)
    assert bank.verify(str(path))
    assert bank.verify_text(token) and bank.verify_text(token.encode() + b"\n")
    shown = bank.verify_text(str(path))
    assert shown.reason is Reason.MALFORMED
    assert shown.judgement.token == str(path)


@pytest.mark.parametrize("as_text", [True, False])
@pytest.mark.parametrize("secret", ["root:x:0:0:secret", '{"fmt": 1, "key": "secret"}'])
def test_a_file_that_is_no_credential_is_not_copied_into_the_evidence(
    installation: Installation, tmp_path: Path, secret: str, as_text: bool
) -> None:
    path, kept = tmp_path / "passwd", tmp_path / "evidence.json"
    path.write_text(secret)
    report = verifier(installation).verify(str(path) if as_text else path)
    assert report.reason is Reason.MALFORMED
    report.save_evidence(kept)
    assert "secret" not in kept.read_text() + repr(report.judgement.token) + str(report.to_json())
    again = repeat(parse_evidence(kept.read_bytes()), trust_root=installation.trust_root())
    assert again.report.reason is Reason.MALFORMED
    assert again.differences == ()


def test_a_bad_text_is_kept_as_it_was_shown(installation: Installation, tmp_path: Path) -> None:
    kept = tmp_path / "evidence.json"
    verifier(installation).verify_text("no credential").save_evidence(kept)
    assert parse_evidence(kept.read_bytes()).judgement.token == b"no credential"


@pytest.mark.parametrize("source", ["", "no such file", "~~~", "eyJ", b"\xff", "x" * 100_000, "a\0b"])
def test_noise_is_a_report_and_never_an_exception(installation: Installation, source: str | bytes) -> None:
    report = verifier(installation).verify(source)
    assert not report
    assert report.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "source",
    [
        "/nonexistent/x.sdjwt",
        "x.sdjwt",
        '{"a": "b/c"}',
        ' ["x.y"]',
        "eyJhbGciOiJFUzI1NiJ9.e30.x",
        "a/b~",
        "a/\0",
    ],
)
def test_a_text_that_names_no_file_is_an_answer_and_a_path_to_none_an_error(
    installation: Installation, source: str
) -> None:
    assert verifier(installation).verify(source).reason is Reason.MALFORMED
    with pytest.raises((OSError, ValueError)):
        verifier(installation).verify(Path(source))


def test_a_moment_may_be_rfc3339_text(installation: Installation) -> None:
    bank, token = verifier(installation), installation.credential()
    at = installation.now + timedelta(hours=1)
    for text in (at.isoformat(), at.strftime("%Y-%m-%dT%H:%M:%S.000000001Z")):
        report = bank.verify(token, at=text)
        assert (report.evaluated_at, report.reason) == (at, bank.verify(token, at=at).reason)


@pytest.mark.parametrize(
    "at", ["yesterday", "2026-11-30", "2026-11-30T21:13:00", datetime(2026, 11, 30), date(2026, 11, 30), 7]
)
def test_a_moment_of_another_form_is_a_mistake_of_the_caller(installation: Installation, at: object) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        verifier(installation).verify(installation.credential(), at=at)  # type: ignore[arg-type]


def test_asked_elements_are_compared(installation: Installation) -> None:
    report = verifier(installation).verify(installation.credential(), elements={"company_type": "别的"})
    assert report.reason is Reason.MISMATCH
    assert report.elements[0].outcome is ElementOutcome.MISMATCH


def test_a_stated_nonce_asks_who_presents(installation: Installation) -> None:
    holder = SimulatedSigner()
    token = installation.credential(
        edit=lambda payload: payload.update(cnf={"jwk": dict(holder.public_key.jwk)})
    )
    asked = {"nonce": "n-1", "audience": "https://bank.example"}
    shown = present(token, disclose=["address"], signer=holder, issued_at=installation.now, **asked)
    bank = verifier(installation)
    report = bank.verify(shown, **asked)
    assert report and "bearer" not in [limit.code for limit in report.limits]
    assert bank.verify(shown, nonce="n-2", audience=asked["audience"]).reason is Reason.HOLDER_BINDING_FAILED
    assert bank.verify(token, **asked).reason is Reason.HOLDER_BINDING_FAILED
    bearer = bank.verify(token)
    assert bearer and "bearer" in [limit.code for limit in bearer.limits]


def test_a_nonce_without_an_audience_is_a_mistake_of_the_caller(installation: Installation) -> None:
    for asked in ({"nonce": "n"}, {"audience": "a"}, {"nonce": "", "audience": "a"}):
        with pytest.raises(ValueError, match="nonce and an audience"):
            verifier(installation).verify(installation.credential(), **asked)


def test_without_a_bundle_it_cannot_tell(installation: Installation) -> None:
    bank = OfflineVerifier(trust_root=installation.trust_root(), clock=Clock(installation.now))
    assert bank.verify(installation.credential()).reason is Reason.TRUST_UNAVAILABLE


def test_a_root_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(TrustError):
        OfflineVerifier(trust_root=b"{}")
    with pytest.raises(TrustError, match="unreadable"):
        OfflineVerifier(trust_root=tmp_path / "absent")


@pytest.mark.parametrize("age", ["8d", "0s", "soon", timedelta(days=8)])
def test_an_age_beyond_the_lists_life_is_refused(installation: Installation, age: str | timedelta) -> None:
    with pytest.raises(ValueError, match=r"7 days|duration"):
        verifier(installation, max_status_age=age)


@pytest.mark.parametrize("age", [86400, 1.5, True, ["24h"]])
def test_an_age_that_is_neither_text_nor_timedelta_is_refused_at_once(
    installation: Installation, age: object
) -> None:
    with pytest.raises(TypeError, match=r'max_status_age is a text such as "24h" or a timedelta, not '):
        verifier(installation, max_status_age=age)


def test_the_age_the_caller_allows_decides(installation: Installation) -> None:
    token = installation.credential()
    clock = Clock(installation.now)
    settings = {"trust_root": installation.trust_root(), "bundle": installation.bundle(), "clock": clock}
    strict = OfflineVerifier(max_status_age="1h", **settings)  # type: ignore[arg-type]
    lenient = OfflineVerifier(max_status_age="72h", **settings)  # type: ignore[arg-type]
    clock.moment += timedelta(hours=2)
    assert strict.verify(token).reason is Reason.STATUS_STALE
    assert lenient.verify(token)


def test_a_new_bundle_is_taken_up_by_reload_and_an_older_one_is_not(
    installation: Installation, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(older := installation.bundle())
    token = installation.credential()
    bank = OfflineVerifier(trust_root=installation.trust_root(), bundle=path, clock=Clock(installation.now))
    assert bank.verify(token)
    installation.set_status(5, Status.INVALID)
    path.write_bytes(installation.bundle())
    assert bank.verify(token), "nothing changes before it is told to"
    bank.reload()
    assert bank.verify(token).reason is Reason.REVOKED
    path.write_bytes(older)
    bank.reload()
    assert bank.verify(token).verdict is Verdict.INDETERMINATE


def test_a_clock_that_ran_backwards_makes_it_unable_to_tell(installation: Installation) -> None:
    clock = Clock(installation.now + timedelta(hours=3))
    bank = OfflineVerifier(trust_root=installation.trust_root(), bundle=installation.bundle(), clock=clock)
    token = installation.credential()
    assert bank.verify(token)
    clock.moment -= timedelta(hours=1)
    assert bank.verify(token).reason is Reason.CLOCK_UNRELIABLE


def test_a_clock_that_ran_backwards_calls_nothing_it_saw_future(installation: Installation) -> None:
    today = civil_day_start(date(2026, 11, 5))
    clock = Clock(today + timedelta(hours=9))
    bank = OfflineVerifier(
        trust_root=installation.trust_root(), bundle=installation.bundle(), clock=clock, max_status_age="7d"
    )
    begun_today = installation.credential(valid_from=date(2026, 11, 5))
    signed_today = installation.credential(signed_at=today + timedelta(hours=8))
    assert bank.verify(begun_today) and bank.verify(signed_today)
    clock.moment = today - timedelta(hours=1)
    for token in (begun_today, signed_today):
        report = bank.verify(token)
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.CLOCK_UNRELIABLE)


def test_a_new_process_holds_its_clock_against_the_bundle(installation: Installation) -> None:
    token, clock = installation.credential(), Clock(installation.now - timedelta(hours=1))
    bank = OfflineVerifier(trust_root=installation.trust_root(), bundle=installation.bundle(), clock=clock)
    assert bank.verify(token).reason is Reason.CLOCK_UNRELIABLE
    clock.moment = installation.now + timedelta(days=365)
    later = OfflineVerifier(trust_root=installation.trust_root(), bundle=installation.bundle(), clock=clock)
    assert later.verify(token).verdict is Verdict.INDETERMINATE


def test_an_update_refuses_a_clock_a_year_ahead(installation: Installation) -> None:
    with pytest.raises(TrustError, match="clock of this machine stands ahead"):
        update_bundle(
            installation.bundle(),
            trust_root=installation.trust_root(),
            held=None,
            now=installation.now + timedelta(days=365),
        )


def test_an_update_refuses_a_clock_behind_the_bundle_held(installation: Installation) -> None:
    held = installation.bundle()
    with pytest.raises(TrustError, match="clock_unreliable"):
        update_bundle(
            held, trust_root=installation.trust_root(), held=held, now=installation.now - timedelta(hours=1)
        )


def test_an_update_keeps_to_what_was_seen(installation: Installation) -> None:
    root, now = installation.trust_root(), installation.now
    held = installation.bundle()
    assert not update_bundle(held, trust_root=root, held=held, now=now).changed
    installation.set_status(5, Status.INVALID)
    newer = installation.bundle()
    update = update_bundle(newer, trust_root=root, held=held, now=now)
    assert (update.changed, update.status_lists, update.content) == (True, 1, newer)
    with pytest.raises(TrustError, match="rolled_back"):
        update_bundle(held, trust_root=root, held=newer, now=now)


def test_an_update_keeps_to_what_was_seen_when_the_pinned_file_gained_a_final_newline(
    installation: Installation,
) -> None:
    held = installation.bundle()
    installation.set_status(5, Status.INVALID)
    newer = installation.bundle()
    with pytest.raises(TrustError, match="rolled_back"):
        update_bundle(held, trust_root=installation.trust_root() + b"\n", held=newer, now=installation.now)


def test_an_update_never_replaces_a_memory_that_cannot_be_believed(installation: Installation) -> None:
    good = installation.bundle()
    installation.edits["bundle"] = lambda bundle: bundle.update(trust_list=bundle["trust_list"][:-9])
    with pytest.raises(TrustError, match="unreadable"):
        update_bundle(
            good, trust_root=installation.trust_root(), held=installation.bundle(), now=installation.now
        )


def test_an_update_refuses_a_clock_behind_the_signatures(installation: Installation) -> None:
    with pytest.raises(TrustError, match="clock_unreliable"):
        update_bundle(
            installation.bundle(),
            trust_root=installation.trust_root(),
            held=None,
            now=installation.now - timedelta(hours=1),
        )


def test_an_update_refuses_a_bundle_that_lacks_a_list(installation: Installation) -> None:
    installation.edits["bundle"] = lambda bundle: bundle["status_lists"].clear()
    with pytest.raises(TrustError, match="status_unavailable"):
        update_bundle(
            installation.bundle(), trust_root=installation.trust_root(), held=None, now=installation.now
        )


def test_a_bundle_held_under_another_root_has_no_say(installation: Installation) -> None:
    other = Installation(sequence=99, now=datetime(2026, 11, 2, 4, 0, tzinfo=UTC))
    update = update_bundle(
        installation.bundle(),
        trust_root=installation.trust_root(),
        held=other.bundle(),
        now=installation.now,
    )
    assert update.changed


# --- roots, log and proof


def test_a_strict_bank_wants_the_log_proof_beside_the_credential(installation: Installation) -> None:
    token = installation.credential()
    bank = verifier(installation, policy="bank-strict")
    report = bank.verify(token)
    assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.LOG_PROOF_MISSING)
    assert bank.verify(installation.staple(token))
    other = installation.prove(installation.credential(status_index=6))
    assert bank.verify(installation.staple(token, other)).reason is Reason.LOG_PROOF_FAILED
    assert verifier(installation).verify(token), "a platform's policy asks for none"


def test_a_proof_from_a_later_state_of_the_log_is_as_good(installation: Installation) -> None:
    token = installation.credential()
    bank = verifier(installation, policy="bank-strict")
    installation.prove(token)
    for number in range(300):
        installation.log.add(b"later %d" % number)
    assert bank.verify(installation.staple(token))


def test_a_proof_from_another_tree_of_the_size_the_bundle_names_is_a_fork(installation: Installation) -> None:
    token = installation.credential()
    installation.log.add(b"what others were shown")
    bank = verifier(installation)
    installation.log.entries.pop()
    report = bank.verify(installation.staple(token))
    assert report.reason is Reason.LOG_PROOF_FAILED
    assert "another root" in report.check(CheckId.LOG_PROOF).detail


def test_a_proof_is_not_looked_at_after_a_broken_signature_and_makes_up_for_nothing(
    installation: Installation,
) -> None:
    bank = verifier(installation, policy="bank-strict")
    forged = installation.credential(signer=NamedAs(SimulatedSigner(), installation.credential_signer.kid))
    report = bank.verify(installation.staple(forged))
    assert report.reason is Reason.SIGNATURE_INVALID
    assert report.check(CheckId.LOG_PROOF).outcome is Outcome.SKIPPED
    late = installation.credential(signed_at=installation.now + timedelta(days=400))
    assert bank.verify(installation.staple(late)).reason is Reason.KEY_NOT_VALID_AT_ISSUE


def test_a_bundle_with_newer_roots_than_the_pinned_one_is_taken_and_never_given_up_again(
    installation: Installation,
) -> None:
    pinned, held, now = installation.pinned_root(), installation.bundle(), installation.now
    installation.rotate_root()
    installation.set_status(7, Status.INVALID)
    installation.rotate_root()
    newer, newest = installation.bundle(), installation.trust_root()
    update = update_bundle(newer, trust_root=pinned, held=held, now=now)
    assert (update.changed, update.content) == (True, newer)
    assert OfflineVerifier(trust_root=pinned, bundle=newer, clock=Clock(now)).verify(
        installation.credential()
    )
    with pytest.raises(TrustError, match=r"rolled_back.*trust root 1"):
        update_bundle(held, trust_root=pinned, held=newer, now=now)
    # Who pins the newest root himself keeps what was seen under the first one.
    assert update_bundle(newer, trust_root=newest, held=held, now=now).changed
    installation.status_seq -= 2
    older = installation.bundle()
    with pytest.raises(TrustError, match=r"rolled_back.*status list"):
        update_bundle(older, trust_root=newest, held=held, now=now)


def test_reload_does_not_take_a_bundle_of_the_roots_before(
    installation: Installation, tmp_path: Path
) -> None:
    path, token = tmp_path / "bundle.json", installation.credential()
    pinned, older = installation.pinned_root(), installation.bundle()
    installation.rotate_root()
    path.write_bytes(installation.bundle())
    bank = OfflineVerifier(trust_root=pinned, bundle=path, clock=Clock(installation.now))
    assert bank.verify(token)
    path.write_bytes(older)
    bank.reload()
    assert bank.verify(token).reason is Reason.TRUST_STALE
