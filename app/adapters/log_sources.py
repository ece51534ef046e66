"""Where a witness reads a log: over HTTP from the service, or from a folder with the same files."""

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

from app.services.witness import SourceError
from elicense.signed_note import MAX_NOTE_BYTES
from elicense.trust_list import MAX_TRUST_LIST_BYTES

_SECONDS = 10.0
_TILE_BYTES = 256 * 32


class HttpLog:
    """A log behind a base URL (implements `services.witness.LogSource`). Redirects are not followed."""

    def __init__(self, base_url: str) -> None:
        """Use the service at a base URL; ValueError unless it is http or https with a host and nothing behind."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("the base URL is http(s)://host[:port][/path]")
        self._is_https = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._base = parts.path.rstrip("/")

    def read(self, path: str) -> bytes:
        """Return a file of the public log in force. Raises SourceError."""
        return self._get(f"/log/{path}", most=MAX_NOTE_BYTES if path == "checkpoint" else _TILE_BYTES)

    def trust_list(self) -> bytes | None:
        """Return the trust list as published; nothing about it has been checked. Raises SourceError."""
        return self._get("/v1/trust-list", most=MAX_TRUST_LIST_BYTES)

    def hand_in(self, note: str) -> None:
        """Hand a cosigned note in. Raises SourceError when the service does not take it."""
        body = json.dumps({"note": note}, ensure_ascii=False).encode("utf-8")
        status, answer = self._call("POST", "/log/cosignature", body, most=MAX_NOTE_BYTES)
        if status != 200:
            raise SourceError(f"the cosignature was not taken: {status} {_code(answer)}")

    def _get(self, path: str, *, most: int) -> bytes:
        status, answer = self._call("GET", path, None, most=most)
        if status != 200:
            raise SourceError(f"{path}: {status} {_code(answer)}")
        return answer

    def _call(self, method: str, path: str, body: bytes | None, *, most: int) -> tuple[int, bytes]:
        kind = http.client.HTTPSConnection if self._is_https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_SECONDS)
        headers = {"Accept": "*/*", **({"Content-Type": "application/json"} if body is not None else {})}
        try:
            connection.request(method, f"{self._base}{path}", body=body, headers=headers)
            response = connection.getresponse()
            content = response.read(most + 1)
        except (OSError, http.client.HTTPException) as error:
            raise SourceError(f"{path}: {error}") from error
        finally:
            connection.close()
        if len(content) > most:
            raise SourceError(f"{path}: the answer is too large")
        return response.status, content


class FolderLog:
    """A log as files in a folder: `checkpoint` and `tile/…` (implements `services.witness.LogSource`)."""

    def __init__(self, folder: Path) -> None:
        """Use a folder."""
        self._folder = folder

    def read(self, path: str) -> bytes:
        """Return a file. Raises SourceError."""
        try:
            return (self._folder / path).read_bytes()
        except OSError as error:
            raise SourceError(f"{path}: {error.strerror}") from error

    def trust_list(self) -> bytes | None:
        """Return nothing: a folder brings no trust list, so the log's key must be named."""
        return None


def _code(answer: bytes) -> str:
    try:
        document = json.loads(answer)
    except ValueError:
        return ""
    return str(document.get("code", "")) if isinstance(document, dict) else ""
