"""A key is compromised only by a statement of the root's keys, and the trust list says what the statement says."""

from collections.abc import Callable
from typing import Any

import pytest

from elicense.compromise import build_compromise_payload, parse_compromise, sign_compromise
from elicense.encoding import dump_json, parse_json_object
from elicense.problems import FormatError, Reason
from elicense.signed_note import Checkpoint
from elicense.trust_list import TrustList, parse_trust_list, parse_trust_root
from tests.simulator import NOW, Installation, SimulatedSigner

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def installation() -> Installation:
    """An installation whose first credential key is compromised."""
    made = Installation()
    made.compromise(made.credential_signer, made.log.checkpoint(2))
    return made


def read(installation: Installation) -> TrustList:
    return parse_trust_list(installation.trust_list(), root=parse_trust_root(installation.trust_root()))


def test_a_compromised_key_is_read_back_as_it_was_declared(installation: Installation) -> None:
    installation.compromise(installation.status_signer, None)
    trust_list = read(installation)
    assert list(trust_list.authorities.values()) == installation.authorities
    assert list(trust_list.services) == installation.services
    declared = installation.authorities[0].keys[0].compromised
    assert declared is not None
    assert declared.checkpoint == installation.log.checkpoint(2)
    assert (declared.log_origin, declared.log_size) == (installation.log.origin, 2)
    assert declared.log_root == installation.log.checkpoint(2).root
    nothing = installation.services[0].compromised
    assert nothing is not None
    assert (nothing.log_origin, nothing.log_size, nothing.log_root) == (None, 0, None)


def test_the_json_of_a_key_that_is_not_compromised_is_as_before() -> None:
    assert Installation().authorities[0].keys[0].to_json()["compromised"] is None


def credential_entry(payload: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = payload["authorities"][0]["keys"][0]["compromised"]
    return found


def change(**members: object) -> Edit:
    return lambda payload: credential_entry(payload).update(members)


def borrow_statement(payload: dict[str, Any]) -> None:
    key = payload["authorities"][1]["keys"][0]
    key["compromised"] = credential_entry(payload)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(change(since=1), id="since"),
        pytest.param(change(log_size=3), id="size"),
        pytest.param(change(log_root="0" * 64), id="root"),
        pytest.param(change(log_origin="one.example/log/2"), id="origin"),
        pytest.param(change(log_origin=None), id="no origin"),
        pytest.param(change(statement=None), id="no statement"),
        pytest.param(change(statement="text"), id="statement of another shape"),
        pytest.param(lambda p: credential_entry(p).pop("statement"), id="statement removed"),
        pytest.param(
            lambda p: credential_entry(p)["statement"]["signatures"].pop(), id="one signature removed"
        ),
        pytest.param(borrow_statement, id="statement of another key"),
        pytest.param(
            lambda p: p["authorities"][0]["keys"][0].update(compromised=1_700_000_000), id="bare time"
        ),
    ],
)
def test_a_list_that_does_not_agree_with_a_statement_is_refused(
    installation: Installation, edit: Edit
) -> None:
    installation.edits["trust_list"] = edit
    with pytest.raises(FormatError):
        read(installation)


def statement(installation: Installation, *signers: SimulatedSigner, **changes: Any) -> bytes:
    given: dict[str, Any] = {
        "env": "test",
        "kid": "k",
        "use": "status",
        "since": NOW,
        "checkpoint": None,
        **changes,
    }
    return sign_compromise(build_compromise_payload(**given), signers=signers)


def test_only_the_roots_threshold_declares_a_key_compromised(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    one, other, third = installation.root_signers
    assert parse_compromise(statement(installation, one, third), root=root, kid="k", use="status")
    for signers in ([one], [one, one], [other, SimulatedSigner()], installation.list_signers):
        with pytest.raises(FormatError) as refusal:
            parse_compromise(statement(installation, *signers), root=root, kid="k", use="status")
        assert refusal.value.reason is Reason.SIGNATURE_INVALID


@pytest.mark.parametrize("changes", [{"kid": "other"}, {"use": "receipt"}, {"env": "live"}])
def test_a_statement_speaks_of_one_key_and_use(installation: Installation, changes: dict[str, str]) -> None:
    root = parse_trust_root(installation.trust_root())
    data = statement(installation, *installation.root_signers[:2], **changes)
    with pytest.raises(FormatError, match="another key"):
        parse_compromise(data, root=root, kid="k", use="status")


def test_a_statement_is_signed_again_by_the_next_root(installation: Installation) -> None:
    installation.rotate_root()
    with pytest.raises(FormatError):
        read(installation)
    installation.compromise(installation.credential_signer, installation.log.checkpoint(2))
    assert read(installation)


def test_a_log_key_leaves_a_state_of_its_own_log_alone(installation: Installation) -> None:
    installation.compromise(installation.log_signer, installation.log.checkpoint(2))
    assert read(installation).frozen(installation.log.origin) == (installation.log.checkpoint(2),)
    installation.compromise(
        installation.log_signer, Checkpoint(installation.receipt_log.origin, 2, bytes(32))
    )
    with pytest.raises(FormatError, match="another log"):
        read(installation)


def test_an_unknown_statement_format_is_refused_by_name(installation: Installation) -> None:
    root = parse_trust_root(installation.trust_root())
    payload = build_compromise_payload(env="test", kid="k", use="status", since=NOW, checkpoint=None)
    data = sign_compromise(payload.replace(b'"fmt":1', b'"fmt":2'), signers=installation.root_signers)
    with pytest.raises(FormatError, match="fmt 2"):
        parse_compromise(data, root=root, kid="k", use="status")
    with pytest.raises(FormatError):
        parse_compromise(dump_json({}), root=root, kid="k", use="status")


@pytest.mark.parametrize("named", [{"log_size": 3}, {"log_root": "0" * 64}], ids=str)
def test_a_statement_that_names_a_state_of_no_log_is_refused(
    installation: Installation, named: dict[str, object]
) -> None:
    given: dict[str, Any] = {"env": "test", "kid": "k", "use": "status", "since": NOW, "checkpoint": None}
    members = parse_json_object(build_compromise_payload(**given))
    root = parse_trust_root(installation.trust_root())
    for payload, is_read in ((members, True), ({**members, **named}, False)):
        signed = sign_compromise(dump_json(payload), signers=installation.root_signers[:2])
        if is_read:
            assert parse_compromise(signed, root=root, kid="k", use="status").checkpoint is None
        else:
            with pytest.raises(FormatError):
                parse_compromise(signed, root=root, kid="k", use="status")
