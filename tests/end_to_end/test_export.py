"""Exports, each loaded by the tool that it is for: pixels, labels and ids are the sealed ones."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import open_store
from pipeline.reading import ImageSet
from tests.end_to_end.conftest import CommandLine, TinySource
from tests.end_to_end.exports import FORMATS, ids_of, pixels
from tests.end_to_end.options import at

SETS = "medimeta-c/tiny/test/contrast"
ONE = f"{SETS}/3"


@pytest.fixture(scope="session")
def exported(
    once: Callable[[str, Callable[[Path], None]], Path],
    command_line: Callable[[Path], CommandLine],
    read_only_tiny: TinySource,
) -> Path:
    """Return a folder that holds one export of each format: five sets and their clean split."""

    def build(folder: Path) -> None:
        run = command_line(folder)
        for form in FORMATS:
            run("export", form, SETS, "tiny/test", *at(read_only_tiny), "--out", form)

    return once("exported", build)


@pytest.fixture(scope="session")
def sealed(read_only_tiny: TinySource) -> Callable[[str], ImageSet]:
    """Return a function that gives a sealed set."""
    return lambda name: open_store(read_only_tiny.folder / "store")[name]


@pytest.mark.parametrize("name", [ONE, "tiny/test"])
def test_robustmedclip_reads_it(
    exported: Path, sealed: Callable[[str], ImageSet], name: str
) -> None:
    """The file lies where RobustMedCLIP looks, in three channels, with labels and ids."""
    one = sealed(name)
    file = "contrast_severity_3.npz" if name == ONE else "clean.npz"
    with np.load(exported / FORMATS[0] / "tiny" / "test" / file, mmap_mode="r") as found:
        assert found["images"].shape == (24, 28, 28, 3)
        assert found["images"].dtype == np.uint8
        for channel in range(3):
            own = one.images[:][..., min(channel, one.images.shape[3] - 1)]
            np.testing.assert_array_equal(found["images"][..., channel], own)
        assert [int(label.astype(int)) for label in found["labels"]] == one.labels
        assert found["ids"].tolist() == ids_of(one)


def test_medmnist_c_reads_it(exported: Path, sealed: Callable[[str], ImageSet]) -> None:
    """One file has the five severities one after the other, labels (5N, 1)."""
    with np.load(exported / FORMATS[1] / "tiny" / "contrast.npz") as found:
        sets = [sealed(f"{SETS}/{severity}") for severity in range(1, 6)]
        images = np.concatenate([one.images[:] for one in sets])
        np.testing.assert_array_equal(found["test_images"], images)
        labels = [label for one in sets for label in one.labels]
        assert found["test_labels"].astype(int).tolist() == [[label] for label in labels]
        assert found["test_ids"].tolist() == ids_of(sets[0]) * 5


def test_medmnist_itself_reads_a_clean_split(
    exported: Path, sealed: Callable[[str], ImageSet]
) -> None:
    """The package medmnist loads the npz of a clean split as a dataset of its own."""
    medmnist = pytest.importorskip("medmnist")

    class Tiny(medmnist.PneumoniaMNIST):
        flag = "tiny"

    medmnist.dataset.INFO["tiny"] = medmnist.INFO["pneumoniamnist"]
    try:
        found = Tiny(split="test", root=str(exported / FORMATS[1]))
    finally:
        del medmnist.dataset.INFO["tiny"]
    one = sealed("tiny/test")
    for row in (0, 5, 23):
        image, label = found[row]
        np.testing.assert_array_equal(np.asarray(image), one.images[row][..., 0])
        assert label.tolist() == [one.labels[row]]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_it(exported: Path, sealed: Callable[[str], ImageSet]) -> None:
    """webdataset decodes the shards: image, class id and, in json, the sample's id."""
    webdataset = pytest.importorskip("webdataset")
    one = sealed(ONE)
    folder = exported / "webdataset" / "tiny" / "test_contrast_severity_3"
    assert (folder / "nshards.txt").read_text() == "1\n"
    rows = list(
        webdataset.WebDataset(str(folder / "0.tar"), shardshuffle=False)
        .decode("pil")
        .to_tuple("png", "cls", "json")
    )
    images = np.stack([np.asarray(image) for image, _, _ in rows])
    np.testing.assert_array_equal(images, one.images[:])
    assert [label for _, label, _ in rows] == one.labels
    assert [said["id"] for _, _, said in rows] == ids_of(one)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:WebDataset.shardshuffle:UserWarning")
def test_clip_benchmark_reads_it(exported: Path, sealed: Callable[[str], ImageSet]) -> None:
    """LAION's CLIP_benchmark finds shards, class names and templates, and fills the templates."""
    pytest.importorskip("webdataset")
    builder = pytest.importorskip("clip_benchmark.datasets.builder")
    one = sealed(ONE)
    found = builder.build_dataset(
        "wds/tiny",
        root=str(exported / "webdataset" / "tiny"),
        split="test_contrast_severity_3",
        transform=np.asarray,
        task="zeroshot_classification",
    )
    assert found.classes == list(one.classes)
    said = [template.format(c=found.classes[1]) for template in found.templates]
    assert said == ["a medical image of a bright belonging to tiny"]
    rows = list(found)
    np.testing.assert_array_equal(np.stack([image for image, _ in rows]), one.images[:])
    assert [label for _, label in rows] == one.labels


def test_hugging_face_reads_it(
    exported: Path, sealed: Callable[[str], ImageSet], tmp_path: Path
) -> None:
    """`datasets` loads a configuration of the folder, and a single file, with class names."""
    datasets = pytest.importorskip("datasets")
    one, cache = sealed(ONE), str(tmp_path / "cache")
    folder = exported / "huggingface"
    config = "medimeta-c.tiny.contrast.3"
    files = str(folder / "data" / config / "*.parquet")
    for found in (
        datasets.load_dataset(str(folder), config, split="test", cache_dir=cache),
        datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=cache),
    ):
        assert found.features["label"].names == list(one.classes)
        images = np.stack([np.asarray(image) for image in found["image"]])
        np.testing.assert_array_equal(images, one.images[:])
        assert list(found["label"]) == one.labels
        assert list(found["id"]) == ids_of(one)
        assert set(found["severity"]) == {3}
    assert len(datasets.get_dataset_config_names(str(folder))) == 6


def test_image_folder_reads_it(exported: Path, sealed: Callable[[str], ImageSet]) -> None:
    """torchvision numbers the class folders as the labels do; the index says which is which."""
    torchvision = pytest.importorskip("torchvision")
    one, folder = sealed(ONE), exported / "png" / ONE
    found = torchvision.datasets.ImageFolder(str(folder), loader=pixels)
    with (folder / "index.csv").open(newline="") as file:
        listed = {str(folder / row["file"]): row for row in csv.DictReader(file)}
    row_of = {name: row for row, name in enumerate(ids_of(one))}
    assert sorted(row["id"] for row in listed.values()) == sorted(row_of)
    for path, label in found.samples:
        row = row_of[listed[path]["id"]]
        assert label == one.labels[row] == int(listed[path]["label"])
        np.testing.assert_array_equal(pixels(path), one.images[row])


def test_xarray_reads_it(exported: Path, sealed: Callable[[str], ImageSet]) -> None:
    """xarray.open_zarr finds named axes, ids as a coordinate, labels and the licence."""
    xarray = pytest.importorskip("xarray")
    one = sealed(ONE)
    with xarray.open_zarr(exported / "xarray" / f"{ONE}.zarr", consolidated=True) as found:
        assert found.images.dims == ("sample", "y", "x", "channel")
        np.testing.assert_array_equal(found.images.values, one.images[:])
        assert found.label.values.tolist() == one.labels
        assert found.id.dims == ("sample",)
        assert found.coords["id"].values.tolist() == ids_of(one)
        assert (found.attrs["licence"], found.attrs["set"]) == ("CC0-1.0", ONE)


@pytest.mark.parametrize("form", FORMATS)
def test_every_export_says_its_licence_and_its_digests(exported: Path, form: str) -> None:
    """Licences, recipes, digests and how to load it lie beside the data."""
    licences = (exported / form / "LICENCES.md").read_text()
    assert "Licence: CC0-1.0" in licences
    assert "Not to be passed on" not in licences
    readme = (exported / form / "README.md").read_text()
    assert f"| {ONE} | 24 |" in readme
    assert "* 1: bright" in readme
    document = json.loads((exported / form / "export.json").read_text())
    assert {one["name"] for one in document["sets"]} >= {ONE, "tiny/test"}
    listed = [line[66:] for line in (exported / form / "SHA256SUMS").read_text().splitlines()]
    files = {str(path.relative_to(exported / form)) for path in (exported / form).rglob("*.*")}
    assert {name for name in files if (exported / form / name).is_file()} <= {
        *listed,
        "export.json",
    }


def test_a_dry_run_writes_nothing_and_a_second_run_does_nothing(
    pipeline: CommandLine, read_only_tiny: TinySource, tmp_path: Path
) -> None:
    """The counts are told before; what is there already is left alone, and other files too."""
    command = ("export", "png", f"{SETS}/*", *at(read_only_tiny), "--out", "out")
    told = pipeline(*command, "--dry-run", "--json").json
    assert (told["state"], told["samples"], len(told["sets"])) == ("would be written", 120, 5)
    assert told["bytes"] == told["bytes_left"] == 120 * 28 * 28 * 3
    assert not (tmp_path / "out").exists()
    first = pipeline(*command, "--json").json
    assert (first["state"], first["pieces_left"]) == ("written", 0)
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert pipeline(*command, "--json").json["state"] == "there already"
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    other = ("export", "png", "tiny/test", *at(read_only_tiny), "--out", "out")
    pipeline(*other, rc=2).refused(2, "another export")


def test_an_interrupted_export_leaves_no_folder_and_goes_on(
    pipeline: CommandLine, read_only_tiny: TinySource, tmp_path: Path
) -> None:
    """What cannot be written whole is not there; the same command finishes it."""
    command = ("export", "png", SETS, *at(read_only_tiny), "--out", "out", "--workers", "1")
    blocked = tmp_path / ".out.part" / "medimeta-c"
    told = pipeline(*command, "--dry-run", "--json").json
    pipeline(*command)
    shutil.move(tmp_path / "out", tmp_path / "whole")
    # A file where a folder is needed stops the export after it has begun.
    begun = json.loads((tmp_path / "whole" / "export.json").read_text())
    del begun["files"], begun["bytes"]
    (tmp_path / ".out.part" / ".done").mkdir(parents=True)
    (tmp_path / ".out.part" / "export.json").write_text(json.dumps(begun))
    blocked.write_text("")
    pipeline(*command, rc=1).refused(1, "cannot be written")
    assert not (tmp_path / "out").exists()
    blocked.unlink()
    assert pipeline(*command, "--json").json["samples"] == told["samples"]
    names = [(tmp_path / name / "SHA256SUMS").read_bytes() for name in ("out", "whole")]
    assert names[0] == names[1]


def test_what_is_not_there_or_not_known_is_one_line(
    pipeline: CommandLine, read_only_tiny: TinySource, tmp_path: Path
) -> None:
    """Unknown formats and names are usage errors; what is declared and not built is exit 4."""
    source = at(read_only_tiny)

    def refused(rc: int, *arguments: object) -> Callable[..., None]:
        answer = pipeline("export", *arguments, *source, "--out", "out", rc=rc)
        return lambda *phrases: answer.refused(rc, *phrases)

    refused(2, "parquet", ONE)("unknown export format 'parquet'")
    refused(2, "png", "medimeta-c/tin/test")("no sealed set matches 'medimeta-c/tin/test'")
    refused(4, "png", "cifar-c/tiny/test")("pipeline build corruptions --suite cifar-c")
    refused(4, "png", "pneumoniamnist-28/test")("pipeline build datasets --datasets")
    refused(2, "medmnistc-npz", ONE)("keeps severities 1 to 5 of contrast in one file")
    refused(2, "webdataset", ONE, "--template", "papr")("did you mean 'paper'")
    assert not (tmp_path / "out").exists()


def test_a_set_that_is_missing_is_not_left_out_silently(
    pipeline: CommandLine, tiny_built: TinySource, tmp_path: Path
) -> None:
    """A selection of which one set is not built is refused with the command that builds it."""
    shutil.rmtree(tiny_built.folder / "store" / "corruptions" / SETS / "4")
    answer = pipeline("export", "png", SETS, *at(tiny_built), "--out", "out", rc=4)
    answer.refused(4, f"{SETS}/4: not built", "pipeline build corruptions", f"--only '{SETS}'")
    assert not (tmp_path / "out").exists()


def test_the_licence_is_obeyed(
    pipeline: CommandLine, tiny_built: TinySource, tmp_path: Path
) -> None:
    """Pixels that may not be passed on are exported for private use alone, and it is said so."""
    shutil.rmtree(tiny_built.folder / "store")
    licence = (
        '{spdx = "LicenseRef-agreement", redistribution = "embeddings", share_alike = false, '
        'source = "these tests"}'
    )
    tiny_built.declare(licence=licence)
    store = at(tiny_built)
    pipeline("build", "datasets", *store, "--datasets", "tiny", "--from", tiny_built.data)
    command = ("export", "png", "tiny/test", *store, "--out", "out")
    pipeline(*command, rc=2).refused(2, "LicenseRef-agreement", "embeddings", "--private")
    assert not (tmp_path / "out").exists()
    pipeline(*command, "--private")
    assert "**Not to be passed on.**" in (tmp_path / "out" / "LICENCES.md").read_text()


def test_classes_are_numbered_as_a_label_map_says(
    pipeline: CommandLine, read_only_tiny: TinySource, tmp_path: Path
) -> None:
    """A tool that numbers the classes in another order gets labels in its order, and is told."""
    labels = 'schema = 1\ndataset = "tiny"\nclasses = ["bright", "dark"]\n'
    (tmp_path / "map.toml").write_text(labels)
    source = at(read_only_tiny)
    pipeline("export", FORMATS[0], ONE, *source, "--out", "out", "--labels", "map.toml")
    one = open_store(read_only_tiny.folder / "store")[ONE]
    with np.load(tmp_path / "out" / "tiny" / "test" / "contrast_severity_3.npz") as found:
        assert found["labels"].tolist() == [1 - label for label in one.labels]
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "* 0: bright" in readme
    assert "not the dataset's own order" in readme


def test_the_command_loads_nothing_that_it_does_not_write_with(
    pipeline: CommandLine, read_only_tiny: TinySource
) -> None:
    """An npz is exported without torch, image libraries and the network."""
    command: tuple[Any, ...] = ("export", FORMATS[0], ONE, *at(read_only_tiny), "--out", "out")
    loaded = pipeline.modules(*command, mode="isolated")
    assert not loaded & {"torch", "PIL", "cv2", "requests", "datasets", "webdataset"}
