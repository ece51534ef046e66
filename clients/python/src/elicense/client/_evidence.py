"""Offline verification: the pinned root, the bundle, and the memory that nothing older is ever put back."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from elicense.bundle import parse_bundle
from elicense.client import _system
from elicense.client._asked import (
    Source,
    as_asked,
    asked_moment,
    choose_policy,
    expected_binding,
    opens_file,
    read_credential,
)
from elicense.client._checkpoint import FetchConsistency, require_growth
from elicense.client._offline_report import OfflineReport, with_evidence
from elicense.client._processes import PerProcess
from elicense.client.errors import TrustError
from elicense.encoding import to_utc
from elicense.evidence import (
    CLOCK_TOLERANCE,
    Evidence,
    TrustEvidence,
    TrustMemory,
    gather_offline,
    remember,
)
from elicense.evidence_file import new_judgement
from elicense.freshness import Freshness
from elicense.log_proof import parse_receipt_proof
from elicense.log_trust import NO_CHECKPOINTS
from elicense.policy import Policy
from elicense.problems import FormatError
from elicense.report import CheckId, Outcome, rfc3339
from elicense.stapled import take_apart
from elicense.trust_root import parse_trust_root
from elicense.verify import SignatureMemo

if TYPE_CHECKING:
    from elicense.receipt import Receipt

MEMO_SIZE: Final = 4096
_OPENED_AND_NO_CREDENTIAL: Final = ""
"""Kept in the place of a file's content that is no credential: who names a file must not get it copied elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A bundle in use: its bytes, what had been seen before it, and what was gathered from both."""

    bundle: bytes | None
    before: TrustMemory | None
    evidence: Evidence


class OfflineVerifier:
    """Verify credentials with a pinned trust root and a bundle: no key, no network.

    `trust_root` and `bundle` are paths or the bytes themselves; without a bundle every answer is indeterminate
    (`trust_unavailable`). `max_status_age` ("24h", "90m", a timedelta; up to 7 days) replaces that of the policy
    (a preset's name, the path of a policy file, or a Policy). The verifier remembers the newest root, the highest
    sequences, the log's states and the latest time it has seen: `reload` refuses older ones and a log that forked or
    went back, and a clock that ran backwards makes answers indeterminate. Safe to share between threads, `reload`
    included; pickled, it takes the bundle in use and its memory along. Raises TrustError for a root that cannot be read
    or is none, ValueError for an unknown policy or age, TypeError for an age that is neither text nor timedelta.
    """

    def __init__(
        self,
        *,
        trust_root: Source,
        bundle: Source | None = None,
        policy: str | os.PathLike[str] | Policy = "platform-default",
        max_status_age: str | timedelta | None = None,
        clock: Callable[[], datetime] = _system.now,
    ) -> None:
        chosen = choose_policy(policy, max_status_age)
        root = _read(trust_root, "trust root")
        require_root(root)
        self._set_up(chosen, clock, root, bundle)
        self._take_bundle()

    def _set_up(
        self, policy: Policy, clock: Callable[[], datetime], root: bytes, bundle: Source | None
    ) -> None:
        self._policy = policy
        self._given_clock = clock
        # A clock of the caller's may stand in any zone; the system's is asked as it is, with every credential.
        self._clock = clock if clock is _system.now else _in_utc(clock)
        self._root = root
        self._bundle_source = bundle
        self._memory: TrustMemory | None = None
        self._remembering = PerProcess(Lock)
        self._reloading = PerProcess(Lock)
        self._memo = SignatureMemo(MEMO_SIZE)

    def __getstate__(self) -> tuple[object, ...]:
        taken = self._taken
        settings = (self._policy, self._given_clock, self._root, self._bundle_source)
        return settings, (taken.bundle, taken.before, taken.evidence.now), self._memory

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        # The bundle in use and all that was seen go along, whatever the file holds by now.
        settings, (bundle, before, now), memory = state
        self._set_up(*settings)
        self._memory = memory
        evidence = gather_offline(trust_root=self._root, bundle=bundle, now=now, memory=before)
        self._taken = _Taken(bundle=bundle, before=before, evidence=evidence)

    def verify(
        self,
        credential: Source,
        *,
        at: datetime | str | None = None,
        elements: Mapping[str, str] | None = None,
        nonce: str | None = None,
        audience: str | None = None,
    ) -> OfflineReport:
        """Judge one credential: its text or bytes, or the path of a file that holds it, with or without a log proof.

        A text that names a file of this machine is opened: what strangers hand in goes to `verify_text`.

        `at` (a moment with its time zone, or RFC 3339) judges dates and status as of another moment (of the past, by
        the bundle's archived lists); `elements` are compared with what the credential discloses. `nonce` and
        `audience`, given together, ask the presenter to prove to be the holder: the nonce you gave this presenter, and
        your own name as you gave it. A nonce counts once, and remembering the used ones is the caller's business: make
        a new one for each presenter. A bad credential is a report that is false, never an exception.
        Raises OSError for a path that cannot be read (a text that names no file is a bad credential: give a `Path` to
        be told), ValueError for one of nonce and audience alone, for what is asked that UTF-8 cannot write (a lone
        surrogate: no evidence could hold it), for an `at` of another form, and for one (or a time of an own clock)
        without its zone, or that UTC does not have.
        """
        opened = opens_file(credential)
        report = self.verify_text(
            read_credential(credential), at=at, elements=elements, nonce=nonce, audience=audience
        )
        if opened and report.check(CheckId.FORMAT).outcome is not Outcome.PASSED:
            return replace(report, judgement=replace(report.judgement, token=_OPENED_AND_NO_CREDENTIAL))
        return report

    def verify_text(
        self,
        credential: str | bytes | bytearray,
        *,
        at: datetime | str | None = None,
        elements: Mapping[str, str] | None = None,
        nonce: str | None = None,
        audience: str | None = None,
    ) -> OfflineReport:
        """Judge one credential by its text or bytes, as `verify` does, and never open a file: for what strangers show.

        Raises as `verify`, OSError excepted.
        """
        binding, moment = expected_binding(nonce, audience), asked_moment(at)
        now = self._clock()
        # Read once: another thread may take up a new bundle meanwhile.
        taken, memory = self._taken, self._memory
        evidence = taken.evidence.at_time(now, memory=memory)
        self._saw(now)
        token, proof = take_apart(credential if isinstance(credential, str) else bytes(credential))
        judgement = new_judgement(
            token=token,
            proof=proof,
            trust_root=self._root,
            bundle=taken.bundle,
            policy=self._policy,
            now=now,
            at=moment,
            elements=as_asked(elements) if elements is not None else None,
            memory=taken.before,
            clock_reliable=evidence.clock_reliable,
            binding=binding,
        )
        return with_evidence(judgement.judge(evidence, memo=self._memo), judgement, evidence)

    def reload(self) -> None:
        """Read the bundle again, after `trust update` has replaced it. Parts older than those seen are not used."""
        self._take_bundle()

    def _take_bundle(self) -> None:
        # One after the other, so that of two the later one is in use. Verifications go on with the bundle of before.
        with self._reloading():
            bundle = None if self._bundle_source is None else _read(self._bundle_source, "bundle")
            before = self._memory
            evidence = gather_offline(trust_root=self._root, bundle=bundle, now=self._clock(), memory=before)
            with self._remembering():
                self._memory = remember(evidence, self._memory)
            self._taken = _Taken(bundle=bundle, before=before, evidence=evidence)

    def _saw(self, now: datetime) -> None:
        with self._remembering():
            if self._memory is not None and now > self._memory.latest:
                self._memory = replace(self._memory, latest=now)


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleUpdate:
    """What an update found: the bytes to keep and what they hold. `changed` is false for the bundle held already.

    `received` counts the bytes that came over the network, `by_delta` says that they were a delta;
    `uncovered` how many status lists have no version of the past moment that was asked for.
    """

    content: bytes = field(repr=False)
    changed: bool
    trust_list_sequence: int
    authorities: int
    status_lists: int
    as_of: datetime
    received: int = 0
    by_delta: bool = False
    uncovered: int = 0

    def to_json(self) -> dict[str, object]:
        """Show it as JSON."""
        return {
            "changed": self.changed,
            "trust_list_sequence": self.trust_list_sequence,
            "authorities": self.authorities,
            "status_lists": self.status_lists,
            "as_of": rfc3339(self.as_of),
            "received": self.received,
            "by_delta": self.by_delta,
            "uncovered": self.uncovered,
        }


def update_bundle(
    fetched: bytes,
    *,
    trust_root: bytes,
    held: bytes | None,
    now: datetime,
    consistency: FetchConsistency | None = None,
) -> BundleUpdate:
    """Check a fetched bundle against the pinned root and the one held so far (the memory), part by part.

    Pure but for `consistency`, which is asked for a proof when the log has grown since.

    Raises TrustError: a part that does not hold, a list that the freshness names and the bundle lacks, an expired
    freshness, anything older than what `held` has (`rolled_back`), a clock behind it (`clock_unreliable`), and a
    held bundle that cannot be read (it is the memory, so it is never silently replaced); a log that forked, went back
    or lacks the proof that it only grew (`client._checkpoint`). A held bundle of another root has no say.
    """
    require_root(trust_root)
    evidence = gather_offline(trust_root=trust_root, bundle=fetched, now=now)
    trust, freshness = _accepted(evidence)
    memory = _memory_of(held, trust_root=trust_root, chain=parse_bundle(fetched).roots, now=now)
    if memory is not None:
        # The log's own rule asks the service for a proof (`require_growth`): a fork is not called an older bundle.
        highest = replace(memory, checkpoints=NO_CHECKPOINTS)
        remembered = gather_offline(trust_root=trust_root, bundle=fetched, now=now, memory=highest)
        older = remembered.refused()
        if older:
            raise TrustError("rolled_back", older[0].detail)
    seen = max(trust.latest, memory.latest if memory is not None else trust.latest)
    if now < seen - CLOCK_TOLERANCE:
        raise TrustError("clock_unreliable", "the clock of this machine is behind what has been signed")
    if freshness.expires_at <= now:
        detail = "the service's freshness statement has expired, or the clock of this machine stands ahead"
        raise TrustError("trust_stale", detail)
    seen_log = parse_bundle(held).checkpoint if held is not None and memory is not None else None
    require_growth(seen_log, trust.checkpoint, fetch=consistency)
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


def verify_receipt_with(
    receipt: str,
    *,
    trust_root: bytes,
    bundle: bytes,
    now: datetime,
    proof: Mapping[str, object] | None = None,
) -> "Receipt":
    """Check a receipt under the pinned root and a bundle's trust list, with its log proof where one is given.

    `receipt` is the token, or the text of an answer that holds it: that is then held against what the receipt states.
    Raises TrustError when it does not hold, and trust_stale when nothing says that the list is still the current
    one: an older list may name a key that has been withdrawn since.
    """
    from elicense.receipt_check import check_receipt
    from elicense.receipt_file import read_receipt_file

    try:
        file = read_receipt_file(receipt.encode("utf-8", "surrogatepass"))
        parsed = parse_receipt_proof(dict(proof)) if proof is not None else None  # type: ignore[arg-type]
    except FormatError as refusal:
        raise TrustError(refusal.reason.value, refusal.detail) from refusal
    evidence = gather_offline(trust_root=trust_root, bundle=bundle, now=now)
    report = check_receipt(file, evidence=evidence, proof=parsed)
    if not report or report.receipt is None:
        leading = next(check for check in report.checks if check.code is report.reason)
        raise TrustError(report.reason.value, leading.detail)
    return report.receipt


def _in_utc(clock: Callable[[], datetime]) -> Callable[[], datetime]:
    return lambda: to_utc(clock())


def _read(source: Source, what: str) -> bytes:
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise TrustError("unreadable", f"the {what} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrustError("unreadable", f"the {what} cannot be read: no path") from error


def require_root(trust_root: bytes) -> None:
    """Raise TrustError for what is no trust root, or one that its own keys did not sign."""
    try:
        parse_trust_root(trust_root)
    except FormatError as refusal:
        raise TrustError(refusal.reason.value, f"trust root: {refusal.detail}") from refusal


def _memory_of(
    held: bytes | None, *, trust_root: bytes, chain: Sequence[bytes], now: datetime
) -> TrustMemory | None:
    if held is None:
        return None
    try:
        root = _root_of_held(parse_bundle(held).roots, pinned=trust_root, chain=chain)
    except FormatError as refusal:
        raise TrustError(
            "unreadable", f"the bundle held so far cannot be read ({refusal.detail}); remove it to begin anew"
        ) from refusal
    if root is None:
        return None
    evidence = gather_offline(trust_root=root, bundle=held, now=now)
    if evidence.trust is None:
        # Without its sequences anything older would be taken: what it was is for a person to look into.
        detail = evidence.trust_refused.detail if evidence.trust_refused is not None else "no trust list"
        raise TrustError(
            "unreadable", f"the bundle held so far does not hold ({detail}); remove it to begin anew"
        )
    return remember(evidence)


def _root_of_held(held: Sequence[bytes], *, pinned: bytes, chain: Sequence[bytes]) -> bytes | None:
    """Find the root to read a held bundle under: the pinned one, or one of the same chain; None of a stranger's.

    Pinning a newer root does not begin anew: what was seen under the ones before stays seen.
    """
    # A pinned file often gains a final newline on its way; the bundle holds the exact bytes.
    anchor = pinned.strip()
    return anchor if anchor in held else next((root for root in held if root in chain), None)


def _accepted(evidence: Evidence) -> tuple[TrustEvidence, Freshness]:
    refused = evidence.refused()
    if refused:
        raise TrustError(refused[0].reason.value, refused[0].detail)
    trust = evidence.trust
    if trust is None or trust.freshness is None:
        raise TrustError("trust_unavailable", "the bundle holds no trust list or no freshness")
    return trust, trust.freshness
