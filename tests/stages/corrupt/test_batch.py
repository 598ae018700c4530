"""A batch is its images one by one, however it is cut, ordered or spread over threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, UsageError
from stages.corrupt import corrupt, corrupt_batch
from stages.corrupt.golden import generated_image, golden_names
from stages.corrupt.rendering import suite_for

SIDES = (40, 36)
CORRUPTIONS = [
    (name, corruption.name)
    for name in golden_names()
    for corruption in suite_for(name, *SIDES).corruptions
]
"""Every corruption of every shipped suite."""
IMAGES = np.stack([np.roll(generated_image((*SIDES, 3)), 3 * k, axis=0) for k in range(7)])
NAMES = [f"sample {k}" for k in range(len(IMAGES))]


@pytest.mark.parametrize(("suite", "corruption"), CORRUPTIONS)
@settings(deadline=None, max_examples=3)
@given(
    severity=st.integers(0, 5),
    order=st.permutations(range(len(IMAGES))),
    count=st.integers(1, len(IMAGES)),
    threads=st.integers(1, 4),
    named=st.booleans(),
)
def test_a_batch_is_its_images_alone(
    suite: str,
    corruption: str,
    severity: int,
    order: list[int],
    count: int,
    threads: int,
    named: bool,
) -> None:
    """Any part of any order of a batch, on any number of threads, has the same bytes."""
    rows = order[:count]
    samples = [NAMES[row] for row in rows] if named else None
    found = corrupt_batch(
        IMAGES[rows], corruption, severity, suite=suite, samples=samples, threads=threads
    )
    for image, row in zip(found, rows, strict=True):
        sample = NAMES[row] if named else None
        alone = corrupt(IMAGES[row], corruption, severity, suite=suite, sample=sample)
        assert np.array_equal(image, alone)


def test_gray_batches_follow_the_suite() -> None:
    """A suite that replicates gray gives three channels, also for images without a channel axis."""
    gray = IMAGES[..., 0]
    assert corrupt_batch(gray, "contrast", 3).shape == (*gray.shape, 3)
    assert corrupt_batch(gray[..., None], "contrast", 3).shape == (*gray.shape, 3)


def test_the_images_are_left_alone() -> None:
    """Nothing is written to the input."""
    before = IMAGES.copy()
    corrupt_batch(IMAGES, "gaussian_noise", 5, threads=2)
    assert np.array_equal(IMAGES, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": IMAGES[0][..., 0]}, DataError, "shape"),
        ({"images": IMAGES[:0]}, DataError, "at least 1"),
        ({"images": IMAGES.astype(np.uint16)}, DataError, "uint8"),
        ({"samples": ["a"]}, UsageError, "1 samples for 7 images"),
        ({"threads": 0}, UsageError, "at least 1"),
        ({"corruption": "contrst"}, UsageError, "did you mean 'contrast'"),
    ],
)
def test_bad_batches_are_refused(
    change: dict[str, object], error: type[Exception], message: str
) -> None:
    """One clear line each."""
    arguments = {"images": IMAGES, "corruption": "contrast", "severity": 2} | change
    with pytest.raises(error, match=message):
        corrupt_batch(**arguments)  # type: ignore[arg-type]
