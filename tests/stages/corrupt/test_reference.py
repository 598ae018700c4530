"""The package as published runs on current libraries and disturbs nothing."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from stages.corrupt.golden import generated_image
from stages.corrupt.reference import CORRUPTIONS, reference_corrupt

IMAGE = generated_image((48, 40, 3))
RUN_AS_THEY_ARE = sorted(set(CORRUPTIONS) - {"glass_blur", "gaussian_blur", "fog", "frost"})
"""What the plain package still runs once it is imported; frost finds no file through a stub."""


@pytest.mark.parametrize("corruption", CORRUPTIONS)
def test_every_corruption_runs_and_obeys_its_seed(corruption: str) -> None:
    """All nineteen give (H, W, 3) uint8, the same for the same seed at every severity."""
    for severity in range(1, 6):
        first = reference_corrupt(IMAGE, corruption, severity, seed=3)
        assert first.shape == IMAGE.shape
        assert first.dtype == np.uint8
        assert np.array_equal(first, reference_corrupt(IMAGE, corruption, severity, seed=3))
        assert not np.array_equal(first, IMAGE)


@pytest.mark.parametrize("corruption", sorted(set(RUN_AS_THEY_ARE) - {"impulse_noise"}))
def test_it_is_the_package_itself(reference: ModuleType, corruption: str) -> None:
    """Where the plain package runs, it gives the same bytes after NumPy's seed."""
    from PIL import Image

    before = np.random.get_state()  # noqa: NPY002
    try:
        np.random.seed(11)  # noqa: NPY002
        theirs = np.uint8(getattr(reference, corruption)(Image.fromarray(IMAGE), 4))
    finally:
        np.random.set_state(before)  # noqa: NPY002
    assert np.array_equal(reference_corrupt(IMAGE, corruption, 4, seed=11), theirs)


def test_nothing_global_changes() -> None:
    """NumPy's random state, the import table and NumPy itself are as before."""
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    modules = set(sys.modules)
    for corruption in CORRUPTIONS:
        reference_corrupt(IMAGE, corruption, 1, seed=0)
    assert np.array_equal(np.random.get_state()[1], state)  # type: ignore[index]  # noqa: NPY002
    assert "pkg_resources" not in set(sys.modules) - modules
    assert not hasattr(np, "float_")


def test_threads_do_not_disturb_one_another() -> None:
    """Each thread has random numbers of its own."""
    alone = [reference_corrupt(IMAGE, "gaussian_noise", 3, seed=seed) for seed in range(12)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda s: reference_corrupt(IMAGE, "gaussian_noise", 3, seed=s), range(12))
        )
    assert all(map(np.array_equal, alone, together))


def test_gray_becomes_three_channels() -> None:
    """As the package does it, before the corruption."""
    gray = IMAGE[..., :1]
    three = np.repeat(gray, 3, axis=2)
    for image in (gray, gray[..., 0]):
        found = reference_corrupt(image, "gaussian_noise", 2, seed=5)
        assert np.array_equal(found, reference_corrupt(three, "gaussian_noise", 2, seed=5))


def test_what_it_cannot_render_is_refused() -> None:
    """One clear line each."""
    with pytest.raises(UsageError, match="did you mean 'fog'"):
        reference_corrupt(IMAGE, "fogg", 1, seed=0)
    with pytest.raises(DataError, match="1 to 5"):
        reference_corrupt(IMAGE, "fog", 0, seed=0)
    with pytest.raises(DataError, match="at least 32 pixels"):
        reference_corrupt(IMAGE[:31], "fog", 1, seed=0)
    with pytest.raises(DataError, match="uint8"):
        reference_corrupt(IMAGE.astype(np.float32), "fog", 1, seed=0)  # type: ignore[arg-type]
