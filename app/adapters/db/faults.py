"""What stands behind a database error, for the operator at the command line. Answers over HTTP never show it."""

import socket
import ssl
from dataclasses import dataclass
from typing import Final

from app.adapters.db.errors import TryAgain
from app.adapters.db.transactions import DRIVER_FAULTS
from elicense.problems import Text

_LONGEST: Final = 300
_PERMISSIONS: Final = Text(
    zh="请由数据库管理员授予该用户在此数据库中建表与读写的权限。",
    en="Have the database's owner grant this user the right to make tables in this database and to write to them.",
)
_LOGIN: Final = Text(
    zh="请检查 ELICENSE_DATABASE_URL 中的用户名与密码,以及服务器的 pg_hba.conf。",
    en="Check user and password in ELICENSE_DATABASE_URL, and the server's pg_hba.conf.",
)
_READ_ONLY: Final = Text(
    zh="该数据库只读:请连接主库,或取消只读设置。",
    en="This database is read-only: name the primary server, or end the read-only setting.",
)
_FOREIGN: Final = Text(
    zh="该数据库中有其他程序的表,或表不完整:请指定另一个空数据库。",
    en="This database holds tables of another program, or lacks some of ours: name another, empty database.",
)
_NO_TABLES: Final = Text(
    zh="该数据库缺少本程序的表:新安装请先运行 elicense migrate;否则请检查 ELICENSE_DATABASE_URL。",
    en="The tables are missing: run elicense migrate on a new installation, else check ELICENSE_DATABASE_URL.",
)
_BUSY: Final = Text(zh="请稍后再试,或放宽服务器的限制。", en="Try again later, or raise the server's limits.")
_CONNECTION: Final = Text(
    zh="请检查数据库服务器是否在运行,以及 ELICENSE_DATABASE_URL 中的主机与端口。",
    en="See whether the database server runs; check host and port in ELICENSE_DATABASE_URL.",
)
_HOST: Final = Text(
    zh="无法解析主机名:请检查 ELICENSE_DATABASE_URL 中的主机。",
    en="The host name is not known: check the host in ELICENSE_DATABASE_URL.",
)
_SSL: Final = Text(
    zh="加密连接失败:请检查 ELICENSE_DATABASE_URL 的 ssl 选项与服务器证书。",
    en="The encrypted connection failed: check the option ssl of ELICENSE_DATABASE_URL and the server's certificate.",
)
_SERVER: Final = Text(zh="请查看数据库服务器的日志。", en="See the log of the database server.")
# By the beginning of the SQLSTATE, the longest first.
_BY_STATE: Final = (
    ("25006", _READ_ONLY),
    (
        "3D000",
        Text(
            zh="该数据库不存在:请先建立(createdb),或检查 ELICENSE_DATABASE_URL 中的库名。",
            en="There is no such database: make it first (createdb), or check its name in ELICENSE_DATABASE_URL.",
        ),
    ),
    ("42501", _PERMISSIONS),
    ("42P01", _NO_TABLES),
    ("3F000", _NO_TABLES),
    ("28", _LOGIN),
    ("42", _FOREIGN),
    ("08", _CONNECTION),
    ("53", _BUSY),
    ("57", _CONNECTION),
)
# By SQLite's primary result code.
_CANNOT_OPEN: Final = 14
_BY_SQLITE_CODE: Final = {
    1: _NO_TABLES,
    3: Text(zh="请检查数据库文件的权限。", en="Check the permissions of the database file."),
    5: _BUSY,
    6: _BUSY,
    8: Text(
        zh="数据库文件或其目录不可写:请检查权限与挂载方式。",
        en="The database file or its folder cannot be written: check permissions and how it is mounted.",
    ),
    10: Text(zh="读写磁盘出错:请检查磁盘。", en="The disk failed: check it."),
    11: Text(
        zh="数据库文件已损坏:请保留它并恢复备份(elicense recover)。",
        en="The database file is damaged: keep it, and restore a backup (elicense recover).",
    ),
    13: Text(zh="磁盘已满。", en="The disk is full."),
    _CANNOT_OPEN: Text(
        zh="无法打开数据库文件:新安装请先运行 elicense migrate;否则请检查路径、权限,以及该处是否为目录。",
        en="The database file cannot be opened: run elicense migrate on a new installation, else check path and "
        "permissions, and that no folder stands in its place.",
    ),
    26: Text(
        zh="该文件不是 SQLite 数据库:请检查 ELICENSE_DATABASE_URL。",
        en="This file is no SQLite database: check ELICENSE_DATABASE_URL.",
    ),
}
_CANNOT_MAKE: Final = Text(
    zh="无法建立数据库文件:其目录须存在且可写,该处也不得为目录。",
    en="The database file cannot be made: its folder must exist and be writable, and no folder stand in its place.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFault:
    """What a driver said, in one line without values or passwords, and what to do about it.

    `code` is the SQLSTATE, SQLite's name of its result code, or empty.
    """

    kind: str
    code: str
    said: str
    advice: Text


def database_fault(error: BaseException, *, migrating: bool = False) -> DatabaseFault | None:
    """Return what stands behind an error of the store, None where no driver does.

    `migrating` says that the schema is being made: its absence is no advice then.
    """
    cause = error.__cause__
    if not isinstance(cause, (TryAgain, *DRIVER_FAULTS)):
        return None
    origin = _origin(cause)
    state = getattr(origin, "sqlstate", None)
    name = getattr(origin, "sqlite_errorname", None)
    said = str(origin).strip().partition("\n")[0]
    return DatabaseFault(
        kind=type(origin).__name__,
        code=str(state or name or ""),
        said=said[:_LONGEST],
        advice=_advice(origin, migrating=migrating),
    )


def _origin(error: BaseException) -> BaseException:
    """Return the driver's own error: SQLAlchemy's text would show the statement and its values."""
    while True:
        inner = getattr(error, "orig", None)
        deeper = inner if isinstance(inner, BaseException) else error.__cause__
        if deeper is None:
            return error
        error = deeper


def _advice(origin: BaseException, *, migrating: bool) -> Text:
    state = getattr(origin, "sqlstate", None)
    if isinstance(state, str):
        found = next((advice for start, advice in _BY_STATE if state.startswith(start)), _SERVER)
        return _FOREIGN if migrating and found is _NO_TABLES else found
    code = getattr(origin, "sqlite_errorcode", None)
    if isinstance(code, int):
        if migrating and code & 0xFF in (1, _CANNOT_OPEN):
            return _FOREIGN if code & 0xFF == 1 else _CANNOT_MAKE
        return _BY_SQLITE_CODE.get(code & 0xFF, _NO_TABLES)
    if isinstance(origin, socket.gaierror):
        return _HOST
    if isinstance(origin, ssl.SSLError) or "SSL" in str(origin):
        return _SSL
    return _CONNECTION
