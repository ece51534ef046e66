"""The limits that contract and documents promise, in their own figures: the last that is taken, the first refused."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from app.domain.amending import Amendment, HolderChange, Renewal, amended, renewed
from app.domain.api_client import ApiKey
from app.domain.errors import DomainError
from app.domain.good_time import judge_start
from app.domain.guessing import GuessingTerms
from app.domain.holder_key import sound_holder_key
from app.domain.ids import ClientId, new_nonce, new_salt, new_secret, new_serial, shuffled
from app.domain.issuing_rules import judge_new_license
from app.domain.license import STATUS_VALUE, Holder, License, State
from app.domain.order import require_effective_at
from app.domain.proposal import expiry
from app.domain.purpose import PURPOSES
from app.domain.succession import Relation, judge_successors
from app.ports import IdempotentCall
from app.services.idempotency import kept_for
from elicense.claims import credential_window
from elicense.encoding import parse_json
from elicense.policy import MAX_LEEWAY, PRESETS, Policy
from elicense.problems import FormatError
from elicense.service_reasons import ServiceReason
from elicense.status_list import Status
from tests.builders import make_license
from tests.installation import HOLDER
from tests.simulated_signers import SimulatedSigner
from tests.unit.test_issuing_rules import GOOD, directory

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
TODAY = date(2026, 3, 4)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def is_taken(call: Callable[[], object]) -> bool:
    try:
        call()
    except (DomainError, FormatError, ValueError):
        return False
    return True


def issues(**changes: object) -> bool:
    new = replace(GOOD, **changes)  # type: ignore[arg-type]
    return is_taken(lambda: judge_new_license(new, directory(), today=TODAY))


# --- issuing


def test_a_number_has_at_most_100_characters_a_name_300_and_another_code_64() -> None:
    assert issues(number="9" * 100) and not issues(number="9" * 101)
    assert issues(holder=replace(HOLDER, name="演" * 300)) and not issues(
        holder=replace(HOLDER, name="演" * 301)
    )
    for length, taken in ((64, True), (65, False)):
        assert issues(holder=Holder(code="J" * length, code_type="099", name="演示")) is taken


def test_days_lie_between_1900_and_9999_and_a_license_that_ended_before_1970_is_not_registered() -> None:
    first = date(1900, 1, 1)
    assert issues(issue_date=first, valid_from=first)
    assert not issues(issue_date=first - DAY)
    assert not issues(valid_from=first - DAY)
    assert issues(valid_from=first, valid_until=date(1970, 1, 1))
    assert not issues(valid_from=first, valid_until=date(1969, 12, 31))
    assert issues(valid_until=date(9999, 12, 31))


def test_a_license_may_hold_for_a_single_day_and_not_for_less() -> None:
    assert issues(valid_until=TODAY)
    assert not issues(valid_until=TODAY - DAY)


def test_a_license_begins_within_four_years() -> None:
    assert issues(valid_from=TODAY + 1460 * DAY)
    assert not issues(valid_from=TODAY + 1461 * DAY)


def test_a_file_ends_five_years_after_it_was_signed_at_the_latest() -> None:
    for until in (None, date(9999, 12, 31), date(2031, 3, 5)):
        _, ends = credential_window(valid_from=TODAY, valid_until=until, issued_at=NOW)
        assert ends == datetime(2031, 3, 4, 5, 6, 7, tzinfo=UTC)
    _, ends = credential_window(valid_from=TODAY, valid_until=date(2031, 3, 3), issued_at=NOW)
    assert ends == datetime(2031, 3, 3, 16, tzinfo=UTC)


# --- states and changes


@pytest.mark.parametrize(
    ("day", "status"),
    [
        (date(2026, 3, 9), "not_yet_valid"),
        (date(2026, 3, 10), "active"),
        (date(2026, 3, 20), "active"),
        (date(2026, 3, 21), "expired"),
    ],
)
def test_the_status_people_see_counts_the_first_and_the_last_day_in(day: date, status: str) -> None:
    license = make_license(valid_from=date(2026, 3, 10), valid_until=date(2026, 3, 20))
    assert license.status_on(day) == status
    for state in (State.SUSPENDED, State.REVOKED, State.SUPERSEDED):
        assert replace(license, state=state).status_on(day) == state.value
    assert replace(license, valid_until=None).status_on(date(2099, 1, 1)) == "active"


def test_the_published_value_of_each_state_is_that_of_the_standard_and_the_contract() -> None:
    published = {state.value: value for state, value in STATUS_VALUE.items()}
    assert published == {
        "active": 0,
        "revoked": 1,
        "cancelled": 1,
        "transferred": 1,
        "suspended": 2,
        "superseded": 3,
    }
    assert {status.name: status.value for status in Status} == {
        "VALID": 0,
        "INVALID": 1,
        "SUSPENDED": 2,
        "SUPERSEDED": 3,
    }


def test_an_order_may_be_scheduled_366_days_ahead() -> None:
    assert is_taken(lambda: require_effective_at(NOW + 366 * DAY, now=NOW))
    assert not is_taken(lambda: require_effective_at(NOW + 366 * DAY + SECOND, now=NOW))


def test_a_proposal_lives_seven_days() -> None:
    assert expiry(proposed_at=NOW, effective_at=None) == NOW + 7 * DAY


def test_a_split_names_20_successors_at_most_and_every_other_relation_one() -> None:
    twenty = [f"id-{number}" for number in range(20)]
    assert is_taken(lambda: judge_successors(Relation.SPLIT_TO, twenty))
    assert not is_taken(lambda: judge_successors(Relation.SPLIT_TO, [*twenty, "one more"]))
    for relation in (Relation.MERGED_INTO, Relation.REPLACED_BY):
        assert is_taken(lambda relation=relation: judge_successors(relation, twenty[:1]))
        assert not is_taken(lambda relation=relation: judge_successors(relation, twenty[:2]))


def running(**changes: object) -> License:
    return make_license(**{"valid_from": date(2020, 1, 1), "valid_until": TODAY, **changes})


def test_a_renewal_may_begin_later_only_where_the_present_period_is_over() -> None:
    later = Renewal(valid_until=None, valid_from=TODAY + DAY)
    assert not is_taken(lambda: renewed(running(), later, today=TODAY))
    assert not is_taken(lambda: renewed(running(valid_from=TODAY), later, today=TODAY))
    assert not is_taken(lambda: renewed(running(valid_until=None), later, today=TODAY))
    assert is_taken(lambda: renewed(running(valid_until=TODAY - DAY), later, today=TODAY))
    assert is_taken(lambda: renewed(running(), replace(later, valid_from=TODAY), today=TODAY))


def test_a_holders_key_stays_with_the_holder_and_goes_with_another() -> None:
    key = sound_holder_key(dict(SimulatedSigner().public_key.jwk))
    license = make_license(holder_key=key)
    holder = license.holder
    assert amended(license, Amendment()).holder_key == key
    renamed = amended(license, Amendment(holder=HolderChange(name="另一名称")))
    assert (renamed.holder_key, renamed.holder.code) == (key, holder.code)
    passed_on = amended(license, Amendment(holder=HolderChange(code="X-1")))
    assert (passed_on.holder_key, passed_on.holder.name) == (None, holder.name)
    assert amended(license, Amendment(holder_key=None)).holder_key is None
    other = dict(SimulatedSigner().public_key.jwk)
    assert amended(license, Amendment(holder_key=other)).holder_key == sound_holder_key(other)


# --- callers


def test_a_key_counts_until_the_second_it_ends_and_never_once_it_is_revoked() -> None:
    key = ApiKey(
        handle="h", client_id=ClientId("c"), secret_sha256="0" * 64, prefix="elk_test_", created_at=NOW - DAY
    )
    assert key.is_live(NOW)
    ending = replace(key, expires_at=NOW)
    assert ending.is_live(NOW - SECOND) and not ending.is_live(NOW)
    assert not replace(key, revoked_at=NOW).is_live(NOW)
    assert not replace(ending, revoked_at=NOW - DAY).is_live(NOW - SECOND)


def test_secrets_nonces_salts_and_serials_have_the_random_bits_they_promise() -> None:
    assert (len(new_secret()), len(new_nonce()), len(new_salt()), len(new_serial())) == (43, 22, 16, 20)
    many = {new_serial() for _ in range(200)}
    assert len(many) == 200
    assert set("".join(many)) == set("0123456789ABCDEFGHJKLMNPQRTUWXY")


def test_status_indices_are_given_out_in_no_order() -> None:
    block = list(range(1024))
    given = shuffled(block)
    assert sorted(given) == block
    assert given != block
    assert block == list(range(1024))


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("/v1/licenses", timedelta(hours=24)),
        ("/v1/verifications", timedelta(minutes=10)),
        ("/v1/verifications/batch", timedelta(minutes=10)),
    ],
)
def test_an_answer_is_repeated_for_a_day_and_one_about_a_verification_for_ten_minutes(
    path: str, kept: timedelta
) -> None:
    call = IdempotentCall(client_id=ClientId("c"), method="POST", path=path, key="k", body_sha256="0" * 64)
    assert kept_for(call) == kept


def test_wrong_guesses_have_the_budget_that_is_documented() -> None:
    terms = GuessingTerms()
    assert (terms.budget, terms.lowered, terms.alarm) == (20, 5, 60)
    assert (terms.window, terms.lowered_for) == (timedelta(hours=1), timedelta(hours=24))


@pytest.mark.parametrize(
    ("code", "days"),
    [
        ("merchant_onboarding", 1280),
        ("periodic_reverification", 1280),
        ("account_opening", 3653),
        ("credit_review", 3653),
        ("government_service", 1096),
        ("advertising_review", 1096),
    ],
)
def test_a_verification_is_kept_as_long_as_its_purpose_says(code: str, days: int) -> None:
    assert PURPOSES[code].retention == timedelta(days=days)


def test_a_purpose_covers_what_is_not_personal_and_what_it_names() -> None:
    onboarding, government, advertising = (
        PURPOSES[code] for code in ("merchant_onboarding", "government_service", "advertising_review")
    )
    assert onboarding.covers("contact_phone", personal=True)
    assert not government.covers("contact_phone", personal=True)
    assert government.covers("quality_manager", personal=True)
    for purpose in (onboarding, government):
        assert purpose.covers("address", personal=False)
        assert purpose.covers("number", personal=None)
        assert not purpose.covers("address", personal=None)
        assert not purpose.covers("home_address", personal=True)
    assert advertising.covers("business_scope", personal=False)
    assert not advertising.covers("address", personal=False)
    assert not advertising.covers("area_code", personal=False)


# --- clock, policies, texts


def start(seconds: timedelta, *, production: bool = True, starting: bool = True) -> ServiceReason | None:
    return judge_start(NOW + seconds, known=NOW, production=production, starting=starting)


def test_a_clock_may_stand_two_minutes_behind_and_a_service_rest_for_a_week() -> None:
    assert start(timedelta(seconds=-120)) is None
    assert start(timedelta(seconds=-121)) is ServiceReason.CLOCK_BEHIND
    assert start(7 * DAY) is None
    assert start(7 * DAY + SECOND) is ServiceReason.CLOCK_AHEAD
    assert start(8 * DAY, production=False) is None
    assert start(8 * DAY, starting=False) is None
    assert judge_start(NOW, known=None, production=True, starting=True) is None


def test_a_policy_bears_a_status_of_seven_days_and_forgives_a_clock_an_hour() -> None:
    assert is_taken(lambda: Policy(id="own", version=1, max_status_age=7 * DAY, leeway=timedelta(hours=1)))
    assert not is_taken(lambda: Policy(id="own", version=1, max_status_age=7 * DAY + SECOND))
    assert not is_taken(
        lambda: Policy(id="own", version=1, max_status_age=DAY, leeway=timedelta(hours=1) + SECOND)
    )
    assert timedelta(hours=1) == MAX_LEEWAY
    assert {name: preset.max_status_age for name, preset in PRESETS.items()} == {
        "platform-default": DAY,
        "bank-strict": DAY,
        "public-basic": 7 * DAY,
    }
    assert {preset.leeway for preset in PRESETS.values()} == {timedelta(seconds=60)}


def test_json_is_read_to_a_depth_of_32() -> None:
    assert is_taken(lambda: parse_json(b"[" * 32 + b"]" * 32))
    assert not is_taken(lambda: parse_json(b"[" * 33 + b"]" * 33))
