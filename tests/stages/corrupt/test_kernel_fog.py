"""Fog: its contract, the package's fog with the same numbers, and the law of its clouds."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import fog
from stages.corrupt.kernels.fog import KERNEL
from stages.corrupt.kernels.kernel import Parameters
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

IMAGENET_C, CIFAR_10_C = rows_of("fog", GRAY_STAYS), rows_of("fog", CIFAR_C)


class TestFogOfSmallImages(CorruptionContract):
    suite = CIFAR_C
    corruption = "fog"


class Given:
    """Random words, and `numpy.random.uniform` that returns the same numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        count = fog.map_side(shape) ** 2 - 1
        self.words = np.random.default_rng(count).integers(0, 2**32, count, dtype=np.uint32)
        self._used = 0

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return the next numbers."""
        count = int(np.prod(shape))
        numbers = self.words[self._used : self._used + count].view(np.int32) * 2.0**-31
        self._used += count
        return numbers.reshape(shape) * high

    def used_up(self) -> bool:
        """Return whether all numbers were taken."""
        return self._used == self.words.size


class TestFog(CorruptionContract, NearPackage, GrayLikeItsCopies):
    suite = GRAY_STAYS
    corruption = "fog"
    most = 1

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        from PIL import Image

        numbers, functions = Given(image.shape), package_namespace()[0]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(functions["np"], "random", SimpleNamespace(uniform=numbers.uniform))
            theirs = np.uint8(functions["fog"](Image.fromarray(image), severity))
        assert numbers.used_up()
        ours = fog.apply_words(image, numbers.words, *IMAGENET_C[severity - 1])
        return apart(ours, theirs)

    def test_it_matches_the_package_on_a_driving_scene(self, package: ModuleType) -> None:
        """An image of 1024 x 2048 is as near as it should be."""
        assert self.distance(package, generated_image((1024, 2048, 3)), 4) <= self.most


@any_severity
def test_it_matches_the_script_of_cifar_10_c(
    monkeypatch: pytest.MonkeyPatch, severity: int
) -> None:
    """With its severities and the same numbers, images of 32 px are within 1 grey level."""
    amount, decay = CIFAR_10_C[severity - 1]
    functions = package_namespace()[0]
    for image in images_of(32, 32):
        numbers = Given(image.shape)
        with monkeypatch.context() as patch:
            patch.setattr(functions["np"], "random", SimpleNamespace(uniform=numbers.uniform))
            cloud = functions["plasma_fractal"](mapsize=32, wibbledecay=decay)
        clean = image / 255.0
        largest = clean.max()
        theirs = np.clip((clean + amount * cloud[..., None]) * largest / (largest + amount), 0, 1)
        ours = fog.apply_words(image, numbers.words, amount, decay)
        assert apart(ours, np.uint8(theirs * 255)) <= 1


def drawn(amount: float, decay: float, key: int, rounding: str = "down") -> Parameters:
    """Return the parameters of one image."""
    return {"amount": amount, "decay": decay, "rounding": rounding, "noise_key": key}


@pytest.mark.parametrize("severity", [1, 3, 5])
def test_clouds_have_the_packages_distribution(severity: int) -> None:
    """Mean, spread, a pixel's level and roughness of a white image's fog follow its laws.

    With 2,000 clouds each the Kolmogorov-Smirnov test at 1e-4 finds any of these distribution
    functions that is off by 0.12 with a probability above 0.99.
    """
    functions: Any = package_namespace()[0]
    functions["np"].random.throw(severity)
    white = np.full((32, 32, 1), 255, np.uint8)
    count = 2000
    parameters = [drawn(*IMAGENET_C[severity - 1], key) for key in range(count)]
    foggy = np.empty((count, 32, 32, 1), np.uint8)
    KERNEL.apply(np.repeat(white[np.newaxis], count, axis=0), parameters, foggy)
    rendered = (np.uint8(functions["fog"](white[:, :, 0], severity)) for _ in range(count))
    assert likeness(foggy[..., 0], rendered, (5, 20)) > 1e-4


@settings(max_examples=60, deadline=None)
@given(
    level=st.integers(0, 255),
    amount=st.floats(0.01, 20.0),
    decay=st.floats(1.0, 20.0),
    key=st.integers(0, 2**63 - 1),
    rounding=st.sampled_from(["down", "nearest"]),
)
def test_no_level_exceeds_the_largest(
    level: int, amount: float, decay: float, key: int, rounding: str
) -> None:
    """Fog is never brighter than the brightest pixel, and a black image stays black."""
    image = generated_image((28, 40, 1)) // 4
    image[3, 3] = level
    foggy = KERNEL.apply_one(image, drawn(amount, decay, key, rounding))
    assert foggy.max() <= image.max()
    black = KERNEL.apply_one(np.zeros_like(image), drawn(amount, decay, key, rounding))
    assert not black.any()


def test_rounding_to_the_nearest_level_keeps_the_mean() -> None:
    """Cut off levels are half a level darker than rounded ones."""
    image = generated_image((128, 128, 3))
    down = KERNEL.apply_one(image, drawn(1.5, 2.0, 7))
    nearest = KERNEL.apply_one(image, drawn(1.5, 2.0, 7, "nearest"))
    apart_by = nearest.astype(int) - down
    assert set(np.unique(apart_by)) == {0, 1}
    assert abs(apart_by.mean() - 0.5) < 0.02
