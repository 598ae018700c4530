"""Rendering of single images of a clean split, and of their masks: of mixed size, or once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from pipeline.artifact import Artifact
from pipeline.errors import DataError
from pipeline.recompute import Again
from pipeline.unit import Unit, UnitWriter

if TYPE_CHECKING:
    import pyarrow as pa

    from stages.corrupt.kernels.kernel import Image
    from stages.corrupt.masks import Masks

NATIVE = "native"
"""The `size` in the recipe of a clean split whose images have each their own."""

SAMPLE_COLUMNS = (
    "id",
    "status",
    "error",
    "patient_id",
    "original_filepath",
    "mask_filepaths",
    "metadata",
)
"""Columns of the clean split's index that a set repeats, where the split has them."""

NOTHING = np.empty((0, 0, 0), np.uint8)
"""The image of a row that has none."""

Drawn: TypeAlias = Mapping[str, int | float | str]
Render: TypeAlias = "Callable[[Image, str], tuple[Image, Drawn]]"
Move: TypeAlias = "Callable[[Masks, Drawn], Masks]"


class Alone(NamedTuple):
    """What was made of one clean image by itself."""

    image: Image
    """`NOTHING` where the row has no image, or it was refused."""

    masks: Masks
    """`NOTHING` where none were moved."""

    drawn: Drawn | None
    """The numbers drawn for the image; None where nothing was rendered."""

    error: str | None
    """Why the image was refused."""


def render_mixed(
    unit: Unit, clean: Artifact, writer: UnitWriter, render: Render, move: Move | None
) -> tuple[pa.Table, list[Drawn | None]]:
    """Render the unit's images one by one, each as `rendered_alone` makes it.

    One whose image `render` refuses, such as one that is too small, gets the status "failed" and
    its error.

    Returns
    -------
    index : pa.Table
        The sample columns of the unit's rows.
    drawn : list
        The drawn numbers of each row, None where nothing was rendered.
    """
    index = clean.index(None, unit.start, unit.stop)
    rendered = writer.mixed("images")
    moved = writer.mixed("masks") if move is not None else None
    drawn: list[Drawn | None] = []
    errors: dict[int, str] = {}
    rows = range(unit.start, unit.stop)
    made = rendered_alone(clean, rows, index["id"].to_pylist(), render, move)
    for row, one in enumerate(made):
        rendered.append(one.image)
        if moved is not None:
            moved.append(one.masks)
        drawn.append(one.drawn)
        if one.error is not None:
            errors[row] = one.error
    return _samples(index, errors), drawn


def rendered_again(
    clean: Artifact, rows: Sequence[int], render: Render, move: Move | None
) -> Again:
    """Return the images of `rows`, and the masks that moved along, as `rendered_alone` does."""
    names = clean.index(["id"]).take(list(rows))["id"].to_pylist()
    images, masks = [], []
    for one in rendered_alone(clean, rows, names, render, move):
        images.append(one.image)
        masks.append(one.masks)
    return Again(names, {"images": images} | ({"masks": masks} if move is not None else {}))


def rendered_alone(
    clean: Artifact, rows: Iterable[int], samples: Sequence[str], render: Render, move: Move | None
) -> Iterator[Alone]:
    """Yield what becomes of each of `rows` of a clean split, of one size or of mixed sizes.

    A row of mixed size that has no image, or one that `render` refuses, has none here either.

    Parameters
    ----------
    samples
        Ids of the rows.
    render
        Returns an image of a sample, by its id, and the numbers drawn for it.
    move
        Returns the masks of an image under these numbers; None where masks stay as they are, and
        are not stored again.
    """
    mixed = "images" in clean.manifest.mixed
    images = clean.mixed("images") if mixed else clean.array("images")
    refusals = (DataError,) if mixed else ()
    masks = clean.mixed("masks") if move is not None else None
    for row, sample in zip(rows, samples, strict=True):
        image, moved, drawn, error = np.asarray(images[row]), NOTHING, None, None
        if image.size:
            try:
                image, drawn = render(image, sample)
            except refusals as refusal:
                image, error = NOTHING, str(refusal)
        if masks is not None and move is not None and drawn is not None and masks[row].size:
            moved = move(masks[row], drawn)
        yield Alone(image, moved, drawn, error)


def _samples(index: pa.Table, errors: Mapping[int, str]) -> pa.Table:
    """Return the sample columns of `index`, with the `errors` of this set."""
    import pyarrow as pa

    index = index.select([name for name in SAMPLE_COLUMNS if name in index.column_names])
    for name, of_failed in (
        ("status", dict.fromkeys(errors, "failed")),
        ("error", errors),
    ):
        values = index[name].to_pylist()
        new = [of_failed.get(row, value) for row, value in enumerate(values)]
        position = index.schema.get_field_index(name)
        field = index.schema.field(position)
        index = index.set_column(position, field, pa.array(new, field.type))
    return index
