"""A server on 127.0.0.1 that answers as the Hub does, as far as files are downloaded from it."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hosted:
    """A file: its bytes and what is said of them."""

    content: bytes
    large: bool
    promised: str
    """ETag: SHA-256 of a large file, Git's digest of a small one."""
    cut_after: int | None = None
    """Close the connection after this many bytes, and refuse what is asked for then."""
    stall: bool = False
    """Send half, then nothing until `FakeHub.released`."""


@dataclass
class FakeHub:
    """What the server holds, and what was asked of it."""

    base: str
    files: dict[str, Hosted] = field(default_factory=dict)
    """By path: `/<owner>/<name>/resolve/<revision>/<file>`, or any other address."""
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Method, path and `Range` of each request."""
    stalled: threading.Event = field(default_factory=threading.Event)
    """Set when the server has begun to stall."""
    released: threading.Event = field(default_factory=threading.Event)

    def put(self, repository: str, folder: Path, *, revision: str = "main") -> None:
        """Publish the files below a folder; weights are large files."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            large = path.suffix in {".safetensors", ".bin", ".pt", ".pth"}
            address = f"/{repository}/resolve/{revision}/{name}"
            self.files[address] = hosted(path.read_bytes(), large=large)

    def put_address(self, address: str, content: bytes) -> str:
        """Publish bytes at an address outside any repository; return its URL."""
        self.files[address] = hosted(content, large=True)
        return self.base + address

    def got(self, end: str) -> list[str]:
        """Return the `Range` of each request for the content of a path that ends so."""
        return [at for method, path, at in self.requests if method == "GET" and path.endswith(end)]


def hosted(content: bytes, *, large: bool) -> Hosted:
    """Return a file with what the Hub would say of it."""
    git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return Hosted(content, large, hashlib.sha256(content).hexdigest() if large else git)


@contextlib.contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run the server."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}")
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield hub
    hub.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        hub: FakeHub = self.server.hub  # type: ignore[attr-defined]
        path = unquote(self.path.partition("?")[0])
        at = self.headers.get("Range", "")
        hub.requests.append((self.command, path, at))
        stored = path.startswith("/stored")
        file = hub.files.get(path.removeprefix("/stored"))
        if file is None:
            self._answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT}, b"")
            return
        in_repository = "/resolve/" in path
        headers = {"ETag": f'"{file.promised}"'}
        if in_repository and not stored:
            headers["X-Repo-Commit"] = COMMIT
        if in_repository and file.large and not stored:
            # The Hub keeps large files on another host.
            elsewhere = hub.base.replace("127.0.0.1", "localhost")
            headers["X-Linked-ETag"] = f'"{file.promised}"'
            headers["X-Linked-Size"] = str(len(file.content))
            self._answer(302, headers | {"Location": f"{elsewhere}/stored{path}"}, b"")
            return
        self._send(file, at, headers)

    def _send(self, file: Hosted, at: str, headers: dict[str, str]) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", at)
        if asked is None:
            self._answer(200, headers, file.content, file)
        elif file.cut_after is not None:
            self._answer(403, {}, b"")
        else:
            start, end = int(asked[1]), len(file.content)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{end}"
            self._answer(206, headers, file.content[start:], file)

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, file: Hosted | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if file is not None and file.cut_after is not None:
            body = body[: file.cut_after]
            self.close_connection = True
        with contextlib.suppress(ConnectionError):
            if file is not None and file.stall:
                hub: FakeHub = self.server.hub  # type: ignore[attr-defined]
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                hub.stalled.set()
                hub.released.wait()
                body = body[len(body) // 2 :]
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""
