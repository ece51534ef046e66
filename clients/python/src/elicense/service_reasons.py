"""Why a service as a whole refuses to write or to sign: the `reason` of its problem documents, of /readyz and doctor.

A *problem* (`elicense.problems`) says that a request was refused; these say what is wrong with the service, who must
act, and whether it can come right by itself.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from elicense.problems import ReasonText, Text


class ServiceReason(StrEnum):
    """Name what is wrong with a service; the gravest stands first."""

    ROLLBACK_DETECTED = "rollback_detected"
    CLOCK_BEHIND = "clock_behind"
    CLOCK_AHEAD = "clock_ahead"
    CLOCK_UNRELIABLE = "clock_unreliable"
    ANCHOR_UNAVAILABLE = "anchor_unavailable"
    STORAGE_FAILED = "storage_failed"


def _row(text_zh: str, text_en: str, action_zh: str, action_en: str, *, retry: bool) -> ReasonText:
    return ReasonText(text=Text(text_zh, text_en), action=Text(action_zh, action_en), retry=retry)


SERVICE_REASONS: Mapping[ServiceReason, ReasonText] = MappingProxyType(
    {
        ServiceReason.ROLLBACK_DETECTED: _row(
            "数据库比库外记录的内容旧,服务只读。",
            "The database is older than what is remembered outside it; the service is read-only.",
            "运营方应找回较新的数据库;确已丢失的,运行 elicense recover --accept-loss。",
            "The operator finds the newer database; if it is lost, runs elicense recover --accept-loss.",
            retry=False,
        ),
        ServiceReason.CLOCK_BEHIND: _row(
            "系统时钟早于已经历的时间,服务只读。",
            "The clock stands before a time that has already been; the service is read-only.",
            "运营方应校准系统时钟;时钟无误的,运行 elicense doctor --accept-time。",
            "The operator sets the clock; if it is right, runs elicense doctor --accept-time.",
            retry=True,
        ),
        ServiceReason.CLOCK_AHEAD: _row(
            "系统时钟比最后已知时间晚 7 天以上,服务只读。",
            "The clock stands more than 7 days after the last known time; the service is read-only.",
            "运营方应校准系统时钟;时钟无误的,运行 elicense doctor --accept-time。",
            "The operator sets the clock; if it is right, runs elicense doctor --accept-time.",
            retry=True,
        ),
        ServiceReason.CLOCK_UNRELIABLE: _row(
            "运行中系统时钟发生跳变,暂停签名。",
            "The clock was moved while the service ran; nothing is signed.",
            "运营方应校准系统时钟;时钟无误的,运行 elicense doctor --accept-time。",
            "The operator sets the clock; if it is right, runs elicense doctor --accept-time.",
            retry=True,
        ),
        ServiceReason.ANCHOR_UNAVAILABLE: _row(
            "密钥目录中的库外记录(high-water.json)无法读写。",
            "The memory outside the database (high-water.json in the keys folder) cannot be read or written.",
            "运营方应检查密钥目录的磁盘空间与权限。",
            "The operator looks at space and permissions of the keys folder.",
            retry=True,
        ),
        ServiceReason.STORAGE_FAILED: _row(
            "数据库文件写入磁盘失败,本进程不再写入。",
            "The disk failed to keep what was written; this process writes no more.",
            "运营方应检查磁盘后重新启动服务。",
            "The operator looks at the disk, then starts the service again.",
            retry=False,
        ),
    }
)
"""Text, action and retry advice of every reason."""
