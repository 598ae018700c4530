"""What the tests of single kernels share: their suite, images, and the package's rendering."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.rendering import shipped_suite
from stages.corrupt.testing import generated_image

IMAGENET_C = shipped_suite("imagenet-c")
GRAY_STAYS = IMAGENET_C.model_copy(update={"gray": "stay"})
CIFAR_C = shipped_suite("cifar-c").model_copy(update={"gray": "stay"})
SIZES = ((32, 32), (33, 47), (64, 64), (65, 48), (100, 96), (128, 128), (224, 224), (225, 150))

any_severity = pytest.mark.parametrize("severity", range(1, 6))


def severities_of(name: str) -> tuple[dict[str, Any], ...]:
    """Return the five parameter tables of a corruption of `IMAGENET_C`."""
    return tuple(table.model_dump() for table in IMAGENET_C.corruption(name).severities)


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
