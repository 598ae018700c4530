"""The public function: shapes, identity of the random stream, and clear errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from pipeline.errors import DataError, UsageError
from stages.corrupt import corrupt
from stages.corrupt.golden import generated_image
from stages.corrupt.rendering import SUITES, render, sample_stream
from stages.corrupt.schema import SuiteManifest

SUITE = SUITES["medimeta-c"]
STAYING = SUITE.model_copy(update={"gray": "stay"})
NAMES = [corruption.name for corruption in SUITE.corruptions]
IMAGE = generated_image((40, 56, 3))
GRAY = generated_image((40, 56, 1))

any_corruption = pytest.mark.parametrize("name", NAMES)


@any_corruption
def test_gray_images_come_back_as_the_suite_says(name: str) -> None:
    """2-D and (H, W, 1) become (H, W, 3) if gray is replicated, else keep their shape."""
    assert corrupt(GRAY[:, :, 0], name, 2).shape == (40, 56, 3)
    assert corrupt(GRAY, name, 2).shape == (40, 56, 3)
    assert corrupt(GRAY[:, :, 0], name, 2, suite=STAYING).shape == (40, 56)
    assert corrupt(GRAY, name, 2, suite=STAYING).shape == (40, 56, 1)
    assert corrupt(GRAY[:, :, 0], name, 0).shape == (40, 56, 3)
    assert np.array_equal(corrupt(GRAY, name, 0, suite=STAYING), GRAY)


@pytest.mark.parametrize("name", ["motion_blur", "zoom_blur", "brightness", "contrast", "pixelate"])
@pytest.mark.parametrize("severity", range(1, 6))
def test_a_gray_image_that_stays_equals_each_replicated_channel(name: str, severity: int) -> None:
    """Without a noise field, one channel is corrupted as three equal ones are."""
    replicated = corrupt(GRAY, name, severity, sample="a")
    stayed = corrupt(GRAY, name, severity, sample="a", suite=STAYING)
    assert np.array_equal(replicated, np.repeat(stayed, 3, axis=2))


def test_same_arguments_same_bytes() -> None:
    """Calling again changes nothing, whatever other random state was used in between."""
    first = corrupt(IMAGE, "gaussian_noise", 3)
    np.random.default_rng().random(10)
    corrupt(GRAY, "gaussian_noise", 3)
    assert np.array_equal(corrupt(IMAGE, "gaussian_noise", 3), first)


def test_pixels_key_the_stream_when_no_sample_is_given() -> None:
    """Two images never share one noise field, and one pixel makes another image."""
    other = IMAGE.copy()
    other[0, 0, 0] ^= 1
    noise = corrupt(IMAGE, "gaussian_noise", 1).astype(int) - IMAGE
    changed = corrupt(other, "gaussian_noise", 1).astype(int) - other
    assert (noise != changed).mean() > 0.9


def test_sample_and_seed_key_the_stream() -> None:
    """A given sample keys the stream whatever the pixels; another seed gives other noise."""
    flat = np.full((40, 56, 3), 128, np.uint8)
    lighter = flat + 1
    noise = corrupt(flat, "gaussian_noise", 1, sample="a").astype(int)
    assert np.array_equal(noise + 1, corrupt(lighter, "gaussian_noise", 1, sample="a"))
    assert not np.array_equal(noise, corrupt(flat, "gaussian_noise", 1, sample="b"))
    assert not np.array_equal(noise, corrupt(flat, "gaussian_noise", 1, sample="a", seed=1))


def test_numpy_whole_numbers_are_whole_numbers() -> None:
    """NumPy integers from a loop give the bytes of the same Python integers."""
    ours = corrupt(IMAGE, "motion_blur", 2, seed=3, sample=7)
    severity, numbers = np.int64(2), {"seed": np.uint8(3), "sample": np.int32(7)}
    same = corrupt(IMAGE, "motion_blur", cast(Any, severity), **cast(Any, numbers))
    assert np.array_equal(ours, same)


def test_corrupt_renders_what_the_stage_renders() -> None:
    """The function is `render` with the stream of no dataset."""
    declared = SUITE.corruption("motion_blur")
    stream = sample_stream(5, None, "a", "motion_blur", 4)
    expected, drawn = render(IMAGE, declared, 4, SUITE, stream)
    assert np.array_equal(corrupt(IMAGE, "motion_blur", 4, seed=5, sample="a"), expected)
    assert set(drawn) == {"radius", "sigma", "angle", "end", "rounding"}


@settings(max_examples=40, deadline=None)
@given(
    image=arrays.arrays(
        np.uint8,
        st.tuples(st.integers(28, 40), st.integers(28, 40), st.sampled_from((1, 3))),
        elements=st.integers(0, 255),
        fill=st.integers(0, 255),
    ),
    name=st.sampled_from(NAMES),
    severity=st.integers(0, 5),
    suite=st.sampled_from((SUITE, STAYING)),
)
def test_any_image_renders_repeatably(
    image: NDArray[np.uint8], name: str, severity: int, suite: SuiteManifest
) -> None:
    """Whatever the pixels: right shape, same bytes twice, input untouched."""
    before = image.copy()
    channels = 3 if suite.gray == "replicate" else image.shape[2]
    first = corrupt(image, name, severity, suite=suite)
    assert first.shape == (*image.shape[:2], channels)
    assert np.array_equal(corrupt(image, name, severity, suite=suite), first)
    assert np.array_equal(image, before)


@any_corruption
def test_a_road_scene_renders(name: str) -> None:
    """Large, wide images work."""
    assert corrupt(generated_image((256, 1024, 3)), name, 5).shape == (256, 1024, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"corruption": "pixelat"}, "unknown corruption 'pixelat'; did you mean 'pixelate'?"),
        ({"suite": "medimeta"}, "unknown suite 'medimeta'; did you mean 'medimeta-c'?"),
        ({"severity": 6}, "severity must be 0 to 5 (0 is the identity), not 6"),
        ({"severity": -1}, "severity must be 0 to 5 (0 is the identity), not -1"),
        ({"severity": 1.5}, "severity must be a whole number, not 1.5"),
        ({"severity": True}, "severity must be a whole number, not True"),
        ({"seed": "a"}, "seed must be a whole number, not 'a'"),
        ({"sample": 1.5}, "sample must be a whole number, not 1.5"),
    ],
)
def test_a_wrong_request_is_one_usage_error(arguments: dict[str, Any], message: str) -> None:
    """Wrong names suggest the nearest; wrong numbers say what is right."""
    call: dict[str, Any] = {"corruption": "pixelate", "severity": 1} | arguments
    with pytest.raises(UsageError) as error:
        corrupt(IMAGE, **call)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[1]], "image must be a NumPy array, not list"),
        (
            IMAGE.astype(np.uint16),
            "image must be uint8, not uint16; convert it first: (image // 257).astype(numpy.uint8)"
            " for the full 16-bit range, (image >> 4).astype(numpy.uint8) for 12 bits",
        ),
        (
            IMAGE / 255,
            "image must be uint8, not float64; convert it first: "
            "(image * 255).round().astype(numpy.uint8) for values in 0 to 1",
        ),
        (
            np.full((40, 40), np.nan, np.float32),
            "image must be uint8, not float32, and it contains NaN",
        ),
        (IMAGE > 7, "image must be uint8, not bool"),
        (
            IMAGE[0, 0],
            "image must have shape (H, W), (H, W, 1) or (H, W, 3), not (3,)",
        ),
        (
            np.zeros((40, 40, 4), np.uint8),
            "image must have 1 or 3 channels last, but its shape is (40, 40, 4)",
        ),
        (np.zeros((27, 40, 3), np.uint8), "pixelate needs at least 28x28 pixels, not 27x40"),
        (np.zeros((40, 0), np.uint8), "pixelate needs at least 28x28 pixels, not 40x0"),
    ],
)
def test_a_wrong_image_is_one_data_error(image: Any, message: str) -> None:
    """Each wrong dtype, shape, channel count or size is one line that says what to do."""
    with pytest.raises(DataError) as error:
        corrupt(image, "pixelate", 1)
    assert str(error.value) == message


def test_importing_loads_nothing_heavy() -> None:
    """The stage, its schema and its renderer import without numba, OpenCV, Pillow or SciPy."""
    program = (
        "import sys; import stages.corrupt, stages.corrupt.schema, stages.corrupt.rendering;"
        "sys.exit(str([m for m in ('numba', 'cv2', 'PIL', 'scipy', 'torch') if m in sys.modules]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr.strip() == "[]"
