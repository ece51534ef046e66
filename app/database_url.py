"""What a database URL may say, and how it is shown: read without loading a driver, before anything connects."""

import re
from typing import Final
from urllib.parse import parse_qsl

SCHEMES: Final = ("sqlite+aiosqlite:", "postgresql+asyncpg:")
_SQLITE: Final = re.compile(r"sqlite\+aiosqlite:///(?P<path>[^?]*)(?P<options>\?.*)?", re.DOTALL)
# As the driver's side reads it: a password ends at the first @, so that a second one is no part of it.
_POSTGRESQL: Final = re.compile(
    r"postgresql\+asyncpg://(?:[^:/@]*(?::[^@]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/?#:\[\]\s]*)(?::(?P<port>[^/?@]*))?"
    r"(?:/(?P<database>[^?@]*))?(?:\?(?P<options>.*))?",
    re.DOTALL,
)
_SSL_MODES: Final = r"disable|allow|prefer|require|verify-ca|verify-full"
_SERVERS: Final = r"any|primary|standby|read-write|read-only|prefer-standby"
# What may stand behind the ?, and what its value looks like.
_OPTIONS: Final = {
    "database": r".+",
    "gsslib": r"gssapi|sspi",
    "host": r".+",
    "krbsrvname": r".+",
    "passfile": r".+",
    "password": r".*",
    "port": r"[0-9,]+",
    "prepared_statement_cache_size": r"[0-9]{1,9}",
    "schema": r"[a-z_][a-z0-9_]{0,62}",
    "service": r".+",
    "servicefile": r".+",
    "ssl": _SSL_MODES,
    "target_session_attrs": _SERVERS,
    "user": r".+",
}
_SHOWN: Final = frozenset(_OPTIONS) - {"password"}
_CERTAIN_USER: Final = re.compile(r"(?P<user>[\w.%+-]+)(?P<password>:.*)?", re.DOTALL)
_MASK: Final = "***"


def database_url_problem(url: str) -> str | None:
    """Return what is wrong with a database URL, in Chinese and English, or None. Nothing of the URL is repeated."""
    if not url.startswith(SCHEMES):
        return (
            "须以 sqlite+aiosqlite:// 或 postgresql+asyncpg:// 开头 "
            "must begin with sqlite+aiosqlite:// or postgresql+asyncpg://"
        )
    return _sqlite_problem(url) if url.startswith(SCHEMES[0]) else _postgresql_problem(url)


def mask_password(url: str) -> str:
    """Return a database URL without what may be secret: only a certain user name stands before the last `@`.

    Of the options behind the `?` those that are known and hold no secret keep their value.
    """
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.startswith("sqlite"):
        return url
    secret, at, place = rest.rpartition("@")
    address, question, options = place.partition("?")
    shown = "&".join(_masked_option(option) for option in options.split("&")) if question else ""
    return f"{scheme}://{_masked_user(secret) if at else ''}{at}{address}{question}{shown}"


def _sqlite_problem(url: str) -> str | None:
    found = _SQLITE.fullmatch(url)
    if found is None:
        return "须为 sqlite+aiosqlite:///文件路径 must be sqlite+aiosqlite:///PATH (three slashes, then the file)"
    if found["path"] in ("", ":memory:"):
        return "须指明文件 must name a file: a database in memory survives nothing"
    if found["options"] is not None:
        return "SQLite 不带选项 takes no options behind a ? (write a ? in a path as %3F)"
    return None


def _postgresql_problem(url: str) -> str | None:
    found = _POSTGRESQL.fullmatch(url)
    if found is None:
        return (
            "无法解析;用户名与密码中的特殊字符须用百分号编码 cannot be read: "
            "write special characters of user and password percent-encoded (@ as %40, / as %2F, # as %23, : as %3A)"
        )
    port = found["port"]
    if port and not (port.isascii() and port.isdigit() and len(port) < 6 and 1 <= int(port) <= 65535):
        return (
            "端口须为 1 到 65535 的数字 the port must be a number from 1 to 65535 "
            "(special characters of a password are percent-encoded, and a user stands before an @)"
        )
    return _options_problem(found["options"])


def _options_problem(options: str | None) -> str | None:
    seen: set[str] = set()
    for name, value in parse_qsl(options or "", keep_blank_values=True):
        form = _OPTIONS.get(name)
        if form is None:
            known = ", ".join(_OPTIONS)
            return f"含有未知选项 has an unknown option behind the ? (known: {known})"
        if not re.fullmatch(form, value, re.DOTALL):
            return f"选项 {name} 的值不正确 has a wrong value for the option {name}"
        if name in seen and name != "host":
            return f"选项 {name} 重复 has the option {name} twice"
        seen.add(name)
    return None


def _masked_user(secret: str) -> str:
    found = _CERTAIN_USER.fullmatch(secret)
    if found is None:
        return _MASK
    return found["user"] if found["password"] is None else f"{found['user']}:{_MASK}"


def _masked_option(option: str) -> str:
    name, equals, _ = option.partition("=")
    if name in _SHOWN:
        return option
    return f"{name}={_MASK}" if equals and name in _OPTIONS else _MASK
