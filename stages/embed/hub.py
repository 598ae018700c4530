"""Where model files lie on this machine; no network is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pipeline.digest import digest_bytes

WEIGHTS_SUFFIXES: Final = frozenset({".safetensors", ".bin", ".pt", ".pth"})
ARCHIVE_SUFFIX: Final = ".zip"


@dataclass(frozen=True)
class Place:
    """Somewhere model files may lie: a folder, or a repository in the local hub cache."""

    folder: Path | None = None
    """The folder; none for a repository."""
    repository: str | None = None
    """`owner/name` of the repository."""
    revision: str = "main"
    """Branch, tag or commit of the repository."""

    def find(self, name: str) -> Path | None:
        """Return the file `name` if it is here."""
        if self.folder is not None:
            path = self.folder / name
            return path if path.is_file() else None
        if self.repository is None:
            return None
        return _cached(self.repository, name, self.revision)

    def find_first(self, names: Iterable[str]) -> Path | None:
        """Return the first of `names` that is here."""
        return next((path for name in names if (path := self.find(name))), None)

    def __str__(self) -> str:
        """Return how people name the place."""
        if self.folder is not None:
            return str(self.folder)
        revision = "" if self.revision == "main" else f" (revision {self.revision})"
        return f"{self.repository}{revision}"


def cache_folder() -> Path:
    """Return where Hugging Face libraries keep what they downloaded (`HF_HOME`)."""
    from huggingface_hub import constants  # loaded by encoders from the hub

    return Path(constants.HF_HUB_CACHE)


def is_file_address(url: str | None) -> bool:
    """Return whether an address is that of weights or an archive, not of a page for people."""
    return url is not None and PurePosixPath(url).suffix in WEIGHTS_SUFFIXES | {ARCHIVE_SUFFIX}


def downloaded_folder(url: str | None) -> Path | None:
    """Return where the file at `url`, or what an archive there holds, is kept in the hub cache.

    None for the address of a page.
    """
    if url is None or not is_file_address(url):
        return None
    # Several sources may give their files the same name.
    mark = digest_bytes(url.encode())[:8]
    return cache_folder() / f"medshards--{PurePosixPath(url).stem}-{mark}"


def _cached(repository: str, name: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache  # as above

    found = try_to_load_from_cache(repository, name, cache_dir=cache_folder(), revision=revision)
    # Besides a path and none there is a marker for files known not to exist.
    return Path(found) if isinstance(found, str) else None
