"""Receipts: the service's signed statement about each verification it answered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.services.key_register import RECEIPT, KeyRegister
from app.services.transparency_log import TransparencyLogService
from elicense.encoding import JsonValue
from elicense.jws import sign_compact
from elicense.merkle import MerkleTree
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


class ReceiptService:
    """Signs receipts with the key of use `receipt`; each names the log's newest checkpoint."""

    def __init__(self, *, keys: KeyRegister, log: TransparencyLogService, issuer_url: str, env: str) -> None:
        self._keys = keys
        self._log = log
        self._issuer_url = issuer_url
        self._env = env

    async def sign(
        self, statement: Mapping[str, JsonValue], *, receipt_id: str, audience: str, now: datetime
    ) -> str:
        """Sign the receipt of one verification. Raises DomainError `unavailable` without a usable key."""
        payload = build_receipt_payload(
            issuer=self._issuer_url,
            receipt_id=receipt_id,
            issued_at=now,
            audience=audience,
            env=self._env,
            statement=statement,
            checkpoint=await self._log.newest_text(),
        )
        return await self._sign(payload, now)

    async def sign_batch(
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
            issuer=self._issuer_url,
            receipt_id=receipt_id,
            issued_at=now,
            audience=audience,
            env=self._env,
            root=tree.root,
            size=tree.size,
            summary=summary,
            checkpoint=await self._log.newest_text(),
        )
        paths = [tree.path(index) for index in range(tree.size)]
        return BatchReceipt(token=await self._sign(payload, now), paths=paths)

    async def _sign(self, payload: bytes, now: datetime) -> str:
        signer = self._keys.signer(await self._keys.current(RECEIPT, now=now))
        return sign_compact(typ=RECEIPT_TYP, payload=payload, signer=signer)
