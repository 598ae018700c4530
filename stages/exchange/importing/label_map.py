"""Which class each label of other people's files stands for, written down and checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.errors import DataError, ManifestError
from pipeline.manifest import Declared, nearest, read_manifest


class LabelMap(Declared):
    """The classes of a dataset in the order that labels in files number them."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this form of manifest; written `schema = 1`."""
    dataset: str
    """Id of the dataset."""
    classes: Annotated[tuple[str, ...], Field(min_length=2)]
    """Class names as the dataset's manifest writes them; the position is the label in the files."""


def read_label_map(path: Path, classes: Mapping[str, tuple[str, ...]]) -> LabelMap:
    """Return a label map that names every class of its dataset once.

    Parameters
    ----------
    classes
        The classes of each dataset, in its own order.

    Raises
    ------
    ManifestError
        If it is not valid, is about another dataset, or its classes are not the dataset's.
    """
    found = read_manifest(path, LabelMap)
    if found.dataset not in classes:
        message = f"{path}: dataset: unknown dataset {found.dataset!r}"
        raise ManifestError(message + nearest(found.dataset, classes))
    own = classes[found.dataset]
    faults = [
        f"{path}: classes: {name!r} is no class of {found.dataset}{nearest(name, own)}"
        for name in found.classes
        if name not in own
    ]
    faults += [
        f"{path}: classes: {name!r} comes {times} times; every class comes once"
        for name in own
        if (times := found.classes.count(name)) != 1
    ]
    if faults:
        raise ManifestError("\n".join(faults))
    return found


def require_equal(
    labels: NDArray[np.int64], clean: NDArray[np.int64], own: tuple[str, ...], where: str
) -> None:
    """Refuse labels that are not those of the clean split.

    Parameters
    ----------
    labels
        Labels of the files, as positions in `own`: (n,), or 0 and 1 per class (n, L).
    clean
        Labels of the clean split, likewise.

    Raises
    ------
    DataError
        Naming the counts that differ; or, where all counts agree, the first row that differs.
    """
    if len(labels) != len(clean):
        message = f"{where}: has {len(labels)} samples, the clean split {len(clean)}"
        raise DataError(message)
    ours, theirs = _counts(clean, len(own)), _counts(labels, len(own))
    wrong = [
        f"{name} {theirs[place]} instead of {ours[place]}"
        for place, name in enumerate(own)
        if theirs[place] != ours[place]
    ]
    if wrong:
        message = (
            f"{where}: with this label map it has other class counts than the clean split: "
            f"{', '.join(wrong)}"
        )
        raise DataError(message)
    differing = np.flatnonzero((labels != clean).reshape(len(labels), -1).any(axis=1))
    if differing.size:
        message = (
            f"{where}: has the class counts of the clean split, but its samples in another order "
            f"or under another label map: row {differing[0]} is the first of {differing.size} "
            "that differ"
        )
        raise DataError(message)


def _counts(labels: NDArray[np.int64], classes: int) -> list[int]:
    if labels.ndim == 2:
        return [int(count) for count in labels.sum(axis=0)]
    counted = Counter(labels.tolist())
    return [counted[place] for place in range(classes)]
