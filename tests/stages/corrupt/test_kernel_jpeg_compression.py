"""JPEG compression: its contract, and equal to the imagecorruptions package."""

from __future__ import annotations

import functools
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.jpeg_compression import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import (
    GRAY_STAYS,
    SIZES,
    NearPackage,
    any_severity,
    apart,
    severities_of,
)

SEVERITIES = severities_of("jpeg_compression")
by_package = functools.partial(kernels.by_package, "jpeg_compression")


class TestJpegCompression(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = KERNEL.name


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_one_channel_is_like_three_equal_ones(size: tuple[int, int], severity: int) -> None:
    """A gray image alone and as three channels give the same levels."""
    gray = np.random.default_rng(severity).integers(0, 256, (*size, 1), dtype=np.uint8)
    alone = KERNEL.apply_one(gray, SEVERITIES[severity - 1])
    replicated = KERNEL.apply_one(np.repeat(gray, 3, axis=2), SEVERITIES[severity - 1])
    assert np.array_equal(np.repeat(alone, 3, axis=2), replicated)


@settings(max_examples=150, deadline=None)
@given(
    height=st.integers(28, 90),
    width=st.integers(28, 90),
    channels=st.sampled_from((1, 3)),
    quality=st.integers(1, 100),
    seed=st.integers(0, 2**32 - 1),
    smooth=st.booleans(),
)
def test_bytes_are_those_of_a_file(
    height: int, width: int, channels: int, quality: int, seed: int, smooth: bool
) -> None:
    """Any size and quality gives what Pillow reads back from a file that it wrote."""
    shape = (height, width, channels)
    image = generated_image(shape, str(seed))
    if not smooth:
        image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    assert apart(KERNEL.apply_one(image, {"quality": quality}), through_a_file(image, quality)) == 0


@any_severity
def test_extreme_pixels_are_those_of_a_file(severity: int) -> None:
    """Black and white noise and saturated colours overshoot most; they are limited alike."""
    rng = np.random.default_rng(severity)
    quality = SEVERITIES[severity - 1]["quality"]
    for size in ((64, 64), (99, 130), (512, 700)):
        for share in (0.03, 0.5, 0.97):
            image = np.uint8(255) * (rng.random((*size, 3)) < share).astype(np.uint8)
            ours = KERNEL.apply_one(image, {"quality": quality})
            assert apart(ours, through_a_file(image, quality)) == 0


def through_a_file(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Return what Pillow reads from the JPEG file that it writes of `image`."""
    from PIL import Image

    file = io.BytesIO()
    pixels = image[:, :, 0] if image.shape[2] == 1 else image
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    with Image.open(file) as stored:
        return np.asarray(stored).reshape(image.shape)
