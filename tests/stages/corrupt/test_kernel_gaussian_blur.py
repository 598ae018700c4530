"""Gaussian blur: the contract, and at most 1 grey level from the imagecorruptions package."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import rendering, schema, testing
from stages.corrupt.kernels import gaussian_blur
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.testing import CorruptionContract, generated_image

NAME = "gaussian_blur"
SEVERITIES: tuple[dict[str, Any], ...] = (
    {"sigma": 1.0},
    {"sigma": 2.0},
    {"sigma": 3.0},
    {"sigma": 4.0},
    {"sigma": 6.0},
)
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))

any_severity = pytest.mark.parametrize("severity", range(1, 6))


@pytest.fixture(autouse=True)
def _suite_of_this_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the contract find a suite of this kernel alone, whatever the shipped suites hold."""
    for module in (rendering, schema, testing):
        monkeypatch.setattr(module, "KERNELS", {**KERNELS, NAME: gaussian_blur.KERNEL})
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


@pytest.fixture
def package(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the package; its call of scikit-image's filter is put into today's words."""
    from skimage.filters import gaussian

    def filtered(image: Any, sigma: Any, *, multichannel: bool = False, **options: Any) -> Any:
        axis = -1 if multichannel else None
        return gaussian(image, sigma=sigma, channel_axis=axis, **options)

    monkeypatch.setattr(reference, "gaussian", filtered)
    return reference


class TestGaussianBlur(CorruptionContract):
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
def test_it_matches_the_package(package: ModuleType, size: tuple[int, int], severity: int) -> None:
    """Textured, random, gray and flat images of all sizes are within 1 grey level."""
    for image in images_of(*size):
        ours = gaussian_blur.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_reference(package, image, severity)) <= 1


@any_severity
def test_it_matches_the_package_on_real_images(
    package: ModuleType, real_images: dict[str, NDArray[np.uint8]], severity: int
) -> None:
    """Real photographs, microscopy and X-rays are within 1 grey level."""
    for image in real_images.values():
        ours = gaussian_blur.apply(image, SEVERITIES[severity - 1])
        assert apart(ours, by_reference(package, image, severity)) <= 1


@any_severity
def test_a_gray_image_is_one_channel_of_its_replica(severity: int) -> None:
    """One channel or three equal ones: the same pixels."""
    gray = generated_image((61, 50, 1))
    three = gaussian_blur.apply(np.repeat(gray, 3, axis=2), SEVERITIES[severity - 1])
    assert np.array_equal(gaussian_blur.apply(gray, SEVERITIES[severity - 1]), three[:, :, :1])


@any_severity
def test_flat_images_keep_their_level(severity: int) -> None:
    """No rounding error is truncated to the level below."""
    for level in range(256):
        image = np.full((40, 33, 1), level, np.uint8)
        assert ((gaussian_blur.apply(image, SEVERITIES[severity - 1])) == level).all()


def test_an_image_smaller_than_the_filter_is_filtered() -> None:
    """Weights that reach beyond the far edge count the edge pixel again."""
    image = generated_image((28, 31, 3))
    wide = np.pad(image, ((99, 99), (99, 99), (0, 0)), mode="edge")
    ours = gaussian_blur.apply(image, {"sigma": 12.0})
    assert np.array_equal(ours, gaussian_blur.apply(wide, {"sigma": 12.0})[99:-99, 99:-99])
