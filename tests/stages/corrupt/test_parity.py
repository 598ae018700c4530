"""medimeta-c against the imagecorruptions package: at most 1 grey level apart."""

from __future__ import annotations

import contextlib
import io
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
from tests.stages.corrupt.kernels import SIZES, any_severity, apart, by_package, images_of, impulses

SUITE = SUITES["medimeta-c"]
DETERMINISTIC = ("zoom_blur", "brightness", "contrast", "pixelate")


def by_reference(
    reference: ModuleType, name: str, image: NDArray[np.uint8], severity: int
) -> NDArray[np.uint8]:
    """Return the package's rendering, without what it prints."""
    with contextlib.redirect_stdout(io.StringIO()):
        return by_package(name, reference, image, severity)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_corruptions_match(
    reference: ModuleType, name: str, size: tuple[int, int]
) -> None:
    """Textured, random, gray and flat images of all sizes are within 1 grey level."""
    for image in images_of(*size):
        for severity in range(1, 6):
            theirs = by_reference(reference, name, image, severity)
            assert apart(corrupt(image, name, severity), theirs) <= 1


@any_severity
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_deterministic_corruptions_match_on_real_images(
    reference: ModuleType, real_images: dict[str, NDArray[np.uint8]], name: str, severity: int
) -> None:
    """Real photographs, microscopy and X-rays are within 1 grey level."""
    for image in real_images.values():
        theirs = by_reference(reference, name, image, severity)
        assert apart(corrupt(image, name, severity), theirs) <= 1


def test_zoom_blur_matches_at_every_size(reference: ModuleType) -> None:
    """Crop and output sizes round as the package's do for every side from 28 to 260."""
    for side in range(28, 261):
        image = generated_image((side, 28, 3) if side % 2 else (28, side, 3))
        severity = 1 + side % 5
        theirs = by_reference(reference, "zoom_blur", image, severity)
        assert apart(corrupt(image, "zoom_blur", severity), theirs) <= 1, side


@any_severity
def test_motion_blur_matches_at_the_same_angle(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, severity: int
) -> None:
    """Given the same angle the blur is within 1 grey level, stopped paths included."""
    declared = SUITE.corruption("motion_blur").severities[severity - 1].model_dump()
    angles = iter(np.random.default_rng(severity).uniform(-45, 45, len(SIZES) * 6))
    for size in SIZES:
        for image in images_of(*size):
            angle = float(next(angles))
            monkeypatch.setattr(np.random, "uniform", lambda low, high, angle=angle: angle)
            theirs = by_reference(reference, "motion_blur", image, severity)
            assert (
                apart(motion_blur.KERNEL.apply_one(image, {**declared, "angle": angle}), theirs)
                <= 1
            )


@any_severity
def test_motion_blur_matches_on_real_images(
    reference: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    real_images: dict[str, NDArray[np.uint8]],
    severity: int,
) -> None:
    """Real images at the angle that our stream draws are within 1 grey level."""
    declared = SUITE.corruption("motion_blur").severities[severity - 1].model_dump()
    for image, angle in zip(real_images.values(), (-44.9, 3.3, 31.0), strict=True):
        monkeypatch.setattr(np.random, "uniform", lambda low, high, angle=angle: angle)
        theirs = by_reference(reference, "motion_blur", image, severity)
        assert apart(motion_blur.KERNEL.apply_one(image, {**declared, "angle": angle}), theirs) <= 1


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


@any_severity
def test_gaussian_noise_matches_with_the_same_field(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, severity: int
) -> None:
    """Given the same normal numbers the noisy images are within 1 grey level."""
    sigma = SUITE.corruption("gaussian_noise").severities[severity - 1].model_dump()["sigma"]
    rng = np.random.default_rng(severity)
    for size in SIZES:
        for image in images_of(*size):
            field = rng.standard_normal(image.shape).astype(np.float32)
            monkeypatch.setattr(np.random, "normal", _given_field(field))
            theirs = by_reference(reference, "gaussian_noise", image, severity)
            assert apart(gaussian_noise.apply_field(image, field, sigma), theirs) <= 1


@any_severity
def test_impulse_noise_matches_with_the_same_mask(
    reference: ModuleType, monkeypatch: pytest.MonkeyPatch, severity: int
) -> None:
    """Given the same mask the noisy images are within 1 grey level."""
    amount = SUITE.corruption("impulse_noise").severities[severity - 1].model_dump()["amount"]
    for size in SIZES:
        for image in images_of(*size):
            ours, mask = impulses(image, severity, amount)
            monkeypatch.setattr(np.random, "default_rng", _given_mask(mask))
            theirs = by_reference(reference, "impulse_noise", image, severity)
            assert apart(ours, theirs) <= 1
            monkeypatch.undo()


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


def _given_field(field: NDArray[np.float32]) -> Any:
    return lambda size, scale: field.astype(np.float64) * scale


def _given_mask(mask: NDArray[np.uint8]) -> Any:
    """Return a `default_rng` whose two draws make scikit-image flip and salt as `mask` says."""
    draws = iter((mask == impulse_noise.KEEP, mask != impulse_noise.SALT))
    return lambda seed=None: SimpleNamespace(random=lambda shape: next(draws).astype(float))
