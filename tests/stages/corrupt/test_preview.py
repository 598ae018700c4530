"""Contact sheets: every pixel of a sample is in its tile, and labels fit."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.corrupt.preview import TILE, TOP, Row, Sheet, encode, magnification, shown


def picture(height: int, width: int, channels: int) -> np.ndarray:
    """Return a random image."""
    shape = (height, width, channels)
    return np.random.default_rng(2).integers(0, 256, shape).astype(np.uint8)


def pixels(sheet: Sheet) -> np.ndarray:
    """Return a sheet as it is decoded from its PNG."""
    return np.asarray(Image.open(io.BytesIO(encode(sheet))))


@settings(max_examples=20, deadline=None)
@given(
    sizes=st.lists(
        st.tuples(st.integers(28, TILE), st.integers(28, TILE), st.sampled_from([1, 3])),
        min_size=1,
        max_size=3,
    )
)
def test_tiles_hold_every_pixel(sizes: list[tuple[int, int, int]]) -> None:
    """An image of at most a tile's size can be read back from the picture."""
    rows = tuple(Row(("row",), (picture(*size), None)) for size in sizes)
    sheet = Sheet("title", ("clean", "other"), rows)
    drawn = pixels(sheet)
    assert drawn.shape == (sheet.size[1], sheet.size[0], 3)
    for number, row in enumerate(rows):
        image = row.tiles[0]
        factor = int(magnification(image))
        x, y = sheet.place(number, 0)
        height, width = (side * factor for side in image.shape[:2])
        tile = drawn[y : y + height, x : x + width]
        assert np.array_equal(
            tile[::factor, ::factor], np.broadcast_to(image, (*image.shape[:2], 3))
        )
        x, _ = sheet.place(number, 1)
        assert (drawn[y:, x:] == 255).all()  # an empty place stays empty


def test_large_images_are_reduced() -> None:
    """A road scene keeps its shape and its mean."""
    image = picture(1024, 2048, 3)
    tile = shown(image)
    assert tile.shape == (TILE // 2, TILE, 3)
    assert abs(tile.mean() - image.mean()) < 0.5


@pytest.mark.parametrize("name", ["a long name " * 9, "n" * 120, "×", ""])
def test_labels_stay_beside_the_tiles(name: str) -> None:
    """However long a label is, no letter lies on a tile."""
    image = picture(64, 64, 3)
    sheet = Sheet("title", ("clean",), (Row((name, name), (image,)),))
    x, _ = sheet.place(0, 0)
    bare = Sheet("title", ("clean",), (Row(("",), (image,)),))
    assert np.array_equal(pixels(sheet)[:, x:], pixels(bare)[:, x:])
    assert not name.strip("×") or (pixels(sheet)[TOP:, :x] < 255).any()


def test_equal_sheets_are_equal_bytes() -> None:
    """Drawing twice gives the same file."""
    sheet = Sheet("title", ("clean",), (Row(("row",), (picture(28, 28, 1),)),))
    assert encode(sheet) == encode(sheet)
