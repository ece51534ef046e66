"""The arithmetic of good time: what parts two clocks, what does not, and what a start accepts."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.good_time import SIGNS_WITHIN, TOLERANCE, GoodTime, Reading, judge_start
from elicense.policy import PRESETS
from elicense.service_reasons import ServiceReason

NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def reading(passed: float, *, ahead: timedelta = timedelta()) -> Reading:
    """Return both clocks `passed` seconds after noon, the wall clock `ahead`."""
    return Reading(wall=NOON + timedelta(seconds=passed) + ahead, monotonic=1000.0 + passed)


@pytest.mark.parametrize(
    ("ahead", "agrees"),
    [
        (timedelta(), True),
        (SIGNS_WITHIN, True),
        (-SIGNS_WITHIN, True),
        (SIGNS_WITHIN + SECOND, False),
        (-SIGNS_WITHIN - SECOND, False),
        (-timedelta(hours=1), False),
        (365 * DAY, False),
    ],
)
def test_a_clock_agrees_within_a_minute_either_way(ahead: timedelta, agrees: bool) -> None:
    now = reading(3600, ahead=ahead)
    assert GoodTime(reading(0)).agrees(now) is agrees
    assert GoodTime(reading(0)).deviation(now) == ahead


def test_time_that_passes_on_both_clocks_is_no_deviation() -> None:
    assert GoodTime(reading(0)).deviation(reading(400 * 86400)) == timedelta()


def test_slow_slewing_is_followed_for_ever() -> None:
    good, ahead = GoodTime(reading(0)), timedelta()
    for hour in range(1, 24 * 60):
        ahead += timedelta(hours=1) * 400e-6  # 35 seconds a day, for two months: half an hour in the end
        now = reading(hour * 3600.0, ahead=ahead)
        assert good.agrees(now), hour
        good = good.followed(now)
    assert ahead > 10 * TOLERANCE


def test_many_small_steps_in_a_row_are_not_followed() -> None:
    good = GoodTime(reading(0))
    caught = 0
    for minute in range(1, 11):
        now = reading(60.0 * minute, ahead=minute * timedelta(seconds=60))
        caught += not good.agrees(now)
        good = good.followed(now)
    assert caught == 9, "the second minute's step is the first beyond a minute"


def test_what_may_be_signed_is_forgiven_by_every_preset() -> None:
    assert all(policy.leeway >= SIGNS_WITHIN for policy in PRESETS.values())


def test_looking_often_takes_over_no_less_than_looking_seldom() -> None:
    often = seldom = GoodTime(reading(0))
    ahead = timedelta(seconds=60)
    for millisecond in range(1, 20_001):
        often = often.followed(reading(millisecond / 1000, ahead=ahead))
    last = reading(20, ahead=ahead)
    often, seldom = often.followed(last), seldom.followed(last)
    taken = [ahead - good.deviation(last) for good in (often, seldom)]
    assert taken[0] == pytest.approx(taken[1], abs=timedelta(microseconds=50))
    assert taken[0] == pytest.approx(timedelta(milliseconds=10), abs=timedelta(microseconds=50))


def test_nothing_is_taken_over_from_a_clock_that_does_not_agree() -> None:
    good = GoodTime(reading(0))
    assert good.followed(reading(86400, ahead=timedelta(hours=1))) == good
    back = reading(86400, ahead=timedelta())
    assert good.followed(back).agrees(back)


@pytest.mark.parametrize("production", [True, False])
def test_a_start_before_the_latest_known_time_is_behind(production: bool) -> None:
    def judged(now: datetime) -> ServiceReason | None:
        return judge_start(now, known=NOON, production=production, starting=True)

    assert judged(NOON - TOLERANCE) is None
    assert judged(NOON - TOLERANCE - SECOND) is ServiceReason.CLOCK_BEHIND
    assert (
        judge_start(NOON - DAY, known=NOON, production=production, starting=False)
        is ServiceReason.CLOCK_BEHIND
    )


def test_a_start_more_than_seven_days_later_is_ahead_in_production_alone() -> None:
    late = NOON + 7 * DAY + SECOND
    assert judge_start(NOON + 7 * DAY, known=NOON, production=True, starting=True) is None
    assert judge_start(late, known=NOON, production=True, starting=True) is ServiceReason.CLOCK_AHEAD
    assert judge_start(late, known=NOON, production=False, starting=True) is None
    assert judge_start(late, known=NOON, production=True, starting=False) is None


def test_where_nothing_is_known_any_clock_may_be_right() -> None:
    assert judge_start(NOON, known=None, production=True, starting=True) is None
