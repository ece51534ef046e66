"""Quotas as arithmetic: buckets that refill, days that begin anew, clocks that go back, addresses behind proxies."""

from datetime import UTC, datetime, timedelta

import pytest

from app.domain.address import caller_address, may_call_from, parse_networks
from app.domain.api_client import ApiClient
from app.domain.errors import DomainError
from app.domain.plan import QuotaState, lease_calls, lot_of, require_sound_quotas
from app.services.quotas import limit_field, policy_field
from tests.quota_clients import client

NOON = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)  # 12:00 at +08:00


def spend(one: ApiClient, state: QuotaState | None, now: datetime, wanted: int) -> tuple[int, QuotaState]:
    lease, after = lease_calls(one, state, now=now, wanted=wanted)
    return lease.calls, after


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    one = client(calls_per_minute=60, burst=10)
    got, state = spend(one, None, NOON, 100)
    assert got == 10
    assert spend(one, state, NOON, 1)[0] == 0
    assert spend(one, state, NOON + timedelta(seconds=3), 100)[0] == 3
    assert spend(one, state, NOON + timedelta(hours=1), 100)[0] == 10


@pytest.mark.parametrize("rate", [1, 7, 60, 2000, 999_983])
def test_no_minute_gives_more_than_burst_and_rate_however_it_is_asked(rate: int) -> None:
    one, state, total = client(calls_per_minute=rate), None, 0
    for step in range(60):
        got, state = spend(one, state, NOON + timedelta(seconds=step), 10_000_000)
        total += got
    assert rate <= total <= 2 * rate


def test_a_day_is_never_exceeded_and_ends_at_midnight_in_china() -> None:
    one, state, total = client(calls_per_minute=1000, calls_per_day=250), None, 0
    for step in range(20):
        got, state = spend(one, state, NOON + timedelta(minutes=step), 100)
        total += got
    assert total == 250
    lease, _ = lease_calls(one, state, now=NOON + timedelta(minutes=30), wanted=1)
    assert (lease.calls, lease.day_left, lease.wait) == (0, 0, 11 * 3600 + 1800)
    assert spend(one, state, NOON + timedelta(hours=12), 100)[0] == 100


def test_a_clock_set_back_neither_locks_out_nor_gives_a_second_burst() -> None:
    one = client(calls_per_minute=60, burst=10, calls_per_day=100)
    _, state = spend(one, None, NOON, 10)
    got, _ = spend(one, state, NOON - timedelta(hours=2), 10)
    assert got == 0
    assert spend(one, state, NOON - timedelta(hours=2) + timedelta(seconds=5), 10)[0] == 0
    _, later = spend(one, state, NOON - timedelta(hours=2), 1)
    assert spend(one, later, NOON - timedelta(hours=2) + timedelta(seconds=10), 10)[0] == 10
    _, full = spend(client(calls_per_day=60), None, NOON, 60)
    lease, _ = lease_calls(client(calls_per_day=60), full, now=NOON - timedelta(days=1), wanted=1)
    assert lease.calls == 0


def test_what_was_used_on_a_day_that_a_wrong_clock_showed_is_not_held_against_any_other() -> None:
    one = client(calls_per_minute=1000, calls_per_day=10)
    _, ahead = lease_calls(one, None, now=NOON + timedelta(days=3), wanted=10)
    for days in range(3):
        now = NOON + timedelta(days=days, hours=1)
        first, after = lease_calls(one, ahead, now=now, wanted=1)
        assert first.calls == 0 and ahead.lies_ahead_of(after), "an empty bucket, and a state to be stored"
        assert spend(one, after, now + timedelta(minutes=1), 20)[0] == 10


def test_clocks_that_differ_a_little_at_midnight_give_no_day_twice() -> None:
    one, midnight = client(calls_per_minute=1000, calls_per_day=10), NOON + timedelta(hours=12)
    _, state = lease_calls(one, None, now=midnight + timedelta(seconds=1), wanted=10)
    lease, state = lease_calls(one, state, now=midnight - timedelta(seconds=59), wanted=10)
    assert (lease.calls, lease.day_left) == (0, 0)
    assert spend(one, state, midnight + timedelta(seconds=2), 10)[0] == 0


def test_lots_are_small_beside_the_quota() -> None:
    assert lot_of(client(calls_per_minute=2000)) == 100
    assert lot_of(client(calls_per_minute=1_000_000)) == 1000
    assert lot_of(client(calls_per_minute=2000, calls_per_day=500)) == 5
    assert lot_of(client(calls_per_minute=2)) == 1


def test_the_fields_are_those_of_the_draft() -> None:
    one = client(calls_per_minute=60, calls_per_day=1000)
    assert policy_field(one) == b'"minute";q=60;w=60, "day";q=1000;w=86400'
    lease, _ = lease_calls(one, None, now=NOON, wanted=10)
    assert limit_field(lease, 9) == b'"minute";r=59, "day";r=999'
    assert policy_field(client()) == b'"minute";q=60;w=60'


def test_where_nothing_is_left_the_field_says_when_to_come_again_as_retry_after_does() -> None:
    one = client(calls_per_minute=40)
    _, spent = lease_calls(one, None, now=NOON, wanted=40)
    lease, _ = lease_calls(one, spent, now=NOON, wanted=1)
    assert lease.wait == 2  # a call every second and a half
    assert limit_field(lease, 0) == b'"minute";r=0;t=2'
    daily = client(calls_per_minute=40, calls_per_day=5)
    _, spent = lease_calls(daily, None, now=NOON, wanted=5)
    lease, _ = lease_calls(daily, spent, now=NOON, wanted=1)
    assert limit_field(lease, 0) == f'"minute";r=35, "day";r=0;t={lease.wait}'.encode()


def test_the_last_call_that_is_admitted_says_when_the_next_one_will_be() -> None:
    one = client(calls_per_minute=1)
    lease, _ = lease_calls(one, None, now=NOON, wanted=1)
    assert (lease.calls, limit_field(lease, 0)) == (1, b'"minute";r=0;t=60')
    assert limit_field(lease, 0, passed=timedelta(seconds=20.5)) == b'"minute";r=0;t=40'
    assert limit_field(lease, 0, passed=timedelta(seconds=-5)) == b'"minute";r=0;t=60'
    assert limit_field(lease, 1) == b'"minute";r=1'


def test_each_limit_says_for_itself_when_it_has_a_call_again() -> None:
    both = client(calls_per_minute=5, calls_per_day=5)
    lease, state = lease_calls(both, None, now=NOON, wanted=5)
    assert limit_field(lease, 0) == b'"minute";r=0;t=12, "day";r=0;t=43200'
    refused, _ = lease_calls(both, state, now=NOON, wanted=1)
    assert (refused.calls, refused.wait) == (0, 43200)
    daily = client(calls_per_minute=60, calls_per_day=5)
    lease, _ = lease_calls(daily, None, now=NOON, wanted=5)
    assert limit_field(lease, 0) == b'"minute";r=55, "day";r=0;t=43200'
    # Shortly before midnight the bucket is what keeps a caller waiting.
    late = client(calls_per_minute=1, calls_per_day=1)
    lease, state = lease_calls(late, None, now=NOON + timedelta(hours=11, minutes=59, seconds=50), wanted=1)
    assert limit_field(lease, 0) == b'"minute";r=0;t=60, "day";r=0;t=10'
    refused, _ = lease_calls(late, state, now=NOON + timedelta(hours=11, minutes=59, seconds=50), wanted=1)
    assert refused.wait == 60


def test_while_a_call_is_left_there_is_nothing_to_wait_for() -> None:
    one = client(calls_per_minute=60, burst=10, calls_per_day=100)
    lease, state = lease_calls(one, None, now=NOON, wanted=9)
    assert (lease.available, lease.day_left) == (1, 91)
    assert (lease.call_in, lease.day_call_in, lease.wait) == (0, 0, 0)
    last, state = lease_calls(one, state, now=NOON, wanted=1)
    assert (last.available, last.call_in, last.day_call_in) == (0, 1, 0)


def test_the_wait_is_the_rest_of_the_interval_and_at_least_a_second() -> None:
    slow = client(calls_per_minute=1)
    _, state = lease_calls(slow, None, now=NOON, wanted=1)
    for passed in (1, 30, 59):
        lease, _ = lease_calls(slow, state, now=NOON + timedelta(seconds=passed), wanted=1)
        assert (lease.calls, lease.wait) == (0, 60 - passed)
    fast = client(calls_per_minute=2000)
    lease, _ = lease_calls(fast, None, now=NOON, wanted=2000)
    assert (lease.calls, lease.wait) == (2000, 1)
    late = client(calls_per_day=1)
    lease, _ = lease_calls(late, None, now=NOON + timedelta(hours=12, milliseconds=-300), wanted=1)
    assert lease.day_ends_in == 1


@pytest.mark.parametrize(
    "taken",
    [
        {"calls_per_minute": 1},
        {"calls_per_minute": 1_000_000},
        {"burst": 1},
        {"burst": 60},
        {"calls_per_day": 1},
        {"calls_per_day": 1_000_000_000},
        {"batch_limit": 1},
        {"batch_limit": 1000},
    ],
    ids=str,
)
def test_the_smallest_and_the_largest_quotas_are_taken(taken: dict[str, int]) -> None:
    good: dict[str, int | None] = {
        "calls_per_minute": 60,
        "burst": None,
        "calls_per_day": None,
        "batch_limit": 1,
    }
    require_sound_quotas(**{**good, **taken})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"calls_per_minute": 0}, "/calls_per_minute"),
        ({"calls_per_minute": 1_000_001}, "/calls_per_minute"),
        ({"burst": 61}, "/burst"),
        ({"burst": 0}, "/burst"),
        ({"calls_per_day": 0}, "/calls_per_day"),
        ({"calls_per_day": 1_000_000_001}, "/calls_per_day"),
        ({"batch_limit": 0}, "/batch_limit"),
        ({"batch_limit": 1001}, "/batch_limit"),
    ],
)
def test_quotas_that_cannot_be_kept_are_refused(wrong: dict[str, int], pointer: str) -> None:
    good: dict[str, int | None] = {
        "calls_per_minute": 60,
        "burst": None,
        "calls_per_day": None,
        "batch_limit": 1,
    }
    with pytest.raises(DomainError) as refusal:
        require_sound_quotas(**{**good, **wrong})  # type: ignore[arg-type]
    assert [error.pointer for error in refusal.value.errors] == [pointer]


TRUSTED = parse_networks(["10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # a stranger's word
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.66, 198.51.100.1", "198.51.100.1"),  # what the caller itself wrote before it
        ("10.0.0.1", "198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", None),
        ("10.0.0.1", None, "10.0.0.1"),
        (None, "198.51.100.1", None),
    ],
)
def test_only_trusted_proxies_say_whose_request_it_is(
    peer: str | None, forwarded: str | None, address: str | None
) -> None:
    found = caller_address(peer, forwarded, trusted=TRUSTED)
    assert (None if found is None else str(found)) == address


def test_an_unknown_address_lies_in_no_network_and_no_network_means_anywhere() -> None:
    networks = ("203.0.113.0/24", "2001:db8::/32")
    address = caller_address("203.0.113.9", None, trusted=())
    assert may_call_from(address, networks) and may_call_from(None, ()) and not may_call_from(None, networks)
    assert not may_call_from(caller_address("2001:db9::1", None, trusted=()), networks)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:127.0.0.0/104", "127.0.0.0/8"),
        ("::ffff:203.0.113.9", "203.0.113.9/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::ffff:cb00:7100/120", "203.0.113.0/24"),
        ("2001:db8::/32", "2001:db8::/32"),
    ],
)
def test_a_network_of_ipv4_inside_ipv6_is_the_ipv4_network(written: str, meant: str) -> None:
    assert [str(network) for network in parse_networks([written])] == [meant]


@pytest.mark.parametrize(
    "written", ["::ffff:0:0/95", "::ffff:127.0.0.0/8", "::ffff:127.0.0.1/104", "::ffff:0:0/129"]
)
def test_a_network_that_is_wider_than_ipv4_inside_ipv6_is_refused(written: str) -> None:
    with pytest.raises(ValueError):
        parse_networks([written])


def test_who_calls_by_ipv4_lies_in_a_network_written_as_ipv4_inside_ipv6() -> None:
    networks = ("::ffff:127.0.0.0/104",)
    for peer in ("127.0.0.9", "::ffff:127.0.0.9"):
        assert may_call_from(caller_address(peer, None, trusted=()), networks)
    assert not may_call_from(caller_address("203.0.113.9", None, trusted=()), networks)
