"""The logs over HTTP: what is published, to whom, and that every proof leads where it says."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.api.schemas.transparency_log import (
    ConsistencyAnswer,
    EntryProofAnswer,
    ProvenCredentialAnswer,
    ReceiptProofAnswer,
)
from app.domain.errors import DomainError
from elicense.encoding import from_unix, sha256_hex
from elicense.log_entry import parse_entry, receipts_entry
from elicense.log_proof import parse_log_proof, parse_receipt_proof
from elicense.merkle import leaf_hash, verify_consistency, verify_inclusion
from elicense.signed_note import (
    Checkpoint,
    open_checkpoint,
)
from elicense.tiles import TiledTree, TileName, reader_of
from elicense.trust_list import ServiceUse
from tests.installation import ISSUER_URL
from tests.integration.http_service import HttpService, assert_problem, open_http, shown
from tests.log_checks import plain_root, split_bundle

pytestmark = pytest.mark.anyio

HOST = ISSUER_URL.removeprefix("https://")
ORIGIN, RECEIPTS = f"{HOST}/log", f"{HOST}/receipt-log"


@pytest.fixture
async def service(database_url: str, tmp_path: Path) -> AsyncIterator[HttpService]:
    async with open_http(database_url, tmp_path) as opened:
        yield opened


async def sequence(service: HttpService) -> None:
    await service.installation.services.log_sequencer.run_until_done()


async def opened(service: HttpService, note: str, origin: str = ORIGIN) -> Checkpoint:
    listed = (await service.installation.services.trust_list.evidence()).trust_list.services
    key = next(one.key for one in listed if one.use is ServiceUse.LOG and one.origin == origin)
    return open_checkpoint(note, origin=origin, key=key)


async def get(service: HttpService, path: str, role: str | None = None) -> Any:
    response = await service.call(role, "GET", path)
    assert response.status_code == 200, (path, response.text)
    return response.json()


async def test_before_the_first_checkpoint_there_is_none(service: HttpService) -> None:
    for path in ("/log/checkpoint", "/logs/receipt-log/checkpoint", "/log/tile/0/000.p/1", "/v1/log/x"):
        assert_problem(await service.http.get(path), "not_found")
    assert_problem(await service.http.get("/v1/log/proof?trust_list=1"), "not_logged_yet")


async def test_the_whole_log_can_be_read_and_computed_again(service: HttpService) -> None:
    for _ in range(4):
        await service.issue()
    await sequence(service)
    response = await service.http.get("/log/checkpoint")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert response.headers["cache-control"] == "public, max-age=1"
    checkpoint = await opened(service, response.text)
    name = TileName(0, 0, checkpoint.size)
    tile = await service.http.get(f"/log/tile/{name.path}")
    bundle = await service.http.get(f"/log/tile/entries/000.p/{checkpoint.size}")
    assert tile.headers["content-type"] == bundle.headers["content-type"] == "application/octet-stream"
    entries = split_bundle(bundle.content)
    assert len(entries) == checkpoint.size
    assert plain_root(entries) == checkpoint.root
    assert tile.content == b"".join(leaf_hash(entry) for entry in entries)
    assert TiledTree(checkpoint.size, reader_of({(0, 0): tile.content})).root() == checkpoint.root
    kinds = sorted(parse_entry(entry).kind.value for entry in entries)
    assert kinds == ["issuance"] * 4 + ["trust_list", "trust_root"]
    for path, same in (("/logs/log/checkpoint", response), (f"/logs/log/tile/{name.path}", tile)):
        assert (await service.http.get(path)).content == same.content


async def test_full_tiles_are_kept_for_ever_and_partial_ones_are_not(service: HttpService) -> None:
    services = service.installation.services
    rows = [service.installation.new_license() for _ in range(300)]
    await services.issuing.issue_many(rows, actor="t")
    await sequence(service)
    for path in ("/logs/log/tile/0/000", "/logs/log/tile/entries/000"):
        full = await service.http.get(path)
        assert full.headers["cache-control"] == "public, max-age=31536000, immutable"
        held = await service.http.get(path, headers={"if-none-match": full.headers["etag"]})
        assert held.status_code == 304
        # The log in force may become another one, at the same URLs.
        in_force = await service.http.get(path.replace("/logs/log/", "/log/"))
        assert in_force.headers["cache-control"] == "public, max-age=10"
        assert in_force.content == full.content
    whole = (await service.http.get("/log/tile/0/000")).content
    for path, expected in (
        ("/log/tile/0/001.p/46", None),
        ("/log/tile/0/001.p/3", None),
        ("/log/tile/1/000.p/1", None),
        ("/log/tile/0/000.p/255", whole[: 255 * 32]),
    ):
        partial = await service.http.get(path)
        assert partial.headers["cache-control"] == "public, max-age=10"
        assert expected is None or partial.content == expected


async def test_nothing_beyond_the_published_size_is_served(
    service: HttpService, subtests: pytest.Subtests
) -> None:
    await sequence(service)
    await service.issue()

    class Stopped:
        """A process that dies between the commit of a batch and the signature of its head."""

        def __init__(self) -> None:
            self.head_to_sign = service.installation.services.log_memory.head_to_sign

        async def stop(self, origin: str) -> None:
            raise DomainError("unavailable", origin)

    memory = service.installation.services.log_memory
    memory.head_to_sign = Stopped().stop  # type: ignore[method-assign, assignment]
    with pytest.raises(DomainError, match="unavailable"):
        await service.installation.services.log_sequencer.run()
    head = await service.installation.services.store.read(lambda unit: unit.transparency_log.head(ORIGIN))
    assert head is not None and (head.size, head.published_size) == (3, 2)
    cases: tuple[str, ...] = (
        "/log/tile/0/000.p/3",
        "/log/tile/entries/000.p/3",
        "/log/tile/0/000",
        "/log/tile/0/001.p/1",
        "/log/tile/1/000.p/1",
        "/log/tile/0/00.p/1",
        "/log/tile/0/000.p/0",
        "/log/tile/0/000.p/257",
        "/log/tile/00/000.p/1",
        "/log/tile/7/000.p/1",
        "/log/tile/0/x001/000.p/1",
        "/log/tile/entries",
        "/log/tile/0/000.p/2/",
        "/log/tile/0/999999",
        "/logs/none/checkpoint",
        "/logs/log-2/tile/0/000.p/1",
        "/v1/log/consistency?from=0&to=3",
        "/v1/log/consistency?from=3",
        f"/v1/log/consistency?from=1&origin={HOST}/other",
    )
    for path in cases:
        with subtests.test(path=shown(path)):
            assert_problem(await service.http.get(path), "not_found")
    assert (await service.http.get("/log/tile/0/000.p/2")).status_code == 200


async def test_what_cannot_be_asked_is_refused(service: HttpService, subtests: pytest.Subtests) -> None:
    await sequence(service)
    cases: tuple[str, ...] = (
        "/log/checkpoint?x=1",
        "/log/checkpoint?witnessed=true",
        "/log/tile/0/000.p/1?x=1",
        "/v1/log/proof",
        "/v1/log/proof?identifier=",
        "/v1/log/proof?identifier=a&trust_list=1",
        "/v1/log/proof?status_list=a",
        "/v1/log/proof?seq=1",
        "/v1/log/proof?trust_list=x",
        "/v1/log/proof?trust_list=1&signing_input_sha256=" + "a" * 64,
        "/v1/log/proof?identifier=a&signing_input_sha256=A",
        "/v1/log/consistency",
        "/v1/log/consistency?from=-1",
        "/v1/log/consistency?from=2&to=1",
        "/v1/log/consistency?from=99999999999999999999",
    )
    for path in cases:
        with subtests.test(path=shown(path)):
            assert_problem(await service.http.get(path), "invalid_request")


async def test_a_log_is_proven_to_have_only_grown(service: HttpService) -> None:
    seen: list[Checkpoint] = []
    for _ in range(5):
        await service.issue()
        await sequence(service)
        seen.append(await opened(service, (await service.http.get("/log/checkpoint")).text))
    for old in seen:
        for new in seen:
            if old.size > new.size:
                continue
            answer = await get(service, f"/v1/log/consistency?from={old.size}&to={new.size}&origin={ORIGIN}")
            ConsistencyAnswer.model_validate(answer)
            path = [_unpadded(node) for node in answer["path"]]
            assert verify_consistency(old.size, old.root, new.size, new.root, path)
            if path:
                path[0] = bytes(32)
                assert not verify_consistency(old.size, old.root, new.size, new.root, path)
    newest = await get(service, f"/v1/log/consistency?from={seen[0].size}")
    assert (newest["origin"], newest["to"]) == (ORIGIN, seen[-1].size)


async def test_a_credential_comes_with_its_proof(service: HttpService) -> None:
    issued = await service.issue()
    path = f"/v1/licenses/{issued['id']}/credential"
    refused = await service.call("authority", "GET", f"{path}?proof=1")
    assert_problem(refused, "not_logged_yet")
    await sequence(service)
    for role, query in (("authority", "proof=1"), ("holder", "proof=1&version=001")):
        response = await service.call(role, "GET", f"{path}?{query}")
        assert response.headers["content-type"] == "application/json"
        answer = response.json()
        ProvenCredentialAnswer.model_validate(answer)
        assert answer["credential"] == await service.credential(issued["id"])
        proof = parse_log_proof(answer["proof"])
        signing_input = answer["credential"].split("~", 1)[0].rsplit(".", 1)[0].encode()
        checkpoint = await opened(service, proof.inclusion.checkpoint)
        assert proof.inclusion.includes(proof.entry(sha256_hex(signing_input)), checkpoint)
        assert not proof.inclusion.includes(proof.entry(sha256_hex(b"another")), checkpoint)
    assert_problem(await service.call("authority", "GET", f"{path}?proof=1&version=002"), "not_found")
    assert_problem(await service.call("authority", "GET", f"{path}?proof=0"), "invalid_request")
    plain = await service.call("authority", "GET", path)
    assert plain.headers["content-type"] == "application/dc+sd-jwt"


async def test_the_file_with_its_proof_is_a_question_like_the_credential_alone(service: HttpService) -> None:
    issued, other = await service.issue(), await service.issue()
    await sequence(service)
    texts = []
    for one in (issued, other):
        answer = await service.call("holder", "GET", f"/v1/licenses/{one['id']}/credential?proof=1")
        texts.append(answer.text)
    answer = await service.verify(credential=texts[0], policy="bank-strict")
    assert (answer["verdict"], answer["license"]["identifier"]) == ("valid", issued["identifier"])
    checks = {check["id"]: check["outcome"] for check in answer["checks"]}
    assert (checks["register"], checks["log_proof"]) == ("passed", "passed")
    exchanged = json.dumps({**json.loads(texts[0]), "proof": json.loads(texts[1])["proof"]})
    assert (await service.verify(credential=exchanged))["reason"] == "log_proof_failed"
    items = [{"credential": text} for text in (*texts, exchanged, "{}")]
    batch = await service.call("platform", "POST", "/v1/verifications/batch", json={"items": items})
    assert [result["reason"] for result in batch.json()["results"]] == [
        "ok",
        "ok",
        "log_proof_failed",
        "malformed",
    ]


async def test_only_who_holds_the_credential_gets_what_opens_its_entry(service: HttpService) -> None:
    issued = await service.issue()
    identifier, path = issued["identifier"], f"/v1/log/proof?identifier={issued['identifier']}"
    assert_problem(await service.http.get(path), "not_logged_yet")
    await sequence(service)
    answer = await get(service, path)
    EntryProofAnswer.model_validate(answer)
    assert "salt" not in answer and "event_sha256" not in answer
    entry = _unpadded(answer["entry"])
    checkpoint = await opened(service, answer["checkpoint"])
    nodes = [_unpadded(node) for node in answer["path"]]
    assert verify_inclusion(leaf_hash(entry), answer["index"], checkpoint.size, nodes, checkpoint.root)
    for told in (issued["id"], identifier, issued["holder"]["code"], issued["number"]):
        assert told.encode() not in entry
    signing_input = (await service.credential(issued["id"])).split("~", 1)[0].rsplit(".", 1)[0]
    digest = sha256_hex(signing_input.encode())
    response = await service.http.get(f"{path}&signing_input_sha256={digest}")
    assert response.headers["cache-control"] == "no-store"
    with_opening = response.json()
    EntryProofAnswer.model_validate(with_opening)
    proof = parse_log_proof(with_opening)
    assert proof.entry(digest) == entry
    stapled = await get(service, f"/v1/licenses/{issued['id']}/credential?proof=1", "authority")
    assert parse_log_proof(stapled["proof"]) == proof
    other = sha256_hex(b"another")
    assert_problem(await service.http.get(f"{path}&signing_input_sha256={other}"), "not_found")
    assert_problem(await service.http.get("/v1/log/proof?identifier=1.2.3"), "not_found")


async def test_published_documents_are_proven(service: HttpService) -> None:
    services = service.installation.services
    await service.issue()
    await services.status_lists.publish_due()
    await sequence(service)
    (listed,) = await services.store.read(lambda unit: unit.status.all_served())
    trust_list, root = await services.trust_list.trust_list(), await services.trust_list.root()
    for query, kind, uri, sha256 in (
        (f"status_list={listed.uri}&seq=1", "status_list", listed.uri, listed.sha256),
        ("trust_list=1", "trust_list", f"{ISSUER_URL}/v1/trust-list", trust_list.sha256),
        ("trust_root=1", "trust_root", f"{ISSUER_URL}/v1/trust-root", root.sha256),
    ):
        answer = await get(service, f"/v1/log/proof?{query}")
        EntryProofAnswer.model_validate(answer)
        entry = parse_entry(_unpadded(answer["entry"]))
        assert (answer["kind"], entry.kind.value) == (kind, kind)
        expected = (uri, 1, sha256, None)
        assert tuple(entry.content[name] for name in ("uri", "seq", "sha256", "previous")) == expected
        checkpoint = await opened(service, answer["checkpoint"])
        nodes = [_unpadded(node) for node in answer["path"]]
        leaf = leaf_hash(_unpadded(answer["entry"]))
        assert verify_inclusion(leaf, answer["index"], checkpoint.size, nodes, checkpoint.root)
    for query in (f"status_list={listed.uri}&seq=2", "trust_list=2", "trust_root=9", "status_list=x&seq=1"):
        assert_problem(await service.http.get(f"/v1/log/proof?{query}"), "not_found")


async def test_a_receipt_is_proven_to_its_caller_alone(service: HttpService) -> None:
    issued = await service.issue()
    made = await service.verify(license={"identifier": issued["identifier"]})
    batch = await service.call(
        "platform",
        "POST",
        "/v1/verifications/batch",
        json={"items": [{"license": {"identifier": issued["identifier"]}}] * 2},
    )
    path = f"/v1/verifications/{made['id']}/receipt-proof"
    assert_problem(await service.call("platform", "GET", path), "not_logged_yet")
    services = service.installation.services
    await services.log_sequencer.run()
    early = await get(service, path, "platform")
    ReceiptProofAnswer.model_validate(early)
    assert early["anchor"] is None
    await sequence(service)
    for verification, token in (
        (made["id"], made["receipt"]),
        *((one["id"], batch.json()["receipt"]) for one in batch.json()["results"]),
    ):
        answer = await get(service, f"/v1/verifications/{verification}/receipt-proof", "platform")
        ReceiptProofAnswer.model_validate(answer)
        proof = parse_receipt_proof(answer)
        state = await opened(service, proof.inclusion.checkpoint, RECEIPTS)
        assert proof.inclusion.includes(proof.entry(sha256_hex(token.encode())), state)
        assert proof.anchor is not None and proof.anchored_at is not None
        public = await opened(service, proof.anchor.checkpoint)
        stated = receipts_entry(env="test", checkpoint=state, stated_at=from_unix(proof.anchored_at))
        assert proof.anchor.includes(stated, public)
    assert_problem(await service.call("bank", "GET", path), "not_found")
    assert_problem(await service.call("platform", "GET", f"{path}?x=1"), "invalid_request")
    assert_problem(await service.call("platform", "GET", path.replace(made["id"], "none")), "not_found")
    assert_problem(await service.call(None, "GET", path), "unauthenticated")
    receipts = await service.http.get("/logs/receipt-log/checkpoint")
    assert (await opened(service, receipts.text, RECEIPTS)).size == 2


async def test_a_later_receipt_does_not_move_an_earlier_ones_proof(service: HttpService) -> None:
    first = await service.verify(license={"identifier": "1.2.3"})
    await sequence(service)
    await sequence(service)
    path = f"/v1/verifications/{first['id']}/receipt-proof"
    before = await get(service, path, "platform")
    assert before["anchor"] is not None
    await service.verify(license={"identifier": "1.2.3"})
    await sequence(service)
    after = await get(service, path, "platform")
    assert {**after, "anchor": None} == {**before, "anchor": None}


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
