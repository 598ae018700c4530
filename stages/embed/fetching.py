"""Fetching the missing files of an encoder into the hub cache, nothing unverified among them.

Large files are fetched as the rest of the project fetches files: they resume, also in a later
process, and get their name once their SHA-256 is right. huggingface_hub then only enters them.
"""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final, Protocol

from pipeline.digest import sha256_file
from pipeline.disk import Disk, reported
from pipeline.errors import PipelineError, VerificationError
from stages.embed.hub import ARCHIVE_SUFFIX, Place, cache_folder
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.wanted import WantedFile, require

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
"""ETag of a large file of the Hub."""
_GIT: Final = re.compile(r"[0-9a-f]{40}")
"""ETag of a small one: what Git calls it."""
_PIECE: Final = 1 << 22

Note = Callable[[str], None]
"""Is told what is being done."""


class Transfer(Protocol):
    """Brings the file at an address to a path."""

    def __call__(self, url: str, target: Path, *, sha256: str | None, size: int | None) -> None:
        """Make `target` the file at `url`, going on from what an earlier attempt brought.

        Raises
        ------
        VerificationError
            If it has another SHA-256 or size, bytes; nothing is kept.
        PipelineError
            If it cannot be fetched; what arrived is kept for the next attempt.
        """


def fetch_missing(
    manifest: EncoderManifest, weights: Path | None, transfer: Transfer, note: Note
) -> None:
    """Fetch what the encoder lacks from where it is published.

    Raises
    ------
    MissingInputError
        Naming what is published nowhere that a program can read.
    VerificationError
        If a file is not the published or the declared one; it is not kept.
    PipelineError
        If the network or the Hub fails.
    """
    wanted = loader(manifest.family).files
    tried: set[tuple[Place | str, tuple[str, ...]]] = set()
    while missing := [one for one in wanted(manifest, weights) if not one.present]:
        # A configuration that has just come may name further files, so one step at a time.
        steps = ((one, step) for one in missing for step in _steps(one) if step not in tried)
        one, step = next(steps, (None, None))
        if one is None or step is None:
            break
        tried.add(step)
        source, names = step
        if isinstance(source, Place):
            _fetch_group(source, names, one, transfer, note)
        else:
            _fetch_published(source, names, one, transfer, note)
    require(manifest, wanted(manifest, weights))


def _steps(wanted: WantedFile) -> Iterator[tuple[Place | str, tuple[str, ...]]]:
    """Yield where a file may be fetched from and by which names, in the order it is looked for."""
    for place in wanted.repositories:
        for group in wanted.groups:
            yield place, group
    if wanted.address is not None:
        yield wanted.address, tuple(PurePosixPath(group[0]).name for group in wanted.groups)


def _fetch_group(
    place: Place, names: tuple[str, ...], wanted: WantedFile, transfer: Transfer, note: Note
) -> None:
    """Fetch the files of a group, and what is taken along, if the repository has them."""
    sha256 = wanted.sha256 if len(names) == 1 else None
    if all(_fetch_file(place, name, sha256, transfer, note) for name in names):
        for name in wanted.extra:
            _fetch_file(place, name, None, transfer, note)


def _fetch_file(
    place: Place, name: str, sha256: str | None, transfer: Transfer, note: Note
) -> bool:
    """Fetch one file of a repository; return whether the repository has it."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    repository = place.repository or ""
    cache = cache_folder()
    try:
        url = hf_hub_url(repository, name, revision=place.revision)
        try:
            published = get_hf_file_metadata(url)
        except EntryNotFoundError:
            return False
        etag = published.etag or ""
        large = _SHA256.fullmatch(etag) is not None
        if large:
            _require_declared(etag, sha256)
        note(f"fetching {name} of {place}")
        if large:
            blobs = cache / f"models--{repository.replace('/', '--')}" / "blobs"
            transfer(published.location, blobs / etag, sha256=etag, size=published.size)
        path = Path(hf_hub_download(repository, name, revision=place.revision, cache_dir=cache))
        if not large:
            _check(path, etag, sha256)
    except PipelineError as error:
        message = f"{name} of {place}: {error}"
        raise type(error)(message) from error
    except Exception as error:  # huggingface_hub raises errors of many types
        message = f"{name} of {place}: cannot be fetched: {_reason(error)}"
        raise PipelineError(message) from error
    return True


def _require_declared(published: str, declared: str | None) -> None:
    """Raise, before anything is fetched, if the Hub has another file than the declared one."""
    if declared not in {None, published}:
        message = f"has SHA-256 {published}, the manifest declares {declared}; nothing was fetched"
        raise VerificationError(message)


def _check(path: Path, etag: str, sha256: str | None) -> None:
    """Remove a file and raise unless it is what its ETag and the manifest promise."""
    content = path.read_bytes() if _GIT.fullmatch(etag) else b""
    named = hashlib.sha1(b"blob %d\0" % len(content), usedforsecurity=False)
    named.update(content)
    if _GIT.fullmatch(etag) and named.hexdigest() != etag:
        found, promised = f"Git digest {named.hexdigest()}", etag
    elif sha256 is not None and (own := sha256_file(path)) != sha256:
        found, promised = f"SHA-256 {own}", sha256
    else:
        return
    path.resolve().unlink()
    path.unlink(missing_ok=True)
    message = f"came with {found} instead of {promised}; it was not kept"
    raise VerificationError(message)


def _fetch_published(
    url: str, names: tuple[str, ...], wanted: WantedFile, transfer: Transfer, note: Note
) -> None:
    """Fetch a weights file, or the archive that holds it, from an address outside the Hub."""
    folder = next(place.folder for place in wanted.places if place.folder is not None)
    note(f"fetching {url}")
    if not url.endswith(ARCHIVE_SUFFIX):
        transfer(url, folder / PurePosixPath(url).name, sha256=wanted.sha256, size=None)
        return
    archive = folder / PurePosixPath(url).name
    transfer(url, archive, sha256=None, size=None)
    try:
        target = _unpack(archive, names, wanted.sha256)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        archive.unlink()
        message = f"{url}: is damaged or no zip ({error}); it was not kept"
        raise VerificationError(message) from error
    except VerificationError as error:
        archive.unlink()
        message = f"{url}: {error}"
        raise VerificationError(message) from error
    archive.unlink()
    note(f"unpacked {target}, SHA-256 {sha256_file(target)}")


def _unpack(archive: Path, names: tuple[str, ...], sha256: str | None) -> Path:
    """Return the first of `names` that the archive holds, written beside it and checked."""
    with zipfile.ZipFile(archive) as packed:
        members = {PurePosixPath(one.filename).name: one for one in packed.infolist()}
        name = next((name for name in names if name in members), None)
        if name is None:
            message = f"holds no {' or '.join(names)}; it was not kept"
            raise VerificationError(message)
        target = archive.with_name(name)
        part = target.with_name(f"{name}.part")
        try:
            with reported(part), packed.open(members[name]) as source:
                digest = _copied(source, part)
            if sha256 is not None and digest != sha256:
                message = (
                    f"its {name} has SHA-256 {digest}, the manifest declares {sha256}; "
                    "it was not kept"
                )
                raise VerificationError(message)
            with reported(target):
                part.replace(target)
                Disk().sync_folder(target.parent)
        finally:
            part.unlink(missing_ok=True)
    return target


def _copied(source: IO[bytes], target: Path) -> str:
    """Copy an archive's member, whose checksum is compared at its end; return the SHA-256."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        while piece := source.read(_PIECE):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
