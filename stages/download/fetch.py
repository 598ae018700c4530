"""Getting one source file: from where it lies, from a local folder, or over the network.

`pooch` is not used for this: it deletes what an interrupted download left, so a file of many
gigabytes starts again from nothing, and it knows neither `Retry-After` nor mirrors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pipeline.errors import MissingInputError, PipelineError, VerificationError
from pipeline.patience import Patience
from stages.download.part import PIECE, Digests, Part, digest, wrong_bytes
from stages.download.sources import FileSource, PlacedSource, Promise, ZenodoSource
from stages.download.transfer import Progress, receive
from stages.download.trouble import AddressFailedError
from stages.download.zenodo import ZENODO, file_url, published_promise

__all__ = ["Digests", "FetchedFile", "Patience", "Progress", "fetch"]


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file in its final place, and what it was checked against."""

    path: Path
    digests: Digests
    promise: Promise
    """What was expected of it; empty where nobody published a digest."""
    origin: str
    """The address or path it came from; its own path if it was there already."""

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.digests.size


def fetch(
    source: FileSource,
    destination: Path,
    *,
    local: Path | None = None,
    progress: Progress | None = None,
    patience: Patience | None = None,
    zenodo: str = ZENODO,
) -> FetchedFile:
    """Return the source's file in `destination`, verified; nothing unverified gets its name.

    A file that is there already is digested and accepted. With `local` the file is looked for
    in that folder (first at its top, then below) and copied, and the network is not used.
    Otherwise the addresses are tried in order. Bytes go to `<name>.part`, are digested while they
    are written, fsynced and renamed.

    Parameters
    ----------
    source
        What to fetch. To check against a pinned digest, pass a copy that carries it.
    destination
        Folder of the file; made if absent.
    local
        Folder that holds the file, for a machine without a network.
    progress
        Called with bytes held so far and the length (None if unknown).
    patience
        Limits of retries and timeouts.
    zenodo
        Base address of the Zenodo service. It is asked for the digest of a file whose manifest
        has none.

    Raises
    ------
    MissingInputError
        When a person must place the file, or `local` does not have it.
    VerificationError
        When the bytes differ from the promised digest or size.
    PipelineError
        When no address gives the file; a `.part` stays to be resumed.
    StoreError
        When `destination` cannot be written.
    HeldError
        When another process is fetching the same file.
    """
    target = destination / source.file
    if target.is_file():
        return _accept(target, source, str(target))
    if local is not None:
        return _copy(_find(source, local), target, source, progress)
    if isinstance(source, PlacedSource):
        raise MissingInputError(_please_place(source, target))
    patience = patience or Patience()
    try:
        promise = _promise(source, zenodo, patience)
    except AddressFailedError as error:
        raise PipelineError(_failed(source.file, [str(error)])) from error
    return _download(_addresses(source, zenodo), target, promise, patience, progress)


def _accept(path: Path, promise: Promise, origin: str) -> FetchedFile:
    digests = digest(path)
    if fault := digests.fault(promise):
        fate = f"Nothing was changed; remove {path} to fetch it again"
        raise VerificationError(wrong_bytes(path, fault, origin, fate))
    return FetchedFile(path, digests, _only_promise(promise), origin)


def _only_promise(promise: Promise) -> Promise:
    return Promise(**{name: getattr(promise, name) for name in Promise.model_fields})


def _find(source: FileSource, local: Path) -> Path:
    if (local / source.file).is_file():
        return local / source.file
    below = sorted(path for path in local.rglob(source.file) if path.is_file())
    if len(below) == 1:
        return below[0]
    if below:
        message = f"{local} holds {len(below)} files named {source.file}; name the right folder"
    else:
        message = f"{source.file} is not in {local}; put it there{_expected(source)}"
    raise MissingInputError(message)


def _copy(origin: Path, target: Path, promise: Promise, progress: Progress | None) -> FetchedFile:
    with Part(target) as part:
        _copy_into(part, origin, progress)
        digests = part.finish(promise, str(origin))
    return FetchedFile(target, digests, _only_promise(promise), str(origin))


def _copy_into(part: Part, origin: Path, progress: Progress | None) -> None:
    part.restart()
    total = origin.stat().st_size
    with origin.open("rb") as file:
        while piece := file.read(PIECE):
            part.write(piece)
            if progress is not None:
                progress(part.size, total)


def _promise(source: FileSource, zenodo: str, patience: Patience) -> Promise:
    if isinstance(source, ZenodoSource) and not source.digests():
        return published_promise(zenodo, source.record, source.file, patience)
    return _only_promise(source)


def _addresses(source: FileSource, zenodo: str) -> tuple[str, ...]:
    if isinstance(source, ZenodoSource):
        own = file_url(zenodo, source.record, source.file)
        return (own, *(mirror.replace("{file}", source.file) for mirror in source.mirrors))
    if isinstance(source, PlacedSource):
        return ()
    return tuple(url.replace("{file}", source.file) for url in source.urls)


def _download(
    addresses: Sequence[str],
    target: Path,
    promise: Promise,
    patience: Patience,
    progress: Progress | None,
) -> FetchedFile:
    failures: list[str] = []
    wrong = False
    with Part(target) as part:
        for address in addresses:
            try:
                digests = _from_address(address, part, promise, patience, progress)
            except (AddressFailedError, OSError) as error:
                failures.append(f"{address}: {error}")
            except VerificationError as error:
                wrong = True
                failures.append(str(error))
            else:
                return FetchedFile(target, digests, promise, address)
    kind = VerificationError if wrong else PipelineError
    raise kind(_failed(target.name, failures))


def _from_address(
    address: str, part: Part, promise: Promise, patience: Patience, progress: Progress | None
) -> Digests:
    parts = urlsplit(address)
    if parts.scheme == "file":
        _copy_into(part, Path(unquote(parts.path)), progress)
        return part.finish(promise, address)
    resumed = part.size > 0
    receive(address, part, promise, patience, progress)
    try:
        return part.finish(promise, address)
    except VerificationError:
        if not resumed:
            raise
    # The bytes of an earlier run may have been of another version; take the whole file once.
    receive(address, part, promise, patience, progress)
    return part.finish(promise, address)


def _failed(name: str, failures: Sequence[str]) -> str:
    return (
        f"{name} could not be fetched: {'; '.join(failures)}. Run again to continue where it "
        "stopped, or get the file by other means and name its folder with --from (of weights: "
        "--weights)"
    )


def _please_place(source: PlacedSource, target: Path) -> str:
    return (
        f"{source.file} must be got by hand: {source.instructions.rstrip('.')} ({source.url}). "
        f"Then place it at {target}, or name its folder with --from{_expected(source)}"
    )


def _expected(promise: Promise) -> str:
    marks = [f"{name} {value}" for name, value in promise.digests().items()]
    if promise.size_bytes is not None:
        marks.append(f"{promise.size_bytes} bytes")
    return f"; it must have {', '.join(marks)}" if marks else ""
