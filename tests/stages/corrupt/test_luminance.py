"""Luminance: the bytes of Pillow's conversion from RGB to L."""

from __future__ import annotations

import numpy as np
import pytest

from stages.corrupt.kernels.luminance import luminance


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 33, 47), (2, 224, 224)])
def test_random_colours_are_converted_as_by_pillow(shape: tuple[int, int, int]) -> None:
    """Every image of a batch gets Pillow's bytes, and the coloured ones stay as they are."""
    from PIL import Image

    images = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    images.setflags(write=False)
    for image, ours in zip(images, luminance(images), strict=True):
        assert np.array_equal(ours[:, :, 0], np.asarray(Image.fromarray(image).convert("L")))


def test_all_pairs_of_levels_are_converted_as_by_pillow() -> None:
    """With each third channel black, white or gray, all 65,536 levels of the others agree."""
    from PIL import Image

    levels = np.arange(256, dtype=np.uint8)
    for third in (0, 127, 255):
        one, other = np.meshgrid(levels, levels)
        rest = np.full_like(one, third)
        for channels in ((one, other, rest), (one, rest, other), (rest, one, other)):
            image = np.stack(channels, axis=-1)
            ours = luminance(image[np.newaxis])
            assert np.array_equal(ours[0, :, :, 0], np.asarray(Image.fromarray(image).convert("L")))


def test_equal_channels_keep_their_level() -> None:
    """A gray image as three channels comes back."""
    gray = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(luminance(np.repeat(gray, 3, axis=3)), gray)
