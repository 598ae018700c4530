"""What the tests of single kernels share: their suite, images, and the package's rendering."""

from __future__ import annotations

import importlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels.impulse_noise import KEEP, PEPPER, SALT
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.testing import any_severity

IMAGENET_C = SUITES["imagenet-c"]
GRAY_STAYS = IMAGENET_C.model_copy(update={"gray": "stay"})
CIFAR_C = SUITES["cifar-c"].model_copy(update={"gray": "stay"})
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))


def severities_of(name: str, suite: SuiteManifest = IMAGENET_C) -> tuple[dict[str, Any], ...]:
    """Return the five parameter tables of a corruption of a suite."""
    return tuple(table.model_dump() for table in suite.corruption(name).severities)


def rows_of(name: str, suite: SuiteManifest) -> tuple[tuple[Any, ...], ...]:
    """Return the numbers of these tables without the words."""
    return tuple(
        tuple(value for value in table.values() if isinstance(value, int | float))
        for table in severities_of(name, suite)
    )


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


def impulses(image: NDArray[np.uint8], key: int, amount: float) -> tuple[Any, NDArray[np.uint8]]:
    """Return an image in impulse noise, and its mask: KEEP, SALT or PEPPER for each value."""
    kernel, parameters = KERNELS["impulse_noise"], {"noise_key": key, "amount": amount}
    of_gray = kernel.apply_one(np.full_like(image, 128), parameters)
    mask = np.select([of_gray == 255, of_gray == 0], [SALT, PEPPER], KEEP)
    return kernel.apply_one(image, parameters), mask


class NearPackage:
    """Inherit beside `CorruptionContract` to test a corruption against the package.

    One with random numbers overrides `distance`, so that both are given the same ones.
    """

    corruption: ClassVar[str]
    most: ClassVar[int] = 0
    """Grey levels that ours and the package's may be apart."""

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        """Return how far ours and the package's renderings are apart."""
        ours = KERNELS[self.corruption].apply_one(
            image, severities_of(self.corruption)[severity - 1]
        )
        return apart(ours, by_package(self.corruption, package, image, severity))

    @any_severity
    @pytest.mark.parametrize("size", [(28, 28), *SIZES], ids=str)
    def test_it_matches_the_package(
        self, package: ModuleType, size: tuple[int, int], severity: int
    ) -> None:
        """Textured, random, gray and flat images of all sizes are as near as they should be."""
        for image in images_of(*size):
            assert self.distance(package, image, severity) <= self.most

    @any_severity
    def test_it_matches_the_package_on_real_images(
        self, package: ModuleType, real_images: dict[str, NDArray[np.uint8]], severity: int
    ) -> None:
        """Real photographs, microscopy and X-rays are as near as they should be."""
        for image in real_images.values():
            assert self.distance(package, image, severity) <= self.most


class GrayLikeItsCopies:
    """Inherit beside `CorruptionContract`: one channel becomes what three equal ones do."""

    suite: ClassVar[SuiteManifest]
    corruption: ClassVar[str]
    from_copies: ClassVar[int] = 0
    """Grey levels that both may be apart."""

    @any_severity
    def test_a_gray_image_is_like_its_copies(self, severity: int) -> None:
        """One channel or three equal ones: the same pixels."""
        declared = self.suite.corruption(self.corruption)
        kernel, gray = KERNELS[declared.kernel], generated_image((61, 50, 1))
        values = declared.severities[severity - 1]
        parameters = kernel.draw(Stream.of("gray", severity), values, gray.shape)
        copies = kernel.apply_one(np.repeat(gray, 3, axis=2), parameters)
        alone = np.repeat(kernel.apply_one(gray, parameters), 3, axis=2)
        assert apart(alone, copies) <= self.from_copies


def by_package(
    name: str, reference: ModuleType, image: NDArray[np.uint8], severity: int
) -> NDArray[np.uint8]:
    """Return the package's rendering, converted as its own `corrupt` does."""
    from PIL import Image

    return np.asarray(np.uint8(getattr(reference, name)(Image.fromarray(image), severity)))


def apart(ours: NDArray[np.uint8], theirs: NDArray[np.uint8]) -> int:
    """Return the largest difference in grey levels; shapes must agree."""
    assert ours.shape == theirs.shape
    return int(np.abs(ours.astype(int) - theirs).max())


def without_vectors(program: str, *arguments: str, **environment: str) -> str:
    """Return what a program prints in a process without this processor's vector instructions."""
    dispatch: Any = importlib.import_module("numpy._core._multiarray_umath")
    environment |= {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(dispatch.__cpu_dispatch__),
    }
    if platform.machine() == "x86_64":
        environment["GLIBC_TUNABLES"] = "glibc.cpu.hwcaps=-AVX2,-FMA"
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | environment,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def features(image: NDArray[np.uint8], pixel: tuple[int, int]) -> tuple[float, ...]:
    """Return mean, spread, one pixel, and roughness along and across of an (H, W) image."""
    level = image.astype(float)
    along, down = np.abs(np.diff(level, axis=1)), np.abs(np.diff(level, axis=0))
    return level.mean(), level.std(), level[pixel], along.mean(), down.mean()


def likeness(
    ours: Iterable[NDArray[np.uint8]], theirs: Iterable[NDArray[np.uint8]], pixel: tuple[int, int]
) -> float:
    """Return the smallest p of Kolmogorov-Smirnov tests of the `features` of two kinds."""
    from scipy import stats

    kinds = [np.transpose([features(image, pixel) for image in kind]) for kind in (ours, theirs)]
    tests = [stats.ks_2samp(*pair, method="asymp") for pair in zip(*kinds, strict=True)]
    return min(float(test.pvalue) for test in tests)


def normal_law_faults(flat: int, noisy: NDArray[np.uint8], spread: float) -> list[str]:
    """Return which of two tests against truncated normal noise on a flat image the image fails.

    `spread` is the standard deviation in grey levels.
    """
    stats = pytest.importorskip("scipy.stats")
    levels = np.arange(256)
    edges = np.concatenate([[-np.inf], levels[1:], [np.inf]])
    probabilities = np.diff(stats.norm.cdf((edges - flat) / spread))
    expected = probabilities * noisy.size
    kept = expected >= 10
    seen = np.bincount(noisy.ravel(), minlength=256)
    statistic = ((seen - expected)[kept] ** 2 / expected[kept]).sum()
    mean = (probabilities * levels).sum()
    deviation = ((probabilities * (levels - mean) ** 2).sum() / noisy.size) ** 0.5
    tests = {
        "chi-squared": statistic > stats.chi2.ppf(0.9999, kept.sum() - 1),
        "mean": abs(noisy.mean() - mean) > 4.5 * deviation,
    }
    return [name for name, failed in tests.items() if failed]
