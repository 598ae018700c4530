"""Saturate: its contract, and equal to the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import rendering, schema, testing
from stages.corrupt.kernels import table
from stages.corrupt.kernels.saturate import KERNEL
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.testing import CorruptionContract, generated_image

SEVERITIES = (
    {"factor": 0.3, "amount": 0.0},
    {"factor": 0.1, "amount": 0.0},
    {"factor": 2.0, "amount": 0.0},
    {"factor": 5.0, "amount": 0.1},
    {"factor": 20.0, "amount": 0.2},
)
SUITE = "as-tested"

any_severity = pytest.mark.parametrize("severity", range(1, 6))
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))


@pytest.fixture(autouse=True)
def suite(monkeypatch: pytest.MonkeyPatch) -> SuiteManifest:
    """Return a suite of this corruption alone, in which gray images stay gray."""
    kernels = {**table.KERNELS, KERNEL.name: KERNEL}
    for module in (schema, testing, rendering):
        monkeypatch.setattr(module, "KERNELS", kernels)
    declared = {"name": KERNEL.name, "kernel": KERNEL.name, "severities": SEVERITIES}
    manifest = SuiteManifest.model_validate(
        {
            "schema": 1,
            "id": SUITE,
            "title": "one corruption",
            "gray": "stay",
            "source": "imagecorruptions 1.1.2",
            "corruptions": (declared,),
        }
    )
    for module in (testing, rendering):
        monkeypatch.setattr(module, "shipped_suite", lambda name: manifest)
    return manifest


class TestSaturate(CorruptionContract):
    suite = SUITE
    corruption = KERNEL.name


def images_of(height: int, width: int) -> list[NDArray[np.uint8]]:
    """Return a textured, a random, a gray and three flat images."""
    rng = np.random.default_rng(height * 1000 + width)
    gray = rng.integers(0, 256, (height, width, 1), dtype=np.uint8)
    return [
        generated_image((height, width, 3)),
        rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        np.repeat(gray, 3, axis=2),
        *(np.full((height, width, 3), level, np.uint8) for level in (0, 37, 255)),
    ]


def by_package(reference: ModuleType, image: NDArray[np.uint8], severity: int) -> NDArray[np.uint8]:
    """Return the package's rendering, converted as its own `corrupt` does."""
    from PIL import Image

    corrupted = getattr(reference, KERNEL.name)(Image.fromarray(image), severity)
    return np.asarray(np.uint8(corrupted))


def apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    """Return the largest difference in grey levels; shapes must agree."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_generated_images_are_equal(
    reference: ModuleType, size: tuple[int, int], severity: int
) -> None:
    """Textured, random, gray and flat images of all sizes give the package's bytes."""
    for image in images_of(*size):
        ours = KERNEL.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_package(reference, image, severity)) == 0


@any_severity
def test_real_images_are_equal(
    reference: ModuleType, real_images: dict[str, NDArray[np.uint8]], severity: int
) -> None:
    """Real photographs, microscopy and X-rays give the package's bytes."""
    for image in real_images.values():
        ours = KERNEL.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_package(reference, image, severity)) == 0


@any_severity
def test_colours_of_every_hue_are_equal(reference: ModuleType, severity: int) -> None:
    """All colours of nine levels per channel, ties of the largest channel included."""
    levels = np.array([0, 1, 2, 63, 127, 128, 200, 254, 255], np.uint8)
    image = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    ours = KERNEL.apply(image, SEVERITIES[severity - 1])
    assert apart(ours, by_package(reference, image, severity)) == 0


def test_no_change_of_saturation_changes_no_pixel() -> None:
    """A factor of 1 and an amount of 0 give the image again, but for truncation."""
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert apart(KERNEL.apply(image, {"factor": 1.0, "amount": 0.0}), image) <= 1


def test_a_factor_of_zero_leaves_the_value() -> None:
    """Without saturation every channel is the largest one."""
    image = generated_image((50, 60, 3))
    ours = KERNEL.apply(image, {"factor": 0.0, "amount": 0.0})
    assert apart(ours, np.repeat(image.max(axis=2, keepdims=True), 3, axis=2)) <= 1


@any_severity
def test_one_channel_has_no_saturation(severity: int) -> None:
    """An image of one channel is returned as a copy."""
    image = generated_image((40, 50, 1))
    ours = KERNEL.apply(image, SEVERITIES[severity - 1])
    assert np.array_equal(ours, image)
    assert not np.shares_memory(ours, image)
