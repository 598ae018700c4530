"""Where finished sets lie in the folders of others, in an explicit table by format."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.exchange import medmnistc, robustmedclip
from stages.exchange.npz import Stored, stored
from stages.vocabulary import SEVERITIES

_CORRUPTION = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True)
class FoundSet:
    """One set in a file of others."""

    corruption: str
    severity: int
    path: Path
    images: Stored
    labels: Stored
    start: int
    """First row of the file that is of this set."""
    stop: int

    @property
    def rows(self) -> int:
        """Number of samples."""
        return self.stop - self.start

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an image, (H, W, C)."""
        own = self.images.shape[1:]
        return (*own, 1) if len(own) == 2 else own

    def read_labels(self, classes: int) -> NDArray[np.int64]:
        """Return the labels in the file: (n,), or of several per sample 0 and 1 in (n, L)."""
        found = np.concatenate(list(self.labels.parts(self.start, self.stop)))
        found = found[:, 0] if found.ndim == 2 and found.shape[1] == 1 else found
        last = classes - 1 if found.ndim == 1 else 1
        if found.size and (found.min() < 0 or found.max() > last):
            value = int(found.min() if found.min() < 0 else found.max())
            message = f"{self.labels}: label {value} is outside 0..{last}"
            raise DataError(message)
        return found.astype(np.int64)


@dataclass(frozen=True)
class Layout:
    """How a format names its files."""

    folders: Callable[[str, str, str], Sequence[str]]
    """From dataset, family and split to where the files may lie below the folder named."""
    pattern: re.Pattern[str]
    """Matches a file name: corruption, and severity where a file holds one."""
    keys: tuple[str, str]
    """Names of the arrays of images and labels."""
    example: str


LAYOUTS: dict[str, Layout] = {
    robustmedclip.NAME: Layout(
        lambda dataset, family, split: (f"{dataset}/{split}", f"{family}/{split}", split, "."),
        re.compile(rf"({_CORRUPTION})_severity_([1-5])\.npz"),
        ("images", "labels"),
        "<corruption>_severity_<1 to 5>.npz",
    ),
    medmnistc.NAME: Layout(
        lambda dataset, family, _: (dataset, family, "."),
        re.compile(rf"({_CORRUPTION})\.npz"),
        ("test_images", "test_labels"),
        "<corruption>.npz",
    ),
}
"""Layout of each name that `pipeline import` takes."""


def find_sets(
    form: str, root: Path, dataset: str, family: str, split: str, only: Sequence[str]
) -> list[FoundSet]:
    """Return the sets of a dataset's split in a folder of others, by corruption and severity.

    Parameters
    ----------
    only
        The corruptions wanted; empty: all that are there.

    Raises
    ------
    UsageError
        If there is no such folder or file, or a wanted corruption is not there.
    DataError
        If a file is not what the format says, or a corruption lacks a severity.
    """
    layout = LAYOUTS[form]
    if form == medmnistc.NAME and split != medmnistc.SPLIT:
        message = f"{form} has corrupted images of the test split only, not of {split}"
        raise UsageError(message)
    folders = [root / place for place in dict.fromkeys(layout.folders(dataset, family, split))]
    for folder in folders:
        files = _files(layout, folder)
        if files:
            return _sets(form, layout, files, only)
    looked = ", ".join(str(folder) for folder in folders)
    message = f"no files {layout.example} of {dataset}/{split} in any of: {looked}"
    raise UsageError(message)


def find_clean(form: str, found: Sequence[FoundSet]) -> Stored | None:
    """Return the clean images beside sets that were found; None where the format has none."""
    path = found[0].path.with_name(robustmedclip.file_name("", 0))
    if form != robustmedclip.NAME or not path.is_file():
        return None
    return stored(path, LAYOUTS[form].keys[0])


def _files(layout: Layout, folder: Path) -> dict[tuple[str, int], Path]:
    found = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = layout.pattern.fullmatch(path.name)
        if match and path.is_file():
            severity = int(match.group(2)) if layout.pattern.groups > 1 else 0
            found[match.group(1), severity] = path
    return found


def _sets(
    form: str, layout: Layout, files: dict[tuple[str, int], Path], only: Sequence[str]
) -> list[FoundSet]:
    names = sorted({corruption for corruption, _ in files})
    if unknown := [name for name in only if name not in names]:
        message = f"no file of corruption {unknown[0]!r}; there are: {', '.join(names)}"
        raise UsageError(message)
    found = []
    for name in only or names:
        if layout.pattern.groups == 1:
            found += _severities_of_one(files[name, 0], name, layout)
            continue
        lacking = [str(s) for s in SEVERITIES if (name, s) not in files]
        if lacking:
            message = (
                f"{form}: {name} lacks severity {', '.join(lacking)}: add the files, or name the "
                "corruptions that are whole with --corruptions"
            )
            raise DataError(message)
        for severity in SEVERITIES:
            images, labels = _arrays(files[name, severity], layout)
            path, rows = files[name, severity], images.shape[0]
            found.append(FoundSet(name, severity, path, images, labels, 0, rows))
    return found


def _severities_of_one(path: Path, name: str, layout: Layout) -> list[FoundSet]:
    images, labels = _arrays(path, layout)
    rows, rest = divmod(images.shape[0], len(SEVERITIES))
    if rest:
        message = (
            f"{images}: {images.shape[0]} images are not {len(SEVERITIES)} severities of one split"
        )
        raise DataError(message)
    return [
        FoundSet(name, severity + 1, path, images, labels, severity * rows, (severity + 1) * rows)
        for severity in range(len(SEVERITIES))
    ]


def _arrays(path: Path, layout: Layout) -> tuple[Stored, Stored]:
    images, labels = (stored(path, key) for key in layout.keys)
    if images.dtype != np.uint8 or len(images.shape) not in {3, 4}:
        message = f"{images}: is {images.dtype} {images.shape}, not uint8 (N, H, W) or (N, H, W, C)"
        raise DataError(message)
    if labels.dtype.kind not in "iub" or len(labels.shape) not in {1, 2}:
        message = f"{labels}: is {labels.dtype} {labels.shape}, not integers (N,) or (N, L)"
        raise DataError(message)
    if labels.shape[0] != images.shape[0]:
        message = f"{path}: {labels.shape[0]} labels for {images.shape[0]} images"
        raise DataError(message)
    return images, labels
