"""Keep a bundle current: fetch what changed since the one held, or the whole, and check it before it is kept."""

from dataclasses import replace
from datetime import datetime

from elicense.bundle_delta import BUNDLE_DELTA_TYPE, apply_delta
from elicense.client._archive import archive_of, fetch_past_lists, with_archive, without_archive
from elicense.client._evidence import BundleUpdate, update_bundle
from elicense.client._protocol import Response
from elicense.client._trust import Trust
from elicense.client.errors import APIStatusError, TrustError
from elicense.encoding import parse_json_object, sha256_hex
from elicense.folding import deflate_fingerprint
from elicense.problems import FormatError

_TOO_MANY = 429
MAX_HELD_BYTES = 256 << 20


def fetch_update(
    service: Trust, *, trust_root: bytes, held: bytes | None, now: datetime, at: datetime | None = None
) -> BundleUpdate:
    """Fetch the service's bundle and check it as `update_bundle` does, by a delta from the one held where there is one.

    Whatever is wrong with a delta or with what it makes, the whole bundle is fetched and decides. For a past `at` the
    status lists of then are fetched, too; those held for other moments are kept. Lists whose key was
    compromised since come with the proof that they were logged before. Raises TrustError and the client's
    errors.
    """
    published = without_archive(held) if held is not None else None
    update = _fetch_published(service, trust_root=trust_root, held=published, now=now)
    fetched = fetch_past_lists(service, update.content, at=at) if at is not None else None
    archived = with_archive(
        service, update.content, archive_of(held), fetched, trust_root=trust_root, now=now
    )
    more = sum(len(token) for tokens in fetched.lists.values() for token in tokens) if fetched else 0
    return replace(
        update,
        content=archived.content,
        changed=archived.content != held,
        received=update.received + more + archived.received,
        uncovered=archived.uncovered + (len(fetched.uncovered) if fetched is not None else 0),
    )


def _fetch_published(service: Trust, *, trust_root: bytes, held: bytes | None, now: datetime) -> BundleUpdate:

    def check(content: bytes) -> BundleUpdate:
        return update_bundle(
            content, trust_root=trust_root, held=held, now=now, consistency=service.consistency
        )

    statement = _statement_of(held) if held is not None else None
    answer = _ask_for_delta(service, statement) if statement is not None else None
    received = len(answer.body) if answer is not None else 0
    if answer is not None and held is not None and _is_delta(answer):
        try:
            return replace(check(apply_delta(held, answer.body)), received=received, by_delta=True)
        except (FormatError, TrustError):
            # Nothing of it is kept: the whole bundle says whether the delta or the service is at fault.
            answer = None
    if answer is not None:
        return replace(check(answer.body), received=received)
    whole = service.bundle()
    return replace(check(whole), received=received + len(whole))


def _ask_for_delta(service: Trust, statement: str) -> Response | None:
    try:
        return service.bundle_since(statement, deflate=deflate_fingerprint())
    except APIStatusError as error:
        if not 400 <= error.status_code < 500 or error.status_code == _TOO_MANY:
            raise
        return None  # a service, or a mirror of its files, that does not know the question


def _is_delta(answer: Response) -> bool:
    return answer.headers.get("content-type", "").split(";")[0].strip().lower() == BUNDLE_DELTA_TYPE


def _statement_of(held: bytes) -> str | None:
    """Name the held bundle by the digest of its freshness statement; None for what is no bundle."""
    try:
        freshness = parse_json_object(held, max_bytes=MAX_HELD_BYTES).get("freshness")
    except FormatError:
        return None  # `update_bundle` refuses it by its own name
    return sha256_hex(freshness.encode("utf-8")) if isinstance(freshness, str) else None
