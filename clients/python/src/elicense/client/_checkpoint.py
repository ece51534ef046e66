"""The memory of the log at the client's edge: a checkpoint may grow, never shrink or fork.

The bundle held so far carries the newest checkpoint this machine has seen. The next one is taken when the service
proves that the log it shows now begins with the log it showed then (RFC 9162 section 2.1.4). The rules stand in
`elicense.log_trust`; this fetches the proof and says what was refused in the client's own words.
"""

from collections.abc import Callable, Mapping
from typing import cast

from elicense.client.errors import TrustError
from elicense.encoding import JsonValue
from elicense.log_trust import advance_checkpoint, parse_consistency, read_origin
from elicense.problems import FormatError, Reason
from elicense.signed_note import Checkpoint, parse_checkpoint_text, parse_note

FetchConsistency = Callable[[str, int, int], Mapping[str, object]]
"""Fetch the proof between two sizes of a log (its origin) as JSON: {origin, from, to, path}."""


def require_growth(held: str | None, offered: Checkpoint | None, *, fetch: FetchConsistency | None) -> None:
    """Hold the checkpoint of a new bundle, accepted already, against the one of the bundle held so far (a note).

    Raises TrustError: `rolled_back` for a smaller log or none any more, log_proof_failed for a fork and another log,
    log_proof_missing for a larger one that nothing joins to the one seen. Another log is taken only where it is a later
    generation of the one remembered: after a key was lost that one is frozen, and its successor has a name and a key of
    its own.
    """
    if held is None:
        return
    if offered is None:
        raise TrustError("rolled_back", "the bundle names no checkpoint of the log any more")
    try:
        seen = parse_checkpoint_text(parse_note(held).text)
        if _is_later_generation(offered.origin, seen.origin):
            return
        if offered.origin == seen.origin and offered.size < seen.size:
            raise TrustError(
                "rolled_back", f"the log has {offered.size} entries, {seen.size} were seen before"
            )
        consistency = None
        if offered.origin == seen.origin and 0 < seen.size < offered.size and fetch is not None:
            answer = fetch(seen.origin, seen.size, offered.size)
            consistency = parse_consistency(cast(JsonValue, dict(answer)))
        advance_checkpoint(seen, offered, consistency)
    except FormatError as refusal:
        missing = refusal.reason is Reason.LOG_PROOF_MISSING
        code = Reason.LOG_PROOF_MISSING if missing else Reason.LOG_PROOF_FAILED
        raise TrustError(code.value, refusal.detail) from refusal


def _is_later_generation(new: str, old: str) -> bool:
    first, second = read_origin(old), read_origin(new)
    if first is None or second is None or (first.host, first.kind) != (second.host, second.kind):
        return False
    return second.generation > first.generation
