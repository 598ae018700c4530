"""MATLAB 7.3 files of brain tumours: one image, mask, label and patient each (BTMRI)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers.hdf5 import plain_dataset
from stages.download.readers.pictures import stretched
from stages.download.segmenting.forms import FigshareForm
from stages.download.segmenting.meanings import filled
from stages.download.segmenting.patterns import Pattern
from stages.download.segmenting.reading import Entry, Sample, require_size
from stages.download.segmenting.tree import Tree


class FigshareReader:
    """Reads `cjdata`; MATLAB stores columns first, so arrays are transposed."""

    strays: Sequence[str] = ()

    def __init__(self, form: FigshareForm, tree: Tree) -> None:
        self._tree = tree
        self._words = form.metadata
        pattern = Pattern(form.files)
        self.entries: Sequence[Entry] = tuple(
            Entry(path, ((path,),)) for path in tree.paths if pattern.match(path) is not None
        )

    def load(self, entry: Entry) -> Sample:
        """Return the arrays of an entry; see `FormReader.load`."""
        path = self._tree.at(entry.path)
        values, mask, label, patient = _content(path)
        image = stretched(path, values)
        require_size(f"{path}: cjdata.tumorMask", (mask.shape[0], mask.shape[1]), image)
        if not np.isin(mask, (0, 1)).all():
            message = f"{path}: cjdata.tumorMask has other values than 0 and 1"
            raise DataError(message)
        word = self._words.get(label)
        metadata = {"tumor_type": word} if word else {}
        return Sample(image, (filled(mask != 0),), metadata=metadata, patient=patient)


def _content(path: Path) -> tuple[NDArray[Any], NDArray[Any], str, str | None]:
    """Return image and mask as (rows, columns), the label's number and the patient."""
    import h5py

    try:
        with h5py.File(path, "r") as file:

            def values(name: str) -> NDArray[Any]:
                return np.asarray(plain_dataset(path, file, f"cjdata/{name}"))

            image, mask = values("image"), values("tumorMask")
            label = str(int(values("label").reshape(-1)[0]))
            patient = _text(values("PID")) if "PID" in file["cjdata"] else None
    except (OSError, KeyError, ValueError, IndexError, TypeError, RuntimeError) as error:
        message = f"{path}: cannot be read as a MATLAB 7.3 file with cjdata: {error}"
        raise DataError(message) from error
    if image.ndim != 2 or mask.ndim != 2:
        message = f"{path}: image {image.shape} and mask {mask.shape} must have two axes"
        raise DataError(message)
    return image.T, mask.T, label, patient


def _text(codes: NDArray[Any]) -> str | None:
    """Return a MATLAB text: an array of UTF-16 code units."""
    text = "".join(chr(int(code)) for code in codes.reshape(-1) if code).strip()
    return text or None
