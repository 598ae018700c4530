"""Black corner: its contract, and the disk of OpenCV."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels.black_corner import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import SHAPES, gray_stays, images_of

MULTIPLIERS = (1.1, 1.05, 1.0, 0.95, 0.9, 0.5, 0.01, 1.4, 2.5)


class TestBlackCorner(CorruptionContract):
    suite = gray_stays("dermamnist")
    corruption = KERNEL.name


def by_opencv(image: NDArray[np.uint8], multiplier: float) -> NDArray[np.uint8]:
    """Return `image`, black outside OpenCV's filled circle."""
    import cv2

    height, width = image.shape[:2]
    x, y = width // 2, height // 2
    radius = int(min(x, y, width - x, height - y) * multiplier)
    circle = np.zeros((height, width), np.uint8)
    cv2.circle(circle, (x, y), radius, (255,), thickness=-1)
    cornered = image.copy()
    cornered[circle != 255] = 0
    return cornered


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_opencvs(shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes give OpenCV's bytes."""
    for multiplier in MULTIPLIERS:
        for image in images_of(shape):
            ours = KERNEL.apply_one(image, {"multiplier": multiplier})
            assert np.array_equal(ours, by_opencv(image, multiplier))


def test_real_images_give_opencvs_bytes(real_images: dict[str, NDArray[np.uint8]]) -> None:
    """Real photographs, microscopy and X-rays give OpenCV's bytes."""
    for image in real_images.values():
        for multiplier in MULTIPLIERS:
            ours = KERNEL.apply_one(image, {"multiplier": multiplier})
            assert np.array_equal(ours, by_opencv(image, multiplier))


def test_disks_of_every_radius_are_opencvs() -> None:
    """Radii of 1 to 320 pixels, whole in the image and cut off by its edges."""
    for radius in range(1, 321):
        for side in (28, 2 * radius + 3):
            if side < 28:
                continue
            image = np.full((side, side + 2, 1), 255, np.uint8)
            multiplier = (radius + 0.5) / (side // 2)
            ours = KERNEL.apply_one(image, {"multiplier": multiplier})
            assert np.array_equal(ours, by_opencv(image, multiplier))
