"""Rendering of clean splits whose images keep their native size, and have masks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from pipeline.artifact import Artifact
from pipeline.errors import DataError
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


def render_mixed(
    unit: Unit,
    clean: Artifact,
    writer: UnitWriter,
    render: Callable[[Image, str], tuple[Image, Drawn]],
    move: Callable[[Masks, Drawn], Masks] | None,
) -> tuple[pa.Table, list[Drawn | None]]:
    """Render the unit's images one by one, each as `render` returns it alone.

    A row without an image has none here either; one whose image `render` refuses, such as one
    that is too small, gets the status "failed" and its error. Neither has drawn numbers.

    Parameters
    ----------
    render
        Returns an image of a sample, by its id, and the numbers drawn for it.
    move
        Returns the masks of an image under these numbers; None where masks stay as they are, and
        are not stored again.

    Returns
    -------
    index : pa.Table
        The sample columns of the unit's rows.
    drawn : list
        The drawn numbers of each row, None where nothing was rendered.
    """
    index = clean.index(None, unit.start, unit.stop)
    images, rendered = clean.mixed("images"), writer.mixed("images")
    masks = moved = None
    if move is not None:
        masks, moved = clean.mixed("masks"), writer.mixed("masks")
    drawn: list[Drawn | None] = []
    errors: dict[int, str] = {}
    for row, sample in enumerate(index["id"].to_pylist()):
        image, numbers = images[unit.start + row], None
        if image.size:
            try:
                image, numbers = render(image, sample)
            except DataError as error:
                errors[row] = str(error)
        rendered.append(image if numbers is not None else NOTHING)
        drawn.append(numbers)
        if move is not None and masks is not None and moved is not None:
            mask = masks[unit.start + row] if numbers is not None else NOTHING
            moved.append(move(mask, numbers) if numbers is not None and mask.size else NOTHING)
    return _samples(index, errors), drawn


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
