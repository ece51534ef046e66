"""A trust list may name keys of profiles and uses that came after this program: they count nowhere, all others do."""

from typing import Any

import pytest

from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.trust_list import ServiceUse, parse_trust_list
from elicense.trust_root import parse_trust_root
from elicense.verify import verify_credential
from tests.simulator import Edit, Installation, SimulatedSigner

SM2_KEY = {"jwk": {"kty": "EC", "crv": "SM2", "x": "AA", "y": "AA"}, "kid": "of-sm2", "profile": "sm2"}
WINDOW = {"valid_from": 0, "valid_until": None, "compromised": None}


@pytest.fixture
def installation() -> Installation:
    return Installation()


def add_what_is_to_come(payload: dict[str, Any]) -> None:
    timestamps = {**payload["services"][0], "use": "timestamp", "kid": "of-timestamps"}
    payload["services"][:0] = [timestamps, {"use": "status", **SM2_KEY, **WINDOW}]
    payload["authorities"][0]["keys"][:0] = [
        {"use": "credential", **SM2_KEY, **WINDOW},
        {"use": "seal", **SM2_KEY, **WINDOW},
    ]


def test_what_other_keys_sign_stays_valid(installation: Installation) -> None:
    installation.edits["trust_list"] = add_what_is_to_come
    trust_list = parse_trust_list(installation.trust_list(), root=parse_trust_root(installation.trust_root()))
    assert list(trust_list.services) == installation.services
    assert list(trust_list.authorities.values()) == installation.authorities
    assert all(trust_list.service("of-sm2", use) is None for use in ServiceUse)
    assert verify_credential(
        installation.credential(), evidence=installation.evidence(), policy=DEFAULT_POLICY
    )


def of_another_use(payload: dict[str, Any]) -> None:
    payload["authorities"][0]["keys"][0]["use"] = "seal"


def of_another_profile(payload: dict[str, Any]) -> None:
    payload["authorities"][0]["keys"][0]["profile"] = "es256-2030"


def without_the_key(payload: dict[str, Any]) -> None:
    del payload["authorities"][0]["keys"][0]


@pytest.mark.parametrize("edit", [of_another_use, of_another_profile])
def test_what_such_a_key_signs_is_judged_as_if_the_key_were_not_listed(
    installation: Installation, edit: Edit
) -> None:
    token = installation.credential()
    reasons = []
    for edited in (without_the_key, edit):
        installation.edits["trust_list"] = edited
        reasons.append(
            verify_credential(token, evidence=installation.evidence(), policy=DEFAULT_POLICY).reason
        )
    assert reasons[0] is reasons[1] is not Reason.OK


def test_a_status_list_under_a_service_of_another_use_is_none(installation: Installation) -> None:
    installation.edits["trust_list"] = lambda payload: [
        service.update(use="statuses") for service in payload["services"] if service["use"] == "status"
    ]
    report = verify_credential(
        installation.credential(), evidence=installation.evidence(), policy=DEFAULT_POLICY
    )
    assert report.reason is Reason.STATUS_UNAVAILABLE


def test_a_signer_of_the_list_itself_is_of_a_profile_that_is_known(installation: Installation) -> None:
    installation.list_signers = [SimulatedSigner(), *installation.list_signers[1:]]
    installation.edits["trust_root"] = lambda payload: payload["roles"]["trust_list"]["keys"][0].update(
        profile="sm2"
    )
    with pytest.raises(FormatError) as caught:
        parse_trust_root(installation.trust_root())
    assert caught.value.reason is Reason.MALFORMED
