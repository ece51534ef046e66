"""Offline verification: the pinned root, the bundle, and the memory that nothing older is ever put back."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from elicense.bundle import parse_bundle
from elicense.client import _system
from elicense.client.errors import TrustError
from elicense.evidence import (
    CLOCK_TOLERANCE,
    Evidence,
    TrustEvidence,
    TrustMemory,
    gather_offline,
    remember,
)
from elicense.freshness import Freshness
from elicense.policy import Policy, parse_duration, policy_by_name, with_max_status_age
from elicense.problems import FormatError
from elicense.report import VerificationReport, rfc3339
from elicense.trust_list import parse_trust_root
from elicense.verify import SignatureMemo, verify_credential

if TYPE_CHECKING:
    from elicense.receipt import Receipt

MOST_TOKEN_BYTES: Final = 1 << 20
MEMO_SIZE: Final = 4096
Source = str | os.PathLike[str] | bytes


class OfflineVerifier:
    """Verify credentials with a pinned trust root and a bundle: no key, no network.

    `trust_root` and `bundle` are paths or the bytes themselves; without a bundle every answer is indeterminate
    (`trust_unavailable`). `max_status_age` ("24h", "90m", a timedelta; up to 7 days) replaces that of the policy
    (a preset's name or a Policy). The verifier remembers the highest sequences and the latest time it has seen:
    `reload` refuses older ones, and a clock that ran backwards makes answers indeterminate. Raises TrustError for
    a root that cannot be read or is none, ValueError for an unknown policy or age.
    """

    def __init__(
        self,
        *,
        trust_root: Source,
        bundle: Source | None = None,
        policy: str | Policy = "platform-default",
        max_status_age: str | timedelta | None = None,
        clock: Callable[[], datetime] = _system.now,
    ) -> None:
        self._policy = choose_policy(policy, max_status_age)
        self._clock = clock
        self._root = _read(trust_root, "trust root")
        _require_root(self._root)
        self._bundle_source = bundle
        self._memory: TrustMemory | None = None
        self._memo = SignatureMemo(MEMO_SIZE)
        self._evidence = self._gather()

    def verify(
        self,
        credential: Source,
        *,
        at: datetime | None = None,
        elements: Mapping[str, str] | None = None,
    ) -> VerificationReport:
        """Judge one credential: its text or bytes, or the path of a file that holds it.

        `at` judges the dates for another moment; `elements` are compared with what the credential discloses. A bad
        credential is a report that is false, never an exception. Raises OSError for a path that cannot be read.
        """
        now = self._clock()
        evidence = self._evidence.at_time(now, memory=self._memory)
        self._saw(now)
        return verify_credential(
            read_credential(credential),
            evidence=evidence,
            policy=self._policy,
            at=at,
            elements=elements,
            memo=self._memo,
        )

    def reload(self) -> None:
        """Read the bundle again, after `trust update` has replaced it. Parts older than those seen are not used."""
        self._evidence = self._gather()

    def _gather(self) -> Evidence:
        bundle = None if self._bundle_source is None else _read(self._bundle_source, "bundle")
        evidence = gather_offline(
            trust_root=self._root, bundle=bundle, now=self._clock(), memory=self._memory
        )
        self._memory = remember(evidence, self._memory)
        return evidence

    def _saw(self, now: datetime) -> None:
        if self._memory is not None and now > self._memory.latest:
            self._memory = replace(self._memory, latest=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleUpdate:
    """What an update found: the bytes to keep and what they hold. `changed` is false for the bundle held already."""

    content: bytes
    changed: bool
    trust_list_sequence: int
    authorities: int
    status_lists: int
    as_of: datetime

    def to_json(self) -> dict[str, object]:
        """Show it as JSON."""
        return {
            "changed": self.changed,
            "trust_list_sequence": self.trust_list_sequence,
            "authorities": self.authorities,
            "status_lists": self.status_lists,
            "as_of": rfc3339(self.as_of),
        }


def update_bundle(fetched: bytes, *, trust_root: bytes, held: bytes | None, now: datetime) -> BundleUpdate:
    """Check a fetched bundle against the pinned root and the one held so far (the memory), part by part. Pure.

    Raises TrustError: a part that does not hold, a list that the freshness names and the bundle lacks, an expired
    freshness, anything older than what `held` has (`rolled_back`), a clock behind it (`clock_unreliable`), and a
    held bundle that cannot be read (it is the memory, so it is never silently replaced). A held bundle of another
    root has no say.
    """
    _require_root(trust_root)
    memory = _memory_of(held, trust_root=trust_root, now=now)
    evidence = gather_offline(trust_root=trust_root, bundle=fetched, now=now)
    trust, freshness = _accepted(evidence)
    if memory is not None:
        remembered = gather_offline(trust_root=trust_root, bundle=fetched, now=now, memory=memory)
        older = remembered.refused()
        if older:
            raise TrustError("rolled_back", older[0].detail)
    seen = max(trust.latest, memory.latest if memory is not None else trust.latest)
    if now < seen - CLOCK_TOLERANCE:
        raise TrustError("clock_unreliable", "the clock of this machine is behind what has been signed")
    if freshness.expires_at <= now:
        raise TrustError("trust_stale", "the service's freshness statement has expired")
    missing = set(freshness.status_lists) - set(parse_bundle(fetched).status_lists)
    if missing:
        raise TrustError("status_unavailable", f"the bundle lacks {len(missing)} status lists")
    return BundleUpdate(
        content=fetched,
        changed=fetched != held,
        trust_list_sequence=trust.trust_list.sequence,
        authorities=len(trust.trust_list.authorities),
        status_lists=len(freshness.status_lists),
        as_of=freshness.issued_at,
    )


def store_bundle(path: Path, content: bytes) -> None:
    """Replace a bundle file at once and durably: after a crash it holds the old bytes or the new ones, whole."""
    temporary = path.with_name(path.name + ".new")
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def verify_receipt_with(receipt: str, *, trust_root: bytes, bundle: bytes, now: datetime) -> "Receipt":
    """Check a receipt under the pinned root and a bundle's trust list.

    Raises TrustError when it does not hold, and trust_stale when nothing says that the list is still the current
    one: an older list may name a key that has been withdrawn since.
    """
    from elicense.receipt import verify_receipt

    evidence = gather_offline(trust_root=trust_root, bundle=bundle, now=now)
    if evidence.trust is None:
        part = evidence.trust_refused
        raise TrustError(
            part.reason.value if part else "trust_unavailable", part.detail if part else "no trust list"
        )
    _require_current(evidence.trust, now)
    try:
        return verify_receipt(receipt, trust=evidence.trust)
    except FormatError as refusal:
        raise TrustError(refusal.reason.value, refusal.detail) from refusal


def _require_current(trust: TrustEvidence, now: datetime) -> None:
    if trust.freshness is None:
        raise TrustError("trust_stale", trust.refused.detail if trust.refused is not None else "no freshness")
    ends = min(trust.root.expires, trust.trust_list.next_update, trust.freshness.expires_at)
    if now >= ends:
        raise TrustError("trust_stale", f"the trust documents ended at {rfc3339(ends)}")


def choose_policy(policy: str | Policy, max_status_age: str | timedelta | None) -> Policy:
    """Return the policy with its maximum status age replaced, if one is given. Raises ValueError."""
    chosen = policy_by_name(policy) if isinstance(policy, str) else policy
    if max_status_age is None:
        return chosen
    age = parse_duration(max_status_age) if isinstance(max_status_age, str) else max_status_age
    return with_max_status_age(chosen, age)


def read_credential(source: Source) -> str | bytes:
    """Return a credential's text: as given, or read from a path. White space behind it is dropped.

    A text is taken for a token when it holds `~` or looks like a JWS, else for a path if such a file exists.
    """
    if isinstance(source, bytes):
        return source.rstrip()
    if isinstance(source, str) and (_looks_like_token(source) or not os.path.isfile(source)):
        return source.rstrip()
    with Path(source).open("rb") as file:
        return file.read(MOST_TOKEN_BYTES + 1).rstrip()


def _looks_like_token(text: str) -> bool:
    return "~" in text or text.startswith("eyJ") or len(text) > 4096


def _read(source: Source, what: str) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TrustError("unreadable", f"the {what} cannot be read: {error.strerror}") from error


def _require_root(trust_root: bytes) -> None:
    try:
        parse_trust_root(trust_root)
    except FormatError as refusal:
        raise TrustError(refusal.reason.value, f"trust root: {refusal.detail}") from refusal


def _memory_of(held: bytes | None, *, trust_root: bytes, now: datetime) -> TrustMemory | None:
    if held is None:
        return None
    try:
        roots = parse_bundle(held).roots
    except FormatError as refusal:
        raise TrustError(
            "unreadable", f"the bundle held so far cannot be read ({refusal.detail}); remove it to begin anew"
        ) from refusal
    # A pinned file often gains a final newline on its way; the bundle holds the exact bytes.
    if trust_root.strip() not in roots:
        return None
    evidence = gather_offline(trust_root=trust_root, bundle=held, now=now)
    if evidence.trust is None:
        # Without its sequences anything older would be taken: what it was is for a person to look into.
        detail = evidence.trust_refused.detail if evidence.trust_refused is not None else "no trust list"
        raise TrustError(
            "unreadable", f"the bundle held so far does not hold ({detail}); remove it to begin anew"
        )
    return remember(evidence)


def _accepted(evidence: Evidence) -> tuple[TrustEvidence, Freshness]:
    refused = evidence.refused()
    if refused:
        raise TrustError(refused[0].reason.value, refused[0].detail)
    trust = evidence.trust
    if trust is None or trust.freshness is None:
        raise TrustError("trust_unavailable", "the bundle holds no trust list or no freshness")
    return trust, trust.freshness
