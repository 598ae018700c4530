"""A server on 127.0.0.1 that passes requests on, or serves a folder, and injects faults."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

Kind = Literal["error", "stall", "cut", "wrong", "vanish", "reset", "long"]
FOREVER = 1 << 30
_HOP = {"connection", "transfer-encoding", "keep-alive", "date", "server", "content-length"}


@dataclass
class Fault:
    """What goes wrong with requests, as ``METHOD /path``, that a pattern is found in."""

    kind: Kind
    """error: 500; stall: half of the body, then nothing; cut: half of it, then the end; wrong: one
    bit flipped; long: a byte too many; vanish: 404; reset: the connection is reset."""
    where: str
    times: int = FOREVER


@dataclass
class FaultyServer:
    """What the server answers with, and what was asked of it."""

    base: str
    folder: Path | None
    upstream: str | None
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` of each."""
    released: threading.Event = field(default_factory=threading.Event)
    stalled: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_of(self, request: str) -> Kind | None:
        """Return what goes wrong with a request, counting it."""
        with self.lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.where, request):
                    fault.times -= 1
                    return fault.kind
        return None

    def asked(self, pattern: str) -> list[str]:
        """Return the requests that a pattern is found in."""
        return [request for request in self.requests if re.search(pattern, request)]


@contextlib.contextmanager
def faulty_server(
    folder: Path | None = None, upstream: str | None = None
) -> Iterator[FaultyServer]:
    """Run a server of a folder's files, or one that passes requests on to another server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    state = FaultyServer(f"http://127.0.0.1:{server.server_address[1]}", folder, upstream)
    server.state = state  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def s3_server() -> Iterator[str]:
    """Run a moto server in a process of its own and yield its address."""
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    pipes: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    pipes["env"] = os.environ | {"S3_UPLOAD_PART_MIN_SIZE": "1"}  # small files in several parts
    with subprocess.Popen(command, text=True, **pipes) as process:
        try:
            said = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)
            address = next(found[0] for found in said if found)
            drain = threading.Thread(target=process.stderr.read)
            drain.start()
            yield address
        finally:
            process.kill()
    drain.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for a packet's receipt

    def do_GET(self) -> None:
        state: FaultyServer = self.server.state  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = self._chunks()
        kind = state.fault_of(f"{self.command} {unquote(self.path)}")
        if kind == "reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            return
        if kind in {"error", "vanish"}:
            self._answer(500 if kind == "error" else 404, {}, b"")
            return
        self._answer(*self._content(state, body), kind=kind)

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _content(self, state: FaultyServer, body: bytes) -> tuple[int, dict[str, str], bytes]:
        if state.upstream is None:
            path = Path(str(state.folder) + unquote(urlsplit(self.path).path))
            return (200, {}, path.read_bytes()) if path.is_file() else (404, {}, b"")
        connection = http.client.HTTPConnection(urlsplit(state.upstream).netloc)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        connection.request(self.command, self.path, body, headers)
        answer = connection.getresponse()
        found = answer.read()
        said = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP}
        if self.command == "HEAD":
            said["Content-Length"] = answer.headers.get("Content-Length", "0")
        connection.close()
        return answer.status, said, found

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, kind: Kind | None = None
    ) -> None:
        state: FaultyServer = self.server.state  # type: ignore[attr-defined]
        if kind == "wrong" and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if kind == "long":
            body += b"x"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind in {"cut", "stall"}:
            body = body[: len(body) // 2]
            self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(body)
            self.wfile.flush()
            if kind == "stall":
                state.stalled.set()
                state.released.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""
