"""Finds, reads and measures the images and masks that a published file names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pipeline.errors import DataError, MissingInputError, UsageError

if TYPE_CHECKING:
    from stages.prompt.audit import Picture, Seen
    from stages.prompt.published import PublishedFile, PublishedRow
    from stages.prompt.record import Record
    from stages.prompt.schema import RuleSet

_Fault = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the files of a published file lie."""

    images: Path | None
    masks: Path | None
    mask_pattern: str | None
    """Paths of masks by the image's `{stem}`; None: masks have the names that were published."""


@dataclass(frozen=True, slots=True)
class _Image:
    path: Path | None
    picture: Picture | None
    size: tuple[int, int] | None
    faults: tuple[_Fault, ...]


class FolderIndex:
    """The picture files below a folder, found by published names."""

    def __init__(self, folder: Path, pattern: str | None = None) -> None:
        from stages.download.segmenting.patterns import PICTURES, Pattern

        if not folder.is_dir():
            message = f"{folder}: there is no such folder"
            raise MissingInputError(message)
        self._folder = folder
        self._exact: dict[str, str] = {}
        self._stems: dict[str, list[str]] = {}
        self._names: dict[str, list[str]] = {}
        matched = Pattern(pattern) if pattern is not None else None
        if matched is not None and "stem" not in matched.names:
            message = f"--mask-pattern {pattern!r}: has no {{stem}}, which stands for the image"
            raise UsageError(message)
        self._matched: dict[str, list[str]] | None = {} if matched is not None else None
        for relative in _files(folder):
            path = PurePosixPath(_composed(relative))
            if path.suffix.lower() not in PICTURES:
                continue
            self._exact[str(path)] = relative
            self._stems.setdefault(str(path.with_suffix("")), []).append(relative)
            self._names.setdefault(path.stem, []).append(relative)
            pieces = matched.match(relative) if matched is not None else None
            if pieces is not None and self._matched is not None:
                self._matched.setdefault(pieces["stem"], []).append(relative)

    def find(self, name: str) -> Path | None:
        """Return the file of a published name: as it is, with another suffix, or in a subfolder.

        Raises
        ------
        DataError
            If several files may be meant.
        """
        path = PurePosixPath(_composed(name.replace("\\", "/")))
        if str(path) in self._exact:
            return self._folder / self._exact[str(path)]
        found = self._stems.get(str(path.with_suffix("")), [])
        # A name with a folder is not looked for in others: each target may have its own.
        if not found and len(path.parts) == 1:
            found = self._names.get(path.stem, [])
        return self._only(name, found)

    def mask_of(self, row: PublishedRow) -> Path | None:
        """Return the mask of a row, by the pattern or by its published name."""
        if self._matched is None:
            return self.find(row.mask_name)
        stem = PurePosixPath(_composed(row.image_name.replace("\\", "/"))).stem
        return self._only(row.image_name, self._matched.get(stem, []))

    def _only(self, name: str, found: Sequence[str]) -> Path | None:
        if len(found) > 1:
            message = f"{name} may be {', '.join(found[:3])} in {self._folder}"
            raise DataError(message)
        return self._folder / found[0] if found else None


def look(
    file: PublishedFile, folders: Folders, *, workers: int, rules: RuleSet | None = None
) -> list[Seen]:
    """Return what is seen of the files of each row; the masks are measured for `rules`.

    Raises
    ------
    MissingInputError
        If a folder does not exist.
    UsageError
        If the pattern is none.
    """
    images = FolderIndex(folders.images) if folders.images is not None else None
    masks = FolderIndex(folders.masks, folders.mask_pattern) if folders.masks is not None else None
    coloured = rules is not None and rules.algorithm == "regions"
    with ThreadPoolExecutor(workers) as pool:
        names = dict.fromkeys(row.image_name for row in file.rows)
        found = dict(zip(names, pool.map(lambda name: _image(images, name), names), strict=True))
        return list(
            pool.map(
                lambda row: _seen(row, found[row.image_name], masks, coloured=coloured), file.rows
            )
        )


def _image(index: FolderIndex | None, name: str) -> _Image:
    from stages.prompt.audit.duplicates import look_at

    if index is None:
        return _Image(None, None, None, ())
    try:
        path = index.find(name)
        if path is None:
            return _Image(None, None, None, (("missing-image", name),))
        picture, size = look_at(path)
    except (OSError, ValueError, DataError) as error:
        return _Image(None, None, None, (("unreadable", str(error)),))
    return _Image(path, picture, size, ())


def _seen(row: PublishedRow, image: _Image, masks: FolderIndex | None, *, coloured: bool) -> Seen:
    from stages.prompt.audit import Seen
    from stages.prompt.record import FAILED

    if masks is None:
        return Seen(None, image.size, image.picture, image.faults)
    faults = list(image.faults)
    record = None
    try:
        path = masks.mask_of(row)
        if path is None:
            faults.append(("missing-mask", row.mask_name))
        else:
            record = _measured(row, path, image.path if coloured else None)
    except DataError as error:
        faults.append(("unreadable", str(error)))
    if record is not None and record.status == FAILED:
        faults.append(("unreadable", record.error))
        record = None
    if record is not None and image.size is not None:
        height, width = image.size
        if (record.height, record.width) != image.size:
            mask = f"{record.width}×{record.height} pixels"
            faults.append(("other-size", f"the mask is {mask}, the image {width}×{height}"))
            record = None
    return Seen(record, image.size, image.picture, tuple(faults))


def _measured(row: PublishedRow, path: Path, image: Path | None) -> Record:
    from stages.download.readers.pictures import decode_native
    from stages.download.segmenting.masks import read_mask
    from stages.download.segmenting.meanings import layer_of
    from stages.download.segmenting.targets import Target
    from stages.prompt.measure import measure

    target = Target(name="target", noun="target")
    layer = layer_of(str(path), read_mask(path), "binary", target)
    pixels = decode_native(image, stretch=True)[0] if image is not None else None
    if pixels is not None and pixels.shape[:2] != layer.mask.shape:
        pixels = None  # told as a problem of its own
    return measure(
        row.image_name,
        row.attributes.get("class", "target"),
        layer.mask,
        image=pixels,
        source=layer.source,
        levels=layer.levels,
        fringe=layer.fringe,
        findings=layer.findings,
    )


def _files(folder: Path) -> list[str]:
    """Return the files below a folder, with slashes, in the order of their names."""
    found = []
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(parent).relative_to(folder)
        found += [str(PurePosixPath(below / name)) for name in names if not name.startswith(".")]
    return sorted(found)


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
