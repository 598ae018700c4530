"""Fixtures of the download stage's tests: a scripted HTTP server and small manifests."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pipeline.manifest import read_manifest
from stages.download.declared import form_of
from stages.download.schema import Dataset, DatasetManifest, expand

REPOSITORY = Path(__file__).parents[3]


@dataclass
class Served:
    """One path of the server: what it holds and how it misbehaves."""

    content: bytes = b""
    etag: str | None = '"first"'
    ranges: bool = True
    cut_after: int | None = None
    """Close the connection after this many bytes of a body, `cuts` times."""
    cuts: int = 0
    shift: int = 0
    """Resume this many bytes away from the place asked for, once."""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Statuses and headers given, one per request, before the content."""
    requests: list[dict[str, str]] = field(default_factory=list)
    """Headers of every request that came."""


class Site:
    """A server on 127.0.0.1; `pages` maps paths (without the query) to what they serve."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.base = f"http://127.0.0.1:{server.server_address[1]}"
        self.pages: dict[str, Served] = {}

    def serve(self, path: str, content: bytes, **behaviour: Any) -> Served:
        """Serve `content` at `path`."""
        self.pages[path] = Served(content, **behaviour)
        return self.pages[path]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a running local server; no proxy of the environment stands before it."""
    monkeypatch.setenv("NO_PROXY", "*")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    running = Site(server)
    server.site = running  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield running
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        page = self.server.site.pages.get(self.path.partition("?")[0])  # type: ignore[attr-defined]
        if page is None:
            self._answer(404, {}, b"")
            return
        page.requests.append(dict(self.headers))
        if page.answers:
            status, headers = page.answers.pop(0)
            self._answer(status, headers, b"")
            return
        self._serve(page)

    def _serve(self, page: Served) -> None:
        headers = {} if page.etag is None else {"ETag": page.etag}
        start = self._start(page)
        if start is None:
            self._answer(200, headers, page.content, page)
        elif start >= len(page.content):
            self._answer(416, {"Content-Range": f"bytes */{len(page.content)}"}, b"")
        else:
            last = len(page.content) - 1
            headers["Content-Range"] = f"bytes {start}-{last}/{len(page.content)}"
            self._answer(206, headers, page.content[start:], page)

    def _start(self, page: Served) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        changed = self.headers.get("If-Range", page.etag) != page.etag
        if asked is None or changed or not page.ranges:
            return None
        shift, page.shift = page.shift, 0
        return int(asked[1]) + shift

    def _answer(
        self, status: int, headers: dict[str, str], body: bytes, page: Served | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if page is not None and page.cuts and page.cut_after is not None:
            page.cuts -= 1
            body = body[: page.cut_after]
            self.close_connection = True
        # A client that has seen enough hangs up.
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


MANIFEST = """
schema = 1
id = "tiny"
title = "Tiny"
collection = "tests"
modality = "test pictures"
task = "binary"
classes = ["dark", "bright"]
channels = 1
size = 8
citation = "none"
licence = {spdx = "CC0-1.0", redistribution = "pixels", share_alike = false, source = "tests"}
reader = {form = "medmnist"}
source = {kind = "url", urls = ["https://example.invalid/{file}"], file = "tiny.npz"}
splits = {train = 6, val = 2, test = 4}
"""


@pytest.fixture
def declare(tmp_path: Path) -> Callable[..., Dataset]:
    """Return a function that reads the tiny manifest with some lines replaced."""

    def declared(**lines: str | None) -> Dataset:
        (dataset,) = expand(read_manifest(manifest_file(tmp_path, **lines), DatasetManifest))
        return dataset

    return declared


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the tiny manifest with some lines replaced or removed."""
    return functools.partial(manifest_file, tmp_path)


def manifest_file(folder: Path, **lines: str | None) -> Path:
    """Write the tiny manifest; each keyword replaces the line of its key (None removes it)."""
    text = MANIFEST
    for key, value in lines.items():
        replaced = "" if value is None else f"{key} = {value}\n"
        kept = [line for line in text.splitlines(keepends=True) if not line.startswith(f"{key} =")]
        text = "".join([*kept, replaced])
    path = folder / "tiny.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def shipped() -> dict[str, Dataset]:
    """Return every dataset of the shipped manifests by id."""
    folder = REPOSITORY / "manifests" / "datasets"
    manifests = [read_manifest(path, form_of) for path in sorted(folder.glob("*.toml"))]
    labelled = [manifest for manifest in manifests if isinstance(manifest, DatasetManifest)]
    return {dataset.id: dataset for manifest in labelled for dataset in expand(manifest)}


@pytest.fixture(scope="session")
def real_pneumoniamnist() -> Path:
    """Return the folder of the real PneumoniaMNIST v1 file, or skip."""
    data = Path(os.environ.get("MEDSHARDS_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
    folder = data / "pneumoniamnist_v1"
    if not (folder / "pneumoniamnist.npz").is_file():
        pytest.skip("the real PneumoniaMNIST v1 file is not in MEDSHARDS_TEST_DATA")
    return folder


@pytest.fixture
def loaded_by() -> Callable[[str], set[str]]:
    """Return a function that names the modules a fresh interpreter holds after an import."""

    def loaded(module: str) -> set[str]:
        code = f"import sys, {module}; sys.stdout.write(' '.join(sys.modules))"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY
        )
        return set(done.stdout.split())

    return loaded
