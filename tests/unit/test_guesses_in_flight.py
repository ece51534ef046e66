"""Wrong guesses count from the moment they are known, and once."""

from datetime import UTC, datetime, timedelta

from app.services.guesses_in_flight import GuessesInFlight
from tests.builders import make_guess

NOW = datetime(2026, 11, 2, tzinfo=UTC)


def test_a_guess_is_unseen_until_a_snapshot_is_taken_after_it_was_stored() -> None:
    flight = GuessesInFlight()
    before = flight.turn
    flight.note(make_guess(), at=NOW)
    flight.note(make_guess(), at=NOW)
    assert flight.unseen(make_guess(), since=before) == 2
    flight.stored(make_guess())
    assert flight.unseen(make_guess(), since=before) == 2
    assert flight.unseen(make_guess(), since=flight.turn) == 1
    flight.withdrawn(make_guess())
    assert flight.unseen(make_guess(), since=before) == 1
    assert flight.unseen(make_guess(), since=flight.turn) == 0


def test_guesses_of_others_and_about_other_licenses_are_counted_apart() -> None:
    flight = GuessesInFlight()
    flight.note(make_guess(), at=NOW)
    assert flight.unseen(make_guess(client_id="bank"), since=0) == 0
    assert flight.unseen(make_guess(subject="t"), since=0) == 0
    flight.stored(make_guess(client_id="bank"))
    assert flight.unseen(make_guess(), since=flight.turn) == 1


def test_a_guess_whose_answer_never_came_to_be_stored_is_forgotten_after_minutes() -> None:
    flight = GuessesInFlight()
    flight.note(make_guess(), at=NOW)
    flight.note(make_guess(subject="t"), at=NOW + timedelta(minutes=3))
    assert flight.unseen(make_guess(), since=0) == 0
    assert flight.unseen(make_guess(subject="t"), since=0) == 1
