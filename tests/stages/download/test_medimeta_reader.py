"""Folders as MedIMeta publishes them."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError
from stages.download.readers import READERS, open_split, reader_of
from stages.download.readers.medimeta import Hdf5Rows
from stages.download.schema import Dataset
from stages.download.unpack import unpack
from tests.stages.download.reader_contract import COUNTS, Declare, WrittenPixels, labels_of, pixels

MEDIMETA = '{form = "medimeta", task = "cell class", collection_id = "tiny"}'


def medimeta_info(channels: int = 1) -> dict[str, Any]:
    """Return an info.yaml as version 1.0 has it, with a second task."""
    return {
        "id": "tiny",
        "name": "Tiny",
        "domain": "Microscopy",
        "tasks": [
            {
                "task_name": "cell class",
                "task_target": "BINARY_CLASSIFICATION",
                "labels": {0: "dark", 1: "bright"},
            },
            {"task_name": "other", "task_target": "MULTILABEL_CLASSIFICATION", "labels": {0: "x"}},
        ],
        "input_size": [channels, 8, 8],
        "total_num_samples": 12,
        "splits_num_samples": dict(COUNTS),
    }


def write_medimeta(root: Path, channels: int = 1, *, tiff: bool = False) -> None:
    """Write a MedIMeta folder; sample numbers go through the splits in turn."""
    (root / "splits").mkdir(parents=True)
    (root / "task_labels").mkdir()
    (root / "images").mkdir()
    images = np.concatenate([pixels(n, channels, s) for s, n in ((0, 6), (6, 2), (8, 4))])
    labels = np.concatenate([labels_of(count) for count in COUNTS.values()])
    np.save(root / "task_labels" / "cell class.npy", labels)
    names = [f"images/{row:06d}.tiff" for row in range(12)]
    for split, rows in {"train": range(6), "val": range(6, 8), "test": range(8, 12)}.items():
        lines = "\n".join(names[row] for row in reversed(rows))
        (root / "splits" / f"{split}.txt").write_text(lines)
    plain = images[..., 0] if channels == 1 else images
    if tiff:
        for name, image in zip(names, plain, strict=True):
            Image.fromarray(image).save(root / name, compression=None)
    else:
        with h5py.File(root / "images.hdf5", "w") as file:
            file["images"] = plain
    with (root / "annotations.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["filepath", "split", "tasks/cell class", "original_filepath", "patient_id"])
        table.writerows([n, "", "", f"raw/{n}", f"P{row // 2}"] for row, n in enumerate(names))
    write_info(root, medimeta_info(channels))


def write_info(root: Path, info: dict[str, Any]) -> None:
    """Write an info.yaml."""
    (root / "info.yaml").write_text(yaml.safe_dump(info))


class TestMedIMetaHdf5(WrittenPixels):
    """Gray images in HDF5, unpacked from a zip with the dataset's own folder in it."""

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write, zip and unpack a MedIMeta folder."""
        source = folder.parent / "source" / "tiny"
        write_medimeta(source)
        with zipfile.ZipFile(folder.parent / "tiny.zip", "w") as archive:
            for path in sorted(source.rglob("*")):
                archive.write(path, Path("tiny") / path.relative_to(source))
        dataset = declare(reader=MEDIMETA)
        unpack(
            folder.parent / "tiny.zip",
            folder,
            lambda names: READERS["medimeta"].members(dataset, names),
        )
        return dataset

    def test_patients_and_originals_are_kept(self, dataset: Dataset, tmp_path: Path) -> None:
        """The annotations give each sample its patient and its original file."""
        opened = open_split(dataset, tmp_path / "files", "test")
        assert opened.ids[0] == "images/000008.tiff"
        assert opened.patient_ids == ("P4", "P4", "P5", "P5")
        assert opened.original_filepaths is not None
        assert opened.original_filepaths[0] == "raw/images/000008.tiff"


class TestMedIMetaTiff(WrittenPixels):
    """Colour images as TIFF files, in the folder itself."""

    channels = 3

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write a MedIMeta folder with TIFFs."""
        write_medimeta(folder, 3, tiff=True)
        return declare(reader=MEDIMETA, channels="3")


def test_medimeta_takes_the_hdf5_and_not_the_tiffs(declare: Declare) -> None:
    """From an archive with both, the images are unpacked once; archivers' own files never."""
    names = [
        "tiny/images.hdf5",
        "tiny/images/000000.tiff",
        "tiny/info.yaml",
        "tiny/task_labels/cell class.npy",
        "tiny/task_labels/other.npy",
        "tiny/original_splits/train.txt",
        "tiny/splits/train.txt",
        "__MACOSX/tiny/splits/train.txt",
    ]
    members = READERS["medimeta"].members
    dataset = declare(reader=MEDIMETA)
    both = members(dataset, names)
    assert sorted(both) == sorted([names[0], names[2], names[3], names[6]])
    assert names[1] in members(dataset, names[1:])


def test_scattered_hdf5_rows_come_in_their_order(declare: Declare, tmp_path: Path) -> None:
    """A split whose images are not neighbours is read run by run, each image its own."""
    write_medimeta(tmp_path)
    for split, rows in {"train": (0, 1, 5, 7, 8, 11), "val": (2, 9), "test": (3, 4, 6, 10)}.items():
        text = "".join(f"images/{row:06d}.tiff\r\n" for row in rows)
        (tmp_path / "splits" / f"{split}.txt").write_text(text)
    with h5py.File(tmp_path / "images.hdf5") as file:
        images = file["images"][:]
    opened = open_split(declare(reader=MEDIMETA), tmp_path, "train")
    assert np.array_equal(opened.images(1, 6)[..., 0], images[[1, 5, 7, 8, 11]])


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, NDArray[np.uint8]]:
    """Return an HDF5 file of 40 images, and the images."""
    path = tmp_path_factory.mktemp("stack") / "images.hdf5"
    images = pixels(40, 3)
    with h5py.File(path, "w") as file:
        file["images"] = images
    return path, images


@given(chosen=st.sets(st.integers(0, 39), min_size=1), ends=st.tuples(*[st.integers(0, 40)] * 2))
def test_any_rows_of_an_hdf5_file_are_the_rows_asked_for(
    chosen: set[int], ends: tuple[int, int], stack: tuple[Path, NDArray[np.uint8]]
) -> None:
    """Reading in runs of neighbours equals indexing the whole array, for any split and range."""
    path, images = stack
    indices = np.array(sorted(chosen), np.int64)
    start, stop = sorted(min(end, len(indices)) for end in ends)
    assert np.array_equal(Hdf5Rows(path, indices)(start, stop), images[indices[start:stop]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "other"}, "id is 'other', the manifest says 'tiny'"),
        ({"input_size": [3, 8, 8]}, r"input_size is \[3, 8, 8\]"),
        ({"total_num_samples": 13}, "total_num_samples is 13"),
        ({"splits_num_samples": {"test": 5}}, "splits_num_samples.test is 5"),
        ({"tasks": []}, "no task 'cell class'"),
        (
            {"tasks": [{"task_name": "cell class", "labels": {0: "bright", 1: "dark"}}]},
            r"labels is \['bright', 'dark'\], the manifest says \['dark', 'bright'\]",
        ),
        (
            {"tasks": [{"task_name": "cell class", "task_target": "MULTILABEL_CLASSIFICATION"}]},
            "task_target is 'MULTILABEL_CLASSIFICATION'",
        ),
    ],
)
def test_an_info_file_that_contradicts_is_refused(
    change: dict[str, Any], message: str, declare: Declare, tmp_path: Path
) -> None:
    """Class order, counts, size, task and id are compared, and the difference is said."""
    write_medimeta(tmp_path)
    write_info(tmp_path, medimeta_info() | change)
    with pytest.raises(DataError, match=message):
        reader_of(declare(reader=MEDIMETA), tmp_path)


def test_an_info_file_that_says_little_is_accepted(declare: Declare, tmp_path: Path) -> None:
    """Absent fields are not missed, and label ids may be written as text."""
    write_medimeta(tmp_path)
    tasks = [{"task_name": "cell class", "labels": {"1": "bright", "0": "dark"}}]
    write_info(tmp_path, {"tasks": tasks})
    assert len(open_split(declare(reader=MEDIMETA), tmp_path, "test")) == 4


def break_medimeta(root: Path, fault: str) -> None:
    """Damage one file of a MedIMeta folder."""
    if fault == "cut hdf5":
        path = root / "images.hdf5"
        path.write_bytes(path.read_bytes()[:600])
    elif fault == "unnamed hdf5":
        with h5py.File(root / "images.hdf5", "w") as file:
            file["pictures"] = np.zeros((12, 8, 8), np.uint8)
    elif fault == "deep hdf5":
        with h5py.File(root / "images.hdf5", "w") as file:
            file["images"] = np.zeros((12, 8, 8), np.uint16)
    elif fault == "shared sample":
        with (root / "splits" / "test.txt").open("a") as file:
            file.write("\nimages/000000.tiff")
    elif fault == "odd line":
        (root / "splits" / "test.txt").write_text("images/eight.tiff")
    elif fault == "few labels":
        np.save(root / "task_labels" / "cell class.npy", np.zeros(11, np.int64))
    elif fault == "few annotations":
        (root / "annotations.csv").write_text("filepath,patient_id\nimages/000000.tiff,P0\n")
    else:
        (root / fault).unlink()


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("cut hdf5", "not a whole HDF5 file"),
        ("unnamed hdf5", "no dataset named images"),
        ("deep hdf5", "images are uint16"),
        ("shared sample", "sample 0 is in two splits"),
        ("odd line", "line 1: 'images/eight.tiff' is not"),
        ("few labels", "12 images, 11 labels"),
        ("few annotations", "no row for images/000008.tiff"),
        ("info.yaml", "no info.yaml"),
        ("images.hdf5", "000008.tiff is missing .4 images are."),
        ("splits/val.txt", "val.txt: cannot be read"),
        ("task_labels/cell class.npy", "cell class.npy is missing"),
    ],
)
def test_damaged_medimeta_folders_have_one_clear_line(
    fault: str, message: str, declare: Declare, tmp_path: Path
) -> None:
    """Every missing or damaged file is named."""
    write_medimeta(tmp_path)
    break_medimeta(tmp_path, fault)
    with pytest.raises(DataError, match=message):
        open_split(declare(reader=MEDIMETA), tmp_path, "test")
