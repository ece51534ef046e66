"""Departments at work while their server is killed again and again: they issue, amend, revoke, suspend and verify.

Every order is written down with its idempotency key before it is sent and repeated with the same key until it is
answered, over as many servers as that takes. An order's key stands in what it changes (a license's number, an
amendment's address, a change's reason), so that afterwards the register itself tells how often it was done.
"""

import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import httpx

from tests.installation import AREA, BUSINESS_LICENSE, HOLDER

DESKS = 5
_AGAIN = {"idempotency_in_progress", "unavailable"}
"""Refusals after which the same order is sent again: it is being recovered, or others change the license."""

_REVOKED_IS_NOT_IN_FORCE = "its revocation was acknowledged, and afterwards a version answers valid"


class Kind(StrEnum):
    """What a department orders."""

    ISSUE = "issue"
    AMEND = "amend"
    SUSPEND = "suspend"
    RESUME = "resume"
    REVOKE = "revoke"


@dataclass(slots=True)
class Order:
    """One order, written down before it is sent: its key, and what was answered in the end."""

    key: str
    kind: Kind
    license_id: str | None = None
    answer: Mapping[str, Any] | None = None
    refused: str | None = None

    @property
    def body(self) -> Mapping[str, object]:
        """Return the order as it is sent: the key is in what it changes."""
        if self.kind is Kind.ISSUE:
            return {
                "type_code": BUSINESS_LICENSE,
                "number": self.key,
                "holder": {"code": HOLDER.code, "code_type": HOLDER.code_type, "name": HOLDER.name},
                "area_code": AREA,
                "issue_date": "2024-03-01",
                "valid_from": "2024-03-01",
                "valid_until": None,
                "elements": {"address": self.key},
            }
        reason = {"reason_code": "fault_test", "reason": self.key}
        return reason | {"elements": {"address": self.key}} if self.kind is Kind.AMEND else reason

    @property
    def path(self) -> str:
        """Return where it is sent to."""
        return "/v1/licenses" if self.kind is Kind.ISSUE else f"/v1/licenses/{self.license_id}/{self.kind}"


@dataclass(slots=True)
class Known:
    """A license as the departments know it from answers alone."""

    id: str
    credentials: list[str] = field(default_factory=list)
    suspended: bool = False
    revoked: bool = False


@dataclass(slots=True)
class Mix:
    """Everything the departments share: what they ordered, which licenses they know, what they saw go wrong.

    Of the lists only ends are appended, and each order is written by the one desk it belongs to.
    """

    seed: int
    keys: tuple[str, str, str]  # API keys of two clients of one department, and of a relying party
    orders: list[Order] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answered: int = 0
    met: int = 0  # amendments refused because the revocation they raced with was first
    base_url: str = ""
    dead: bool = True
    stopping: bool = False
    serving: threading.Condition = field(default_factory=threading.Condition)

    def open(self, base_url: str) -> None:
        """Let the desks work with the server there."""
        with self.serving:
            self.base_url, self.dead = base_url, False
            self.serving.notify_all()

    def shut(self) -> None:
        """Say that the server is about to be killed: a connection that breaks from now on is no fault."""
        with self.serving:
            self.dead = True

    def stop(self) -> None:
        """Let every desk go home; orders that were not answered stay so."""
        with self.serving:
            self.stopping = True
            self.serving.notify_all()

    def server(self) -> str | None:
        """Wait for a server and return its URL; None when it is time to go home."""
        with self.serving:
            self.serving.wait_for(lambda: self.stopping or not self.dead)
            return None if self.stopping else self.base_url

    def count(self) -> None:
        """Count an answer."""
        with self.serving:
            self.answered += 1


class Desk:
    """One desk of a department: a thread, and a second one with another API key for what is ordered at once."""

    def __init__(self, mix: Mix, number: int) -> None:
        self._mix = mix
        self._name = f"M{mix.seed:04d}-{number}"
        self._choice = random.Random(f"{mix.seed}-{number}")
        self._made = 0
        self._other = ThreadPoolExecutor(max_workers=1)
        self._clients = [
            httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) for key in mix.keys
        ]
        self.thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        turns: list[tuple[Callable[[], None], int]] = [
            (self._issue, 30),
            (self._amend, 24),
            (self._race, 14),
            (self._revoke, 6),
            (self._pause, 8),
            (self._verify, 18),
        ]
        try:
            while not self._mix.stopping:
                (turn,) = self._choice.choices([turn for turn, _ in turns], [weight for _, weight in turns])
                turn()
        except Exception as error:  # noqa: BLE001  (a desk that ends early would make the rest look well)
            self._mix.wrong.append(f"{self._name}: {type(error).__name__}: {error}")
        finally:
            self._other.shutdown()
            for client in self._clients:
                client.close()

    def _order(self, kind: Kind, license_id: str | None = None) -> Order:
        self._made += 1
        order = Order(f"{self._name}-{self._made:05d}", kind, license_id)
        self._mix.orders.append(order)
        return order

    def _ask(self, method: str, path: str, *, client: int, **content: Any) -> httpx.Response | None:
        """Send until it is answered; None when it is time to go home."""
        while (base_url := self._mix.server()) is not None:
            try:
                response = self._clients[client].request(method, f"{base_url}{path}", **content)
            except httpx.TransportError as error:
                if not self._mix.dead and base_url == self._mix.base_url:
                    self._mix.wrong.append(
                        f"{path}: a connection broke before the server was killed: {error}"
                    )
                continue
            self._mix.count()
            refusal = "" if response.is_success else response.json()["code"]
            if refusal not in _AGAIN:
                return response
            time.sleep(0.05)
        return None

    def _send(self, order: Order, *, client: int = 0) -> None:
        response = self._ask(
            "POST", order.path, client=client, json=order.body, headers={"Idempotency-Key": order.key}
        )
        if response is None:
            return
        if response.is_success:
            order.answer = response.json()
        else:
            order.refused = response.json()["code"]
            if order.refused != "state_conflict":
                self._mix.wrong.append(f"{order.key}: {order.kind} was refused: {response.text}")

    def _any(self, *, revoked: bool = False) -> Known | None:
        held = self._mix.known
        for _ in range(8):
            if not held:
                return None
            one = held[self._choice.randrange(len(held))]
            if one.revoked == revoked:
                return one
        return None

    def _issue(self) -> None:
        order = self._order(Kind.ISSUE)
        self._send(order)
        if order.answer is not None:
            known = Known(str(order.answer["id"]))
            self._keep_credential(known)
            self._mix.known.append(known)

    def _keep_credential(self, known: Known) -> None:
        response = self._ask("GET", f"/v1/licenses/{known.id}/credential", client=0)
        if response is not None and response.is_success:
            known.credentials.append(response.text)

    def _amend(self) -> None:
        known = self._any()
        if known is not None:
            self._send(self._order(Kind.AMEND, known.id))

    def _revoke(self) -> None:
        known = self._any()
        if known is not None:
            self._end(known)

    def _end(self, known: Known) -> None:
        order = self._order(Kind.REVOKE, known.id)
        self._send(order)
        known.revoked = known.revoked or order.answer is not None

    def _race(self) -> None:
        """Amend and revoke one license at once, each with the key of another client."""
        known = self._any()
        if known is None:
            return
        amendment = self._order(Kind.AMEND, known.id)
        meanwhile = self._other.submit(self._send, amendment, client=1)
        time.sleep(self._choice.random() * 0.01)
        self._end(known)
        meanwhile.result()
        if amendment.refused is not None:
            self._mix.met += 1

    def _pause(self) -> None:
        known = self._any()
        if known is not None:
            order = self._order(Kind.RESUME if known.suspended else Kind.SUSPEND, known.id)
            self._send(order)
            if order.answer is not None:
                known.suspended = order.kind is Kind.SUSPEND

    def _verify(self) -> None:
        """Ask about a version, as a relying party does: of a license whose end was acknowledged none is in force."""
        known = self._any(revoked=self._choice.random() < 0.5)
        if known is None:
            return
        if not known.revoked:
            self._keep_credential(known)
        if not known.credentials:
            return
        ended = known.revoked  # before the question, or the answer may be older
        credential = self._choice.choice(known.credentials)
        response = self._ask("POST", "/v1/verifications", client=2, json={"credential": credential})
        if response is None:
            return
        if not response.is_success:
            self._mix.wrong.append(f"{known.id}: a question was refused: {response.text}")
        elif ended and response.json()["verdict"] != "invalid":
            self._mix.wrong.append(f"{known.id}: {_REVOKED_IS_NOT_IN_FORCE}")
