"""Evidence files: everything one offline verification rested on, so that anybody can repeat it years later. Pure.

    {"fmt": 1, "env", "created_at", "now", "at": moment | null, "token", "proof": {…} | null, "trust_root", "bundle",
     "policy": {every condition}, "elements": {asked} | null, "memory": {highest seen before} | null,
     "clock_reliable", "report": {what was answered}, "key_binding": {nonce, audience, used_before} where it was asked}

Documents stand in it as the exact bytes that were used: as text, or under `<name>_base64url` where they are no text.
Repeating runs the one judge over the same bytes at the same moment. What the file shows is that the answer follows
from signed documents; the moment, the policy and the asked values are the word of whoever wrote it, and the trust
root is as good as where it came from: compare its digest with one obtained another way.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from elicense.bundle import MAX_BUNDLE_BYTES, parse_bundle
from elicense.encoding import (
    JsonValue,
    b64url_decode,
    b64url_encode,
    dump_json,
    from_unix,
    malformed,
    parse_json_object,
    to_unix,
    to_utc,
)
from elicense.evidence import Evidence, TrustMemory, gather_offline
from elicense.fields import Fields
from elicense.key_binding import ExpectedBinding
from elicense.log_proof import LogProof, parse_log_proof
from elicense.policy import HolderBinding, Policy
from elicense.problems import FormatError
from elicense.reading import SignatureMemo
from elicense.records import quick_constructor
from elicense.report import VerificationReport
from elicense.signed_note import parse_checkpoint_text
from elicense.trust_root import TrustRoot, parse_trust_root
from elicense.verify import verify_credential

EVIDENCE_FMT = 1
MAX_EVIDENCE_BYTES = 2 * MAX_BUNDLE_BYTES
_BEGINNING, _END = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)
_MEMBERS = ("at", "proof", "elements", "memory", "report")
_COMPARED = (
    "verdict",
    "reason",
    "result_code",
    "file_result_code",
    "env",
    "elements",
    "license",
    "superseded_by",
    "verified_at",
    "evaluated_at",
    "historical",
    "status_as_of",
    "status_source",
    "policy",
    "trust_list",
    "log",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """Hold every input of one judgement, the documents as the bytes that were used.

    `memory` is what the verifier had seen before it took this bundle; `clock_reliable` what it thought of its clock.
    """

    token: str | bytes = field(repr=False)
    proof: LogProof | None = field(repr=False)
    trust_root: bytes = field(repr=False)
    bundle: bytes | None = field(repr=False)
    policy: Policy
    now: datetime
    at: datetime | None
    elements: Mapping[str, str] | None = field(repr=False)
    memory: TrustMemory | None
    clock_reliable: bool
    binding: ExpectedBinding | None = field(default=None, repr=False)

    def evidence(self, *, trust_root: bytes | None = None) -> Evidence:
        """Gather the evidence again, under another root where one is given."""
        gathered = gather_offline(
            trust_root=self.trust_root if trust_root is None else trust_root,
            bundle=self.bundle,
            now=self.now,
            memory=self.memory,
        )
        return replace(gathered, clock_reliable=self.clock_reliable)

    def judge(self, evidence: Evidence, *, memo: SignatureMemo | None = None) -> VerificationReport:
        """Judge over evidence that was gathered from these documents."""
        return verify_credential(
            self.token,
            evidence=evidence,
            policy=self.policy,
            at=self.at,
            elements=self.elements,
            memo=memo,
            proof=self.proof,
            binding=self.binding,
        )


# A verifier makes one with every credential.
new_judgement = quick_constructor(Judgement)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvidence:
    """Hold a parsed evidence file; `report` is what was answered then, in JSON."""

    env: str
    created_at: datetime
    judgement: Judgement
    report: Mapping[str, JsonValue] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeated:
    """Hold a repeated judgement: its report, and which members of the kept one it does not confirm.

    `pinned` says whether the trust root came from outside the file; `root_sha256` (hex) names the one used.
    """

    report: VerificationReport
    evidence: Evidence
    root_sha256: str
    pinned: bool
    differences: tuple[str, ...]


def write_evidence(judgement: Judgement, report: VerificationReport, *, created_at: datetime) -> bytes:
    """Write the evidence of a judgement and its report."""
    policy: dict[str, JsonValue] = judgement.policy.to_json()
    elements = judgement.elements
    return dump_json(
        {
            "fmt": EVIDENCE_FMT,
            "env": parse_trust_root(judgement.trust_root.strip()).env,
            "created_at": to_utc(created_at).isoformat(),
            "now": to_utc(judgement.now).isoformat(),
            "at": to_utc(judgement.at).isoformat() if judgement.at is not None else None,
            **_document("token", judgement.token),
            "proof": judgement.proof.to_json() if judgement.proof is not None else None,
            **_document("trust_root", judgement.trust_root),
            **(_document("bundle", judgement.bundle) if judgement.bundle is not None else {"bundle": None}),
            "policy": policy,
            "elements": dict(elements) if elements is not None else None,
            "memory": _memory_json(judgement.memory),
            "clock_reliable": judgement.clock_reliable,
            "report": report.to_json(),
            **_binding_json(judgement.binding),
        }
    )


def parse_evidence(data: bytes) -> KeptEvidence:
    """Parse an evidence file.

    FormatError: malformed for another shape, an unknown `fmt`, a root of another `env`, a time without its zone, one
    that no clock shows (before 1970, after 9998) and a policy that cannot be; signature_invalid for a root that its own
    keys did not sign.
    """
    fields = Fields(parse_json_object(data, max_bytes=MAX_EVIDENCE_BYTES, max_depth=16), "evidence")
    fields.require_format(EVIDENCE_FMT)
    for name in _MEMBERS:
        fields.raw(
            name
        )  # null where there was none: a member taken out is not the same as one that never was
    trust_root = _bytes_of(fields, "trust_root")
    if trust_root is None:
        raise malformed("evidence lacks its trust root")
    if fields.env() != parse_trust_root(trust_root.strip()).env:
        raise malformed("evidence is of another environment than its trust root")
    return KeptEvidence(
        env=fields.env(),
        created_at=_clock_time(fields, "created_at"),
        judgement=_read_judgement(fields, trust_root),
        report=MappingProxyType(dict(fields.child("report").members())),
    )


def repeat(kept: KeptEvidence, *, trust_root: bytes | None = None) -> Repeated:
    """Judge again at the moment kept, and compare with the report kept.

    With `trust_root` that root is used and the one in the file has no say. FormatError when it is none.
    """
    root = parse_trust_root((kept.judgement.trust_root if trust_root is None else trust_root).strip())
    evidence = kept.judgement.evidence(trust_root=trust_root)
    report = kept.judgement.judge(evidence)
    differences = _differences(kept.report, report.to_json())
    if not _belongs(kept.judgement, root):
        differences.append("trust_root")
    return Repeated(
        report=report,
        evidence=evidence,
        root_sha256=root.sha256,
        pinned=trust_root is not None,
        differences=tuple(differences),
    )


def _belongs(judgement: Judgement, root: TrustRoot) -> bool:
    """Tell whether the root in the file is the one used, or stands with it in the bundle's chain."""
    kept = judgement.trust_root.strip()
    if kept == root.raw:
        return True
    try:
        return judgement.bundle is not None and kept in parse_bundle(judgement.bundle).roots
    except FormatError:
        return False


def _differences(kept: Mapping[str, JsonValue], again: Mapping[str, JsonValue]) -> list[str]:
    names = [name for name in _COMPARED if name not in kept or kept[name] != again.get(name)]
    # Checks that a later version of the judge adds say nothing about what was answered then.
    then, now = _checks(kept), _checks(again)
    names += [f"checks.{name}" for name in then if name not in now or then[name] != now[name]]
    return names if then else [*names, "checks"]


def _checks(report: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    checks = report.get("checks")
    found: dict[str, JsonValue] = {}
    for check in checks if isinstance(checks, list) else ():
        if isinstance(check, dict):
            found[str(check.get("id"))] = [check.get("outcome"), check.get("code")]
    return found


def _read_judgement(fields: Fields, trust_root: bytes) -> Judgement:
    token = _bytes_of(fields, "token")
    if token is None:
        raise malformed("evidence lacks the token")
    elements = fields.child("elements").members() if fields.has("elements") else None
    asked = {name: value for name, value in (elements or {}).items() if isinstance(value, str)}
    if elements is not None and len(asked) != len(elements):
        raise malformed("evidence.elements holds something else than text")
    return Judgement(
        token=token,
        proof=parse_log_proof(fields.raw("proof")) if fields.has("proof") else None,
        trust_root=trust_root,
        bundle=_bytes_of(fields, "bundle"),
        policy=_read_policy(fields.child("policy")),
        now=_clock_time(fields, "now"),
        at=_moment(fields, "at") if fields.has("at") else None,
        elements=MappingProxyType(asked) if elements is not None else None,
        memory=_read_memory(fields.child("memory")) if fields.has("memory") else None,
        clock_reliable=_truth(fields, "clock_reliable"),
        binding=_read_binding(fields.child("key_binding")) if "key_binding" in fields.members() else None,
    )


def _binding_json(binding: ExpectedBinding | None) -> dict[str, JsonValue]:
    if binding is None:
        return {}
    asked: dict[str, JsonValue] = {
        "nonce": binding.nonce,
        "audience": binding.audience,
        "used_before": binding.used_before,
    }
    return {"key_binding": asked}


def _read_binding(fields: Fields) -> ExpectedBinding:
    return ExpectedBinding(
        nonce=fields.text("nonce"),
        audience=fields.text("audience"),
        used_before=_truth(fields, "used_before"),
    )


def _document(name: str, content: str | bytes) -> dict[str, JsonValue]:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_base64url": b64url_encode(raw)}


def _bytes_of(fields: Fields, name: str) -> bytes | None:
    encoded = f"{name}_base64url"
    if fields.has(encoded):
        if name in fields.members():
            raise malformed(f"evidence holds {name} twice")
        return b64url_decode(fields.text(encoded))
    text = fields.raw(name)
    if text is None:
        return None
    if not isinstance(text, str):
        raise malformed(f"evidence.{name} is not text")
    return text.encode("utf-8")


def _moment(fields: Fields, name: str) -> datetime:
    try:
        return to_utc(datetime.fromisoformat(fields.text(name)))
    except ValueError as error:
        if isinstance(error, FormatError):
            raise
        raise malformed(f"evidence.{name} is not a time with its zone") from None


def _clock_time(fields: Fields, name: str) -> datetime:
    """Read what a clock showed: from the edges of the calendar nothing can be counted on or back."""
    moment = _moment(fields, name)
    if not _BEGINNING <= moment < _END:
        raise malformed(f"evidence.{name} is no time that a clock shows")
    return moment


def _truth(fields: Fields, name: str) -> bool:
    value = fields.raw(name)
    if not isinstance(value, bool):
        raise malformed(f"{name} is neither true nor false")
    return value


def _read_policy(fields: Fields) -> Policy:
    try:
        policy = Policy(
            id=fields.text("id"),
            version=fields.integer("version"),
            max_status_age=timedelta(seconds=fields.integer("max_status_age")),
            required_elements=fields.texts("required_elements"),
            accepted_states=frozenset(fields.texts("accepted_states")),
            require_freshness=_truth(fields, "require_freshness"),
            require_log_proof=_truth(fields, "require_log_proof"),
            leeway=timedelta(seconds=fields.integer("leeway")),
            holder_binding=HolderBinding(
                fields.text("holder_binding") if "holder_binding" in fields.members() else "ignored"
            ),
            types=fields.texts("types") if fields.has("types") else (),
            areas=fields.texts("areas") if fields.has("areas") else (),
        )
    except (ValueError, OverflowError) as error:
        if isinstance(error, FormatError):
            raise
        raise malformed("evidence.policy holds a condition out of range") from None
    if policy.to_json() != dict(fields.members()):
        # A condition this version does not know would silently not be applied.
        raise malformed("evidence.policy holds conditions of another version")
    return policy


def _memory_json(memory: TrustMemory | None) -> JsonValue:
    if memory is None:
        return None
    stated = memory.freshness_issued_at
    return {
        "latest": to_utc(memory.latest).isoformat(),
        "root_version": memory.root_version,
        "root_sha256": memory.root_sha256,
        "trust_list_sequence": memory.trust_list_sequence,
        "freshness_issued_at": to_unix(stated) if stated is not None else None,
        "status_lists": dict(memory.status_lists),
        "checkpoints": [seen.text for _, seen in sorted(memory.checkpoints.items())],
    }


def _read_memory(fields: Fields) -> TrustMemory:
    lists = fields.child("status_lists")
    checkpoints = [parse_checkpoint_text(text) for text in fields.texts("checkpoints")]
    return TrustMemory(
        latest=_clock_time(fields, "latest"),
        root_version=fields.integer("root_version"),
        root_sha256=fields.digest("root_sha256"),
        trust_list_sequence=fields.integer("trust_list_sequence"),
        freshness_issued_at=(
            from_unix(fields.integer("freshness_issued_at")) if fields.has("freshness_issued_at") else None
        ),
        status_lists=MappingProxyType({uri: lists.integer(uri) for uri in lists.members()}),
        checkpoints=MappingProxyType({seen.origin: seen for seen in checkpoints}),
    )
