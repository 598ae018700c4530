"""Gaussian blur by size: its contract, and at most 1 grey level from torchvision."""

from __future__ import annotations

import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.gaussian_blur_by_size import KERNEL, Severity
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import apart
from tests.stages.corrupt.medmnist_c import SHAPES, array, blurred, gray_stays, images_of, pillow

BLURS = (3, 5, 7, 9, 11, 13, 15, 17, 21, 25, 55)
"""Those of MedMNIST-C and the largest."""


class TestGaussianBlurBySize(CorruptionContract):
    suite = gray_stays("chestmnist")
    corruption = "gaussian_blur"


@pytest.mark.parametrize("size", BLURS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_matches_torchvision(shape: tuple[int, int, int], size: int) -> None:
    """Images of all sizes are within 1 grey level, which nearly no value is away."""
    for image in images_of(shape):
        ours, theirs = KERNEL.apply_one(image, {"size": size}), array(blurred(pillow(image), size))
        assert apart(ours, theirs) <= 1
        assert np.count_nonzero(ours != theirs) <= 3 + 2e-4 * image.size


@pytest.mark.parametrize("size", [3, 25])
def test_it_matches_torchvision_on_real_images(
    real_images: dict[str, NDArray[np.uint8]], size: int
) -> None:
    """Real photographs, microscopy and X-rays are within 1 grey level."""
    for image in real_images.values():
        ours = KERNEL.apply_one(image, {"size": size})
        assert apart(ours, array(blurred(pillow(image), size))) <= 1


@pytest.mark.parametrize("size", BLURS)
def test_flat_images_keep_their_level(size: int) -> None:
    """The weights add up to 1 and results are rounded."""
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        assert (KERNEL.apply_one(image, {"size": size}) == level).all()


@pytest.mark.parametrize("size", BLURS)
def test_a_gray_image_is_one_channel_of_its_replica(size: int) -> None:
    """One channel or three equal ones: the same pixels."""
    gray = generated_image((61, 50, 1))
    three = KERNEL.apply_one(np.repeat(gray, 3, axis=2), {"size": size})
    assert np.array_equal(KERNEL.apply_one(gray, {"size": size}), three[:, :, :1])


@pytest.mark.parametrize("size", [1, 4, 56, 57])
def test_sizes_without_a_middle_or_beyond_the_smallest_image_are_refused(size: int) -> None:
    """Sizes are odd, and a mirrored edge exists in every image."""
    with pytest.raises(pydantic.ValidationError, match="size"):
        Severity(size=size)
