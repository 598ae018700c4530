"""medimeta-c-hendrycks against the functions of the original ImageNet-C script."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt import corrupt
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import motion_blur
from stages.corrupt.rendering import SUITES
from tests.stages.corrupt.kernels import any_severity, apart

SUITE = SUITES["medimeta-c-hendrycks"]
SIZES = ((224, 224), (64, 64), (97, 131), (225, 150))


def images(size: tuple[int, int]) -> list[NDArray[np.uint8]]:
    """Return a generated, a random and a flat image."""
    rng = np.random.default_rng(size[0])
    noise = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    return [generated_image((*size, 3)), noise, np.full((*size, 3), 200, np.uint8)]


def trimmed_zoom(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Return the middle of `image` enlarged and trimmed around its middle, as the script does."""
    from scipy.ndimage import zoom

    sides = image.shape[:2]
    cropped = [int(np.ceil(side / factor)) for side in sides]
    tops = [(side - crop) // 2 for side, crop in zip(sides, cropped, strict=True)]
    middle = tuple(slice(top, top + crop) for top, crop in zip(tops, cropped, strict=True))
    large = zoom(image[middle], (factor, factor, 1), order=1)
    trims = [(have - side) // 2 for have, side in zip(large.shape, sides, strict=False)]
    return large[tuple(slice(trim, trim + side) for trim, side in zip(trims, sides, strict=True))]


@any_severity
def test_zoom_blur_is_trimmed_around_the_middle(severity: int) -> None:
    """Enlargements are those of the script, within 1 grey level."""
    table = SUITE.corruption("zoom_blur").severities[severity - 1].model_dump()
    for size in SIZES:
        for image in images(size):
            clean = (image / 255.0).astype(np.float32)
            factors = np.arange(1, 1 + table["step"] * (table["count"] - 0.5), table["step"])
            assert len(factors) == table["count"]
            total = sum(trimmed_zoom(clean, factor) for factor in factors)
            theirs = np.uint8(np.clip((clean + total) / (len(factors) + 1), 0, 1) * 255)
            assert apart(corrupt(image, "zoom_blur", severity, suite=SUITE), theirs) <= 1


@any_severity
def test_pixelate_is_box_upsampled(severity: int) -> None:
    """Bytes are those of Pillow's box filter both ways."""
    from PIL import Image

    scale = SUITE.corruption("pixelate").severities[severity - 1].model_dump()["scale"]
    for height, width in SIZES:
        for image in images((height, width)):
            small = (int(width * scale), int(height * scale))
            shrunk = Image.fromarray(image).resize(small, Image.Resampling.BOX)
            theirs = np.asarray(shrunk.resize((width, height), Image.Resampling.BOX))
            assert apart(corrupt(image, "pixelate", severity, suite=SUITE), theirs) == 0


@any_severity
def test_motion_blur_is_imagemagicks(severity: int) -> None:
    """At the same angle the blur is ImageMagick's within 1 grey level, edges included."""
    wand = wand_image()
    table = SUITE.corruption("motion_blur").severities[severity - 1].model_dump()
    angles = iter(np.random.default_rng(severity).uniform(-45, 45, 100))
    for size in (*SIZES, (32, 32)):
        for image in images(size):
            angle = float(next(angles))
            with wand.from_array(image) as picture:
                picture.motion_blur(table["radius"], table["sigma"], angle)
                theirs = np.array(picture)[:, :, :3]
            ours = motion_blur.KERNEL.apply_one(image, {**table, "angle": angle})
            assert apart(ours, theirs) <= 1


def wand_image() -> Any:
    """Return Wand's image class; skip where it or ImageMagick is not installed."""
    pytest.importorskip("wand", reason="Wand is not installed")
    try:
        return importlib.import_module("wand.image").Image
    except ImportError:
        pytest.skip("ImageMagick's library is not installed")
