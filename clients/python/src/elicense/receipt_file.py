"""Files that hold receipts: the bare token, an answer with its receipt, one result of a batch, a whole batch answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from elicense.encoding import JsonValue, b64url_decode, from_unix, malformed, parse_json_object
from elicense.fields import Fields
from elicense.log_proof import read_path
from elicense.receipt import SALT_BYTES, Receipt, covers_statement, question_digest, reference_digest
from elicense.report import rfc3339

MAX_RECEIPT_FILE_BYTES = 16 << 20
_SAME_NAME = ("verdict", "reason", "elements", "policy", "status_source", "purpose", "log", "historical")
NOTHING: Mapping[str, JsonValue] = MappingProxyType({})
_OF_ONE_ANSWER = (
    *_SAME_NAME,
    "trust_list",
    "evaluated_at",
    "statement",
    "index",
    "path",
    "reference",
    "license",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProof:
    """Place a statement in a batch: its index, its Merkle path, and the statement itself."""

    index: int
    path: tuple[bytes, ...]
    statement: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptAnswer:
    """Hold one answer beside its receipt: what it shows, its salt, and its place where it came in a batch."""

    shown: Mapping[str, JsonValue] = field(repr=False)
    salt: bytes | None = field(repr=False)
    batch: BatchProof | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptFile:
    """Hold a receipt and the answers it came with; `whole_batch` when the file claims to hold all of its results.

    `frame` is what a whole batch shows beside its results; a single answer has none.
    """

    receipt: str
    answers: tuple[ReceiptAnswer, ...] = ()
    whole_batch: bool = False
    frame: Mapping[str, JsonValue] = field(default_factory=lambda: NOTHING, repr=False)

    @property
    def says_something(self) -> bool:
        """Tell whether anything beside the receipt is to be held against it; a batch of no results says that."""
        return self.whole_batch or bool(self.answers)


def read_receipt_file(data: bytes) -> ReceiptFile:
    """Read a receipt in any of the shapes the service hands it out.

    A token; the answer of `POST /v1/verifications` or `GET /v1/verifications/{id}`; the answer of
    `POST /v1/verifications/batch`. FormatError (malformed) for anything else, and beyond 16 MiB.
    """
    data = data.strip()
    if not data.startswith(b"{"):
        try:
            return ReceiptFile(receipt=data.decode("ascii"))
        except UnicodeDecodeError:
            raise malformed("receipt holds a character outside ASCII") from None
    content = parse_json_object(data, max_bytes=MAX_RECEIPT_FILE_BYTES)
    fields = Fields(content, "file")
    if not fields.has("receipt"):
        raise malformed("file holds no receipt; a result of a batch needs the receipt of its batch beside it")
    receipt = fields.text("receipt")
    if not fields.has("results"):
        return ReceiptFile(receipt=receipt, answers=(_read_answer(content),))
    results = tuple(_read_answer(result) for result in fields.array("results"))
    if any(result.batch is None for result in results):
        raise malformed("a result of the batch lacks index, path or statement")
    return ReceiptFile(receipt=receipt, answers=results, whole_batch=True, frame=content)


def find_difference(file: ReceiptFile, receipt: Receipt) -> str:
    """Hold the answers of a file against the receipt; say what differs first, empty when nothing does.

    Only what the receipt states is compared: verdict, reason, outcomes of elements, policy, trust list, status
    source, place in the log, purpose, moment, reference, environment; of a whole batch the number of its results and
    its summary, and that nothing of a single answer stands beside them. Other members of an answer (texts, license,
    due date) are not covered by any receipt.
    """
    if file.whole_batch:
        difference = _difference_of_batch(file, receipt)
        if difference:
            return difference
    for place, answer in enumerate(file.answers):
        difference = _difference(answer, receipt)
        if not difference and file.whole_batch and answer.batch is not None and answer.batch.index != place:
            difference = "it stands at another place than its index"
        if difference:
            return f"result {place}: {difference}" if file.whole_batch else difference
    return ""


def answers_to(
    file: ReceiptFile, receipt: Receipt, question: Mapping[str, JsonValue], salt: bytes | None
) -> bool:
    """Tell whether the receipt speaks of this question; of a batch, `question` is the request ({"items": […]}).

    The salt is the file's own unless given. ValueError when there is none; what was no question has none.
    """
    answers = file.answers or (ReceiptAnswer(shown={}, salt=None),)
    asked: list[JsonValue] = [dict(question)]
    if file.whole_batch:
        items = question.get("items")
        asked = items if isinstance(items, list) else []
    if len(asked) != len(answers):
        return False
    return all(_is_asked(answer, receipt, one, salt) for answer, one in zip(answers, asked, strict=True))


def statement_of(answer: ReceiptAnswer, receipt: Receipt) -> Mapping[str, JsonValue]:
    """Give what the receipt states about one answer."""
    return answer.batch.statement if answer.batch is not None else receipt.payload


def read_salt(text: str) -> bytes:
    """Read a question's salt; FormatError (malformed) unless it is base64url of at least 16 bytes."""
    salt = b64url_decode(text)
    if len(salt) < SALT_BYTES:
        raise malformed("salt of a question is too short")
    return salt


def _read_answer(value: JsonValue) -> ReceiptAnswer:
    fields = Fields(value, "answer")
    salt = read_salt(fields.text("question_salt")) if fields.has("question_salt") else None
    batch = None
    if fields.has("statement"):
        batch = BatchProof(
            index=fields.integer("index"),
            path=read_path(fields.texts("path"), "path of a result"),
            statement=fields.child("statement").members(),
        )
    return ReceiptAnswer(shown=fields.members(), salt=salt, batch=batch)


def _difference_of_batch(file: ReceiptFile, receipt: Receipt) -> str:
    if receipt.batch is None or len(file.answers) != receipt.batch.size:
        stated = receipt.batch.size if receipt.batch is not None else 1
        return f"the receipt is over {stated} results, the file holds {len(file.answers)}"
    # Whoever reads `verdict` at the top of the file would believe what no receipt states.
    strays = [name for name in _OF_ONE_ANSWER if name in file.frame]
    if strays:
        return f"{', '.join(strays)} stand beside the results of a batch, whose receipt states none"
    states = {"id": receipt.id, "env": receipt.env, "summary": receipt.payload.get("summary")}
    names = [name for name in states if name in file.frame and file.frame[name] != states[name]]
    return f"{', '.join(names)} differ from what the receipt states" if names else ""


def _difference(answer: ReceiptAnswer, receipt: Receipt) -> str:
    shown, statement = answer.shown, statement_of(answer, receipt)
    if answer.batch is not None:
        place = answer.batch
        if not covers_statement(receipt, place.statement, index=place.index, path=place.path):
            return "its path does not lead from its statement to the receipt's root"
    elif receipt.batch is not None:
        return "it lacks its statement and path in the batch"
    elif "id" in shown and shown["id"] != receipt.id:
        return "id is not the receipt's"
    names = [name for name in _SAME_NAME if name in shown and shown[name] != statement.get(name)]
    if "env" in shown and shown["env"] != receipt.env:
        names.append("env")
    if "trust_list" in shown and not _same_trust_list(shown["trust_list"], statement.get("trust_list")):
        names.append("trust_list")
    if "evaluated_at" in shown and shown["evaluated_at"] != _moment_text(statement.get("evaluated_at")):
        names.append("evaluated_at")
    if answer.salt is not None and "reference" in shown and not _same_reference(answer, statement):
        names.append("reference")
    return f"{', '.join(names)} differ from what the receipt states" if names else ""


def _same_trust_list(shown: JsonValue, stated: JsonValue) -> bool:
    if not isinstance(shown, dict) or not isinstance(stated, dict):
        return shown == stated
    return (shown.get("sequence"), shown.get("sha256")) == (stated.get("seq"), stated.get("sha256"))


def _moment_text(stated: JsonValue) -> str | None:
    return rfc3339(from_unix(stated)) if type(stated) is int else None


def _same_reference(answer: ReceiptAnswer, statement: Mapping[str, JsonValue]) -> bool:
    reference, salt = answer.shown["reference"], answer.salt
    stated = _digest_in(statement.get("reference"))
    if reference is None or not isinstance(reference, str) or salt is None:
        return reference is None and stated is None
    return stated == reference_digest(reference, salt)


def _is_asked(answer: ReceiptAnswer, receipt: Receipt, question: JsonValue, salt: bytes | None) -> bool:
    stated = _digest_in(statement_of(answer, receipt).get("question"))
    if stated is None and answer.batch is not None:
        return True  # this item was no question: the receipt states no digest of it
    opened = answer.salt if salt is None else salt
    if opened is None:
        raise ValueError("the salt of the question is needed")
    return stated is not None and stated == question_digest(_as_asked(question), opened)


def _as_asked(question: JsonValue) -> JsonValue:
    """Leave out what is null: the digest covers the members that were asked, and no others."""
    if not isinstance(question, dict):
        return question
    asked: dict[str, JsonValue] = {name: value for name, value in question.items() if value is not None}
    license_ = asked.get("license")
    if isinstance(license_, dict):
        asked["license"] = {name: value for name, value in license_.items() if value is not None}
    return asked


def _digest_in(value: JsonValue) -> str | None:
    digest = value.get("digest") if isinstance(value, dict) else None
    return digest if isinstance(digest, str) else None
