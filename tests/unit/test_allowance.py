"""Turns are counted in windows of a minute, for each name by itself."""

from app.domain.allowance import PerMinute


def test_a_name_has_its_turns_and_then_waits_for_the_window_to_end() -> None:
    allowance = PerMinute(2)
    assert [allowance.take("a", now=moment) for moment in (10.0, 30.0)] == [0, 0]
    assert [allowance.take("a", now=moment) for moment in (30.0, 69.5, 69.99)] == [40, 1, 1]
    assert allowance.take("b", now=30.0) == 0, "another name has its own turns"
    assert [allowance.take("a", now=moment) for moment in (70.0, 129.0, 129.0)] == [0, 0, 1]


def test_nobody_waits_longer_than_a_minute() -> None:
    allowance = PerMinute(1)
    allowance.take("a", now=0.0)
    assert allowance.take("a", now=0.0) == 60
