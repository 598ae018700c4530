"""2-D NIfTI frames with label maps and a text file per patient and view (CAMUS)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.segmenting.forms import NiftiForm, PairsForm
from stages.download.segmenting.masks import MaskFile
from stages.download.segmenting.meanings import label_layers
from stages.download.segmenting.pairs import PairsReader
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.reading import Entry, NoMaskError, Sample, require_size
from stages.download.segmenting.targets import Target
from stages.download.segmenting.tree import Tree

VIEWS = {"2CH": "two-chamber", "4CH": "four-chamber"}
CYCLES = {"ED": "diastole", "ES": "systole"}
_DAMAGED = (OSError, ValueError, EOFError, zlib.error, KeyError, OverflowError, MemoryError)
"""What damaged files make the decoder raise, beside its own errors."""
SEXES = {"F": "female", "M": "male"}


class NiftiReader:
    """Reads frames and label maps; NIfTI's first axis is x, so arrays are transposed.

    Images must hold whole numbers 0 to 255, of whatever type, as CAMUS does. Of files whose name
    has a view and a cycle only those of `VIEWS` and `CYCLES` are images: CAMUS has whole sequences
    beside its frames.
    """

    def __init__(self, form: NiftiForm, targets: Sequence[Target], tree: Tree) -> None:
        self._targets = targets
        self._tree = tree
        self._image, self._info = Pattern(form.images), form.info
        words = {"view": {"view": VIEWS}, "cycle": {"cycle": CYCLES}}
        pairs = PairsForm(
            form="pairs",
            images=(form.images,),
            masks=(form.masks,),
            meaning="labels",
            metadata={k: v for k, v in words.items() if k in self._image.names},  # type: ignore[misc]
        )
        reader = PairsReader(pairs, targets, tree)
        self.entries: Sequence[Entry] = [each for each in reader.entries if self._known(each)]
        self.strays: Sequence[str] = reader.strays

    def _known(self, entry: Entry) -> bool:
        names = self._image.match(entry.path) or {}
        return names.get("view", "2CH") in VIEWS and names.get("cycle", "ED") in CYCLES

    def load(self, entry: Entry) -> Sample:
        """Return the arrays of an entry; see `FormReader.load`."""
        path = self._tree.at(entry.path)
        image = _gray(path, _plane(path))
        masks = entry.mask_paths
        if not masks:
            message = f"{entry.path}: there is no mask file"
            raise NoMaskError(message)
        if len(masks) > 1:
            message = f"{entry.path}: {len(masks)} masks ({', '.join(masks)})"
            raise DataError(message)
        place = self._tree.at(masks[0])
        labels = _plane(place)
        require_size(str(place), (labels.shape[0], labels.shape[1]), image)
        whole = labels.astype(np.int64)
        if not (whole == labels).all():
            message = f"{place}: its values have fractions; labels are whole numbers"
            raise DataError(message)
        file = MaskFile(whole, None, None, lossy=False, findings=())
        layers = label_layers(str(place), file, self._targets)
        return Sample(image, tuple(layers), metadata=self._metadata(entry))

    def _metadata(self, entry: Entry) -> dict[str, str]:
        names = self._image.match(entry.path)
        if not self._info or names is None:
            return {}
        path = Pattern(self._info).fill(names)
        lines = _lines(self._tree.at(path))
        found = {
            "gender": SEXES.get(lines.get("Sex", "")),
            "age": lines["Age"] if lines.get("Age", "").isdecimal() else None,
            "quality": lines.get("ImageQuality", "").lower() or None,
        }
        return {attribute: word for attribute, word in found.items() if word is not None}


def _plane(path: Path) -> NDArray[Any]:
    """Return the single slice of a NIfTI file as (rows, columns)."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        loaded = nibabel.load(path)
        values = np.asarray(loaded.dataobj)
    except (*_DAMAGED, ImageFileError, HeaderDataError) as error:
        message = f"{path}: cannot be read as NIfTI: {error}"
        raise DataError(message) from error
    shape = values.shape
    while values.ndim > 2 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 2:
        message = f"{path}: has the shape {shape}, not that of one frame"
        raise DataError(message)
    if not np.isfinite(values).all():
        message = f"{path}: has values that are no numbers"
        raise DataError(message)
    plane: NDArray[Any] = values.T
    return plane


def _gray(path: Path, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return uint8 (H, W, 1) of an image that holds whole numbers 0 to 255."""
    low, high = values.min(initial=0), values.max(initial=0)
    if low < 0 or high > 255:
        message = f"{path}: has values {low} to {high}, not 0 to 255; save it with 8 bits"
        raise DataError(message)
    image = values.astype(np.uint8)
    if not (image == values).all():
        message = f"{path}: its values have fractions; save it with 8 bits"
        raise DataError(message)
    return np.ascontiguousarray(image)[..., None]


def _lines(path: Path) -> Mapping[str, str]:
    """Return the `key: value` lines of a text file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path}: cannot be read: {error}"
        raise DataError(message) from error
    parts = [line.partition(":") for line in text.splitlines() if ":" in line]
    return {key.strip(): value.strip() for key, _, value in parts}
