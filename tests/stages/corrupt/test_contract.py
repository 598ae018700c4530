"""Every corruption of medimeta-c keeps the contract of `stages.corrupt.testing`."""

from __future__ import annotations

from stages.corrupt.rendering import SUITES
from stages.corrupt.testing import CorruptionContract


class TestGaussianNoise(CorruptionContract):
    corruption = "gaussian_noise"


class TestImpulseNoise(CorruptionContract):
    corruption = "impulse_noise"


class TestMotionBlur(CorruptionContract):
    corruption = "motion_blur"


class TestZoomBlur(CorruptionContract):
    corruption = "zoom_blur"


class TestBrightness(CorruptionContract):
    corruption = "brightness"


class TestContrast(CorruptionContract):
    corruption = "contrast"


class TestPixelate(CorruptionContract):
    corruption = "pixelate"


def test_every_corruption_of_the_suite_is_tested_here() -> None:
    """No corruption of the suite lacks its contract tests."""
    tested = {contract.corruption for contract in CorruptionContract.__subclasses__()}
    assert tested >= {entry.name for entry in SUITES["medimeta-c"].corruptions}
