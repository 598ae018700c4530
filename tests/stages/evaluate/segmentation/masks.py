"""Masks that tests draw: random, adversarial, and real ones where the files are at hand."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from stages.evaluate.segmentation.testing import shapes


@st.composite
def one_mask(draw: st.DrawFn, shape: tuple[int, int]) -> np.ndarray:
    """A mask that is often empty, full, a pixel, a line, a frame, or sparse or dense noise."""
    mask = np.zeros(shape, bool)
    rows, columns = shape
    kind = draw(st.sampled_from(["empty", "full", "pixel", "line", "frame", "box", "noise"]))
    row, column = draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[row, column] = True
    elif kind == "line":
        mask[row if draw(st.booleans()) else slice(None), :] = True
        mask = mask if draw(st.booleans()) else mask & (np.arange(columns) == column)
    elif kind == "frame":
        mask[[0, -1], :] = mask[:, [0, -1]] = True
    elif kind == "box":
        mask[row:, column : column + draw(st.integers(1, columns))] = True
    elif kind == "noise":
        cells = draw(st.binary(min_size=mask.size, max_size=mask.size))
        level = draw(st.sampled_from([16, 128, 240]))
        mask = (np.frombuffer(cells, np.uint8) < level).reshape(shape)
    return mask


@st.composite
def two_masks(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of one size, up to 14 × 14; one in four times the same mask twice."""
    shape = (draw(st.integers(1, 14)), draw(st.integers(1, 14)))
    first = draw(one_mask(shape))
    return first, first.copy() if draw(st.integers(0, 3)) == 0 else draw(one_mask(shape))


def adversarial_pairs() -> list[tuple[np.ndarray, np.ndarray]]:
    """Every awkward shape against every other."""
    masks = list(shapes().values())
    return [(first, second) for first in masks for second in masks]


def shared(name: str) -> Path:
    """Return a folder of real files, or skip."""
    data = os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[5] / "shared" / "data")
    folder = Path(data) / name
    if not folder.is_dir():
        pytest.skip(f"no real masks at {folder}; set MEDSHARDS_TEST_DATA")
    return folder


def read(path: Path) -> np.ndarray:
    """Return a mask file of 0 and 255 as bool."""
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127


def two_raters(count: int = 28) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return CHASE_DB1's vessels, 960 × 999, of the second rater beside the first's."""
    files = sorted(shared("chase_db1").glob("*_1stHO.png"))[:count]
    return [(read(Path(str(file).replace("_1st", "_2nd"))), read(file)) for file in files]


def lesions() -> list[np.ndarray]:
    """Return ISIC 2017's lesions, up to 2848 × 4288."""
    return [read(file) for file in sorted((shared("isic2017") / "masks").glob("*.png"))]


def nuclei() -> np.ndarray:
    """Return the instance labels of one image of nuclei, 512 × 512."""
    from PIL import Image

    with Image.open(shared("dsb_nuclei") / "mask2d.tif") as image:
        return np.asarray(image).astype(np.int64)


def shifted(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return the mask moved down and to the right."""
    moved = np.zeros_like(mask)
    moved[pixels:, pixels:] = mask[:-pixels, :-pixels]
    return moved
