"""The `texture` encoder: a hand-made descriptor of gradients, texture and colour.

It is not a learned model and must not be taken for one: it exists so that the whole pipeline
runs without weights and without network. Nothing in it was made to be robust; noise, blur and
brightness move it directly, which is what a demonstration of corruptions needs.

Every image is resized to 64x64 (whatever its shape) and described by four blocks, each scaled to
a Euclidean norm of at most 1 so that none outweighs the others:

=========  ====  ==================================================================================
block      size  content
=========  ====  ==================================================================================
gradients   324  histograms of oriented gradients of the gray image: 9 unsigned orientations, cells
                 of 16x16 pixels, overlapping blocks of 2x2 cells normalised by L2-Hys (Dalal and
                 Triggs, CVPR 2005)
patterns     40  square roots of the frequencies of the 10 uniform rotation-invariant local binary
                 patterns (8 neighbours, radius 1; Ojala et al., TPAMI 2002) in each quadrant
colours      48  square roots of the 16-bin histogram of each channel
layout       96  mean and standard deviation of each channel in a 4x4 grid
=========  ====  ==================================================================================

A histogram of square roots has norm 1 whatever the image, so no image has a zero embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stages.embed.encoder import Embeddings, EqualImages, Image
from stages.embed.handmade import Formula

SIZE: Final = 64
ALGORITHM: Final = 1
"""Raised by hand when embeddings change."""

_CELL: Final = 16
_CELLS: Final = SIZE // _CELL
_ORIENTATIONS: Final = 9
_PATTERNS: Final = 10
_BINS: Final = 16
_HYS_CLIP: Final = 0.2
_FLAT: Final = 1.0
"""Added to a block's squared norm (grey levels squared), so that flat blocks stay near zero."""

WIDTH: Final = (_CELLS - 1) ** 2 * 4 * _ORIENTATIONS + 4 * _PATTERNS + 3 * _BINS + 2 * 3 * _CELLS**2
PACKAGES: Final = ("cv2", "skimage")


def _describe(images: EqualImages) -> Embeddings:
    """Return the four blocks of each image side by side."""
    colour = np.stack([_resized(image) for image in images])
    gray = _gray(colour)
    blocks = (_gradients(gray), _patterns(gray), _colours(colour), _layout(colour))
    return np.concatenate(blocks, axis=1).astype(np.float32)


def _resized(image: Image) -> Image:
    """Return one image as 64x64 RGB: averaged over areas when larger, interpolated when smaller."""
    import cv2  # loaded by the encoders that need it

    height, width, channels = image.shape
    if (height, width) != (SIZE, SIZE):
        smaller = min(height, width) < SIZE
        method = cv2.INTER_LINEAR if smaller else cv2.INTER_AREA
        resized = cv2.resize(image, (SIZE, SIZE), interpolation=method)
        # OpenCV drops the axis of a single channel.
        image = np.asarray(resized, np.uint8).reshape(SIZE, SIZE, channels)
    return np.broadcast_to(image, (SIZE, SIZE, 3))


def _gray(colour: EqualImages) -> EqualImages:
    """Return the luma of RGB images, by BT.601 weights in 1/256."""
    weighted = colour.astype(np.uint16) * np.array([77, 150, 29], np.uint16)
    return ((weighted[..., 0] + weighted[..., 1] + weighted[..., 2] + 128) >> 8).astype(np.uint8)


def _gradients(gray: EqualImages) -> NDArray[np.float32]:
    """Return the histograms of oriented gradients of `(n, 64, 64)` images, `(n, 324)`."""
    import cv2  # loaded by the encoders that need it

    count = len(gray)
    level = gray.astype(np.float32)
    across, down = np.zeros_like(level), np.zeros_like(level)
    across[:, :, 1:-1] = level[:, :, 2:] - level[:, :, :-2]
    down[:, 1:-1, :] = level[:, 2:, :] - level[:, :-2, :]
    flat = (count * SIZE, SIZE)
    magnitude, angle = cv2.cartToPolar(across.reshape(flat), down.reshape(flat))
    orientation = (angle * (_ORIENTATIONS / np.pi)).astype(np.int32) % _ORIENTATIONS
    cell = np.arange(SIZE, dtype=np.int32) // _CELL
    cells = (np.arange(count, dtype=np.int32)[:, None] * _CELLS + cell) * _CELLS
    slots = (cells[..., None] + cell) * _ORIENTATIONS + orientation.reshape(gray.shape)
    length = count * _CELLS**2 * _ORIENTATIONS
    sums = np.bincount(slots.ravel(), weights=magnitude.ravel(), minlength=length)
    histograms = sums.reshape(count, _CELLS, _CELLS, _ORIENTATIONS)
    corners = [
        histograms[:, i : i + _CELLS - 1, j : j + _CELLS - 1] for i in (0, 1) for j in (0, 1)
    ]
    blocks = _unit(np.minimum(_unit(np.concatenate(corners, axis=3), _FLAT), _HYS_CLIP), 1e-6)
    return (blocks.reshape(count, -1) / (_CELLS - 1)).astype(np.float32)


def _unit(vectors: NDArray[np.float64], floor: float) -> NDArray[np.float64]:
    """Return vectors divided by their norm along the last axis; short ones stay shorter than 1."""
    squares: NDArray[np.float64] = np.square(vectors).sum(axis=-1, keepdims=True)
    return vectors / np.sqrt(squares + floor)


def _patterns(gray: EqualImages) -> NDArray[np.float64]:
    """Return the square roots of the local binary pattern frequencies per quadrant, `(n, 40)`."""
    from skimage import feature  # heavy

    describe: Callable[..., NDArray[np.float64]] = feature.local_binary_pattern
    patterns = np.stack([describe(image, 8, 1, "uniform") for image in gray])
    half = np.arange(SIZE) // (SIZE // 2)
    quadrant = 4 * np.arange(len(gray))[:, None, None] + 2 * half[:, None] + half
    slots = quadrant * _PATTERNS + patterns.astype(np.int64)
    counts = np.bincount(slots.ravel(), minlength=4 * _PATTERNS * len(gray))
    # Frequencies over the whole image, so the squares of the 40 numbers sum to 1.
    return np.sqrt(counts.reshape(len(gray), -1) / SIZE**2)


def _colours(colour: EqualImages) -> NDArray[np.float64]:
    """Return the square roots of the 16-bin histograms of the channels, `(n, 48)`."""
    histogram = np.arange(3 * len(colour)).reshape(-1, 1, 1, 3)
    slots = histogram * _BINS + colour // (256 // _BINS)
    counts = np.bincount(slots.ravel(), minlength=3 * _BINS * len(colour))
    return np.sqrt(counts.reshape(len(colour), -1) / (3 * SIZE**2))


def _layout(colour: EqualImages) -> NDArray[np.float64]:
    """Return mean and standard deviation (0..1) per grid cell and channel, `(n, 96)`.

    Divided by the square root of the number of cells and channels; as mean² + deviation² is the
    mean square, at most 1, so is the norm of all of them.
    """
    level = colour.reshape(-1, _CELLS, _CELL, 3 * SIZE).astype(np.uint16)
    sums, squares = _cell_sums(level), _cell_sums(level * level)
    pixels = _CELL**2
    # Whole numbers up to here, so the difference below loses nothing to cancellation.
    variance = (pixels * squares - sums * sums) / pixels**2
    statistics = np.concatenate([sums / pixels, np.sqrt(variance)], axis=-1) / 255
    layout: NDArray[np.float64] = statistics.reshape(len(colour), -1) / np.sqrt(3 * _CELLS**2)
    return layout


def _cell_sums(level: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Return the sums of `(n, 4, 16, 64 * 3)` numbers over each grid cell, `(n, 4, 4, 3)`."""
    columns = level.sum(axis=2, dtype=np.uint32).reshape(-1, _CELLS, _CELLS, _CELL, 3)
    sums: NDArray[np.int64] = columns.sum(axis=3, dtype=np.int64)
    return sums


_FORMULA: Final = Formula(WIDTH, SIZE, ALGORITHM, _describe)
files, identity, load = _FORMULA.files, _FORMULA.identity, _FORMULA.load
