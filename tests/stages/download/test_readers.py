"""Readers: one contract for all on-disk forms, and each form's own faults."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.download.readers import SplitReader, open_split
from stages.download.readers.arrays import ImageRows
from stages.download.schema import Dataset
from stages.download.unpack import unpack
from tests.stages.download.reader_contract import COUNTS, Declare, WrittenPixels, labels_of, pixels


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
