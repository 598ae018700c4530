"""Sets that torch or imagecorruptions renders: beside the native ones, never in them."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from stages.corrupt.rendering import SUITES
from tests.end_to_end.options import at

ONLY = tuple(
    part for name in ("contrast", "gaussian_noise") for part in ("--only", f"*/*/*/{name}/[13]")
)
MODELS = {"torch", "torchvision", "open_clip", "transformers", "timm"}


def pixels(pipeline: Any, source: Any, suite: str) -> dict[str, np.ndarray]:
    """Return the images of every set of a suite by corruption and severity."""
    found = {}
    for row in pipeline("list", "sets", *at(source), "--json").json["sets"]:
        name, _, rest = row["name"].partition("/")
        if name == suite:
            folders = Path(source.folder, "store", "corruptions", row["name"]).glob("*/images")
            array = zarr.open_array(next(folders), mode="r")
            found[rest] = np.asarray(array[:])
    return found


@pytest.fixture
def larger(tmp_path: Path, tiny: Any) -> Any:
    """Return a dataset of 56 x 56 pixels, which the package accepts."""
    source = type(tiny)(tmp_path, "larger", {"train": 4, "val": 2, "test": 6})
    source.write(
        {
            name: values.repeat(2, axis=1).repeat(2, axis=2) if values.ndim == 3 else values
            for name, values in source.arrays().items()
        }
    )
    source.declare(size="56")
    return source


def test_torch_renders_the_same_sets_under_its_own_name(pipeline: Any, tiny_built: Any) -> None:
    """Pixels are within 1 grey level of the native ones; names and keys differ."""
    build = ("build", "corruptions", "--datasets", "tiny", "--backend", "torch")
    pipeline(*build, "--device", "cpu", *at(tiny_built))
    ours, theirs = (pixels(pipeline, tiny_built, s) for s in ("medimeta-c", "medimeta-c@torch"))
    assert len(ours) == 35
    assert ours.keys() == theirs.keys()
    for name, images in ours.items():
        assert np.abs(images.astype(int) - theirs[name]).max() <= 1, name
    rows = pipeline("list", "sets", *at(tiny_built), "--json").json["sets"]
    assert len({row["recipe_key"] for row in rows}) == len(rows) == 70
    says = pipeline("explain", "medimeta-c@torch/tiny/test/contrast/3", *at(tiny_built)).stdout
    assert "renderer = torch 1 of native 1" in says
    # The name may say the backend too, and then there is nothing left to do.
    again = ("build", "corruptions", "--datasets", "tiny", "--suite", "medimeta-c@torch")
    for named in (again, (*again, "--backend", "torch"), build):
        assert "nothing to do" in pipeline(*named, *at(tiny_built)).stderr


def test_sets_of_torch_are_embedded_and_scored(pipeline: Any, tiny: Any) -> None:
    """`embed` and `eval` take the suite by its full name; scores are those of the same pixels."""
    build = ("build", "corruptions", *at(tiny), "--datasets", "tiny", *ONLY)
    pipeline(*build, "--backend", "torch", "--from", tiny.data)
    pipeline(*build)
    scores = []
    for suite in ("medimeta-c", "medimeta-c@torch"):
        pipeline("embed", "--model", "pixels", "--suite", suite, *at(tiny))
        evaluate = ("eval", "--baseline", "pixels", "--suite", suite, *ONLY, *at(tiny), "--json")
        rows = pipeline(*evaluate).json["results"]
        corrupted = [row for row in rows if row["corruption"] != "clean"]
        assert {row["suite"] for row in corrupted} == {suite}
        scores.append([(row["corruption"], row["severity"], row["value"]) for row in corrupted])
    assert scores[0] == scores[1]
    assert len(scores[0]) > 0


def test_only_rendering_loads_torch(pipeline: Any, tiny: Any) -> None:
    """Plans, states and evaluation of torch's sets need no model library."""
    suite = ("--suite", "medimeta-c@torch", *at(tiny))
    assert not pipeline.modules("plan", "corruptions", "--datasets", "tiny", *suite) & MODELS
    pipeline("build", "corruptions", "--datasets", "tiny", *ONLY, *suite, "--from", tiny.data)
    for command in (
        ("build", "corruptions", "--datasets", "tiny", *ONLY, *suite),
        ("embed", "--model", "pixels", *suite),
        ("status", *at(tiny)),
        ("eval", "--baseline", "pixels", *ONLY, *suite),
    ):
        assert not pipeline.modules(*command) & MODELS


@pytest.mark.parametrize(
    ("options", "phrases"),
    [
        (("--backend", "torhc"), ("unknown backend 'torhc'", "did you mean 'torch'")),
        (("--suite", "medimeta-c@torhc"), ("unknown backend 'torhc'", "did you mean 'torch'")),
        (("--backend", "torch", "--device", "tpu"), ("unknown device 'tpu'", "auto, cpu, cuda")),
        (("--backend", "torch", "--device", "cuda:99"), ("no device 'cuda:99'", "--device cpu")),
        (("--device", "cpu"), ("--device is for sets that torch renders", "--backend torch")),
        (
            ("--backend", "torch", "--suite", "medimeta-c@imagecorruptions"),
            ("medimeta-c@imagecorruptions names another backend",),
        ),
        (
            ("--backend", "imagecorruptions", "--suite", "medimeta-c-fixed"),
            ("imagecorruptions renders suites with its own severities", "medimeta-c-fixed"),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else None,
)
def test_what_cannot_be_rendered_is_refused_at_once(
    pipeline: Any, tiny: Any, options: tuple[str, ...], phrases: tuple[str, ...]
) -> None:
    """One line that says what and why, before anything is built."""
    command = ("build", "corruptions", "--datasets", "tiny", *options, *at(tiny))
    pipeline(*command, rc=None).refused(2, *phrases)
    assert not (tiny.folder / "store" / "corruptions").exists()


SUITE = """
schema = 1
id = "mine"
title = "One that torch has, one that it has not"
gray = "replicate"
source = "these tests"
[[corruptions]]
name = "tube"
kernel = "black_corner"
severities = [
  {multiplier = 1.0}, {multiplier = 0.9},
  {multiplier = 0.8}, {multiplier = 0.7}, {multiplier = 0.6},
]
[[corruptions]]
name = "pen"
kernel = "characters"
"""


def test_what_torch_lacks_does_not_stand_in_the_way(pipeline: Any, tiny: Any) -> None:
    """A suite with such a kernel is refused as a whole, and built without it."""
    declared = next(
        corruption
        for corruption in SUITES["medmnist-c"].corruptions
        if corruption.kernel == "characters"
    )
    tables = [
        "{" + ", ".join(f"{name} = {json.dumps(value)}" for name, value in table) + "}"
        for table in (severity.model_dump(mode="json").items() for severity in declared.severities)
    ]
    folder = tiny.manifests / "corruptions"
    folder.mkdir()
    (folder / "mine.toml").write_text(SUITE + f"severities = [{', '.join(tables)}]\n")
    build = ("build", "corruptions", "--datasets", "tiny", "--suite", "mine@torch", *at(tiny))
    whole = pipeline(*build, rc=None)
    whole.refused(2, "backend torch has no characters; render that with native", "--only")
    pipeline(*build, "--only", "*/*/*/tube/*", "--from", tiny.data)
    built = pixels(pipeline, tiny, "mine@torch")
    assert sorted(built) == [f"tiny/test/tube/{severity}" for severity in range(1, 6)]
    pipeline("embed", "--model", "pixels", "--suite", "mine@torch", *at(tiny))
    assert pipeline("status", *at(tiny)).rc == 0


@pytest.fixture
def package() -> None:
    """Skip where the reference is not installed."""
    if importlib.util.find_spec("imagecorruptions") is None:
        pytest.skip("the package imagecorruptions is not installed")


@pytest.mark.usefixtures("package")
def test_the_package_renders_a_suite_of_its_own(pipeline: Any, larger: Any) -> None:
    """Deterministic sets are within 1 grey level of ours, and noise is the same when repeated."""
    build = ("build", "corruptions", "--datasets", "larger", *ONLY, *at(larger))
    pipeline(*build, "--from", larger.data)
    pipeline(*build, "--backend", "imagecorruptions", "--workers", 1)
    suite = "medimeta-c@imagecorruptions"
    ours, theirs = (pixels(pipeline, larger, name) for name in ("medimeta-c", suite))
    assert ours.keys() == theirs.keys()
    assert len(ours) == 4
    for name, images in ours.items():
        apart = np.abs(images.astype(int) - theirs[name])
        if "contrast" in name:
            assert apart.max() <= 1
        else:
            assert apart.max() > 10
            assert abs(images.astype(float).std() - theirs[name].astype(float).std()) < 3
    shutil.rmtree(larger.folder / "store" / "corruptions" / suite)
    pipeline(*build, "--backend", "imagecorruptions", "--workers", 4)
    for name, images in pixels(pipeline, larger, suite).items():
        assert np.array_equal(images, theirs[name])
    says = pipeline("explain", f"{suite}/larger/test/contrast/3", *at(larger)).stdout
    assert "renderer = imagecorruptions 1." in says


@pytest.mark.usefixtures("package")
def test_images_too_small_for_the_package(pipeline: Any, tiny: Any) -> None:
    """It refuses 28 pixels; the error says how many it needs."""
    only = ("--only", "*/*/*/contrast/3")
    build = ("build", "corruptions", "--datasets", "tiny", *only, "--backend", "imagecorruptions")
    answer = pipeline(*build, *at(tiny), "--from", tiny.data, rc=None)
    answer.refused(1, "contrast needs at least 32x32 pixels, not 28x28")


def test_a_preview_shows_what_the_backend_renders(pipeline: Any, tiny_built: Any) -> None:
    """Its files have the suite's full name."""
    build = ("build", "corruptions", "--datasets", "tiny", "--backend", "torch", *ONLY)
    answer = pipeline(*build, "--preview", "--out", "sheets", *at(tiny_built))
    assert "medimeta-c@torch-by-dataset.png" in answer.stdout
    made = sorted(path.name for path in (tiny_built.folder / "sheets").iterdir())
    assert made == [
        "medimeta-c@torch-by-dataset.png",
        "medimeta-c@torch-tiny-test-by-severity.png",
    ]
