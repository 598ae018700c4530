"""``--download``: what encoders lack is fetched, told line by line on stderr."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.output import say, size

if TYPE_CHECKING:
    from stages.embed.schema import EncoderManifest

_LINE_SECONDS = 10.0


def fetch_weights(encoders: Iterable[EncoderManifest], weights: Path | None) -> None:
    """Fetch the missing files of encoders into the hub cache, resuming and verified."""
    from stages.embed.fetching import fetch_missing

    for manifest in encoders:
        fetch_missing(manifest, weights, _transfer, say)


def _transfer(url: str, target: Path, *, sha256: str | None, size: int | None) -> None:
    from stages.download.fetch import fetch
    from stages.download.sources import UrlSource

    source = UrlSource(
        kind="url", file=target.name, urls=(url,), sha256=sha256, size_bytes=size or None
    )
    fetch(source, target.parent, progress=_Lines())


class _Lines:
    """Says now and then how far a transfer is."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, held: int, total: int | None) -> None:
        """Count the bytes held so far."""
        if time.monotonic() - self._said > _LINE_SECONDS:
            self._said = time.monotonic()
            say(f"{size(held)} of {size(total) if total is not None else 'unknown length'}")
