"""What is held out of a train split: stratified, seeded, patients whole."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stages.evaluate.protocols.holding_out import held_out_rows

LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=120).map(np.array)
SHARES = st.floats(0.01, 0.99)
SEEDS = st.integers(0, 5)


@given(LABELS, SHARES, SEEDS)
def test_of_each_class_its_share(labels: np.ndarray, share: float, seed: int) -> None:
    """Exactly the nearest number of each class is held out, and never all of a class."""
    out = held_out_rows(labels, share, seed)
    sizes = np.bincount(labels, minlength=4)
    held = np.bincount(labels[out], minlength=4)
    nearest = np.floor(share * sizes + 0.5)
    assert np.array_equal(held, np.minimum(nearest, np.maximum(sizes - 1, 0)))


@given(LABELS, SHARES, SEEDS, st.integers(2, 10))
def test_patients_are_kept_together(
    labels: np.ndarray, share: float, seed: int, patients: int
) -> None:
    """All images of a patient are on one side, and of no class more is held out than its share."""
    groups = [f"patient-{i % patients}" if i % 3 else None for i in range(len(labels))]
    out = held_out_rows(labels, share, seed, groups)
    for patient in {one for one in groups if one}:
        assert len({bool(out[i]) for i, one in enumerate(groups) if one == patient}) == 1
    sizes, held = (np.bincount(each, minlength=4) for each in (labels, labels[out]))
    assert (held <= np.minimum(np.floor(share * sizes + 0.5), np.maximum(sizes - 1, 0))).all()


@given(SHARES, SEEDS)
def test_of_several_labels_a_share_of_the_images(share: float, seed: int) -> None:
    """Without one class each, so many images are held out, whatever their labels."""
    labels = np.random.default_rng(0).integers(0, 2, (50, 3))
    out = held_out_rows(labels, share, seed)
    assert out.sum() == np.floor(share * 50 + 0.5)
    assert np.array_equal(out, held_out_rows(1 - labels, share, seed))


def test_seeds_hold_out_other_rows() -> None:
    """The same seed takes the same rows, another takes others."""
    labels = np.arange(200) % 4
    first, again, other = (held_out_rows(labels, 0.2, seed) for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plain = [None] * 200
    assert np.array_equal(first, held_out_rows(labels, 0.2, 0, plain)), "none is known"
