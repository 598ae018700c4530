"""Exports of images with masks, and of samples with several labels."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline import open_store
from tests.end_to_end.blobs import MANIFEST, draw
from tests.end_to_end.conftest import CommandLine, TinySource
from tests.end_to_end.exports import FORMATS, ids_of, pixels
from tests.end_to_end.findings import COUNTS, FindingsSource
from tests.end_to_end.options import at


@pytest.fixture(scope="session")
def blobs(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
) -> Path:
    """Return a folder with sealed images of two sizes with masks, one of them torn, and one set."""

    def build(folder: Path) -> None:
        photographs = folder / "photographs"
        draw(photographs, "one", (5, 5, 8))
        draw(photographs, "tall", (5, 50, 20), size=150)
        draw(photographs, "torn", (5, 5, 8))
        (photographs / "images" / "torn.png").write_bytes(b"not a picture")
        (folder / "my" / "datasets").mkdir(parents=True)
        (folder / "my" / "datasets" / "blobs.toml").write_text(MANIFEST)
        store = ("--store", "store", "--manifests", "my")
        only = "imagenet-c/blobs/test/contrast/3"
        command_line(folder)(
            "build", "corruptions", "--suite", "imagenet-c", "--only", only, *store
        )

    return once("blobs-exported", build)


@pytest.mark.parametrize("name", ["blobs/test", "imagenet-c/blobs/test/contrast/3"])
def test_images_with_masks_become_png_files(
    pipeline: CommandLine, blobs: Path, tmp_path: Path, name: str
) -> None:
    """Images and masks keep their own sizes; a sample without an image is in the index."""
    store = ("--store", blobs / "store", "--manifests", blobs / "my")
    pipeline("export", "png", name, *store, "--out", "out")
    one, folder = open_store(blobs / "store")[name], tmp_path / "out" / name
    with (folder / "index.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert [row["id"] for row in listed] == ids_of(one)
    for row, said in enumerate(listed):
        if said["id"].endswith("torn"):
            assert not said["file"]
            assert said["error"]
            continue
        np.testing.assert_array_equal(pixels(str(folder / said["file"])), one.images[row])
        mask = folder / "masks" / "blob" / Path(said["file"]).name
        np.testing.assert_array_equal(pixels(str(mask)), one.masks[row][..., 0])
    assert len(list((folder / "images").iterdir())) == 2


def test_images_with_masks_load_in_hugging_face(
    pipeline: CommandLine, blobs: Path, tmp_path: Path
) -> None:
    """Each target is an image column; a sample without an image has none, and says why."""
    datasets = pytest.importorskip("datasets")
    store = ("--store", blobs / "store", "--manifests", blobs / "my")
    pipeline("export", "huggingface", "blobs/test", *store, "--out", "out")
    cache = str(tmp_path / "cache")
    found = datasets.load_dataset(str(tmp_path / "out"), "blobs", split="test", cache_dir=cache)
    one = open_store(blobs / "store")["blobs/test"]
    assert list(found["id"]) == ids_of(one)
    for row, sample in enumerate(found):
        if sample["image"] is None:
            assert sample["error"]
            continue
        np.testing.assert_array_equal(np.asarray(sample["image"]), one.images[row])
        np.testing.assert_array_equal(np.asarray(sample["mask_blob"]), one.masks[row][..., 0])
    assert sum(image is None for image in found["image"]) == 1


@pytest.mark.parametrize("form", ["robustmedclip-npz", "medmnistc-npz", "webdataset", "xarray"])
def test_arrays_of_one_shape_refuse_masks(pipeline: CommandLine, blobs: Path, form: str) -> None:
    """A form without a place for masks and mixed sizes says so in one line."""
    store = ("--store", blobs / "store", "--manifests", blobs / "my")
    answer = pipeline("export", form, "blobs/test", *store, "--out", "out", rc=2)
    answer.refused(2, "has masks and images of mixed size", "use png or huggingface")


@pytest.fixture(scope="session")
def findings(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
) -> TinySource:
    """Return a multi-label dataset whose test split is sealed."""

    def build(folder: Path) -> None:
        source = FindingsSource(folder, "findings", COUNTS)
        source.write()
        command = ("build", "datasets", "--datasets", "findings", "--splits", "test")
        command_line(folder)(*command, *at(source), "--from", source.data)

    return FindingsSource(once("findings-exported", build), "findings", COUNTS)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_several_labels_per_sample(
    pipeline: CommandLine, findings: TinySource, tmp_path: Path
) -> None:
    """Labels of 0 and 1 per class are kept where a form has a place for them."""
    labels = open_store(findings.folder / "store")["findings/test"].labels
    for form in FORMATS[1:]:
        pipeline("export", form, "findings/test", *at(findings), "--out", form)
    with np.load(tmp_path / "medmnistc-npz" / "findings.npz") as found:
        assert found["test_labels"].tolist() == labels
    with (tmp_path / "png" / "findings" / "test" / "index.csv").open(newline="") as file:
        assert [list(map(int, row["labels"].split())) for row in csv.DictReader(file)] == labels
    root = tmp_path / "webdataset" / "findings"
    assert (root / "dataset_type.txt").read_text() == "multilabel\n"
    webdataset = pytest.importorskip("webdataset")
    shards = webdataset.WebDataset(str(root / "test" / "0.tar"), shardshuffle=False)
    assert [label.tolist() for (label,) in shards.decode("pil").to_tuple("npy")] == labels
    xarray = pytest.importorskip("xarray")
    with xarray.open_zarr(tmp_path / "xarray" / "findings" / "test.zarr") as group:
        assert group.labels.values.tolist() == labels
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        str(tmp_path / "huggingface"), "findings", split="test", cache_dir=str(tmp_path / "cache")
    )
    assert list(loaded["labels"]) == labels
    answer = pipeline("export", FORMATS[0], "findings/test", *at(findings), "--out", "o", rc=2)
    answer.refused(2, "several labels per sample")
