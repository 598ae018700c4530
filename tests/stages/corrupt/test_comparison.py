"""Published sets are told apart by the code path that made them."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.corrupt import corrupt
from stages.corrupt.comparison import verdict
from stages.corrupt.comparison.code_paths import jpeg, with_channels
from stages.corrupt.comparison.compare import CleanImages, compare
from stages.corrupt.comparison.published import open_folder
from stages.corrupt.comparison.results import CorruptionResult, document
from stages.corrupt.comparison.verdict import Standing, judge, sign_flip_test
from stages.corrupt.reference import reference_corrupt
from stages.corrupt.rendering import SUITES
from stages.corrupt.schema import SuiteManifest

Images = NDArray[np.uint8]
SUITE = SUITES["medimeta-c"]
SEVEN = tuple(one.name for one in SUITE.corruptions)
RANDOM = ("gaussian_noise", "impulse_noise", "motion_blur")
COUNT = 24
SIDE = 64

needs_reference = pytest.mark.skipif(
    importlib.util.find_spec("imagecorruptions") is None, reason="imagecorruptions is not installed"
)


def changed(name: str, factor: float) -> SuiteManifest:
    """Return a suite called "changed" with every number of a corruption's severities scaled."""
    declared = SUITE.model_dump(by_alias=True, mode="json")
    kept = [one for one in declared["corruptions"] if one["name"] == name]
    for table in kept[0]["severities"]:
        for key, value in table.items():
            table[key] = value * factor if isinstance(value, float) else value
    new = {**declared, "id": "changed", "corruptions": kept}
    return SuiteManifest.model_validate_json(json.dumps(new))


@pytest.fixture(scope="module")
def clean() -> Images:
    """Return smooth coloured scenes with edges and grain, each different from the others."""
    rng = np.random.default_rng(11)
    coarse = rng.integers(20, 200, (COUNT, 8, 8, 3)).astype(np.uint8)
    size = (SIDE, SIDE)
    smooth = [
        np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)) for one in coarse
    ]
    images = np.array(smooth).astype(np.int64) + rng.integers(-8, 9, (COUNT, SIDE, SIDE, 3))
    for image in images:
        top, left = rng.integers(0, SIDE - 20, 2)
        image[top : top + 20, left : left + 12] += 40
    return np.clip(images, 0, 255).astype(np.uint8)


@pytest.fixture
def compared(tmp_path: Path, clean: Images) -> Callable[..., dict[str, CorruptionResult]]:
    """Return a function that writes sets, compares them and gives the results by corruption."""

    def run(
        made: Callable[[Images, str, int, int], Images],
        corruptions: tuple[str, ...] = SEVEN,
        suites: tuple[SuiteManifest, ...] = (SUITE,),
        severities: tuple[int, ...] = (2, 4),
        images: Images = clean,
        beside: Images | None = None,
        **options: Any,
    ) -> dict[str, CorruptionResult]:
        for name in corruptions:
            for severity in severities:
                sets = [made(image, name, severity, row) for row, image in enumerate(images)]
                np.savez(tmp_path / f"{name}_severity_{severity}.npz", images=np.array(sets))
        kept = images if beside is None else beside
        channelled = kept if kept.ndim == 4 else kept[..., np.newaxis]
        shape = channelled.shape
        of_clean = CleanImages("clean", shape, lambda rows: channelled[list(rows)])
        chosen = {"samples": COUNT, "seed": 0, **options}
        results = compare(open_folder(tmp_path, None, "test"), of_clean, suites, **chosen)
        return {one.corruption: one for one in results}

    return run


def by_suite(image: Images, name: str, severity: int, row: int) -> Images:
    """Render by medimeta-c under a seed of its own."""
    return corrupt(image, name, severity, seed=99, sample=row)


def by_package(image: Images, name: str, severity: int, row: int) -> Images:
    """Render by the package imagecorruptions."""
    return reference_corrupt(image, name, severity, seed=1000 * severity + row)


def test_sets_of_a_suite_most_resemble_it(compared: Any) -> None:
    """Sets that medimeta-c rendered under another seed most resemble it, in all seven."""
    results = compared(by_suite)
    assert tuple(results) == tuple(sorted(SEVEN))
    for name, result in results.items():
        assert result.verdict == "most resembles", name
        assert "medimeta-c" in result.resembles
        assert not result.jpeg
        assert not result.one_draw
        assert result.unit == ("chance" if name in RANDOM else "grey levels")


@needs_reference
def test_sets_of_the_package_most_resemble_it(compared: Any) -> None:
    """Sets by imagecorruptions most resemble it, and the suite that follows it."""
    for name, result in compared(by_package).items():
        assert result.verdict == "most resembles", name
        assert {"imagecorruptions", "medimeta-c"} == set(result.resembles)


@pytest.mark.parametrize("name", SEVEN)
def test_other_severities_are_ruled_out(compared: Any, name: str) -> None:
    """A suite whose numbers differ by 15 % is ruled out, its own suite is not."""
    result = compared(by_suite, (name,), (SUITE, changed(name, 1.15)))[name]
    assert result.verdict == "most resembles"
    assert "medimeta-c" in result.resembles
    assert "changed" not in result.resembles


def other_code_path(image: Images, name: str, severity: int, row: int) -> Images:
    """Corrupt as somebody else might under the same names."""
    rng = np.random.default_rng([severity, row])
    if name == "brightness":
        bright = ImageEnhance.Brightness(Image.fromarray(image)).enhance(1 + severity / 10)
        return np.asarray(bright)
    if name == "gaussian_noise":  # one field for the three channels
        sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
        field = rng.normal(size=(SIDE, SIDE, 1)) * sigma * 255
        return np.clip(image + field, 0, 255).astype(np.uint8)
    if name == "motion_blur":  # always along the rows
        return np.mean([np.roll(image, k, axis=1) for k in range(10)], axis=0).astype(np.uint8)
    crops = [(k, k, SIDE - k, SIDE - k) for k in range(2 * severity)]
    zoomed = [Image.fromarray(image).crop(box).resize((SIDE, SIDE)) for box in crops]
    return np.mean([np.asarray(one) for one in zoomed], axis=0).astype(np.uint8)


def test_other_code_paths_are_none_of_them(compared: Any) -> None:
    """Pillow's brightness, gray noise, a level motion and a centred zoom resemble nothing known."""
    names = ("brightness", "gaussian_noise", "motion_blur", "zoom_blur")
    for name, result in compared(other_code_path, names).items():
        assert result.verdict == "none of them", name
        assert all(one.ruled_out for one in result.standings)
        assert len(result.resembles) == 1  # the nearest


@pytest.mark.parametrize("name", ["contrast", "gaussian_noise"])
def test_jpeg_is_recognised(compared: Any, name: str) -> None:
    """Images that went through JPEG at quality 85 most resemble a code path followed by it."""
    result = compared(lambda *what: jpeg(by_suite(*what)), (name,))[name]
    assert result.verdict == "most resembles"
    assert result.jpeg
    assert "medimeta-c + JPEG 85" in result.resembles
    assert "medimeta-c" not in result.resembles


@pytest.mark.parametrize("shift", [1, 11])
def test_rows_in_another_order_are_reported(compared: Any, clean: Images, shift: int) -> None:
    """Sets whose rows are shifted against the clean images are said not to be aligned."""
    moved = np.roll(clean, shift, axis=0)
    results = compared(
        lambda _image, name, severity, row: by_suite(moved[row], name, severity, row),
        ("contrast", "gaussian_noise"),
    )
    for result in results.values():
        assert result.verdict == "rows not aligned"
        assert not result.resembles


def test_counts_and_sizes_must_agree(compared: Any, clean: Images) -> None:
    """Another number or size of images than the clean ones is an error that names both."""

    def cropped(image: Images, name: str, severity: int, row: int) -> Images:
        return by_suite(image, name, severity, row)[:, :50]

    with pytest.raises(DataError, match="64x50, but the clean ones 64x64"):
        compared(cropped, ("contrast",))
    with pytest.raises(DataError, match="rows do not correspond"):
        compared(by_suite, ("contrast",), beside=clean[:8])


@pytest.mark.parametrize("name", RANDOM)
def test_one_draw_for_all_images_is_reported(compared: Any, name: str) -> None:
    """Sets whose images share their random numbers cannot be told, and the reason is given."""

    def shared(image: Images, name: str, severity: int, row: int) -> Images:
        return corrupt(image, name, severity, seed=99, sample="the same for all")

    result = compared(shared, (name,))[name]
    assert result.one_draw
    assert result.verdict == "cannot tell"


def test_suites_of_datasets_apply_to_theirs(compared: Any) -> None:
    """A suite for other datasets is skipped with a reason; for its own it is compared."""
    own = SUITE.corruption("contrast").model_copy(update={"datasets": ("oct",)})
    suite = SUITE.model_copy(update={"id": "of-oct", "corruptions": (own,)})
    other = compared(by_suite, ("contrast",), (suite,))["contrast"]
    assert "has no corruptions" in other.skipped["of-oct"]
    assert "of-oct" not in [one.label for one in other.standings]
    result = compared(by_suite, ("contrast",), (suite,), dataset="oct")["contrast"]
    assert "of-oct" in result.resembles


def test_too_few_images_cannot_tell_random_ones(compared: Any) -> None:
    """Five images decide a deterministic corruption, and nothing about a random one."""
    results = compared(by_suite, ("contrast", "gaussian_noise"), samples=5)
    assert results["contrast"].verdict == "most resembles"
    assert results["gaussian_noise"].verdict == "cannot tell"


def test_unknown_corruptions_resemble_nothing(compared: Any) -> None:
    """A corruption that no code path has is none of them, without anything nearest."""
    results = compared(lambda image, *_: 255 - image, ("negative",))
    assert results["negative"].verdict == "none of them"
    assert not results["negative"].resembles


def test_gray_noise_is_told_from_coloured(compared: Any, clean: Images) -> None:
    """Of gray images, noise made in colour and turned gray is not that of one channel."""
    gray = np.array([with_channels(image, 1) for image in clean])[..., 0]
    stay = SUITE.model_copy(update={"id": "one-channel", "gray": "stay"})

    def through_colour(image: Images, name: str, severity: int, row: int) -> Images:
        return with_channels(by_suite(image[..., np.newaxis], name, severity, row), 1)[..., 0]

    result = compared(through_colour, ("gaussian_noise",), (SUITE, stay), images=gray)
    assert "medimeta-c" in result["gaussian_noise"].resembles
    assert "one-channel" not in result["gaussian_noise"].resembles


def test_suites_that_render_alike_share_their_names(compared: Any) -> None:
    """Two suites with the same kernel and numbers are one code path with two names."""
    twin = SUITE.model_copy(update={"id": "twin"})
    result = compared(by_suite, ("impulse_noise",), (SUITE, twin))["impulse_noise"]
    assert {"medimeta-c", "twin"} <= set(result.resembles)
    found = document(result)["sets"][0]["code_paths"]
    assert ["medimeta-c", "twin"] in [path["names"] for path in found]


def test_the_same_seed_gives_the_same_document(compared: Any) -> None:
    """The number of workers changes nothing; another seed chooses other numbers."""
    names = ("gaussian_noise", "contrast")
    first, second, other = (
        json.dumps([document(one) for one in compared(by_suite, names, **options).values()])
        for options in ({}, {"workers": 2}, {"seed": 1})
    )
    assert first == second
    assert first != other
    assert "NaN" not in first


def test_sign_flips_keep_their_level() -> None:
    """Symmetric differences are ruled out about as often as the level says; shifts always are."""
    rng = np.random.default_rng(5)
    floors = np.zeros(10)
    values = [
        sign_flip_test(rng.normal(size=(30, 10)), floors, Stream.of("test", k)) for k in range(200)
    ]
    # 200 fair tests at 0.05: more than 22 of them happen with a chance below 0.1 %.
    assert sum(p < 0.05 for p in values) <= 22
    shifted = rng.normal(1.5, 1.0, size=(30, 10))
    assert sign_flip_test(shifted, floors, Stream.of("test")) == 1 / (verdict.FLIPS + 1)
    assert sign_flip_test(shifted * 1e-3, floors + 0.01, Stream.of("test")) == 1.0


def test_verdicts() -> None:
    """All left alike: resembles; some left differ: cannot tell; none left: none of them."""
    a, b, c = Standing("a", 1.0, False), Standing("b", 0.9, False), Standing("c", 0.1, True)
    same = {("a", "b"): True, ("b", "a"): True}
    assert judge([a, b, c], same)[:2] == ("most resembles", ["b", "a"])
    assert judge([a, b, c], {})[:2] == ("cannot tell", ["b", "a"])
    assert judge([c], {})[:2] == ("none of them", ["c"])
    assert judge([], {})[:2] == ("none of them", [])


def test_real_photographs(compared: Any) -> None:
    """Real fundus photographs by the suite and through JPEG are recognised."""
    root = Path(__file__).parents[3]
    data = Path(os.environ.get("MEDSHARDS_TEST_DATA", root / "../shared/data")) / "chase_db1"
    paths = sorted(data.glob("*.jpg"))[:COUNT]
    if len(paths) < COUNT:
        pytest.skip(f"the real test images are not in {data}")
    images = []
    for path in paths:
        with Image.open(path) as image:
            images.append(np.asarray(image.convert("RGB").resize((80, 72))))
    real = np.array(images)
    names = ("brightness", "impulse_noise")
    for result in compared(by_suite, names, images=real).values():
        assert (result.verdict, result.jpeg) == ("most resembles", False)
    for result in compared(lambda *what: jpeg(by_suite(*what)), names, images=real).values():
        assert (result.verdict, result.jpeg) == ("most resembles", True)
