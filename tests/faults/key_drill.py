"""Watch a running service while its keys change: is any verification wrong, at any moment, online or offline?

Three watchers ask without pause: one issues licenses, one verifies online, one keeps a bundle current from a pinned
root 1 and verifies offline, receipts included. A license issued by the register is never to be called invalid; what a
thief signs with a stolen key is never to be called valid. What a stolen key signed between the theft and its discovery
is lost by the rules, until it is signed again: there, and only there, `key_compromised` is right.
"""

import json
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from app.adapters.signers.key_files import KeyFolder
from elicense import Elicense, OfflineVerifier
from elicense.client._updating import fetch_update
from elicense.client.errors import APIStatusError, ElicenseError, TrustError
from elicense.credential import parse_credential
from elicense.evidence import gather_offline
from elicense.keys import Signer
from elicense.log_proof import parse_receipt_proof
from elicense.receipt import parse_receipt
from elicense.receipt_check import check_receipt
from elicense.receipt_file import ReceiptFile
from tests.e2e.demo_process import COMMAND, ROOT, free_port
from tests.faults.register import Register
from tests.installation import AREA, BUSINESS_LICENSE, HOLDER
from tests.integration.bystander import WITNESS_NAME, forge

PAUSE_SECONDS = 0.15
SETTLE_SECONDS = 20.0
"""How long a question may be undecided (the log not sequenced yet, a list not fetched) before that counts as wrong."""

Judge = Callable[[bytes, bytes, str, str], str]
"""Judge a credential from pinned root, bundle, text and policy; return the reason."""


def judge_offline(root: bytes, bundle: bytes, text: str, policy: str) -> str:
    """Judge as the SDK does."""
    return OfflineVerifier(trust_root=root, bundle=bundle, policy=policy).verify(text).reason.value


@dataclass(slots=True)
class Issued:
    """A license that was acknowledged, and the credential of its first version."""

    id: str
    identifier: str
    token: str
    kid: str


@dataclass(slots=True)
class Watch:
    """What the watchers know and what they found wrong; shared between threads under one lock."""

    issued: list[Issued] = field(default_factory=list)
    receipts: list[tuple[str, str]] = field(default_factory=list)  # verification id, receipt
    forged: list[str] = field(default_factory=list)
    known_stolen: set[str] = field(default_factory=set)  # key ids whose theft has been published
    stolen: set[str] = field(default_factory=set)  # key ids that a thief has
    thieves: list[tuple[Signer, datetime]] = field(default_factory=list)  # and the time they write
    safe: set[str] = field(default_factory=set)  # license ids witnessed before any theft
    wrong: list[str] = field(default_factory=list)
    asked: dict[str, int] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        with self.lock:
            self.asked[what] = self.asked.get(what, 0) + 1

    def accuse(self, *words: object) -> None:
        with self.lock:
            self.wrong.append(" ".join(map(str, words)))

    def any_issued(self) -> Issued | None:
        with self.lock:
            return random.choice(self.issued) if self.issued else None

    def may_be_lost(self, one: Issued) -> bool:
        """Tell whether this credential was signed by a key that a thief had by then, and not witnessed before."""
        with self.lock:
            return one.kid in self.stolen and one.id not in self.safe


class Drill:
    """A running service: API, worker and witness as processes of their own, watchers as threads."""

    def __init__(
        self, register: Register, *, judge: Judge = judge_offline, serve: list[str] | None = None
    ) -> None:
        self.register = register
        self.watch = Watch()
        self.judge = judge
        self.port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.root = b""
        self._serve = serve
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        return {**self.register.environment, "ELICENSE_KEY_LEAD_SECONDS": "3"}

    def command(self, *words: object, code: int = 0) -> dict[str, Any]:
        """Run one `elicense` command with `--json` to its end and return what it printed."""
        done = self.register.run_elicense(*words, "--json", env=self.environment)
        assert done.returncode == code, f"{words}: exit {done.returncode}\n{done.stdout}{done.stderr}"
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return found

    def keys(self, use: str) -> list[dict[str, str]]:
        """List the registered keys of a use, the newest last."""
        rows = self.command("keys", "list")
        own = [row for row in rows if row["use"] == use]  # type: ignore[index]
        return sorted(own, key=lambda row: row["valid_from"])  # type: ignore[index]

    def steal(self, private: str) -> Signer:
        """Copy a private key out of the keys folder."""
        folder = KeyFolder(path=self.register.folder / "keys", development=True)
        return folder.load(private.removeprefix("file:"))

    def __enter__(self) -> "Drill":
        eager = None if self._serve is None else [*self._serve, "--port", str(self.port)]
        self._start("serve", "--host", "127.0.0.1", "--port", str(self.port), command=eager)
        self._start("worker")
        with self.client("platform") as client:
            _until(lambda: bool(client.trust.root()), "the service does not answer")
            self.root = client.trust.root()
        for work in (
            self._issue,
            self._verify_online,
            self._verify_offline,
            self._check_receipts,
            self._steal,
        ):
            thread = threading.Thread(target=self._loop, args=(work,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=60)
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_witness(self, name: str = "witness") -> None:
        """Start a witness with a memory of its own."""
        files = ["--key", str(self.register.folder / "witness.pem"), "--name", WITNESS_NAME]
        state = ["--state", str(self.register.folder / f"{name}.json"), "--every", "1s"]
        command = [str(COMMAND), "log", "witness", "--base-url", self.base_url, *files, *state]
        self._start(command=command)

    def client(self, role: str) -> Elicense:
        return Elicense(
            api_key=self.register.keys[role], base_url=self.base_url, trust_root=self.root or None
        )

    def wait_until_witnessed(self) -> set[str]:
        """Wait until a witness has seen everything that is issued now; return those licenses' ids."""
        with self.watch.lock:
            wanted = list(self.watch.issued)
        with self.client("authority") as client:
            # One after another: when the last has its place, so have all before it.
            place = self._proof(client, wanted[-1].id)
            newest, origin = int(place["index"]), str(place["origin"])

            def seen() -> bool:
                note = httpx.get(f"{self.base_url}/log/checkpoint", params={"witnessed": "1"}).text
                lines = note.splitlines()
                return lines[0] == origin and int(lines[1]) > newest

            _until(seen, "no witness saw it")
        return {one.id for one in wanted}

    def pass_time(self, seconds: float) -> None:
        """Let the watchers ask on."""
        self._stop.wait(seconds)

    def _start(self, *words: str, command: list[str] | None = None) -> None:
        errors = (self.register.folder / "stderr.txt").open("ab")
        whole = command or [str(COMMAND), *words, "--data-dir", str(self.register.folder)]
        self._processes.append(
            subprocess.Popen(whole, env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=errors)
        )

    def _loop(self, work: Callable[[], Iterator[None]]) -> None:
        try:
            for _ in work():
                if self._stop.wait(PAUSE_SECONDS):
                    return
        except Exception as error:  # noqa: BLE001  # a checker that ended, whatever ended it, has checked nothing
            self.watch.accuse(work.__name__, type(error).__name__, error)

    def _issue(self) -> Iterator[None]:
        with self.client("authority") as client:
            while True:
                yield
                license = client.licenses.issue(
                    type_code=BUSINESS_LICENSE,
                    number=f"DRILL-{time.time_ns()}",
                    holder={"code": HOLDER.code, "code_type": "001", "name": HOLDER.name},
                    area_code=AREA,
                    issue_date="2024-05-06",
                    valid_from="2024-05-06",
                    elements={"address": "南京市示例路1号"},
                )
                token = client.licenses.credential(license.id)
                one = Issued(license.id, license.identifier, token, parse_credential(token).kid)
                with self.watch.lock:
                    self.watch.issued.append(one)
                self.watch.count("issued")

    def _verify_online(self) -> Iterator[None]:
        with self.client("platform") as client:
            while True:
                yield
                one = self.watch.any_issued()
                if one is None:
                    continue
                named = client.verifications.create(
                    license={"number": _number(one), "type_code": BUSINESS_LICENSE}
                )
                if named.verdict != "valid":
                    self.watch.accuse("online, by number:", one.identifier, named.reason)
                lost = self.watch.may_be_lost(one)
                shown = client.verifications.create(credential=one.token)
                with self.watch.lock:
                    self.watch.receipts.append((shown.id, shown.receipt))
                # A stolen key's newest credentials may still be on their way into the log.
                if shown.reason not in ("ok", "log_proof_missing") and not (lost and shown.reason in _LOST):
                    self.watch.accuse("online:", one.identifier, one.kid, shown.reason)
                self.watch.count("online")
                with self.watch.lock:
                    forged = random.choice(self.watch.forged) if self.watch.forged else None
                if forged is not None:
                    if client.verifications.create(credential=forged).verdict == "valid":
                        self.watch.accuse("online: a forged credential is valid")
                    self.watch.count("forged online")

    def _verify_offline(self) -> Iterator[None]:
        bundle: bytes | None = None
        with self.client("authority") as client:
            while True:
                yield
                one = self.watch.any_issued()
                if one is None:
                    continue
                with self.watch.lock:
                    forged = random.choice(self.watch.forged) if self.watch.forged else None
                    published = forged is not None and parse_credential(forged).kid in self.watch.known_stolen
                lost = self.watch.may_be_lost(one)
                bundle = self._judge_good(client, one, bundle, lost=lost)
                if forged is not None:
                    # A thief shows his work alone, or with somebody else's proof.
                    proof = {
                        **json.loads(client.licenses.credential(one.id, proof=True)),
                        "credential": forged,
                    }
                    for text in (forged, json.dumps(proof)):
                        if self.judge(self.root, bundle, text, "bank-strict") == "ok":
                            self.watch.accuse("offline, bank-strict: a forged credential is valid")
                        if published and self.judge(self.root, bundle, text, "platform-default") == "ok":
                            self.watch.accuse("offline: a forged credential is valid")
                    self.watch.count("forged offline")

    def _judge_good(self, client: Elicense, one: Issued, bundle: bytes | None, *, lost: bool) -> bytes:
        """Judge a license's current credential with its proof; it has to be valid before long, and never invalid."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            # The credential first, then the bundle: nobody can know a key that was listed after he asked.
            text = self._stapled(client, one.id)
            bundle = self._update(client, bundle)
            reasons = [
                self.judge(self.root, bundle, text, name) for name in ("bank-strict", "platform-default")
            ]
            lost = lost or self.watch.may_be_lost(one)
            for reason in reasons:
                if reason not in ("ok", *_UNDECIDED) and not (lost and reason in _LOST):
                    self.watch.accuse("offline:", one.identifier, one.kid, reason)
            if reasons == ["ok", "ok"] or lost:
                self.watch.count("offline")
                return bundle
            if time.monotonic() > deadline:
                self.watch.accuse("offline: stays undecided:", one.identifier, one.kid, *reasons)
                return bundle
            time.sleep(0.3)

    def _check_receipts(self) -> Iterator[None]:
        bundle: bytes | None = None
        with self.client("platform") as client:
            while True:
                yield
                with self.watch.lock:
                    held = random.choice(self.watch.receipts) if self.watch.receipts else None
                if held is None:
                    continue
                deadline = (
                    time.monotonic() + SETTLE_SECONDS + 60
                )  # the public log fixes receipts each half minute
                while (
                    reason := self._receipt_reason(client, *held, bundle := self._update(client, bundle))
                ) != "ok":
                    kid = parse_receipt(held[1]).kid
                    if kid in self.watch.stolen and reason in _LOST:
                        break
                    if reason not in _UNDECIDED or time.monotonic() > deadline:
                        self.watch.accuse("receipt:", kid, reason)
                        break
                    if self._stop.wait(1):
                        return
                self.watch.count("receipts")

    def _receipt_reason(self, client: Elicense, id_: str, receipt: str, bundle: bytes) -> str:
        try:
            proof = parse_receipt_proof(client.verifications.receipt_proof(id_))  # type: ignore[arg-type]
        except APIStatusError as error:
            if error.status_code != 409:
                raise
            proof = None
        evidence = gather_offline(trust_root=self.root, bundle=bundle, now=datetime.now(UTC))
        return check_receipt(ReceiptFile(receipt=receipt), evidence=evidence, proof=proof).reason.value

    def _steal(self) -> Iterator[None]:
        """Forge a credential with each stolen key again and again, dated before the theft."""
        while True:
            yield
            one = self.watch.any_issued()
            with self.watch.lock:
                thieves = list(self.watch.thieves)
            if one is None or not thieves:
                continue
            thief, since = random.choice(thieves)
            forged = forge(one.token, thief, signed_at=since)
            with self.watch.lock:
                self.watch.forged.append(forged)

    def _stapled(self, client: Elicense, license_id: str) -> str:
        found: list[str] = []

        def fetch() -> bool:
            try:
                found.append(client.licenses.credential(license_id, proof=True))
            except APIStatusError as error:
                if error.status_code != 409:
                    raise
                return False
            return True

        _until(fetch, f"{license_id} is not logged")
        return found[0]

    def _proof(self, client: Elicense, license_id: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._stapled(client, license_id))["proof"]
        return found

    def _update(self, client: Elicense, bundle: bytes | None) -> bytes:
        for _ in range(20):
            try:
                now = datetime.now(UTC)
                return fetch_update(client.trust, trust_root=self.root, held=bundle, now=now).content
            except TrustError as error:
                if error.reason in ("rolled_back", "log_proof_failed", "signature_invalid"):
                    raise
                last = error
                time.sleep(0.2)
        raise AssertionError(f"trust update: {last}")


_LOST = ("key_compromised", "log_proof_missing", "superseded")
_UNDECIDED = ("log_proof_missing", "trust_stale", "status_unavailable", "status_stale")


def _number(one: Issued) -> str:
    return str(parse_credential(one.token).claims.license.number)


def _until(done: Callable[[], bool], what: str, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if done():
                return
        except ElicenseError as error:
            last: object = error
            if isinstance(error, APIStatusError) and error.status_code not in (404, 409, 503):
                raise
        else:
            last = ""
        time.sleep(0.3)
    raise AssertionError(f"{what}: {last}")


@contextmanager
def drill(register: Register, **options: Any) -> Iterator[Drill]:
    """Run a drill; every thread and process has ended on leaving, whatever happened."""
    with Drill(register, **options) as running:
        yield running


def witness_vkey(folder: Path) -> str:
    """Make the witness's key and return its public half."""
    done = subprocess.run(
        [str(COMMAND), "log", "witness-key", "--key", str(folder / "witness.pem"), "--name", WITNESS_NAME],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout.strip()
