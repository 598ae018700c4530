"""Files that tests fetch: their content, digests and sources."""

from __future__ import annotations

import hashlib
from pathlib import Path

import blake3

from stages.download.sources import PlacedSource, UrlSource

CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLAKE3 = blake3.blake3(CONTENT).hexdigest()


def placed() -> PlacedSource:
    """Return a source that needs registration."""
    return PlacedSource(
        kind="placed",
        file="data.bin",
        url="https://example.invalid/register",
        instructions="Sign the agreement.",
        sha256=SHA256,
    )


def shelf(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "data.bin").write_bytes(CONTENT)
    return tmp_path / "shelf"


def url_source(*urls: str, **promise: object) -> UrlSource:
    """Return a source at `urls`, named data.bin, with the given digests."""
    return UrlSource.model_validate({"kind": "url", "urls": urls, "file": "data.bin", **promise})


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())
