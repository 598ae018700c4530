"""medimeta-c: its contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import exact_math, gaussian_noise, impulse_noise, motion_blur, pixelate
from stages.corrupt.rendering import SUITES
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import NearPackage, apart, by_package, impulses

SUITE = SUITES["medimeta-c"]


class Parity(CorruptionContract, NearPackage):
    """A corruption of medimeta-c; one with random numbers overrides `ours`."""

    most = 1

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        table = SUITE.corruption(self.corruption).severities[severity - 1].model_dump()
        with pytest.MonkeyPatch.context() as patch:
            ours = self.ours(image, severity, table, patch)
            return apart(ours, by_package(self.corruption, package, image, severity))

    def ours(
        self,
        image: NDArray[np.uint8],
        severity: int,
        table: dict[str, Any],
        patch: pytest.MonkeyPatch,
    ) -> NDArray[np.uint8]:
        """Return our rendering; random numbers are patched so that the package takes the same."""
        return corrupt(image, self.corruption, severity)


class TestGaussianNoise(Parity):
    corruption = "gaussian_noise"

    def ours(
        self,
        image: NDArray[np.uint8],
        severity: int,
        table: dict[str, Any],
        patch: pytest.MonkeyPatch,
    ) -> NDArray[np.uint8]:
        rng = np.random.default_rng(image.size + severity)
        field = rng.standard_normal(image.shape).astype(np.float32)
        patch.setattr(np.random, "normal", lambda size, scale: field.astype(float) * scale)
        return gaussian_noise.apply_field(image, field, table["sigma"])


class TestImpulseNoise(Parity):
    corruption = "impulse_noise"

    def ours(
        self,
        image: NDArray[np.uint8],
        severity: int,
        table: dict[str, Any],
        patch: pytest.MonkeyPatch,
    ) -> NDArray[np.uint8]:
        ours, mask = impulses(image, severity, table["amount"])
        patch.setattr(np.random, "default_rng", _given_mask(mask))
        return ours


class TestMotionBlur(Parity):
    corruption = "motion_blur"

    def ours(
        self,
        image: NDArray[np.uint8],
        severity: int,
        table: dict[str, Any],
        patch: pytest.MonkeyPatch,
    ) -> NDArray[np.uint8]:
        angle = float(np.random.default_rng(int(image.sum()) + severity).uniform(-45, 45))
        patch.setattr(np.random, "uniform", lambda low, high: angle)
        return motion_blur.KERNEL.apply_one(image, {**table, "angle": angle})


class TestZoomBlur(Parity):
    corruption = "zoom_blur"


class TestBrightness(Parity):
    corruption = "brightness"


class TestContrast(Parity):
    corruption = "contrast"


class TestPixelate(Parity):
    corruption = "pixelate"


def test_every_corruption_of_the_suite_is_tested_here() -> None:
    """No corruption of the suite lacks its tests."""
    tested = {contract.corruption for contract in Parity.__subclasses__()}
    assert tested >= {entry.name for entry in SUITE.corruptions}


def test_zoom_blur_matches_at_every_size(reference: ModuleType) -> None:
    """Crop and output sizes round as the package's do for every side from 28 to 260."""
    for side in range(28, 261):
        image = generated_image((side, 28, 3) if side % 2 else (28, side, 3))
        severity = 1 + side % 5
        theirs = by_package("zoom_blur", reference, image, severity)
        assert apart(corrupt(image, "zoom_blur", severity), theirs) <= 1, side


def test_motion_path_matches_for_many_angles() -> None:
    """Shifts agree with the package's formula at 20,000 angles: no rounding tie flips."""
    steps = np.arange(41)
    for angle in np.random.default_rng(0).uniform(-45, 45, 20_000):
        point = 41 * np.sin(np.deg2rad(angle)), 41 * np.cos(np.deg2rad(angle))
        hypot = np.hypot(*point)
        shifts = np.empty((2, 41), np.int64)
        motion_blur.fill_path(*exact_math.sin_cos_degrees(float(angle)), shifts)
        assert np.array_equal(shifts[0], -np.ceil(steps * point[0] / hypot - 0.5))
        assert np.array_equal(shifts[1], -np.ceil(steps * point[1] / hypot - 0.5))


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(28, 160),
    ratio=st.floats(0.6, 4.0),
    scale=st.floats(0.1, 1.0),
    channels=st.sampled_from((1, 3)),
)
def test_pixelate_is_pillow_to_the_byte(
    height: int, ratio: float, scale: float, channels: int
) -> None:
    """Box averaging and nearest enlargement give Pillow's bytes at any size and scale."""
    from PIL import Image

    width = max(28, int(height * ratio))
    pixels = generated_image((height, width, channels))
    image = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    small = image.resize((int(width * scale), int(height * scale)), Image.Resampling.BOX)
    theirs = np.asarray(small.resize((width, height), Image.Resampling.NEAREST))
    assert np.array_equal(
        pixelate.KERNEL.apply_one(pixels, {"scale": scale, "enlarging": "nearest"}),
        theirs.reshape(pixels.shape),
    )


def _given_mask(mask: NDArray[np.uint8]) -> Any:
    """Return a `default_rng` whose two draws make scikit-image flip and salt as `mask` says."""
    draws = iter((mask == impulse_noise.KEEP, mask != impulse_noise.SALT))
    return lambda seed=None: SimpleNamespace(random=lambda shape: next(draws).astype(float))
