"""Values under keys in a fleet: over HTTP (`http://HOST:8080`) or the Redis protocol (`redis://:KEY@HOST:6380`)."""

import http.client
import json
import socket
import ssl
import threading
from contextlib import contextmanager
from typing import Dict, List, Optional, Sequence
from urllib.parse import quote, unquote, urlsplit

from .errors import Overloaded, Refused, ShoalError, Unavailable, Unsupported

ASKED_KEYS = 1000
TIMEOUT_S = 30.0
RECEIVE_BYTES = 1 << 20


def open_transport(url: str, api_key: Optional[str] = None, timeout_s: float = TIMEOUT_S):
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return HttpTransport(url, api_key, timeout_s)
    if parts.scheme in ("redis", "rediss"):
        return RespTransport(url, api_key, timeout_s)
    raise Unsupported(f"url: must begin with http, https, redis or rediss, got {url!r}")


class _Pool:
    """Connections that are free, so that each thread has its own while it calls."""

    def __init__(self, dial):
        self._dial = dial
        self._free: List = []
        self._lock = threading.Lock()

    @contextmanager
    def connection(self):
        with self._lock:
            connection = self._free.pop() if self._free else None
        fresh = connection is None
        connection = connection or self._dial()
        try:
            yield connection, fresh
        except BaseException:
            # What is left on it belongs to nobody.
            connection.close()
            raise
        with self._lock:
            self._free.append(connection)

    def close(self) -> None:
        with self._lock:
            free, self._free = self._free, []
        for connection in free:
            connection.close()


class HttpTransport:
    def __init__(self, url: str, api_key: Optional[str], timeout_s: float):
        parts = urlsplit(url)
        self._url = url
        self._headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._pool = _Pool(lambda: kind(parts.hostname, parts.port, timeout=timeout_s))

    def put(self, key: str, pieces: Sequence[bytes], ttl_s: Optional[float] = None) -> None:
        headers = {} if ttl_s is None else {"x-shoal-ttl": f"{ttl_s:g}"}
        self._call("PUT", f"/{quote(key, safe='')}", headers, b"".join(pieces))

    def get(self, key: str) -> Optional[bytes]:
        status, data = self._call("GET", f"/{quote(key, safe='')}", {}, None, (404,))
        return None if status == 404 else data

    def delete(self, key: str) -> bool:
        return self._call("DELETE", f"/{quote(key, safe='')}", {}, None, (404,))[0] != 404

    def exists(self, keys: Sequence[str]) -> List[bool]:
        there: List[bool] = []
        for start in range(0, len(keys), ASKED_KEYS):
            body = json.dumps({"keys": list(keys[start : start + ASKED_KEYS])}).encode()
            _, data = self._call("POST", "/exists", {"content-type": "application/json"}, body)
            there += [bool(row["exists"]) for row in json.loads(data)["data"]]
        return there

    def memory(self) -> Dict[str, int]:
        answer = json.loads(self._call("GET", "?view=memory", {}, None)[1])
        return {name: answer[name] for name in ("objects", "bytes", "budget_bytes", "evicted")}

    def close(self) -> None:
        self._pool.close()

    def _call(self, method, path, headers, body, expected=()):
        for attempt in (0, 1):
            try:
                with self._pool.connection() as (connection, fresh):
                    connection.request(method, f"/v1/kv{path}", body, {**self._headers, **headers})
                    response = connection.getresponse()
                    status, data = response.status, response.read()
                break
            except (OSError, http.client.HTTPException) as error:
                # A connection that was idle may have been closed meanwhile: all calls may be repeated.
                if attempt == 1 or fresh:
                    raise Unavailable(f"cannot reach {self._url}: {error}") from error
        if status < 300 or status in expected:
            return status, data
        raise _failure(status, data[:500].decode(errors="replace"))


def _failure(status: int, text: str) -> ShoalError:
    message = f"the fleet answered with HTTP {status}: {text}"
    if status in (401, 403):
        return Refused(message)
    if status == 429:
        return Overloaded(message)
    return Unsupported(message) if 400 <= status < 500 else Unavailable(message)


class RespTransport:
    def __init__(self, url: str, api_key: Optional[str], timeout_s: float):
        parts = urlsplit(url)
        self._url = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}"
        secret = api_key or (unquote(parts.password) if parts.password else None)

        def dial() -> "_RespConnection":
            try:
                raw = socket.create_connection((parts.hostname, parts.port or 6379), timeout_s)
            except OSError as error:
                raise Unavailable(f"cannot reach {self._url}: {error}") from error
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if parts.scheme == "rediss":
                raw = ssl.create_default_context().wrap_socket(raw, server_hostname=parts.hostname)
            connection = _RespConnection(raw)
            if secret is not None:
                connection.call([["AUTH", secret]])
            return connection

        self._pool = _Pool(dial)

    def put(self, key: str, pieces: Sequence[bytes], ttl_s: Optional[float] = None) -> None:
        expiry = [] if ttl_s is None else ["PX", str(max(1, round(1000 * ttl_s)))]
        self._call([["SET", key, list(pieces), *expiry]])

    def get(self, key: str) -> Optional[bytes]:
        return self._call([["GET", key]])[0]

    def delete(self, key: str) -> bool:
        return self._call([["DEL", key]])[0] > 0

    def exists(self, keys: Sequence[str]) -> List[bool]:
        there: List[bool] = []
        for start in range(0, len(keys), ASKED_KEYS):
            commands = [["EXISTS", key] for key in keys[start : start + ASKED_KEYS]]
            there += [count > 0 for count in self._call(commands)]
        return there

    def memory(self) -> Dict[str, int]:
        """Of the process at this address alone. A coordinator has no objects of its own."""
        lines = self._call([["INFO"]])[0].decode().splitlines()
        fields = dict(line.split(":", 1) for line in lines if ":" in line)
        names = {
            "objects": "shoal_objects_here",
            "bytes": "used_memory",
            "budget_bytes": "maxmemory",
            "evicted": "evicted_keys",
        }
        return {name: int(fields.get(of, "0")) for name, of in names.items()}

    def close(self) -> None:
        self._pool.close()

    def _call(self, commands) -> list:
        for attempt in (0, 1):
            try:
                with self._pool.connection() as (connection, fresh):
                    return connection.call(commands)
            except OSError as error:
                if attempt == 1 or fresh:
                    raise Unavailable(f"cannot reach {self._url}: {error}") from error
        raise AssertionError


class _RespConnection:
    def __init__(self, raw):
        self._socket = raw
        self._file = raw.makefile("rb", RECEIVE_BYTES)

    def call(self, commands) -> list:
        """Sends all commands, then reads all replies. Raises the first error."""
        for command in commands:
            self._send(command)
        replies = [self._reply() for _ in commands]
        for reply in replies:
            if isinstance(reply, ShoalError):
                raise reply
        return replies

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _send(self, command) -> None:
        head = [b"*%d\r\n" % len(command)]
        for part in command:
            pieces = part if isinstance(part, list) else [part.encode() if isinstance(part, str) else part]
            head.append(b"$%d\r\n" % sum(len(piece) for piece in pieces))
            for piece in pieces:
                if len(piece) < RECEIVE_BYTES:
                    head.append(piece)
                    continue
                # A large value is not copied together with the rest.
                self._socket.sendall(b"".join(head))
                self._socket.sendall(piece)
                head = []
            head.append(b"\r\n")
        self._socket.sendall(b"".join(head))

    def _reply(self):
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise OSError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._exactly(int(rest))
        if kind == b"-":
            return _resp_failure(rest.decode(errors="replace"))
        raise OSError(f"the server sent a reply of the unknown kind {kind!r}")

    def _exactly(self, length: int) -> bytes:
        data = self._file.read(length)
        if len(data) != length or self._file.read(2) != b"\r\n":
            raise OSError("the server closed the connection")
        return data


def _resp_failure(text: str) -> ShoalError:
    code = text.split(" ", 1)[0]
    kind = {"OOM": Overloaded, "NOAUTH": Refused, "WRONGPASS": Refused, "TRYAGAIN": Unavailable}.get(code, Unsupported)
    return kind(f"the fleet answered: {text}")
