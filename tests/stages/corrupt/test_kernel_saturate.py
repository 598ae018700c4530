"""Saturate: its contract, and equal to the imagecorruptions package."""

from __future__ import annotations

import functools
from types import ModuleType

import numpy as np

from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.saturate import KERNEL
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt import kernels
from tests.stages.corrupt.kernels import GRAY_STAYS, NearPackage, any_severity, apart, severities_of

SEVERITIES = severities_of("saturate")
by_package = functools.partial(kernels.by_package, "saturate")


class TestSaturate(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = KERNEL.name


@any_severity
def test_colours_of_every_hue_are_equal(reference: ModuleType, severity: int) -> None:
    """All colours of nine levels per channel, ties of the largest channel included."""
    levels = np.array([0, 1, 2, 63, 127, 128, 200, 254, 255], np.uint8)
    image = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    ours = KERNEL.apply_one(image, SEVERITIES[severity - 1])
    assert apart(ours, by_package(reference, image, severity)) == 0


def test_no_change_of_saturation_changes_no_pixel() -> None:
    """A factor of 1 and an amount of 0 give the image again, but for truncation."""
    image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    assert apart(KERNEL.apply_one(image, {"factor": 1.0, "amount": 0.0}), image) <= 1


def test_a_factor_of_zero_leaves_the_value() -> None:
    """Without saturation every channel is the largest one."""
    image = generated_image((50, 60, 3))
    ours = KERNEL.apply_one(image, {"factor": 0.0, "amount": 0.0})
    assert apart(ours, np.repeat(image.max(axis=2, keepdims=True), 3, axis=2)) <= 1


@any_severity
def test_one_channel_has_no_saturation(severity: int) -> None:
    """An image of one channel is returned as a copy."""
    image = generated_image((40, 50, 1))
    ours = KERNEL.apply_one(image, SEVERITIES[severity - 1])
    assert np.array_equal(ours, image)
    assert not np.shares_memory(ours, image)
