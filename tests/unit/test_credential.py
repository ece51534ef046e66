"""Credentials: what is prepared can be read back, and what could not be is never signed."""

import itertools
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elicense.claims import LicenseClaims
from elicense.credential import (
    MAX_DISCLOSURES,
    Credential,
    CredentialClaims,
    Holder,
    credential_window,
    inspect_credential,
    is_element_name,
    parse_credential,
    parse_disclosure,
    prepare_credential,
    select_disclosures,
)
from elicense.encoding import dump_json
from elicense.problems import FormatError, Reason
from tests.credential_parts import (
    CLAIMS,
    LICENSE,
    SALT,
    SIGNER,
    digest,
    disclose,
    element_names,
    element_values,
    issue,
    read_payload,
    refusal,
    salts,
    signed_with,
)
from tests.simulator import NOW, SAMPLE_ELEMENTS

# --- round trips


def test_a_prepared_credential_reads_back_as_what_went_in() -> None:
    token = issue()
    for form in (token, token.encode()):
        credential = parse_credential(form)
        assert credential.claims == CLAIMS
        assert credential.elements == SAMPLE_ELEMENTS
        assert (credential.disclosed_count, credential.undisclosed_count) == (len(SAMPLE_ELEMENTS), 0)
        assert (credential.kid, credential.alg, credential.env, credential.fmt) == (
            SIGNER.kid,
            "ES256",
            "test",
            1,
        )
        assert credential.key_binding is None and credential.cnf is None
        assert credential.issuer_signed == token.split("~")[0]
        assert SIGNER.public_key.verify(credential.signature, credential.signing_input)


@given(st.dictionaries(element_names, element_values, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_elements_read_back_as_they_were(elements: dict[str, str]) -> None:
    assert parse_credential(issue(elements)).elements == elements


@given(st.integers(0, 2**6 - 1))
@settings(max_examples=64, deadline=None)
def test_any_choice_of_disclosures_reads_back_and_keeps_the_signature(chosen: int) -> None:
    names = [name for bit, name in enumerate(SAMPLE_ELEMENTS) if chosen >> bit & 1]
    token = issue()
    shown = select_disclosures(token, names)
    credential = parse_credential(shown)
    assert credential.elements == {name: SAMPLE_ELEMENTS[name] for name in names}
    assert credential.undisclosed_count == len(SAMPLE_ELEMENTS) - len(names)
    assert credential.signing_input == parse_credential(token).signing_input
    assert shown.endswith("~")


def test_disclosures_may_come_in_any_order() -> None:
    first, *disclosures, _ = issue().split("~")
    for order in itertools.islice(itertools.permutations(disclosures), 0, 720, 97):
        assert parse_credential("~".join((first, *order, ""))).elements == SAMPLE_ELEMENTS


def test_a_credential_without_elements_has_no_digests() -> None:
    token = issue({})
    assert parse_credential(token).elements == {}
    payload = read_payload(token)
    assert payload["elements"] == {} and "_sd_alg" not in payload


def test_the_signed_part_shows_the_license_and_hides_every_element() -> None:
    payload = read_payload(issue())
    assert payload["license"] == {"fmt": 1, "env": "test", **LICENSE.to_json()}
    assert payload["elements"]["_sd"] == sorted(payload["elements"]["_sd"])
    assert not any(
        value in dump_json(payload).decode()
        for name, value in SAMPLE_ELEMENTS.items()
        if not name.endswith("date")
    )
    assert payload["sub"] == LICENSE.holder.code
    assert payload["status"] == {"status_list": {"idx": 5, "uri": CLAIMS.status_uri}}


def test_values_that_parsing_makes_are_frozen_as_any_other() -> None:
    credential = parse_credential(issue())
    for value, name in ((credential, "env"), (credential.claims, "subject"), (LICENSE.holder, "code")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "other")
    assert type(credential) is Credential
    assert type(credential.claims.license) is LicenseClaims
    assert replace(credential.claims, status_index=6).status_index == 6
    with pytest.raises(TypeError):
        credential.elements["address"] = "other"  # type: ignore[index]


def test_one_disclosure_can_be_read_alone() -> None:
    encoded = disclose(SALT, "address", "南京市")
    parsed = parse_disclosure(encoded)
    assert (parsed.name, parsed.value, parsed.digest) == ("address", "南京市", digest(encoded))
    assert parsed.encoded == encoded
    for other in ("", "é", encoded + "=", encoded + "==", disclose(SALT, "iss", "x"), disclose(SALT, "x")):
        with pytest.raises(FormatError):
            parse_disclosure(other)


def test_inspecting_says_plainly_that_nothing_was_verified() -> None:
    shown = inspect_credential(issue())
    assert shown["verified"] is False
    assert "未经核验" in shown["notice"]["zh"] and "verified" in shown["notice"]["en"]
    assert shown["elements"] == SAMPLE_ELEMENTS
    assert shown["license"]["identifier"] == LICENSE.identifier
    dump_json(shown)


# --- the window


def at_china(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC) - timedelta(hours=8)


@pytest.mark.parametrize(
    ("valid_from", "valid_until", "issued_at", "window"),
    [
        # The last day is included; it ends at midnight in China.
        (date(2026, 1, 1), date(2026, 12, 31), NOW, (at_china(2026, 1, 1), at_china(2027, 1, 1))),
        (date(2026, 1, 1), date(2026, 1, 1), NOW, (at_china(2026, 1, 1), at_china(2026, 1, 2))),
        # No end, or a far one: five years after signing.
        (date(2026, 1, 1), None, NOW, (at_china(2026, 1, 1), NOW.replace(year=2031))),
        (date(2026, 1, 1), date(2099, 1, 1), NOW, (at_china(2026, 1, 1), NOW.replace(year=2031))),
        (date(2026, 1, 1), date(9999, 12, 31), NOW, (at_china(2026, 1, 1), NOW.replace(year=2031))),
        (date(2026, 1, 1), date(2031, 11, 1), NOW, (at_china(2026, 1, 1), at_china(2031, 11, 2))),
        (date(2026, 1, 1), date(2031, 11, 2), NOW, (at_china(2026, 1, 1), NOW.replace(year=2031))),
        # Before 1970 there are no Unix seconds.
        (date(1958, 3, 1), None, NOW, (datetime(1970, 1, 1, tzinfo=UTC), NOW.replace(year=2031))),
        (date(1, 1, 1), None, NOW, (datetime(1970, 1, 1, tzinfo=UTC), NOW.replace(year=2031))),
        # 29 February, and fractions of a second.
        (
            date(2026, 1, 1),
            None,
            datetime(2028, 2, 29, 1, 2, 3, 999999, tzinfo=UTC),
            (at_china(2026, 1, 1), datetime(2033, 2, 28, 1, 2, 3, tzinfo=UTC)),
        ),
    ],
)
def test_the_window_follows_the_civil_days_of_china(
    valid_from: date, valid_until: date | None, issued_at: datetime, window: tuple[datetime, datetime]
) -> None:
    assert credential_window(valid_from=valid_from, valid_until=valid_until, issued_at=issued_at) == window


@given(
    st.dates(),
    st.none() | st.dates(),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1971, 1, 1), max_value=datetime(9999, 12, 31)),
)
def test_every_date_has_a_window_in_unix_seconds(
    opens: date, until: date | None, issued_at: datetime
) -> None:
    window = credential_window(valid_from=opens, valid_until=until, issued_at=issued_at)
    for moment in window:
        assert moment.tzinfo is UTC and moment.microsecond == 0 and moment.year >= 1970


# --- what is never signed


@pytest.mark.parametrize(
    "name",
    [
        *(
            "_sd",
            "...",
            "iss",
            "iat",
            "nbf",
            "exp",
            "vct",
            "cnf",
            "status",
            "sub",
            "aka_vcts",
            "vct#integrity",
        ),
        *(
            "license",
            "license.number",
            "elements",
            "fmt",
            "env",
            "identifier",
            "valid_until",
            "holder",
            "name",
        ),
        *("", "Address", "地址", "a b", "a.b", "1a", "_a", "a" * 65, "a\n"),
    ],
)
def test_reserved_and_unusable_element_names_are_neither_signed_nor_read(name: str) -> None:
    assert not is_element_name(name)
    with pytest.raises(FormatError):
        issue({name: "x"})
    assert refusal(signed_with(disclose(SALT, name, "x"))) is Reason.MALFORMED


@pytest.mark.parametrize(
    "bad_salts", [[], salts(1), salts(3), [b"", b""], [bytes(15), bytes(16)], [bytes(16), bytes(16)]], ids=str
)
def test_every_element_needs_a_salt_of_its_own(bad_salts: list[bytes]) -> None:
    with pytest.raises(FormatError):
        prepare_credential(
            claims=CLAIMS,
            elements={"address": "a", "scope": "b"},
            kid=SIGNER.kid,
            profile="es256",
            salts=bad_salts,
            env="test",
        )


def with_license(**changes: Any) -> CredentialClaims:
    return replace(CLAIMS, license=replace(LICENSE, **changes))


@pytest.mark.parametrize(
    "claims",
    [
        with_license(holder=replace(LICENSE.holder, code_type="111")),
        with_license(holder=Holder(code="", code_type="001", name="x")),
        with_license(identifier="1.2.3"),
        with_license(area_code="3201"),
        with_license(version="1"),
        with_license(number=""),
        replace(CLAIMS, expires_at=CLAIMS.not_before),
        replace(CLAIMS, status_index=-1),
        replace(CLAIMS, issuer=""),
    ],
    ids=range(9),
)
def test_claims_that_could_not_be_read_back_are_not_prepared(claims: CredentialClaims) -> None:
    with pytest.raises(FormatError):
        issue({}, claims)


def test_a_credential_over_the_limits_is_not_prepared() -> None:
    with pytest.raises(FormatError):
        issue({f"e{index}": "x" for index in range(MAX_DISCLOSURES + 1)})
    with pytest.raises(FormatError):
        issue({"business_scope": "营" * 20_000})
    assert (
        len(parse_credential(issue({"business_scope": "营" * 10_000})).elements["business_scope"]) == 10_000
    )


def test_whatever_is_prepared_can_be_read_up_to_the_very_limit() -> None:
    def elements(length: int) -> dict[str, str]:
        return {"e": "x" * length, **{f"e{index}": "x" * 90 for index in range(MAX_DISCLOSURES - 1)}}

    good, bad = 1_000, 60_000
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            issue(elements(middle))
            good = middle
        except FormatError:
            bad = middle
    token = issue(elements(good))
    assert parse_credential(token).elements == elements(good)
    assert len(token) > 65_000


def test_an_unknown_environment_is_not_prepared() -> None:
    with pytest.raises(FormatError):
        prepare_credential(claims=CLAIMS, elements={}, kid="k", profile="es256", salts=[], env="prod")
