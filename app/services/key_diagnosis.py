"""Look at the private keys this process signs with, and name the licenses that await a new signature after a loss."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from app.domain.directory import Directory
from app.domain.errors import DomainError
from app.domain.publication import ServiceKey
from app.domain.transparency_log import LogHead, LogState
from app.ports import Clock, Store, UnitOfWork
from app.services.diagnosis import Finding
from app.services.directory import DirectoryService
from app.services.key_register import CREDENTIAL, FRESHNESS, RECEIPT, STATUS, KeyRegister
from app.services.resigning import ResigningService
from elicense.problems import FormatError

_MOST: Final = 1000


async def diagnose_keys(resigning: ResigningService) -> list[Finding]:
    """Return the finding about compromised keys. Raises DomainError `unavailable` when the database is out of reach."""
    waiting = await resigning.count(None, most=_MOST)
    text = f"{waiting}+" if waiting == _MOST else str(waiting)
    hint_zh, hint_en = (
        ("(请运行 elicense keys re-sign)", " (run elicense keys re-sign)") if waiting else ("", "")
    )
    return [
        Finding(
            waiting == 0,
            f"因密钥泄露待重新签发的证照:{text} 份{hint_zh}。",
            f"licenses to be signed again after a key was lost: {text}{hint_en}.",
        )
    ]


async def diagnose_private_keys(
    *, store: Store, clock: Clock, directory: DirectoryService, keys: KeyRegister
) -> list[Finding]:
    """Try the private part of every key that signs now; return one finding for each that cannot be used.

    A row tells nothing of its file. Raises DomainError `unavailable` when the database is out of reach.
    """

    async def read(unit: UnitOfWork) -> Sequence[LogHead]:
        return await unit.transparency_log.heads()

    heads = await store.read(read)
    try:
        signing = await _signing_now(keys, await directory.snapshot(), heads, clock.now())
    except FormatError as error:
        return [_unreadable(error.detail)]
    troubles = [(key, _trouble(keys, key)) for key in signing]
    bad = [_unusable(key, trouble) for key, trouble in troubles if trouble is not None]
    good = len(signing) - len(bad)
    return bad or [Finding(True, f"可用的签名私钥:{good} 个。", f"private keys that can sign: {good}.")]


async def _signing_now(
    keys: KeyRegister, directory: Directory, heads: Sequence[LogHead], now: datetime
) -> list[ServiceKey]:
    """Return the keys in force; that there is none for a use is a finding of its own (`diagnosis`)."""
    asked: list[tuple[str, str | None]] = [(use, None) for use in (STATUS, RECEIPT, FRESHNESS)]
    asked += [(CREDENTIAL, code) for code, one in sorted(directory.authorities.items()) if one.scopes]
    found = []
    for use, code in asked:
        try:
            found.append(await keys.current(use, now=now, authority_code=code))
        except DomainError:
            continue
    for head in heads:
        if head.state is LogState.OPEN:
            found += await keys.of_log(head.origin, now=now)
    return found


def _trouble(keys: KeyRegister, key: ServiceKey) -> str | None:
    try:
        keys.signer(key)
    except DomainError as error:
        # The cause names the file and its fault: for the operator, never for a caller, who is told the error alone.
        return str(error.__cause__ or error.detail)
    return None


def _unreadable(detail: str) -> Finding:
    return Finding(
        False,
        f"库中的信任文件无法读取({detail}),无法得知由哪些密钥签名:数据库可能被改动,请运行 elicense log audit。",
        f"the stored trust documents cannot be read ({detail}), so nothing tells which keys sign: the database may "
        "have been altered, run elicense log audit.",
    )


def _unusable(key: ServiceKey, trouble: str) -> Finding:
    whose = "" if key.authority_code is None else f" --authority {key.authority_code}"
    rotate = f"elicense keys rotate {key.use}{whose}"
    return Finding(
        False,
        f"{key.use} 私钥不可用({key.uri}):{trouble}。请在密钥目录中恢复该文件(0600);无法找回的,运行 {rotate}。",
        f"the private {key.use} key cannot be used ({key.uri}): {trouble}. Bring its file back into the keys folder "
        f"(mode 0600); if it is gone for good, run {rotate}.",
    )
