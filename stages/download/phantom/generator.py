"""One phantom by modality, size, split and index."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import UsageError
from pipeline.manifest import require_known
from pipeline.stream import Stream
from stages.download.phantom.canvas import Drawing, block_sums, canvas_of, quantised

SMALLEST_SIDE = 28
LARGEST_SIDE = 512


@dataclass(frozen=True, slots=True)
class Modality:
    """One kind of picture."""

    module: str
    """Module that draws it by ``draw(canvas, stream, label)``."""
    channels: int
    """1 for gray, 3 for RGB."""
    classes: tuple[str, ...]
    """Class names in label order."""


MODALITIES: Mapping[str, Modality] = MappingProxyType(
    {
        "blood": Modality(
            "stages.download.phantom.blood",
            3,
            ("neutrophil", "eosinophil", "basophil", "lymphocyte"),
        ),
        "mammography": Modality("stages.download.phantom.mammography", 1, ("benign", "malignant")),
        "chest": Modality(
            "stages.download.phantom.chest",
            1,
            ("normal", "bacterial pneumonia", "viral pneumonia"),
        ),
        "fundus": Modality("stages.download.phantom.fundus", 3, ("normal", "abnormal")),
        "oct": Modality(
            "stages.download.phantom.oct",
            1,
            ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
        ),
    }
)
"""Every modality by name."""


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """A synthetic picture with its label and mask."""

    image: NDArray[np.uint8]
    """(H, W, C), C as the modality says."""
    label: int
    """Class id, a position in the modality's classes."""
    mask: NDArray[np.uint8]
    """(H, W), 1 on the object that defines the class, else 0; empty where there is none."""


def generate(
    modality: str, size: int, split: str, index: int, *, classes: int, seed: int = 0
) -> Phantom:
    """Return phantom number `index` of a split: the same bytes on every machine, in any order.

    The content is drawn in relative coordinates, so the same index shows the same picture at any
    size; below 113 pixels it is drawn larger and averaged down.

    Parameters
    ----------
    modality
        A name in `MODALITIES`.
    size
        Height and width, 28 to 512 pixels.
    split, index
        Which sample; together with the seed they are its identity.
    classes
        How many classes the caller expects; checked against the modality.
    seed
        Seed of every sample.

    Raises
    ------
    UsageError
        For an unknown modality, a size out of range, a negative index, or another class count.
    """
    if not SMALLEST_SIDE <= size <= LARGEST_SIDE:
        message = f"a phantom has {SMALLEST_SIDE} to {LARGEST_SIDE} pixels a side, not {size}"
        raise UsageError(message)
    label = label_of(modality, split, index, classes=classes, seed=seed)
    factor = 4 if size <= 56 else 2 if size <= 112 else 1
    stream = Stream.of("phantom", seed, modality, split, index)
    module = importlib.import_module(MODALITIES[modality].module)
    drawing: Drawing = module.draw(canvas_of(size * factor), stream, label)
    covered = block_sums(drawing.lesion.astype(np.uint16), factor)
    # A pixel counts when half of it is covered; where no pixel is, the most covered ones count.
    enough = min(factor * factor, max(2 * int(covered.max()), 1))
    mask = (2 * covered >= enough).astype(np.uint8)
    return Phantom(quantised(drawing.image, factor), label, mask)


def label_of(modality: str, split: str, index: int, *, classes: int, seed: int = 0) -> int:
    """Return the label of a phantom without drawing it.

    Each run of as many samples as there are classes holds every class once, in shuffled order.

    Raises
    ------
    UsageError
        As `generate`.
    """
    require_known("modality", modality, MODALITIES)
    known = MODALITIES[modality].classes
    if classes != len(known):
        message = f"modality {modality} has {len(known)} classes, not {classes}: {', '.join(known)}"
        raise UsageError(message)
    if index < 0:
        message = f"a phantom's index is 0 or more, not {index}"
        raise UsageError(message)
    run, place = divmod(index, classes)
    words = Stream.of("phantom label", seed, modality, split, run).words(classes)
    return int(np.argsort(words, kind="stable")[place])
