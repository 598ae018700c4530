"""Readers: one contract for all on-disk forms, and each form's own faults."""

from __future__ import annotations

import contextlib
import csv
import math
import pickle
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import DataError, MissingInputError, UsageError
from stages.download.readers import READERS, SplitReader, open_split, reader_of
from stages.download.readers.arrays import ImageRows
from stages.download.readers.medimeta import Hdf5Rows
from stages.download.readers.pictures import decode
from stages.download.schema import Dataset
from stages.download.unpack import unpack

COUNTS = {"train": 6, "val": 2, "test": 4}
Declare = Callable[..., Dataset]


def pixels(count: int, channels: int, start: int = 0) -> NDArray[np.uint8]:
    """Return distinct 8 × 8 images, (count, 8, 8, channels)."""
    numbers = np.arange(start * 64 * channels, (start + count) * 64 * channels)
    return (numbers * 7 % 251).astype(np.uint8).reshape(count, 8, 8, channels)


def labels_of(count: int) -> NDArray[np.int64]:
    """Return alternating labels."""
    return np.arange(count) % 2


class ReaderContract(ABC):
    """What holds for every reader; subclasses say how the tiny dataset lies on disk."""

    channels: ClassVar[int] = 1
    in_order: ClassVar[bool] = True
    """Whether the samples come in the order in which they were written."""

    @abstractmethod
    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the tiny dataset into `folder` and return what declares it."""

    @pytest.fixture
    def dataset(self, declare: Declare, tmp_path: Path) -> Dataset:
        """Return the dataset, laid out in tmp_path/files."""
        (tmp_path / "files").mkdir()
        return self.lay_out(declare, tmp_path / "files")

    def test_splits_have_their_counts(self, dataset: Dataset, tmp_path: Path) -> None:
        """Every declared split opens with as many ids and labels as declared."""
        reader = reader_of(dataset, tmp_path / "files")
        assert reader.splits() == tuple(COUNTS)
        for split, count in COUNTS.items():
            opened = reader.open(split)
            assert len(opened) == len(opened.ids) == len(opened.labels) == count
            assert len(set(opened.ids)) == count
            assert opened.labels.dtype == np.int64
            assert set(opened.labels.tolist()) <= {0, 1}

    def test_images_are_uint8_with_a_channel_axis(self, dataset: Dataset, tmp_path: Path) -> None:
        """Images are (n, size, size, channels) and those of a range are those of the whole."""
        for split, count in COUNTS.items():
            opened = open_split(dataset, tmp_path / "files", split)
            whole = opened.images(0, count)
            assert whole.dtype == np.uint8
            assert whole.shape == (count, *dataset.shape, dataset.channels)
            for start in range(count):
                assert np.array_equal(opened.images(start, start + 1)[0], whole[start])
            assert opened.images(1, 1).shape[0] == 0

    def test_ranges_outside_are_refused(self, dataset: Dataset, tmp_path: Path) -> None:
        """No rows are invented or dropped at the ends."""
        opened = open_split(dataset, tmp_path / "files", "val")
        for start, stop in ((0, 3), (-1, 1), (2, 1)):
            with pytest.raises(IndexError):
                opened.images(start, stop)

    def test_reading_again_gives_the_same(self, dataset: Dataset, tmp_path: Path) -> None:
        """Ids, labels and pixels do not depend on the instance, and survive pickling."""
        first = open_split(dataset, tmp_path / "files", "test")
        second = pickle.loads(pickle.dumps(open_split(dataset, tmp_path / "files", "test")))
        assert first.ids == second.ids
        assert np.array_equal(first.labels, second.labels)
        assert np.array_equal(first.images(0, 4), second.images(0, 4))

    def test_an_unknown_split_is_a_usage_error(self, dataset: Dataset, tmp_path: Path) -> None:
        """A split that the dataset does not have is named, with the nearest one."""
        with pytest.raises(UsageError, match="'tests'; did you mean 'test'"):
            open_split(dataset, tmp_path / "files", "tests")


class WrittenPixels(ReaderContract):
    """Adds, for forms with files, that the pixels and labels are those that were written."""

    def test_pixels_and_labels_are_those_written(self, dataset: Dataset, tmp_path: Path) -> None:
        """Each split gives back its own images, channel for channel, with its own labels."""
        start = 0
        for split, count in COUNTS.items():
            opened = open_split(dataset, tmp_path / "files", split)
            written = pixels(count, self.channels, start)
            order = (
                np.arange(count) if self.in_order else np.argsort(labels_of(count), kind="stable")
            )
            assert np.array_equal(opened.images(0, count), written[order])
            assert np.array_equal(opened.labels, labels_of(count)[order])
            start += count

    def test_without_files_the_input_is_missing(self, dataset: Dataset) -> None:
        """A dataset whose files were never fetched is a missing input."""
        with pytest.raises(MissingInputError, match="have not been fetched"):
            reader_of(dataset, None)


def npz_arrays(channels: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of a MedMNIST file: gray without a channel axis, labels (N, 1)."""
    arrays: dict[str, NDArray[Any]] = {}
    start = 0
    for split, count in COUNTS.items():
        images = pixels(count, channels, start)
        arrays[f"{split}_images"] = images[..., 0] if channels == 1 else images
        arrays[f"{split}_labels"] = labels_of(count)[:, None].astype(np.uint8)
        start += count
    return arrays


def write_npz(folder: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write and unpack an npz into `folder`."""
    with zipfile.ZipFile(folder.parent / "tiny.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, array)
    unpack(folder.parent / "tiny.npz", folder)


class TestMedMNISTGray(WrittenPixels):
    """A gray file, as PneumoniaMNIST v1."""

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write a gray npz."""
        write_npz(folder, npz_arrays(1))
        return declare()


class TestMedMNISTColour(WrittenPixels):
    """A colour file, as BloodMNIST v3."""

    channels = 3

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write a colour npz."""
        write_npz(folder, npz_arrays(3))
        return declare(channels="3")


FINDINGS = {"task": '"multi-label"', "classes": '["mass", "nodule", "hernia"]'}


def findings(count: int) -> NDArray[np.uint8]:
    """Return labels of samples with none, some and all of three findings, (count, 3)."""
    return (np.arange(count)[:, None] >> np.arange(3) & 1).astype(np.uint8)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.bool_])
def test_labels_of_a_multi_label_npz_are_one_per_class(
    kind: type[np.generic], declare: Declare, tmp_path: Path
) -> None:
    """As in ChestMNIST, (N, L) labels of 0 and 1 are kept in class order, as int64."""
    changed = {f"{split}_labels": findings(count).astype(kind) for split, count in COUNTS.items()}
    write_npz(tmp_path / "files", npz_arrays(1) | changed)
    for split, count in COUNTS.items():
        opened = open_split(declare(**FINDINGS), tmp_path / "files", split)
        assert opened.labels.dtype == np.int64
        assert np.array_equal(opened.labels, findings(count))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (findings(4)[:, :2], r"labels have shape \(4, 2\), not \(N, 3\): one per class"),
        (np.zeros((4, 1), np.uint8), r"labels have shape \(4, 1\), not \(N, 3\)"),
        (np.zeros(4, np.uint8), r"labels have shape \(4,\), not \(N, 3\)"),
        (np.zeros((4, 3, 1), np.uint8), r"labels have shape \(4, 3, 1\)"),
        (findings(4) * 2, r"label 2 of row 1 is outside 0\.\.1"),
        (findings(4).astype(np.int8) - 1, r"label -1 of row 0 is outside 0\.\.1"),
        (findings(4) / 2, "labels are float64, not integers"),
        (findings(3), "3 labels for 4 samples"),
    ],
)
def test_wrong_multi_label_arrays_have_one_clear_line(
    labels: NDArray[Any], message: str, declare: Declare, tmp_path: Path
) -> None:
    """Another width, other values and other types than 0 or 1 per class are data errors."""
    write_npz(tmp_path / "files", npz_arrays(1) | {"test_labels": labels})
    with pytest.raises(DataError, match=message) as caught:
        open_split(declare(**FINDINGS), tmp_path / "files", "test")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_images": None}, "the npz lacks test_images; it has .*train_images"),
        ({"test_images": np.zeros((4, 8, 8), np.uint16)}, "images are uint16, not uint8"),
        ({"test_images": np.zeros((4, 8, 8), np.float32)}, "images are float32, not uint8"),
        ({"test_images": np.full((4, 8, 8), np.nan)}, r"NaN in an image \(row 0\)"),
        ({"test_images": np.zeros((4, 9, 9), np.uint8)}, r"shape \(4, 9, 9\), not \(N, 8, 8\)"),
        ({"test_images": np.zeros((4, 8, 8, 3), np.uint8)}, r"shape \(4, 8, 8, 3\)"),
        ({"test_images": np.zeros((3, 8, 8), np.uint8)}, "says 4 samples, the source has 3"),
        ({"test_images": np.zeros((0, 8, 8), np.uint8)}, "the split is empty"),
        ({"test_labels": np.full((4, 1), 2)}, r"label 2 of row 0 is outside 0\.\.1"),
        ({"test_labels": np.full((4, 1), -1)}, "label -1"),
        ({"test_labels": np.zeros((4, 14), np.uint8)}, "one label per sample"),
        ({"test_labels": np.zeros(4)}, "labels are float64, not integers"),
        ({"test_labels": np.zeros(5, np.uint8)}, "5 labels for 4 samples"),
    ],
)
def test_wrong_npz_files_have_one_clear_line(
    change: dict[str, NDArray[Any] | None], message: str, declare: Declare, tmp_path: Path
) -> None:
    """Every way in which an npz can be wrong is a data error that says which."""
    arrays = npz_arrays(1) | change
    write_npz(tmp_path / "files", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(DataError, match=message) as caught:
        open_split(declare(), tmp_path / "files", "test")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


def test_ids_that_repeat_are_refused(declare: Declare, tmp_path: Path) -> None:
    """No reader can give two samples one name, nor images of another shape."""
    rows = ImageRows(tmp_path / "images.npy")
    labels = labels_of(4)
    with pytest.raises(DataError, match="ids must be unique; 'a' comes 2 times"):
        SplitReader(declare(), "test", ("a", "b", "a", "c"), labels, rows)
    np.save(tmp_path / "images.npy", np.zeros((4, 9, 9), np.uint8))
    opened = SplitReader(declare(), "test", ("a", "b", "c", "d"), labels, rows)
    with pytest.raises(DataError, match=r"rows 0:2 are uint8 \(2, 9, 9, 1\)"):
        opened.images(0, 2)


def test_python_objects_and_truncated_arrays_are_refused(declare: Declare, tmp_path: Path) -> None:
    """An array of objects is never unpickled; a cut file is an error, not a killed process."""
    write_npz(tmp_path / "files", npz_arrays(1))
    images = tmp_path / "files" / "test_images.npy"
    np.save(images, np.array([{}] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a whole npy file of numbers"):
        open_split(declare(), tmp_path / "files", "test")
    np.save(images, np.zeros((40, 28, 28), np.uint8))
    images.write_bytes(images.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a whole npy file of numbers"):
        open_split(declare(size="28"), tmp_path / "files", "test")


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


FOLDER = '{form = "folder"}'


class TestFolderOfSplits(WrittenPixels):
    """PNG files in <split>/<class>/, sorted by path."""

    channels = 3
    in_order = False

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the pictures of each class into its own folder."""
        start = 0
        for split, count in COUNTS.items():
            for row, image in enumerate(pixels(count, 3, start)):
                # "bright" sorts before "dark"; the prefixes keep the order of the labels.
                path = folder / split / ("a-dark", "b-bright")[row % 2] / f"{row:03d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
            start += count
        return declare(
            reader='{form = "folder", folders = ["a-dark", "b-bright"], fit = "exact"}',
            channels="3",
        )

    def test_ids_are_the_paths(self, dataset: Dataset, tmp_path: Path) -> None:
        """A sample is named by its path below the folder."""
        opened = open_split(dataset, tmp_path / "files", "val")
        assert opened.ids == ("val/a-dark/000.png", "val/b-bright/001.png")


class TestFolderWithSplitsFile(WrittenPixels):
    """PNG files in <class>/ and a table of splits, below a folder of the archive."""

    in_order = False

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Write the pictures by class and their splits into a CSV."""
        lines = ["path,split"]
        start = 0
        for split, count in COUNTS.items():
            for row, image in enumerate(pixels(count, 1, start)):
                name = f"{('a', 'b')[row % 2]}/{split}-{row}.png"
                (folder / "top" / name).parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image[..., 0]).save(folder / "top" / name)
                lines.append(f"{name},{split}")
            start += count
        (folder / "top" / "splits.csv").write_text("\n".join(lines))
        return declare(
            reader='{form = "folder", folders = ["a", "b"], root = "top", '
            'splits_file = "splits.csv"}'
        )

    def test_the_table_and_the_pictures_must_match(self, dataset: Dataset, tmp_path: Path) -> None:
        """An unlisted picture, a listed one that is absent and an odd split are refused."""
        table = tmp_path / "files" / "top" / "splits.csv"
        text = table.read_text()
        for changed, message in (
            (text.replace("a/val-0.png,val\n", ""), "a/val-0.png is not in splits.csv"),
            (f"{text}\na/more.png,val", "a/more.png is not there"),
            (text.replace(",val", ",valid"), "'valid' is not a split; did you mean 'val'"),
            (f"{text}\na/val-0.png,val", "comes twice"),
            (text.replace("path,split", "file,part"), "needs the columns path and split"),
        ):
            table.write_text(changed)
            with pytest.raises(DataError, match=message):
                reader_of(dataset, tmp_path / "files")


def one_picture(tmp_path: Path, name: str = "a.png") -> Path:
    """Return the path of the only picture of a folder dataset, in the class dark."""
    path = tmp_path / "files" / "test" / "dark" / name
    path.parent.mkdir(parents=True)
    return path


def read_one(declare: Declare, tmp_path: Path, **lines: str | None) -> NDArray[np.uint8]:
    """Return the only picture."""
    dataset = declare(**({"reader": FOLDER, "splits": None} | lines))
    picture: NDArray[np.uint8] = open_split(dataset, tmp_path / "files", "test").images(0, 1)[0]
    return picture


def test_other_sizes_are_cut_and_resized(declare: Declare, tmp_path: Path) -> None:
    """The central square is resized by Pillow's bicubic filter; "exact" refuses instead."""
    image = Image.fromarray(pixels(6, 1).reshape(16, 24))
    image.save(one_picture(tmp_path))
    expected = image.crop((4, 0, 20, 16)).resize((8, 8), Image.Resampling.BICUBIC)
    assert np.array_equal(read_one(declare, tmp_path)[..., 0], np.array(expected))
    with pytest.raises(DataError, match="is 24×16 pixels, not 8×8"):
        read_one(declare, tmp_path, reader='{form = "folder", fit = "exact"}')


@given(
    declared=st.tuples(st.integers(8, 40), st.integers(8, 40)),
    stored=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_any_picture_is_cut_to_the_declared_aspect_ratio(
    declared: tuple[int, int], stored: tuple[int, int]
) -> None:
    """The part that is resized has the full width or height, is central, and is in proportion."""
    height, width = declared
    gray = np.random.default_rng([*declared, *stored]).integers(0, 256, stored, dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.png"
        Image.fromarray(gray).save(path)
        found = decode(path, 1, declared, crop=True)
        refused = pytest.raises(DataError, match=f"not {width}×{height}")
        with contextlib.nullcontext() if stored == declared else refused:
            decode(path, 1, declared, crop=False)
    assert found.shape == (height, width, 1)
    wide = min(stored[1], max(1, math.floor(stored[0] * width / height + 0.5)))
    high = min(stored[0], max(1, math.floor(stored[1] * height / width + 0.5)))
    top, left = (stored[0] - high) // 2, (stored[1] - wide) // 2
    part = Image.fromarray(gray[top : top + high, left : left + wide])
    expected = part.resize((width, height), Image.Resampling.BICUBIC)
    assert np.array_equal(found[..., 0], np.array(expected))


def test_a_height_and_a_width_are_read_as_such(declare: Declare, tmp_path: Path) -> None:
    """Pictures of a road scene's shape: taken whole, cut at the sides, and cut above and below."""
    road = np.random.default_rng(1).integers(0, 256, (16, 32, 1), dtype=np.uint8)
    path = one_picture(tmp_path)
    Image.fromarray(road[..., 0]).save(path)
    assert np.array_equal(read_one(declare, tmp_path, size="[16, 32]"), road)
    exact = {"reader": '{form = "folder", fit = "exact"}', "size": "[32, 16]"}
    with pytest.raises(DataError, match="is 32×16 pixels, not 16×32"):
        read_one(declare, tmp_path, **exact)
    for padding in (((0, 0), (4, 4)), ((4, 4), (0, 0))):
        Image.fromarray(np.pad(road[..., 0], padding)).save(path)
        assert np.array_equal(read_one(declare, tmp_path, size="[16, 32]"), road)


def test_arrays_may_have_a_height_and_a_width(declare: Declare, tmp_path: Path) -> None:
    """A MedMNIST file and the images of an HDF5 file are checked against both sides."""
    arrays = npz_arrays(1)
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = pixels(count, 1).reshape(count, 4, 16)
    arrays = {
        name: np.repeat(array, 2, 1) if name.endswith("_images") else array
        for name, array in arrays.items()
    }
    (tmp_path / "files").mkdir()
    write_npz(tmp_path / "files", arrays)
    images = open_split(declare(size="[8, 16]"), tmp_path / "files", "test").images(0, 4)
    assert np.array_equal(images[..., 0], arrays["test_images"])
    with pytest.raises(DataError, match=r"not \('?N'?, 16, 8"):
        open_split(declare(size="[16, 8]"), tmp_path / "files", "test")


def test_orientation_tags_are_not_applied(declare: Declare, tmp_path: Path) -> None:
    """Pixels are taken as stored, whatever the EXIF orientation says."""
    image = pixels(1, 1)[0, ..., 0]
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(one_picture(tmp_path), exif=exif)
    assert np.array_equal(read_one(declare, tmp_path)[..., 0], image)


def test_channels_change_only_without_loss(declare: Declare, tmp_path: Path) -> None:
    """Gray is replicated to three; equal channels become one; colour does not."""
    gray = pixels(1, 1)[0]
    path = one_picture(tmp_path)
    Image.fromarray(gray[..., 0]).save(path)
    assert np.array_equal(read_one(declare, tmp_path, channels="3"), np.repeat(gray, 3, 2))
    Image.fromarray(np.repeat(gray, 3, 2)).save(path)
    assert np.array_equal(read_one(declare, tmp_path), gray)
    Image.fromarray(pixels(1, 3)[0]).save(path)
    with pytest.raises(DataError, match="is coloured, but the manifest declares 1 channel"):
        read_one(declare, tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.tiff"])
def test_sixteen_bits_are_refused_with_the_remedy(
    name: str, declare: Declare, tmp_path: Path
) -> None:
    """A 16-bit picture is never scaled silently."""
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(one_picture(tmp_path, name))
    with pytest.raises(DataError, match="more than 8 bits .*save 8 bits"):
        read_one(declare, tmp_path)


def test_sixteen_bit_colour_is_refused(declare: Declare, tmp_path: Path) -> None:
    """A 16-bit colour PNG, whose low bytes the decoder would drop, is refused too."""
    import cv2

    path = one_picture(tmp_path)
    path.write_bytes(cv2.imencode(".png", np.full((8, 8, 3), 40_001, np.uint16))[1].tobytes())
    with pytest.raises(DataError, match="more than 8 bits"):
        read_one(declare, tmp_path, channels="3")


def test_transparency_pages_and_colour_spaces_are_refused(declare: Declare, tmp_path: Path) -> None:
    """What has no single meaning as gray or RGB is refused; an opaque alpha is dropped."""
    image = np.full((8, 8, 4), 255, np.uint8)
    path = one_picture(tmp_path, "a.tiff")
    Image.fromarray(image).save(path)
    assert (read_one(declare, tmp_path) == 255).all()
    image[0, 0, 3] = 9
    Image.fromarray(image).save(path)
    with pytest.raises(DataError, match="transparent"):
        read_one(declare, tmp_path)
    Image.fromarray(image).convert("CMYK").save(path)
    with pytest.raises(DataError, match="colour space CMYK"):
        read_one(declare, tmp_path)
    page = Image.fromarray(image[..., 0])
    page.save(path, save_all=True, append_images=[page])
    with pytest.raises(DataError, match="has 2 pages"):
        read_one(declare, tmp_path)


def test_a_damaged_picture_is_named(declare: Declare, tmp_path: Path) -> None:
    """A truncated or foreign file is one clear line with its path."""
    path = one_picture(tmp_path)
    Image.fromarray(pixels(4, 1).reshape(16, 16)).save(path)
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        read_one(declare, tmp_path)
    path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        read_one(declare, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tests/dark/a.png", "'tests' is not a split; did you mean 'test'"),
        ("test/drak/a.png", "'drak' is not a class; did you mean 'dark'"),
        ("test/a.png", "its folder is not a class"),
        ("test/dark/a.bmp", "is not a picture of a known kind"),
    ],
)
def test_nothing_in_a_folder_is_left_out_silently(
    name: str, message: str, declare: Declare, tmp_path: Path
) -> None:
    """A stray folder or file is named instead of being skipped."""
    for path in (tmp_path / "files" / name, tmp_path / "files/test/dark/.hidden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    with pytest.raises(DataError, match=message):
        reader_of(declare(reader=FOLDER, splits=None), tmp_path / "files")


def test_folder_counts_are_asserted_when_declared(declare: Declare, tmp_path: Path) -> None:
    """A folder dataset may declare its counts, and then they hold."""
    Image.fromarray(pixels(1, 1)[0, ..., 0]).save(one_picture(tmp_path))
    with pytest.raises(DataError, match="the manifest says 4 samples, the source has 1"):
        open_split(declare(reader=FOLDER), tmp_path / "files", "test")
    with pytest.raises(DataError, match="the split is empty"):
        open_split(declare(reader=FOLDER), tmp_path / "files", "train")


@dataclass(frozen=True)
class StandIn:
    """What a phantom generator gives."""

    image: NDArray[np.uint8]
    label: int
    mask: NDArray[np.uint8]


def stand_in(
    modality: str, size: int, split: str, index: int, *, classes: int, seed: int = 0
) -> StandIn:
    """Return a picture that depends on every argument."""
    level = len(modality) + 3 * len(split) + 17 * index + 5 * seed
    image = np.full((size, size, 1), level, np.uint8)
    return StandIn(image, index % classes, (image[..., 0] > level // 2).astype(np.uint8))


def stand_in_label(modality: str, split: str, index: int, *, classes: int, seed: int = 0) -> int:
    """Return the label alone."""
    return stand_in(modality, 8, split, index, classes=classes, seed=seed).label


class TestPhantom(ReaderContract):
    """Rendered images; a stand-in generator keeps the wrapper's tests apart from the pixels."""

    @pytest.fixture(autouse=True)
    def generator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Put the stand-in in the generator's place."""
        monkeypatch.setattr("stages.download.phantom.generate", stand_in)
        monkeypatch.setattr("stages.download.phantom.label_of", stand_in_label)

    def lay_out(self, declare: Declare, folder: Path) -> Dataset:
        """Declare a phantom; nothing lies on disk."""
        del folder
        return declare(
            reader='{form = "phantom", modality = "oct", seed = 2}', source=None, synthetic="true"
        )

    def test_images_labels_and_masks_are_the_generators(self, dataset: Dataset) -> None:
        """Without any folder, each row is what the generator gives for its index."""
        opened = open_split(dataset, None, "test")
        assert opened.ids[3] == "test/000003"
        assert opened.labels.tolist() == [0, 1, 0, 1]
        masks = opened.masks(2, 4)
        assert masks is not None
        for row in (2, 3):
            phantom = stand_in("oct", 8, "test", row, classes=2, seed=2)
            assert np.array_equal(opened.images(row, row + 1)[0], phantom.image)
            assert np.array_equal(masks[row - 2, ..., 0], phantom.mask)
