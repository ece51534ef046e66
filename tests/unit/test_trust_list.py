"""Trust documents: thresholds of distinct keys, one key one purpose, and what a freshness statement pins."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from elicense.bundle import dump_bundle, parse_bundle
from elicense.encoding import dump_json, parse_json_object
from elicense.evidence import AcceptedStatusList, ListStatus, RefusedPart, gather_offline, remember
from elicense.freshness import FRESHNESS_LIFETIME, parse_freshness
from elicense.jws import sign_general
from elicense.policy import DEFAULT_POLICY
from elicense.problems import FormatError, Reason
from elicense.report import CheckId, Verdict
from elicense.trust_list import (
    TRUST_LIST_TYP,
    TRUST_ROOT_TYP,
    AuthorityState,
    Service,
    ServiceUse,
    parse_trust_list,
    parse_trust_root,
)
from elicense.verify import verify_credential
from tests.simulator import AUTHORITY_CODE, NOW, Installation, NamedAs, SimulatedSigner

LISTED_AGO = timedelta(days=2)
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def installation() -> Installation:
    return Installation()


def refusal_of(call: Callable[[], object]) -> FormatError:
    with pytest.raises(FormatError) as refusal:
        call()
    return refusal.value


# --- the root


def test_a_root_signed_by_its_own_threshold_is_read_back_as_it_was_built(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    assert root.env == "test"
    assert root.version == 1
    assert (root.root_threshold, root.list_threshold) == (2, 2)
    assert [key.kid for key in root.list_keys] == [signer.kid for signer in installation.list_signers]
    assert root.raw == installation.trust_root()


def test_a_root_below_its_threshold_is_refused(installation: Installation) -> None:
    def sign(*signers: SimulatedSigner) -> bytes:
        return sign_general(typ=TRUST_ROOT_TYP, payload=installation.root_payload(), signers=signers)

    first, _, third = installation.root_signers
    assert parse_trust_root(sign(first, third)).version == 1
    for signers in ([first], [first, first], [first, SimulatedSigner()], installation.list_signers):
        assert refusal_of(lambda signers=signers: parse_trust_root(sign(*signers))).reason is (
            Reason.SIGNATURE_INVALID
        )


def change_role(role: str, **members: object) -> Edit:
    return lambda payload: payload["roles"][role].update(members)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda payload: payload.update(fmt=2), id="unknown fmt"),
        pytest.param(lambda payload: payload.update(env="demo"), id="unknown env"),
        pytest.param(lambda payload: payload.update(version=0), id="version below one"),
        pytest.param(
            lambda payload: payload.update(type_base="http://one.example"), id="type base not https"
        ),
        *(
            pytest.param(lambda payload, url=url: payload.update(type_base=url), id=f"type base {url}")
            for url in (
                "https://one.example/",
                "https://one.example?x=1",
                "https://one.example#x",
                "https://one.example/a b",
            )
        ),
        pytest.param(lambda payload: payload.pop("expires"), id="no expiry"),
        pytest.param(change_role("root", threshold=0), id="threshold of none"),
        pytest.param(change_role("trust_list", threshold=3), id="threshold above the keys"),
        pytest.param(change_role("root", keys=[]), id="no root keys"),
        pytest.param(
            lambda payload: payload["roles"]["trust_list"].update(keys=payload["roles"]["root"]["keys"]),
            id="one key in both roles",
        ),
        pytest.param(
            lambda payload: payload["roles"]["root"]["keys"][2].update(payload["roles"]["root"]["keys"][0]),
            id="one key twice",
        ),
        pytest.param(
            lambda payload: payload["roles"]["root"]["keys"][0].update(kid="another"),
            id="kid is no thumbprint",
        ),
        pytest.param(
            lambda payload: payload["roles"]["root"]["keys"][0].update(profile="none"), id="unknown profile"
        ),
    ],
)
def test_a_root_of_another_shape_is_refused_even_when_well_signed(
    installation: Installation, edit: Edit
) -> None:
    installation.edits["trust_root"] = edit
    assert refusal_of(lambda: parse_trust_root(installation.trust_root())).reason is Reason.MALFORMED


# --- the trust list


def test_a_trust_list_is_read_back_as_it_was_built(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    assert list(trust_list.authorities.values()) == installation.authorities
    assert list(trust_list.services) == installation.services
    authority = trust_list.authority_by_issuer(f"https://one.example/authorities/{AUTHORITY_CODE}")
    assert authority is not None and authority.code == AUTHORITY_CODE
    assert trust_list.authority_by_issuer(f"https://one.example/authorities/{AUTHORITY_CODE}/") is None


@pytest.mark.parametrize("state", [AuthorityState.ENDED, AuthorityState.DISTRUSTED])
def test_the_end_of_an_authority_is_read_back(installation: Installation, state: AuthorityState) -> None:
    installation.change_authority(status=state, ended_at=NOW, successor="11320100MA0T00060X")
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    assert trust_list.authorities[AUTHORITY_CODE] == installation.authorities[0]


def test_a_service_key_is_found_for_its_own_use_alone(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    assert [entry.key.kid for entry in trust_list.witnesses()] == [installation.witness_signer.kid]
    assert trust_list.log_origins() == (installation.log.origin, installation.receipt_log.origin)
    for use in ServiceUse:
        found = trust_list.service(installation.status_signer.kid, use)
        assert (found is not None) == (use is ServiceUse.STATUS)


def test_a_stolen_log_key_of_which_nothing_was_witnessed_leaves_no_state_behind(
    installation: Installation,
) -> None:
    token = installation.credential()
    proof = installation.prove(token)
    installation.compromise(installation.log_signer, None)
    evidence = installation.evidence()
    assert evidence.trust is not None
    assert evidence.trust.trust_list.frozen(installation.log.origin) == ()
    report = verify_credential(token, evidence=evidence, policy=DEFAULT_POLICY, proof=proof)
    assert report.check(CheckId.LOG_PROOF).code is Reason.LOG_PROOF_MISSING


def test_a_trust_list_below_the_threshold_or_signed_by_root_keys_is_refused(
    installation: Installation,
) -> None:
    root = parse_trust_root(installation.trust_root())
    one = installation.list_signers[0]
    for signers in ([one], [one, one], [one, SimulatedSigner()], installation.root_signers):
        data = sign_general(typ=TRUST_LIST_TYP, payload=installation.list_payload(), signers=signers)
        assert refusal_of(lambda data=data: parse_trust_list(data, root=root)).reason is (
            Reason.SIGNATURE_INVALID
        )


def first_authority(**members: object) -> Edit:
    return lambda payload: payload["authorities"][0].update(members)


def first_service(**members: object) -> Edit:
    return lambda payload: payload["services"][0].update(members)


def copy_key(payload: dict[str, Any]) -> None:
    key = payload["authorities"][0]["keys"][0]
    payload["services"][1].update(jwk=key["jwk"], kid=key["kid"])


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda payload: payload.update(fmt=7), id="unknown fmt"),
        pytest.param(lambda payload: payload.update(env="live"), id="another environment than the root"),
        pytest.param(lambda payload: payload.update(sequence=0), id="sequence below one"),
        pytest.param(
            lambda payload: payload.update(issuers=["https://else.example"]), id="issuer not listed"
        ),
        pytest.param(
            first_authority(issuer="https://one.example/authorities/x"), id="issuer of another code"
        ),
        pytest.param(first_authority(status="retired"), id="unknown state"),
        pytest.param(first_authority(status={"ended": {"successor": None}}), id="ended without a moment"),
        pytest.param(first_authority(status={"retired": {"at": 1, "successor": None}}), id="unknown end"),
        pytest.param(
            first_authority(status={"ended": {"at": 1}, "distrusted": {"at": 1}}), id="two ends at once"
        ),
        pytest.param(lambda payload: payload["authorities"].append(payload["authorities"][0]), id="twice"),
        pytest.param(
            lambda payload: payload["authorities"].append({**payload["authorities"][0], "keys": []}),
            id="twice, the second time without keys",
        ),
        pytest.param(copy_key, id="one key for two purposes"),
        pytest.param(first_service(uri_prefixes=["https://one.example"]), id="prefix without a final slash"),
        pytest.param(first_service(uri_prefixes=["http://one.example/"]), id="prefix not https"),
        pytest.param(first_service(authorities=["*", 5]), id="authorities not text"),
        pytest.param(
            lambda payload: payload["authorities"][0]["scopes"][0].update({"from": "2020-1-1"}), id="odd date"
        ),
        pytest.param(
            lambda payload: payload["authorities"][0]["scopes"][0].update(areas=[""]), id="empty area prefix"
        ),
    ],
)
def test_a_trust_list_of_another_shape_is_refused_even_when_well_signed(
    installation: Installation, edit: Edit
) -> None:
    installation.edits["trust_list"] = edit
    root = parse_trust_root(installation.trust_root())
    assert refusal_of(lambda: parse_trust_list(installation.trust_list(), root=root)).reason is (
        Reason.MALFORMED
    )


# --- freshness


def test_freshness_pins_the_exact_trust_list(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    first = parse_trust_list(installation.trust_list(), root=root)
    stated = installation.freshness()
    assert parse_freshness(stated, trust_list=first).trust_list_sequence == 3
    installation.sequence = 4
    second = parse_trust_list(installation.trust_list(), root=root)
    refused = refusal_of(lambda: parse_freshness(stated, trust_list=second))
    assert (refused.reason, "3" in refused.detail) == (Reason.TRUST_STALE, True)
    # The same list, signed a second time, has other bytes and is another document.
    installation.sequence = 3
    twin = sign_general(
        typ=TRUST_LIST_TYP, payload=installation.list_payload(), signers=installation.list_signers
    )
    assert (
        refusal_of(lambda: parse_freshness(stated, trust_list=parse_trust_list(twin, root=root))).reason
        is Reason.TRUST_STALE
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"valid_until": NOW}, Reason.SIGNATURE_INVALID),
        ({"valid_from": NOW + timedelta(seconds=1)}, Reason.SIGNATURE_INVALID),
        ({"use": ServiceUse.RECEIPT}, Reason.SIGNATURE_INVALID),
    ],
)
def test_freshness_counts_only_from_a_freshness_key_in_its_window(
    installation: Installation, change: dict[str, Any], reason: Reason
) -> None:
    installation.change_service(ServiceUse.FRESHNESS, **change)
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    assert (
        refusal_of(lambda: parse_freshness(installation.freshness(), trust_list=trust_list)).reason is reason
    )


def name_list_again(payload: dict[str, Any]) -> None:
    payload["status_lists"].append(
        {**payload["status_lists"][0], "seq": payload["status_lists"][0]["seq"] + 1}
    )


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(lambda payload: payload.update(env="live"), id="another environment"),
        pytest.param(lambda payload: payload.update(iss="https://two.example"), id="another issuer"),
        pytest.param(name_list_again, id="one status list twice"),
        pytest.param(lambda payload: payload.update(fmt=2), id="unknown fmt"),
    ],
)
def test_a_freshness_of_another_shape_is_refused_even_when_well_signed(
    installation: Installation, edit: Edit
) -> None:
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    installation.edits["freshness"] = edit
    refused = refusal_of(lambda: parse_freshness(installation.freshness(), trust_list=trust_list))
    assert refused.reason is Reason.MALFORMED


def test_a_freshness_whose_signature_does_not_hold_is_told_as_such(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    installation.freshness_signer = NamedAs(SimulatedSigner(), installation.freshness_signer.kid)
    refused = refusal_of(lambda: parse_freshness(installation.freshness(), trust_list=trust_list))
    assert refused.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [
        (timedelta(0), timedelta(0), Reason.MALFORMED),
        (timedelta(0), timedelta(seconds=-1), Reason.MALFORMED),
        (timedelta(0), timedelta(seconds=1), None),
        (timedelta(0), FRESHNESS_LIFETIME, None),
        (timedelta(0), FRESHNESS_LIFETIME + timedelta(seconds=1), Reason.MALFORMED),
        (timedelta(0), timedelta(days=3650), Reason.MALFORMED),
        (-LISTED_AGO, timedelta(days=1), None),
        (-LISTED_AGO - timedelta(seconds=1), timedelta(days=1), Reason.TRUST_STALE),
    ],
)
def test_freshness_lives_a_week_at_most_and_is_no_older_than_the_list_it_names(
    installation: Installation, begins: timedelta, ends: timedelta, reason: Reason | None
) -> None:
    """Whoever holds a retired key writes any time of signing inside its window, and any end."""
    issued_at = int((NOW + begins).timestamp())
    expires_at = issued_at + int(ends.total_seconds())
    installation.edits["freshness"] = lambda payload: payload.update(iat=issued_at, exp=expires_at)
    installation.edits["trust_list"] = lambda payload: payload.update(
        issued_at=int((NOW - LISTED_AGO).timestamp())
    )
    trust_list = parse_trust_list(installation.trust_list(), root=parse_trust_root(installation.trust_root()))
    if reason is None:
        assert parse_freshness(installation.freshness(), trust_list=trust_list).issued_at == NOW + begins
    else:
        refused = refusal_of(lambda: parse_freshness(installation.freshness(), trust_list=trust_list))
        assert refused.reason is reason
        assert installation.evidence().trust.freshness is None  # type: ignore[union-attr]


def test_a_retired_freshness_key_keeps_no_old_list_in_force(installation: Installation) -> None:
    retired = SimulatedSigner()
    installation.services.append(
        Service(
            use=ServiceUse.FRESHNESS,
            key=retired.public_key,
            valid_from=NOW - timedelta(days=400),
            valid_until=NOW - timedelta(days=20),
        )
    )
    installation.freshness_signer = retired
    for iat, exp in ((-21, 3650), (-21, -14), (0, 7)):
        installation.edits["freshness"] = lambda payload, iat=iat, exp=exp: payload.update(
            iat=int((NOW + timedelta(days=iat)).timestamp()), exp=int((NOW + timedelta(days=exp)).timestamp())
        )
        installation.edits["trust_list"] = lambda payload: payload.update(
            issued_at=int((NOW - timedelta(days=30)).timestamp())
        )
        report = verify_credential(
            installation.credential(), evidence=installation.evidence(), policy=DEFAULT_POLICY
        )
        assert (report.verdict, report.reason) == (Verdict.INDETERMINATE, Reason.TRUST_STALE)


def test_nothing_counts_that_a_compromised_freshness_key_signed(installation: Installation) -> None:
    installation.compromise(installation.freshness_signer, installation.log.checkpoint())
    root = parse_trust_root(installation.trust_root())
    trust_list = parse_trust_list(installation.trust_list(), root=root)
    with pytest.raises(FormatError, match="not valid"):
        parse_freshness(installation.freshness(), trust_list=trust_list)


# --- bundle, evidence, memory


def test_a_bundle_keeps_the_exact_bytes_of_its_parts(installation: Installation) -> None:
    parsed = parse_bundle(installation.bundle())
    assert parsed == installation.bundle_parts()
    assert parsed.trust_list == installation.trust_list()
    assert dump_bundle(parsed) == installation.bundle()
    assert parsed.created_at == NOW


def test_untouched_evidence_refuses_nothing(installation: Installation) -> None:
    evidence = installation.evidence()
    assert evidence.refused() == ()
    assert isinstance(evidence.status, ListStatus)
    assert isinstance(evidence.status.lists[installation.status_uri], AcceptedStatusList)


def test_a_list_that_the_freshness_does_not_name_is_refused_and_the_rest_stands(
    installation: Installation,
) -> None:
    parts = installation.bundle_parts()
    extra = f"{installation.issuer_url}/v1/status-lists/2"
    lists = {**parts.status_lists, extra: parts.status_lists[installation.status_uri]}
    installation.edits["bundle"] = lambda members: members.update(status_lists=lists)
    evidence = installation.evidence()
    assert isinstance(evidence.status, ListStatus)
    assert isinstance(evidence.status.lists[extra], RefusedPart)
    assert isinstance(evidence.status.lists[installation.status_uri], AcceptedStatusList)


def test_memory_refuses_every_older_part(installation: Installation) -> None:
    old_bundle = installation.bundle()
    old = installation.evidence()
    installation.sequence += 1
    installation.status_seq += 1
    installation.now += timedelta(minutes=5)
    memory = remember(installation.evidence(), remember(old))
    assert memory is not None
    assert (memory.trust_list_sequence, memory.status_lists[installation.status_uri]) == (4, 8)
    installation.edits["bundle"] = lambda members: members.update(
        parse_json_object(old_bundle, max_bytes=1 << 20)
    )
    rolled_back = installation.evidence(memory=memory)
    assert rolled_back.trust is None
    assert [part.reason for part in rolled_back.refused()] == [Reason.TRUST_STALE]


def test_memory_refuses_an_older_status_list_and_freshness_alone(installation: Installation) -> None:
    memory = remember(installation.evidence())
    assert memory is not None
    lists = {installation.status_uri: 8}
    evidence = installation.evidence(memory=replace(memory, status_lists=lists))
    assert [part.reason for part in evidence.refused()] == [Reason.STATUS_UNAVAILABLE]
    later = replace(memory, freshness_issued_at=NOW + timedelta(seconds=1))
    reasons = {part.reason for part in installation.evidence(memory=later).refused()}
    assert reasons == {Reason.TRUST_STALE, Reason.STATUS_UNAVAILABLE}


def test_a_clock_behind_what_was_seen_is_unreliable(installation: Installation) -> None:
    memory = remember(installation.evidence())
    assert installation.evidence(memory=memory).clock_reliable
    assert not installation.evidence(now=NOW - timedelta(hours=1), memory=memory).clock_reliable


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", dump_json({"fmt": 2})])
def test_a_bundle_that_is_none_leaves_no_trust_and_raises_nothing(
    installation: Installation, data: bytes
) -> None:
    evidence = gather_offline(trust_root=installation.trust_root(), bundle=data, now=NOW)
    assert evidence.trust is None
    assert [part.reason for part in evidence.refused()] == [Reason.TRUST_UNAVAILABLE]
    assert gather_offline(trust_root=data, bundle=installation.bundle(), now=NOW).trust is None
