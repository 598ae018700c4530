"""Each flaw that medimeta-c-fixed repairs, shown on the reference and absent from ours."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.reference import reference_corrupt
from tests.stages.corrupt.kernels import any_severity


def fixed(image: NDArray[np.uint8], corruption: str, severity: int) -> NDArray[np.uint8]:
    """Return `image` under the repaired corruption."""
    return corrupt(image, corruption, severity, suite="medimeta-c-fixed", sample="a")


def reference(image: NDArray[np.uint8], corruption: str, severity: int) -> NDArray[np.uint8]:
    """Return `image` under the corruption of the package."""
    return reference_corrupt(image, corruption, severity, seed=0)


def centroid_shift(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> float:
    """Return how far the centre of mass moved, in pixels."""

    def centroid(image: NDArray[np.uint8]) -> NDArray[np.float64]:
        weight = image[:, :, 0].astype(np.float64)
        return np.array([(weight * grid).sum() for grid in np.indices(weight.shape)]) / weight.sum()

    return float(np.linalg.norm(centroid(after) - centroid(before)))


def disc() -> NDArray[np.uint8]:
    """Return a centred white disc on black, 225 x 225 x 3."""
    y, x = np.ogrid[-112:113, -112:113]
    return np.repeat(((x * x + y * y <= 1600) * np.uint8(255))[:, :, np.newaxis], 3, axis=2)


@any_severity
def test_zoom_blur_does_not_move_the_content(severity: int) -> None:
    """A centred disc stays where it is; the package moves it by a quarter pixel and more."""
    assert centroid_shift(disc(), reference(disc(), "zoom_blur", severity)) > 0.2
    assert centroid_shift(disc(), fixed(disc(), "zoom_blur", severity)) < 0.01


@pytest.mark.parametrize("corruption", ["motion_blur", "contrast", "zoom_blur"])
def test_flat_images_keep_their_level(corruption: str) -> None:
    """What has no detail is not changed by a grey level; the package cuts one off."""
    theirs, ours = [], []
    for level in range(0, 256, 3):
        flat = np.full((48, 48, 3), level, np.uint8)
        theirs.append(int(reference(flat, corruption, 3)[24, 24, 0]) - level)
        ours.append(np.abs(fixed(flat, corruption, 3).astype(int) - level).max())
    assert min(theirs) == -1
    assert max(ours) == 0


def test_results_are_rounded_not_cut_off() -> None:
    """Over many images the mean of a rounded result is half a grey level above a truncated one."""
    ramp = np.tile(np.arange(64, 192, dtype=np.uint8), (128, 1))
    image = np.repeat(ramp[:, :, np.newaxis], 3, axis=2)
    for corruption in ("contrast", "gaussian_noise"):
        exact = image.mean()
        truncated = np.mean([reference(image, corruption, 1).mean() - exact for _ in range(1)])
        rounded = fixed(image, corruption, 1).mean() - exact
        assert truncated < -0.3, corruption
        assert abs(rounded) < 0.2, corruption


@any_severity
def test_motion_blur_does_not_darken_small_images(severity: int) -> None:
    """A white image of 32 pixels stays white at any angle; the package loses part of it."""
    white = np.full((32, 32, 3), 255, np.uint8)
    for sample in range(20):
        ours = corrupt(white, "motion_blur", severity, suite="medimeta-c-fixed", sample=sample)
        assert ours.min() == 255
    if severity == 5:
        theirs = [
            reference_corrupt(white, "motion_blur", severity, seed=seed).mean()
            for seed in range(20)
        ]
        assert min(theirs) < 250


@pytest.mark.parametrize("corruption", ["gaussian_noise", "impulse_noise"])
@any_severity
def test_gray_images_get_no_coloured_noise(corruption: str, severity: int) -> None:
    """A gray image stays one channel; the package gives each of three its own noise."""
    gray = np.full((64, 64, 1), 120, np.uint8)
    theirs = reference(gray, corruption, severity)
    assert (theirs[:, :, 0] != theirs[:, :, 1]).any()
    assert fixed(gray, corruption, severity).shape == (64, 64, 1)


def test_impulse_noise_follows_the_seed(reference: ModuleType) -> None:
    """The same seed gives the same impulses; the package's do not heed NumPy's seed."""
    from PIL import Image

    image = np.full((64, 64, 3), 120, np.uint8)

    def theirs() -> NDArray[np.uint8]:
        np.random.seed(7)  # noqa: NPY002  # the package's documented way
        return np.asarray(np.uint8(reference.impulse_noise(Image.fromarray(image), 3)))

    assert not np.array_equal(theirs(), theirs())
    first = corrupt(image, "impulse_noise", 3, suite="medimeta-c-fixed", seed=7, sample="a")
    again = corrupt(image, "impulse_noise", 3, suite="medimeta-c-fixed", seed=7, sample="a")
    other = corrupt(image, "impulse_noise", 3, suite="medimeta-c-fixed", seed=8, sample="a")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_glass_blur_follows_the_seed() -> None:
    """The same seed gives the same moves; compiled draws, as in the repository, heed no seed."""
    numba = pytest.importorskip("numba")

    @numba.njit
    def moves() -> int:  # how the package's repository draws them since 2020
        return np.random.randint(0, 1_000_000)  # noqa: NPY002

    drawn = set()
    for _ in range(4):
        np.random.seed(7)  # noqa: NPY002
        drawn.add(moves())
    assert len(drawn) > 1
    image = np.arange(64 * 64 * 3, dtype=np.uint32).reshape(64, 64, 3).astype(np.uint8)
    first = corrupt(image, "glass_blur", 3, suite="imagenet-c", seed=7, sample="a")
    again = corrupt(image, "glass_blur", 3, suite="imagenet-c", seed=7, sample="a")
    other = corrupt(image, "glass_blur", 3, suite="imagenet-c", seed=8, sample="a")
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
