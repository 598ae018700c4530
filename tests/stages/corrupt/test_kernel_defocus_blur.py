"""Defocus blur: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import rendering, schema, testing
from stages.corrupt.kernels import defocus_blur
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.testing import CorruptionContract, generated_image

NAME = "defocus_blur"
SEVERITIES: tuple[dict[str, Any], ...] = (
    {"radius": 3.0, "alias_sigma": 0.1},
    {"radius": 4.0, "alias_sigma": 0.5},
    {"radius": 6.0, "alias_sigma": 0.5},
    {"radius": 8.0, "alias_sigma": 0.5},
    {"radius": 10.0, "alias_sigma": 0.5},
)
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))

any_severity = pytest.mark.parametrize("severity", range(1, 6))


@pytest.fixture(autouse=True)
def _suite_of_this_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the contract find a suite of this kernel alone, whatever the shipped suites hold."""
    for module in (rendering, schema, testing):
        monkeypatch.setattr(module, "KERNELS", {**KERNELS, NAME: defocus_blur.KERNEL})
    suite = schema.SuiteManifest.model_validate(
        {
            "schema": 1,
            "id": "alone",
            "title": "One corruption",
            "gray": "stay",
            "source": "ImageNet-C at 224 pixels",
            "corruptions": ({"name": NAME, "kernel": NAME, "severities": SEVERITIES},),
        }
    )
    monkeypatch.setattr(testing, "shipped_suite", lambda name: suite)


class TestDefocusBlur(CorruptionContract):
    corruption = NAME


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


def by_reference(
    reference: ModuleType, image: NDArray[np.uint8], severity: int
) -> NDArray[np.uint8]:
    """Return the package's rendering, as its own `corrupt` calls and converts it."""
    from PIL import Image

    return np.uint8(getattr(reference, NAME)(Image.fromarray(image), severity))  # type: ignore[return-value]


def apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    """Return the largest difference in grey levels; shapes must agree."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


@any_severity
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_matches_the_package(
    reference: ModuleType, size: tuple[int, int], severity: int
) -> None:
    """Textured, random, gray and flat images of all sizes are within 1 grey level."""
    for image in images_of(*size):
        ours = defocus_blur.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_reference(reference, image, severity)) <= 1


@any_severity
def test_it_matches_the_package_on_real_images(
    reference: ModuleType, real_images: dict[str, NDArray[np.uint8]], severity: int
) -> None:
    """Real photographs, microscopy and X-rays are within 1 grey level."""
    for image in real_images.values():
        ours = defocus_blur.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_reference(reference, image, severity)) <= 1


@any_severity
def test_gray_images_match_the_package(reference: ModuleType, severity: int) -> None:
    """A one-channel image is within 1 grey level of the package's gray rendering."""
    for size in SIZES:
        gray = generated_image((*size, 1))
        ours = defocus_blur.apply(gray, SEVERITIES[severity - 1])[:, :, 0]
        assert apart(ours, by_reference(reference, gray[:, :, 0], severity)) <= 1


@any_severity
def test_flat_images_keep_their_level(severity: int) -> None:
    """No rounding error is truncated to the level below.

    The package's disks of radius 8 and 10, cut at their square, add up to more than 1.
    """
    total = defocus_blur.disk(*SEVERITIES[severity - 1].values()).sum()
    assert (total < 1.0 + 1e-12) == (severity < 4)
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        blurred = defocus_blur.apply(image, SEVERITIES[severity - 1])
        assert (blurred >= min(255, int(level * total + 1e-9))).all()
        assert (blurred <= level * total + 0.01).all()


@pytest.mark.parametrize("radius", [0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 7.5, 8.0, 9.0, 12.0, 20.0])
@pytest.mark.parametrize("alias_sigma", [0.01, 0.1, 0.2, 0.5, 0.6])
def test_the_disk_is_that_of_the_package(
    reference: ModuleType, radius: float, alias_sigma: float
) -> None:
    """Weights agree for every radius and edge that MedMNIST-C and ImageNet-C use, and others."""
    theirs = reference.disk(radius, alias_sigma)
    assert np.abs(defocus_blur.disk(radius, alias_sigma) - theirs).max() < 1e-7


def test_a_fractional_radius_above_8_is_refused() -> None:
    """The package's grid would not be centred there."""
    with pytest.raises(ValueError, match="whole number"):
        defocus_blur.Severity(radius=8.5, alias_sigma=0.5)
