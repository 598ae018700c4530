"""Phantoms: the same pictures everywhere, plausible in difficulty, with masks that fit."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.digest import digest_bytes
from pipeline.errors import UsageError
from stages.download.phantom import MODALITIES, Phantom, generate, label_of

GOLDEN = Path(__file__).with_name("golden_phantoms.json")
SIZES = (28, 57, 64, 113, 128, 224)
HEALTHY = {"chest": "normal", "fundus": "normal", "oct": "normal"}
EVERY = pytest.mark.parametrize("modality", sorted(MODALITIES))


def make(modality: str, size: int, index: int, split: str = "train", seed: int = 0) -> Phantom:
    classes = len(MODALITIES[modality].classes)
    return generate(modality, size, split, index, classes=classes, seed=seed)


def golden_digests() -> dict[str, str]:
    return {
        f"{modality}/{size}/{index}": digest_bytes(
            made.image.tobytes() + made.mask.tobytes() + bytes([made.label])
        )
        for modality in sorted(MODALITIES)
        for size in (28, 64, 224)
        for index in range(6)
        for made in [make(modality, size, index)]
    }


def test_golden_digests() -> None:
    """Pictures, masks and labels are the bytes that were recorded."""
    assert golden_digests() == json.loads(GOLDEN.read_text())


def test_golden_digests_without_vector_instructions() -> None:
    """The bytes do not depend on the processor's instruction set."""
    name = "numpy._core._multiarray_umath"
    numpy_core = importlib.import_module(name)
    present = [one for one in numpy_core.__cpu_dispatch__ if numpy_core.__cpu_features__[one]]
    code = (
        "import importlib, importlib.util as u, json, sys;"
        f"s = u.spec_from_file_location('phantoms', {str(Path(__file__))!r});"
        "m = u.module_from_spec(s); s.loader.exec_module(m);"
        f"c = importlib.import_module({name!r});"
        "left = [one for one in c.__cpu_dispatch__ if c.__cpu_features__[one]];"
        "json.dump([left, m.golden_digests()], sys.stdout)"
    )
    slow = {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": " ".join(present),
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F",
    }
    answer = subprocess.run(
        [sys.executable, "-c", code], env=slow, capture_output=True, text=True, check=True
    )
    assert json.loads(answer.stdout) == [[], json.loads(GOLDEN.read_text())]


@EVERY
def test_independent_of_order(modality: str) -> None:
    """A phantom is the same whatever was made before it."""
    forwards = [make(modality, 28, index).image for index in range(5)]
    backwards = [make(modality, 28, index).image for index in reversed(range(5))][::-1]
    assert all(map(np.array_equal, forwards, backwards))


@EVERY
def test_seed_split_and_index_matter(modality: str) -> None:
    """Another seed, split or index is another picture."""
    made = [make(modality, 28, 0), make(modality, 28, 1), make(modality, 28, 0, "test")]
    made.append(make(modality, 28, 0, seed=1))
    assert len({one.image.tobytes() for one in made}) == 4


@EVERY
@pytest.mark.parametrize("size", SIZES)
def test_form(modality: str, size: int) -> None:
    """An image is uint8 of the modality's channels, its mask 0 or 1, its label a class id."""
    made = make(modality, size, 3)
    assert made.image.shape == (size, size, MODALITIES[modality].channels)
    assert made.image.dtype == np.uint8
    assert made.mask.shape == (size, size)
    assert made.mask.dtype == np.uint8
    assert set(np.unique(made.mask)) <= {0, 1}
    assert 0 <= made.label < len(MODALITIES[modality].classes)


@EVERY
def test_masks_show_the_class(modality: str) -> None:
    """A healthy picture has an empty mask, every other one has not, however small it is."""
    healthy = HEALTHY.get(modality)
    for index in range(24):
        for size in (28, 64):
            made = make(modality, size, index)
            name = MODALITIES[modality].classes[made.label]
            assert bool(made.mask.any()) == (name != healthy), (size, index, name)


@EVERY
def test_content_does_not_depend_on_size(modality: str) -> None:
    """The same index shows the same picture, and the same share of lesion, at any size."""
    for index in range(6):
        large, small = make(modality, 224, index), make(modality, 56, index)
        shrunk = large.image.reshape(56, 4, 56, 4, -1).mean(axis=(1, 3))
        assert np.abs(shrunk - small.image).mean() < 8
        share = large.mask.mean()
        for size in (28, 64, 128):
            other = make(modality, size, index)
            assert other.label == large.label
            assert abs(other.mask.mean() - share) < 0.01 + 0.15 * share, (size, index)


DARKEST = {"mammography": 10}
"""Least mean level: one in 200,000 mammograms has 12."""


@given(
    modality=st.sampled_from(sorted(MODALITIES)),
    size=st.integers(28, 224),
    index=st.integers(0, 2**40),
    seed=st.integers(0, 2**40),
)
@settings(max_examples=40, deadline=None)
def test_any_identity_can_be_drawn(modality: str, size: int, index: int, seed: int) -> None:
    """Every size, index and seed gives one picture, neither black nor white, and gives it again."""
    made = make(modality, size, index, seed=seed)
    assert made.image.std() > 4
    assert DARKEST.get(modality, 20) < made.image.mean() < 245
    again = make(modality, size, index, seed=seed)
    assert made.image.tobytes() == again.image.tobytes()
    assert made.mask.tobytes() == again.mask.tobytes()


@EVERY
def test_labels_are_balanced_and_cheap(modality: str) -> None:
    """Every class comes equally often, in no fixed order, and is known without drawing."""
    classes = len(MODALITIES[modality].classes)
    labels = [label_of(modality, "test", i, classes=classes) for i in range(30 * classes)]
    assert np.bincount(labels).tolist() == [30] * classes
    runs = {tuple(labels[i : i + classes]) for i in range(0, len(labels), classes)}
    assert len(runs) > 1
    assert make(modality, 28, 7, "test").label == labels[7]


def described(images: np.ndarray) -> np.ndarray:
    """Return gradient histograms, local binary patterns and colour statistics of each image."""
    from skimage.feature import hog, local_binary_pattern

    rows = []
    for image in images:
        gray = image.astype(np.uint16).sum(axis=-1) // image.shape[-1]
        gray = gray.astype(np.uint8)
        patterns = local_binary_pattern(gray, 8, 1, "uniform").astype(np.int64)
        values = image.reshape(-1, image.shape[-1]) / 255
        rows.append(
            np.concatenate(
                (
                    hog(gray, pixels_per_cell=(16, 16), cells_per_block=(2, 2)),
                    np.sqrt(np.bincount(patterns.ravel(), minlength=10) / patterns.size),
                    values.mean(axis=0),
                    values.std(axis=0),
                    np.percentile(values, (5, 25, 50, 75, 95), axis=0).ravel(),
                )
            )
        )
    return np.stack(rows)


@EVERY
def test_difficulty(modality: str) -> None:
    """A linear probe beats chance clearly, is far from perfect, and suffers from noise."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = [make(modality, 64, index) for index in range(160)]
    test = [make(modality, 64, index, "test") for index in range(96)]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
    probe.fit(described(np.stack([one.image for one in train])), [one.label for one in train])
    images, labels = np.stack([one.image for one in test]), [one.label for one in test]
    score = balanced_accuracy_score(labels, probe.predict(described(images)))
    noise = np.random.default_rng(0).normal(scale=40.0, size=images.shape)
    noisy = np.clip(images + noise, 0, 255).astype(np.uint8)
    chance = 1 / len(MODALITIES[modality].classes)
    assert chance + 0.2 < score < 0.97
    assert balanced_accuracy_score(labels, probe.predict(described(noisy))) < score - 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("blod", 64, "train", 0, 4), "did you mean 'blood'"),
        (("blood", 27, "train", 0, 4), "28 to 512 pixels"),
        (("blood", 64, "train", -1, 4), "0 or more"),
        (("blood", 64, "train", 0, 3), "has 4 classes, not 3"),
    ],
)
def test_bad_requests(arguments: tuple[str, int, str, int, int], message: str) -> None:
    """What cannot be drawn is refused in one line."""
    modality, size, split, index, classes = arguments
    with pytest.raises(UsageError, match=message):
        generate(modality, size, split, index, classes=classes)
