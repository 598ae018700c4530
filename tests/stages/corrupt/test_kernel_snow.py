"""Snow: its contract, the package's snow with the same field and fall, and the law of both."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import snow
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.kernels.snow import KERNEL, Severity
from stages.corrupt.reference import package_namespace
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import (
    CIFAR_C,
    GRAY_STAYS,
    GrayLikeItsCopies,
    NearPackage,
    any_severity,
    apart,
    images_of,
    likeness,
    rows_of,
)

WORDS = ("mean", "spread", "zoom", "threshold", "radius", "sigma", "kept")
IMAGENET_C, CIFAR_10_C = rows_of("snow", GRAY_STAYS), rows_of("snow", CIFAR_C)


class TestSnow(CorruptionContract, NearPackage, GrayLikeItsCopies):
    suite = GRAY_STAYS
    corruption = "snow"
    most = 1
    from_copies = 1  # the last bit of the gray of three channels

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        field, angle = a_field(*image.shape[:2], image.size + severity)
        return max(
            same_field(shown, severity, field, angle)
            for shown in (image, np.ascontiguousarray(image[:, :, :1]))
        )

    def test_it_matches_the_package_on_a_driving_scene(self, package: ModuleType) -> None:
        """An image of 1024 x 2048 is as near as it should be."""
        assert self.distance(package, generated_image((1024, 2048, 3)), 3) <= self.most


class TestSnowOfSmallImages(CorruptionContract):
    suite = CIFAR_C
    corruption = "snow"


def drawn(row: tuple[float, ...], key: int, angle: float, rounding: str = "down") -> Parameters:
    """Return the parameters of one image."""
    named = dict(zip(WORDS, row, strict=True))
    return {**named, "noise_key": key, "angle": angle, "rounding": rounding}


def by_package(
    image: NDArray[np.uint8], row: tuple[float, ...], field: NDArray[np.float32], angle: float
) -> NDArray[np.uint8]:
    """Return the package's snow of a given field and angle, cut off as its `corrupt` does."""
    functions: Any = package_namespace()[0]
    mean, spread, zoom, threshold, radius, sigma, kept = row
    clean = np.array(image, np.float32) / 255.0
    layer = (mean + spread * field.astype(np.float64))[..., np.newaxis]
    layer = functions["clipped_zoom"](layer, zoom)
    layer[layer < threshold] = 0
    layer = np.clip(layer[:, :, 0], 0, 1)
    layer = functions["_motion_blur"](layer, radius=radius, sigma=sigma, angle=angle)
    layer = np.round(layer * 255).astype(np.uint8)[: image.shape[0], : image.shape[1], None] / 255.0
    gray = clean
    if image.shape[2] == 3:
        gray = functions["cv2"].cvtColor(clean, functions["cv2"].COLOR_RGB2GRAY)[..., np.newaxis]
    paled = kept * clean + (1 - kept) * np.maximum(clean, gray * 1.5 + 0.5)
    snowy: NDArray[Any] = np.clip(paled + layer + np.rot90(layer, k=2), 0, 1) * 255
    return snowy.astype(np.uint8)


def same_field(
    image: NDArray[np.uint8], severity: int, field: NDArray[np.float32], angle: float
) -> int:
    """Return how far our snow and the package's own, of a given field and angle, are apart."""
    from PIL import Image

    functions: Any = package_namespace()[0]
    given = SimpleNamespace(
        normal=lambda size, loc, scale: loc + scale * field.astype(np.float64).reshape(size),
        uniform=lambda low, high: angle,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functions["np"], "random", given)
        shown = image[:, :, 0] if image.shape[2] == 1 else image
        theirs = np.asarray(functions["snow"](Image.fromarray(shown), severity)).astype(np.uint8)
    ours = ours_of(image, IMAGENET_C[severity - 1], field, angle)
    return apart(ours, theirs.reshape(image.shape))


def ours_of(
    image: NDArray[np.uint8], row: tuple[float, ...], field: NDArray[np.float32], angle: float
) -> NDArray[np.uint8]:
    """Return our snow of the middle of a field of the image's size."""
    height, width, _ = image.shape
    rows, columns = snow.field_shape(height, width, row[2])
    top, left = (height - rows) // 2, (width - columns) // 2
    middle = field[top : top + rows, left : left + columns]
    return snow.apply_field(image, middle, drawn(row, 0, angle))


def a_field(height: int, width: int, seed: int) -> tuple[NDArray[np.float32], float]:
    """Return normal numbers and an angle."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((height, width), np.float32), float(rng.uniform(-135, -45))


@pytest.mark.parametrize("angle", [-135.0, -119.0, -90.0, -45.5])
def test_it_matches_the_package_at_chosen_angles(angle: float) -> None:
    """The steepest, the upright and slanted falls are within 1 grey level."""
    field, _ = a_field(65, 90, 1)
    assert same_field(generated_image((65, 90, 3)), 5, field, angle) <= 1


@any_severity
@pytest.mark.parametrize("size", [(28, 28), (32, 32), (33, 47)], ids=str)
def test_it_matches_the_packages_steps_at_the_severities_of_small_images(
    size: tuple[int, int], severity: int
) -> None:
    """With CIFAR-10-C's severities, also where the fall leaves the image, it is within 1 level."""
    row = CIFAR_10_C[severity - 1]
    for seed, image in enumerate(images_of(*size)):
        field, angle = a_field(*size, seed)
        for turned in (angle, -89.0):
            theirs = by_package(image, row, field, turned)
            assert apart(ours_of(image, row, field, turned), theirs) <= 1


@settings(max_examples=40, deadline=None)
@given(
    height=st.integers(28, 70),
    width=st.integers(28, 70),
    zoom=st.floats(1.0, 16.0),
    radius=st.integers(1, 60),
    sigma=st.floats(0.5, 60.0),
    angle=st.floats(-135.0, -45.0),
)
def test_it_matches_the_packages_steps_at_any_severity(
    height: int, width: int, zoom: float, radius: int, sigma: float, angle: float
) -> None:
    """Any flakes and any trace, also longer than the image, are within 1 grey level."""
    row = (0.5, 0.3, zoom, 0.7, radius, sigma, 0.6)
    field, _ = a_field(height, width, radius)
    image = generated_image((height, width, 3))
    assert apart(ours_of(image, row, field, angle), by_package(image, row, field, angle)) <= 1


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_flakes_have_the_packages_distribution(severity: int) -> None:
    """Mean, spread, a pixel's level and roughness of a black image's snow follow its laws.

    With 2,000 images each the Kolmogorov-Smirnov test at 1e-4 finds any of these distribution
    functions that is off by 0.12 with a probability above 0.99.
    """
    functions: Any = package_namespace()[0]
    functions["np"].random.throw(severity)
    black = np.zeros((40, 40, 1), np.uint8)
    declared = GRAY_STAYS.corruption("snow").severities[severity - 1]
    count = 2000
    parameters = [
        KERNEL.draw(Stream.of("snow", n), declared, (40, 40, 1))  # type: ignore[arg-type]
        for n in range(count)
    ]
    snowy = np.empty((count, 40, 40, 1), np.uint8)
    KERNEL.apply(np.repeat(black[np.newaxis], count, axis=0), parameters, snowy)
    rendered = (functions["snow"](black[:, :, 0], severity).astype(np.uint8) for _ in range(count))
    assert likeness(snowy[..., 0], rendered, (5, 20)) > 1e-4


def test_the_angle_is_uniform() -> None:
    """Angles are uniform in [-135, -45): the test at 1e-4 finds 0.06 off with power above 0.99."""
    from scipy import stats

    declared = Severity.model_validate(dict(zip(WORDS, IMAGENET_C[0], strict=True)))
    angles = [
        float(KERNEL.draw(Stream.of("angle", n), declared, (28, 28, 3))["angle"])
        for n in range(5000)
    ]
    assert stats.kstest(angles, stats.uniform(-135, 90).cdf).pvalue > 1e-4


def test_rounding_to_the_nearest_level_keeps_the_mean() -> None:
    """Cut off levels are half a level darker than rounded ones."""
    image = generated_image((128, 128, 3)) // 2
    down = KERNEL.apply_one(image, drawn(IMAGENET_C[0], 7, -80.0))
    nearest = KERNEL.apply_one(image, drawn(IMAGENET_C[0], 7, -80.0, "nearest"))
    apart_by = nearest.astype(int) - down
    assert set(np.unique(apart_by)) == {0, 1}
    assert abs(apart_by.mean() - 0.5) < 0.05
