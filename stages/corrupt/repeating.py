"""Renders chosen images of a sealed set once more, each alone, to compare them with the set."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from pipeline.artifact import Artifact
from pipeline.errors import DataError
from pipeline.recompute import Again
from stages.corrupt.mixed_sizes import NOTHING, Drawn

if TYPE_CHECKING:
    from stages.corrupt.kernels.kernel import Image
    from stages.corrupt.masks import Masks


def rendered_again(
    clean: Artifact,
    rows: Sequence[int],
    render: Callable[[Image, str], tuple[Image, Drawn]],
    move: Callable[[Masks, Drawn], Masks] | None,
) -> Again:
    """Return the images of `rows` as `render` returns them, and the masks that moved along.

    A row of mixed size that has no image, or one that `render` refuses, has none here either.

    Parameters
    ----------
    render
        Returns an image of a sample, by its id, and the numbers drawn for it.
    move
        Returns the masks of an image under these numbers; None where the set has none of its own.
    """
    mixed = "images" in clean.manifest.mixed
    images = clean.mixed("images") if mixed else clean.array("images")
    refusals = (DataError,) if mixed else ()
    masks = clean.mixed("masks") if move is not None else None
    names = clean.index(["id"]).take(list(rows))["id"].to_pylist()
    rendered: list[Image] = []
    moved: list[Masks] = []
    for row, sample in zip(rows, names, strict=True):
        image, numbers = NOTHING, None
        clean_image = images[row]
        if clean_image.size:
            with contextlib.suppress(*refusals):
                image, numbers = render(np.asarray(clean_image), sample)
        rendered.append(image)
        if move is not None and masks is not None:
            mask = masks[row] if numbers is not None else NOTHING
            moved.append(move(mask, numbers) if numbers is not None and mask.size else NOTHING)
    return Again(names, {"images": rendered} | ({"masks": moved} if move is not None else {}))
