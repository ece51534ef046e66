"""Credentials and trust documents: what stands in between and answers 200 as well is never taken for one."""

from collections.abc import Callable

import pytest

from elicense import APIResponseError, Elicense
from elicense.client._protocol import Response
from tests.sdk_clients import FakeTransport, MakeClient
from tests.simulator import Installation

PAGE = b"<!DOCTYPE html><html><body>Please log in</body></html>"
Fetch = Callable[[Elicense], object]
CALLS: dict[str, Fetch] = {
    "credential": lambda client: client.licenses.credential("0190"),
    "credential with proof": lambda client: client.licenses.credential("0190", proof=True),
    "root": lambda client: client.trust.root(),
    "trust list": lambda client: client.trust.trust_list(),
    "bundle": lambda client: client.trust.bundle(),
    "bundle since": lambda client: client.trust.bundle_since("0" * 64),
    "freshness": lambda client: client.trust.freshness(),
    "status lists": lambda client: client.trust.status_lists(),
    "status list": lambda client: client.trust.status_list(["v1", "status-lists", "1"]),
    "status list proof": lambda client: client.trust.status_list_proof("https://x.example/1", 1),
    "consistency": lambda client: client.trust.consistency("o", 1, 2),
}


def answer(body: bytes, media_type: str = "", status: int = 200) -> FakeTransport:
    headers = {"content-type": media_type} if media_type else {}
    return FakeTransport(Response(status=status, headers=headers, body=body))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (PAGE, "text/html; charset=utf-8", 200),
        (PAGE, "", 200),
        (PAGE, "application/dc+sd-jwt", 200),
        (b"", "application/json", 200),
        (b"", "", 204),
        (b" \n", "", 200),
        ("中".encode(), "", 200),
    ],
    ids=["page", "page without a type", "page as a credential", "empty", "204", "blank", "no ascii"],
)
def test_a_portals_page_and_an_empty_body_are_no_document(
    client: MakeClient, call: Fetch, body: bytes, media_type: str, status: int
) -> None:
    with pytest.raises(APIResponseError):
        call(client(answer(body, media_type, status)))


@pytest.mark.parametrize("media_type", ["text/html", "Text/HTML;charset=x", "application/xhtml+xml"])
def test_a_web_page_is_none_whatever_it_holds(client: MakeClient, media_type: str) -> None:
    installation = Installation()
    with pytest.raises(APIResponseError, match="page"):
        client(answer(installation.credential().encode(), media_type)).licenses.credential("0190")
    with pytest.raises(APIResponseError, match="page"):
        client(answer(installation.trust_root(), media_type)).trust.root()


@pytest.mark.parametrize("body", [b"a.b.c", b"~", b"a~b", b"a.b~", b"a.b.c~ d", b"a.b.c~\nd", b"a.b.c~<"])
def test_what_does_not_look_like_a_credential_is_none(client: MakeClient, body: bytes) -> None:
    with pytest.raises(APIResponseError, match="credential"):
        client(answer(body)).licenses.credential("0190")


@pytest.mark.parametrize("found", [b'{"status_lists":5}', b'{"status_lists":["a",5]}', b"{}", b"[]"])
def test_a_list_of_status_lists_is_a_list_of_texts(client: MakeClient, found: bytes) -> None:
    with pytest.raises(APIResponseError):
        client(answer(found)).trust.status_lists()


def test_documents_come_as_they_are(client: MakeClient) -> None:
    installation = Installation()
    credential, root, bundle = installation.credential(), installation.trust_root(), installation.bundle()
    assert client(answer(credential.encode() + b"\n")).licenses.credential("0190") == credential
    assert client(answer(root, "application/jose+json")).trust.root() == root
    assert client(answer(bundle, "application/octet-stream")).trust.bundle() == bundle
    assert client(answer(installation.freshness().encode())).trust.freshness() == installation.freshness()
    assert client(answer(b'{"status_lists":["a"]}')).trust.status_lists() == ["a"]
