"""``--download``: what encoders lack is fetched, told line by line on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.output import say
from pipeline.cli.output import size as readable
from pipeline.cli.progress import Lines

if TYPE_CHECKING:
    from stages.embed.schema import EncoderManifest


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
    lines = Lines()

    def told(held: int, total: int | None) -> None:
        whole = "unknown length" if total is None else readable(total)
        lines.tell(lambda: f"{readable(held)} of {whole}")

    fetch(source, target.parent, progress=told)
