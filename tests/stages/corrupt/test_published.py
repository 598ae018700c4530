"""Published layouts: rows read one by one, and one clear error for whatever is not as it should."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from stages.corrupt.comparison.published import open_folder, open_images

IMAGES = np.random.default_rng(0).integers(0, 256, (10, 28, 30, 3), dtype=np.uint8)

save = pytest.mark.parametrize("save", [np.savez, np.savez_compressed])


def as_robustmedclip(folder: Path, images: Any = IMAGES, name: str = "contrast") -> Path:
    """Write one set in RobustMedCLIP's layout and return the root."""
    place = folder / "oct" / "test"
    place.mkdir(parents=True)
    np.savez(place / f"{name}_severity_3.npz", images=images, labels=np.zeros(len(images)))
    return folder


@save
def test_rows_are_those_of_numpy(tmp_path: Path, save: Callable[..., None]) -> None:
    """Rows in any order, compressed or not, are what `numpy.load` gives."""
    save(tmp_path / "a.npz", labels=np.arange(10), images=IMAGES)
    rows = [7, 0, 9, 9, 3]
    found = open_images(tmp_path / "a.npz", ("images",))
    assert found.shape == IMAGES.shape
    assert np.array_equal(found.rows(rows), IMAGES[rows])


@save
def test_gray_images_gain_a_channel(tmp_path: Path, save: Callable[..., None]) -> None:
    """Images (N, H, W) are read as (n, H, W, 1)."""
    save(tmp_path / "a.npz", images=IMAGES[..., 0])
    found = open_images(tmp_path / "a.npz", ("images",)).rows([2])
    assert np.array_equal(found, IMAGES[2:3, :, :, :1])


@pytest.mark.parametrize("below", ["", "oct", "oct/test"])
def test_robustmedclip_is_found_from_above(tmp_path: Path, below: str) -> None:
    """The root, the dataset's folder and the split's folder all lead to the sets."""
    folder = open_folder(as_robustmedclip(tmp_path) / below, "oct" if not below else None, "test")
    assert folder.layout == "robustmedclip"
    assert [(one.corruption, one.severity, one.count) for one in folder.sets] == [
        ("contrast", 3, 10)
    ]
    assert np.array_equal(folder.sets[0].rows([4]), IMAGES[[4]])
    assert folder.clean is None


def test_medmnist_c_holds_five_severities(tmp_path: Path) -> None:
    """`test_images` of 5 N is five sets of N, in order of severity."""
    np.savez_compressed(tmp_path / "pixelate.npz", test_images=IMAGES, test_labels=np.zeros(10))
    folder = open_folder(tmp_path, None, "test")
    assert folder.layout == "medmnist-c"
    assert [(one.severity, one.count) for one in folder.sets] == [(s, 2) for s in range(1, 6)]
    assert np.array_equal(folder.sets[3].rows([1, 0]), IMAGES[[7, 6]])


def test_unknown_layout_says_what_was_expected(tmp_path: Path) -> None:
    """A folder without sets, of other files or missing, is a usage error with the layouts."""
    np.savez(tmp_path / "something.npz", x=IMAGES)
    with pytest.raises(UsageError, match=r"_severity_<1\.\.5>\.npz.*test_images"):
        open_folder(tmp_path, None, "test")
    with pytest.raises(UsageError, match="no such folder"):
        open_folder(tmp_path / "absent", None, "test")


def test_several_datasets_must_be_chosen_from(tmp_path: Path) -> None:
    """Sets of two datasets below a root are named; --dataset chooses."""
    as_robustmedclip(tmp_path)
    (tmp_path / "pbc").mkdir()
    (tmp_path / "oct/test").rename(tmp_path / "pbc/test")
    as_robustmedclip(tmp_path / "other")
    (tmp_path / "other/oct").rename(tmp_path / "mine")
    with pytest.raises(UsageError, match="mine/test, pbc/test"):
        open_folder(tmp_path, None, "test")
    assert open_folder(tmp_path, "pbc", "test").path == tmp_path / "pbc/test"


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES.astype(np.uint16), "images are uint16, not uint8"),
        (IMAGES / 255.0, "images are float64, not uint8"),
        (IMAGES[..., :2], r"shape \(10, 28, 30, 2\)"),
        (IMAGES[0, 0], r"shape \(30, 3\)"),
        (np.asfortranarray(IMAGES), "Fortran order"),
        (np.array([None, 1]), "images are object"),
    ],
    ids=["uint16", "float", "channels", "dimensions", "order", "objects"],
)
def test_wrong_images_are_refused(tmp_path: Path, images: Any, message: str) -> None:
    """Another dtype, shape or order is one error with the file and the key; no pickle is read."""
    with pytest.raises(DataError, match=rf"contrast_severity_3\.npz: images: .*{message}"):
        open_folder(as_robustmedclip(tmp_path, images), "oct", "test")


def test_wrong_keys_are_named(tmp_path: Path) -> None:
    """A file without the array says which it has."""
    np.savez(tmp_path / "contrast_severity_1.npz", pictures=IMAGES, labels=np.zeros(10))
    with pytest.raises(DataError, match="no array images; the file has labels, pictures"):
        open_folder(tmp_path, None, "test")


def test_uneven_severities_are_refused(tmp_path: Path) -> None:
    """A number of images that is not five times as many is an error."""
    np.savez(tmp_path / "pixelate.npz", test_images=IMAGES[:9])
    with pytest.raises(DataError, match="9 images, which is not 5 severities"):
        open_folder(tmp_path, None, "test")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    """A file that is no archive, and a member that ends early, are errors that name the file."""
    path = tmp_path / "contrast_severity_1.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(DataError, match="contrast_severity_1.npz: not a whole npz file"):
        open_folder(tmp_path, None, "test")
    np.savez(path, images=IMAGES)
    content = path.read_bytes()
    header = content.replace(b"(10, 28, 30, 3)", b"(99, 28, 30, 3)")
    path.write_bytes(header)
    with pytest.raises(DataError, match="images: cannot be read"):
        open_folder(tmp_path, None, "test").sets[0].rows([98])
