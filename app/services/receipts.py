"""Receipts: the service's signed statement about each verification it answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.errors import DomainError
from app.services.key_register import RECEIPT, KeyRegister
from app.services.transparency_log import TransparencyLogService
from elicense.encoding import JsonValue
from elicense.jws import sign_compact
from elicense.keys import Signer
from elicense.merkle import MerkleTree
from elicense.problems import FormatError
from elicense.receipt import (
    RECEIPT_TYP,
    build_batch_receipt_payload,
    build_receipt_payload,
    statement_leaf,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReceipt:
    """A receipt over many statements and, for each, its Merkle path (RFC 6962), leaf to root."""

    token: str
    paths: Sequence[Sequence[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptPen:
    """What signs receipts at one moment: the key of use `receipt`, and the log's newest checkpoint that each names."""

    signer: Signer
    checkpoint: str | None
    issuer_url: str
    env: str

    def sign(
        self, statement: Mapping[str, JsonValue], *, receipt_id: str, audience: str, now: datetime
    ) -> str:
        """Sign the receipt of one verification. Raises DomainError read_only while nothing may be signed."""
        payload = build_receipt_payload(
            issuer=self.issuer_url,
            receipt_id=receipt_id,
            issued_at=now,
            audience=audience,
            env=self.env,
            statement=statement,
            checkpoint=self.checkpoint,
        )
        return sign_compact(typ=RECEIPT_TYP, payload=payload, signer=self.signer)

    def sign_batch(
        self,
        statements: Sequence[Mapping[str, JsonValue]],
        *,
        receipt_id: str,
        audience: str,
        now: datetime,
        summary: Mapping[str, int],
    ) -> BatchReceipt:
        """Sign one receipt over the Merkle root of the statements, in order; at least one."""
        tree = MerkleTree([statement_leaf(statement) for statement in statements])
        payload = build_batch_receipt_payload(
            issuer=self.issuer_url,
            receipt_id=receipt_id,
            issued_at=now,
            audience=audience,
            env=self.env,
            root=tree.root,
            size=tree.size,
            summary=summary,
            checkpoint=self.checkpoint,
        )
        token = sign_compact(typ=RECEIPT_TYP, payload=payload, signer=self.signer)
        return BatchReceipt(token=token, paths=[tree.path(index) for index in range(tree.size)])


class ReceiptService:
    """Gives out the pen of the moment."""

    def __init__(self, *, keys: KeyRegister, log: TransparencyLogService, issuer_url: str, env: str) -> None:
        self._keys = keys
        self._log = log
        self._issuer_url = issuer_url
        self._env = env

    async def require_usable(self, *, now: datetime) -> None:
        """Raise DomainError `unavailable` without a usable key: then no verification can be answered."""
        try:
            self._keys.signer(await self._keys.current(RECEIPT, now=now))
        except FormatError as error:
            raise DomainError("unavailable", "the stored trust list cannot be read") from error

    async def pen(self, *, now: datetime) -> ReceiptPen:
        """Return what signs receipts now. Raises DomainError `unavailable` without a usable key."""
        signer = self._keys.signer(await self._keys.current(RECEIPT, now=now))
        checkpoint = await self._log.newest_text()
        return ReceiptPen(signer=signer, checkpoint=checkpoint, issuer_url=self._issuer_url, env=self._env)
