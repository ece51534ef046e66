"""Strict JSON, base64url, canonical JSON and times."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elicense.encoding import (
    CHINA,
    MAX_SAFE_INTEGER,
    b64url_decode,
    b64url_encode,
    canonical_json,
    civil_day_start,
    civil_today,
    dump_json,
    from_unix,
    parse_json,
    parse_json_object,
    parse_rfc3339,
    rfc3339,
    sha256,
    sha256_hex,
    to_unix,
    to_utc,
)
from elicense.problems import FormatError, Reason

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
integers = st.integers(min_value=-MAX_SAFE_INTEGER, max_value=MAX_SAFE_INTEGER)
json_values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def refused(data: bytes, **options: int | bool) -> FormatError:
    with pytest.raises(FormatError) as caught:
        parse_json(data, **options)  # type: ignore[arg-type]
    assert caught.value.reason is Reason.MALFORMED
    return caught.value


@given(st.binary())
def test_base64url_round_trips(data: bytes) -> None:
    text = b64url_encode(data)
    assert b64url_decode(text) == b64url_decode(text.encode()) == data
    assert "=" not in text


@given(st.text(alphabet="ABQgwAEIMQUYcgkosw048-_=+/ \n~é", max_size=8))
def test_every_base64url_text_that_is_taken_is_the_only_one_for_its_bytes(text: str) -> None:
    try:
        data = b64url_decode(text)
    except FormatError:
        return
    assert b64url_encode(data) == text


@pytest.mark.parametrize(
    "text",
    [
        "QQ==",
        "QQ=",
        "QR",
        "QUJ",
        "Q",
        "QQQQQ",
        "QQ\n",
        " QQ",
        "QQ+w",
        "QQ/w",
        "Q.Q",
        "QQ\x00w",
        "QQ~w",
        "ＱＱ",
        "=",
        "====",
    ],
    ids=repr,
)
def test_base64url_that_is_padded_or_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        b64url_decode(text)
    assert caught.value.reason is Reason.MALFORMED


@given(json_values)
def test_json_round_trips(value: object) -> None:
    assert parse_json(dump_json(value), max_depth=64) == value
    assert parse_json(canonical_json({"value": value}), max_depth=64) == {"value": value}


def test_json_keeps_white_space_around_the_value_out() -> None:
    assert parse_json(b' \r\n\t{"a": [1, -2, true, null, "x"]}\n') == {"a": [1, -2, True, None, "x"]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"  ",
        b"{",
        b'{"a":1,}',
        b"[1,]",
        b"'a'",
        b"01",
        b"+1",
        b".5",
        b"True",
        b"nul",
        b'{"a":1} {"b":2}',
        b'{"a":1}x',
        b"[1]\x00",
        b'"a\nb"',
        b'"\\x41"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b"\xa0[1]",
        "[１]".encode(),
    ],
    ids=repr,
)
def test_what_is_not_strict_json_is_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b'{"b":{"a":1,"\\u0061":2}}', b'[{"a":1,"b":2,"a":3}]'])
def test_repeated_member_names_are_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize("data", [b"NaN", b"[Infinity]", b"-Infinity"])
def test_nan_and_infinity_are_refused_even_where_floats_are_allowed(data: bytes) -> None:
    refused(data)
    refused(data, allow_floats=True)


@pytest.mark.parametrize("data", [b"1.0", b"1e2", b"-0.5", b"1E400"])
def test_floats_are_refused(data: bytes) -> None:
    refused(data)


def test_floats_are_taken_only_where_allowed_and_only_when_finite() -> None:
    assert parse_json(b"[1.5,1e2]", allow_floats=True) == [1.5, 100.0]
    refused(b"1e400", allow_floats=True)


@pytest.mark.parametrize(
    "digits",
    ["9007199254740992", "-9007199254740992", "18446744073709551616", "1" + "0" * 30, "9" * 100_000],
    ids=["2^53", "-2^53", "2^64", "10^30", "endless"],
)
def test_integers_that_others_cannot_represent_are_refused(digits: str) -> None:
    refused(digits.encode())


@pytest.mark.parametrize("number", [MAX_SAFE_INTEGER, -MAX_SAFE_INTEGER, 0])
def test_the_largest_safe_integers_are_taken(number: int) -> None:
    assert parse_json(f"{number}".encode()) == number


@pytest.mark.parametrize(
    "data",
    [rb'"\ud800"', rb'["a","\udfff"]', rb'{"\ud83d":1}', rb'"\ude00\ud83d"', rb'{"a":{"b":"x\ud800y"}}'],
)
def test_lone_surrogates_are_refused(data: bytes) -> None:
    refused(data)


def test_surrogate_pairs_and_other_escapes_are_taken() -> None:
    assert parse_json(rb'"\ud83d\ude00\u4e2d\\ud800"') == "😀中\\ud800"


def test_nesting_beyond_the_limit_is_refused_and_up_to_it_taken() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32) is not None
    refused(b"[" * 33 + b"]" * 33)
    refused(b'{"a":' * 40 + b"1" + b"}" * 40)
    refused(b"[[1]]", max_depth=1)


def test_a_depth_bomb_is_refused_without_a_recursion_error() -> None:
    refused(b"[" * 500_000)
    refused(b'{"a":[' * 100_000)


def test_many_brackets_side_by_side_are_not_depth() -> None:
    assert len(parse_json_object(b'{"a":[' + b",".join([b"[]"] * 500) + b'],"b":"[[[["}')) == 2
    assert parse_json(dump_json(["{[" * 100])) == ["{[" * 100]


def test_a_text_over_the_size_limit_is_refused() -> None:
    assert parse_json(b'"abc"', max_bytes=5) == "abc"
    refused(b'"abcd"', max_bytes=5)


@pytest.mark.parametrize("data", [b"[]", b"1", b'"a"', b"null"])
def test_an_object_is_required_where_one_is_asked_for(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_json_object(data)


def test_refusals_never_repeat_what_was_refused() -> None:
    assert "13912345678" not in refused(b'{"phone":"13912345678",}').detail
    assert "secret" not in refused(b'{"secret":1,"secret":1}').detail


def test_dumped_json_is_compact_and_keeps_chinese() -> None:
    assert dump_json({"名": ["甲", 1]}) == '{"名":["甲",1]}'.encode()


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udc00"]}, float("nan"), float("inf")], ids=ascii)
def test_what_json_cannot_say_is_not_dumped(value: object) -> None:
    with pytest.raises(FormatError):
        dump_json(value)


@pytest.mark.parametrize(
    "value",
    [
        1.0,
        float("nan"),
        2**53,
        -(2**53),
        "\ud800",
        {"\ud800": 1},
        {1: 2},
        b"x",
        {1, 2},
        pytest.param(object(), id="an object"),
    ],
    ids=ascii,
)
def test_canonical_json_refuses_rather_than_guesses(value: object) -> None:
    with pytest.raises(FormatError):
        canonical_json(value)


def test_canonical_json_refuses_endless_nesting() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(FormatError):
        canonical_json(value)


def test_canonical_json_sorts_names_by_utf16_units() -> None:
    # RFC 8785 section 3.2.3, the published example.
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert list(json.loads(canonical_json(value))) == [
        "\r",
        "1",
        "\u0080",
        "\u00f6",
        "\u20ac",
        "\U0001f600",
        "\ufb33",
    ]


def test_canonical_json_escapes_as_rfc_8785_does() -> None:
    assert canonical_json({"b": "\u20ac$\u000f\nA'\"\\\b\t/", "a": [True, None, -1]}) == (
        '{"a":[true,null,-1],"b":"€$\\u000f\\nA\'\\"\\\\\\b\\t/"}'.encode()
    )


def test_digests_are_sha256() -> None:
    assert sha256(b"abc").hex() == sha256_hex(b"abc")
    assert sha256_hex(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)))
def test_unix_seconds_round_trip_rounded_down(moment: datetime) -> None:
    assert from_unix(to_unix(moment)) == moment.replace(microsecond=0)


def test_unix_seconds_need_a_time_zone_and_a_date_on_the_calendar() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_unix(datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="time zone"):
        civil_today(datetime(2026, 1, 1))
    for seconds in (10**12, -(10**12), MAX_SAFE_INTEGER):
        with pytest.raises(FormatError):
            from_unix(seconds)


CHINA_CLOCK = timezone(timedelta(hours=8))


def test_a_time_of_another_zone_is_written_as_the_same_moment_in_utc() -> None:
    moment = datetime(2026, 11, 2, 4, 0, 0, 999999, tzinfo=UTC)
    for zone in (UTC, CHINA_CLOCK, timezone(timedelta(hours=-9, minutes=-30)), ZoneInfo("UTC")):
        assert rfc3339(moment.astimezone(zone)) == "2026-11-02T04:00:00Z"
        assert to_utc(moment.astimezone(zone)).tzinfo is UTC


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 2),
        datetime.min.replace(tzinfo=CHINA_CLOCK),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-14))),
    ],
)
def test_a_time_without_its_zone_or_that_utc_does_not_have_is_not_written(moment: datetime) -> None:
    for write in (rfc3339, to_utc):
        with pytest.raises(ValueError, match="moment"):
            write(moment)


@pytest.mark.parametrize("digits", [1, 6, 7, 9, 30])
def test_an_rfc3339_fraction_of_up_to_30_digits_is_cut_to_microseconds(digits: int) -> None:
    fraction = ("1234567899" * 3)[:digits]
    microsecond = int(fraction[:6].ljust(6, "0"))
    expected = datetime(2026, 11, 2, 4, 0, 0, microsecond, tzinfo=UTC)
    for text in (f"2026-11-02T04:00:00.{fraction}Z", f"2026-11-02t12:00:00.{fraction}+08:00"):
        assert parse_rfc3339(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-02",
        "2026-11-02T04:00:00",
        "2026-11-02 04:00:00Z",
        "2026-11-02T04:00:00.Z",
        "2026-11-02T04:00:00,5Z",
        f"2026-11-02T04:00:00.{'1' * 31}Z",
        "2026-11-02T04:00:00.\u0661Z",
        "2026-11-02T24:00:00Z",
        "2026-11-02T04:00:00+05:75",
        "2026-11-02T04:00:00-08:60",
        "2026-11-02T04:00:00+24:00",
        "2026-13-02T04:00:00Z",
        "0001-01-01T00:00:00+08:00",
        "2026-11-02T04:00:00Z\n",
    ],
)
def test_what_is_no_rfc3339_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


def test_a_civil_day_begins_at_midnight_of_china() -> None:
    assert civil_day_start(date(2026, 11, 2)) == datetime(2026, 11, 1, 16, tzinfo=UTC)
    assert civil_day_start(date(2026, 11, 2)).tzinfo is UTC
    with pytest.raises(FormatError):
        civil_day_start(date(1, 1, 1))


@given(st.dates(min_value=date(1, 1, 2), max_value=date(9999, 12, 30)))
def test_civil_today_holds_from_the_first_to_the_last_second_of_its_day(day: date) -> None:
    start = civil_day_start(day)
    assert civil_today(start) == civil_today(start + timedelta(hours=23, minutes=59, seconds=59)) == day
    assert civil_today(start - timedelta(seconds=1)) == day - timedelta(days=1)
    assert CHINA.utcoffset(None) == timedelta(hours=8)
