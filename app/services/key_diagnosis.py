"""Look at keys that were lost, and name the licenses that still await their new signature."""

from typing import Final

from app.services.diagnosis import Finding
from app.services.resigning import ResigningService

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
            f"因密钥失密待重新签发的证照:{text} 份{hint_zh}。",
            f"licenses to be signed again after a key was lost: {text}{hint_en}.",
        )
    ]
