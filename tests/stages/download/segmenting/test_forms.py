"""What every on-disk form gives, shown on files in its real form."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any, ClassVar

import h5py
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from stages.download.segmenting.dataset import DatasetReader, reader_of
from stages.download.segmenting.figshare import stretched
from stages.download.segmenting.schema import SegmentationDataset
from tests.stages.download.segmenting.building import blob, photograph, save
from tests.stages.download.segmenting.form_contract import FormContract


class TestPairs(FormContract):
    """Kind, view and number in the names, as BUSI has them."""

    changes: ClassVar[dict[str, Any]] = {
        "reader": {
            "form": "pairs",
            "images": ["{kind}/{kind} ({number}).png"],
            "masks": ["{kind}/{kind} ({number})_mask.png", "{kind}/{kind} ({number})_mask_*.png"],
            "merge": "union",
            "listed_as": "{number}_{kind}",
            "metadata": {"tumor_type": {"kind": {"benign": "benign", "malignant": "malignant"}}},
        }
    }
    channels = 3
    metadata: ClassVar[dict[str, str]] = {"tumor_type": "benign"}
    first = "benign (1)"

    def write(self, root: Path) -> None:
        for number, kind in enumerate(["benign", "malignant", "normal"], 1):
            stem = root / kind / f"{kind} ({number})"
            save(stem.with_name(f"{stem.name}.png"), photograph())
            save(stem.with_name(f"{stem.name}_mask.png"), blob())
        save(root / "malignant" / "malignant (2)_mask_1.png", blob(left=10))

    def spoil(self, root: Path) -> None:
        (root / "benign" / "benign (1)_mask.png").write_bytes(b"torn")

    def test_several_files_are_one_mask(self, reader: DatasetReader) -> None:
        """And none of them is an image."""
        sample = reader.sample(1)
        assert np.array_equal(sample.masks[..., 0], blob() | blob(left=10))
        assert len(reader.entries[1].mask_paths) == 2
        assert reader.entries[2].metadata == {}
        assert [entry.listed_as for entry in reader.entries] == [
            "1_benign",
            "2_malignant",
            "3_normal",
        ]


class TestLabelPairs(FormContract):
    """Two targets in one label map, one of them of two values."""

    changes: ClassVar[dict[str, Any]] = {
        "targets": [
            {"name": "cavity", "noun": "cavity", "values": [1]},
            {"name": "wall", "noun": "wall", "values": [2, 3]},
        ],
        "reader": {
            "form": "pairs",
            "images": ["images/{patient}_{side}.png"],
            "masks": ["labels/{patient}_{side}.tif"],
            "meaning": "labels",
            "metadata": {"view": {"side": {}}},
        },
    }
    channels = 1
    metadata: ClassVar[dict[str, str]] = {"view": "left"}
    patient = "p0"
    first = "p0_LEFT"

    def write(self, root: Path) -> None:
        labels = (blob() // 255).astype(np.uint16)
        labels[8:, 2:4], labels[8:, 10:] = 2, 3
        for number in range(3):
            save(root / "images" / f"p{number}_LEFT.png", photograph()[..., 0])
            save(root / "labels" / f"p{number}_LEFT.tif", labels)

    def spoil(self, root: Path) -> None:
        save(root / "labels" / "p0_LEFT.tif", np.zeros((16, 12), np.uint8))

    def test_values_are_merged_into_targets(self, reader: DatasetReader) -> None:
        """The second layer has both of its values and none of the first."""
        wall = reader.sample(0).masks[..., 1]
        assert np.count_nonzero(wall) == 4 * 2 + 4 * 6
        assert not (wall & reader.sample(0).masks[..., 0]).any()


class TestOwnFiles(FormContract):
    """A file of its own for each target; an image without one has an empty layer."""

    changes: ClassVar[dict[str, Any]] = {
        "targets": [
            {"name": "left", "noun": "left lung", "masks": ["left/{stem}.*"]},
            {"name": "right", "noun": "right lung", "masks": ["right/{stem}.*"]},
        ],
        "reader": {"form": "pairs", "images": ["images/{stem}.*"], "without_mask": "empty"},
    }
    channels = 3
    metadata: ClassVar[dict[str, str]] = {}
    first = "0"

    def write(self, root: Path) -> None:
        for number in range(3):
            save(root / "images" / f"{number}.jpg", photograph())
            save(root / "left" / f"{number}.png", blob())
        save(root / "right" / "1.bmp", blob(left=10))

    def spoil(self, root: Path) -> None:
        (root / "images" / "0.jpg").write_bytes(b"torn")

    def test_a_target_may_be_absent(self, reader: DatasetReader) -> None:
        """Its layer is empty, and says why."""
        assert [reader.sample(row).masks[..., 1].any() for row in range(3)] == [False, True, False]
        assert reader.sample(0).layers[1].findings == ("no-file",)


class TestNifti(FormContract):
    """CAMUS: a folder per patient, x first, a text file per view."""

    changes: ClassVar[dict[str, Any]] = {
        "targets": [
            {"name": "ventricle", "noun": "left ventricle", "values": [1]},
            {"name": "atrium", "noun": "left atrium", "values": [3]},
        ],
        "reader": {
            "form": "nifti",
            "images": "{patient}/{patient}_{view}_{cycle}.nii.gz",
            "masks": "{patient}/{patient}_{view}_{cycle}_gt.nii.gz",
            "info": "{patient}/Info_{view}.cfg",
        },
        "prompt_family": "echocardiography",
    }
    channels = 1
    metadata: ClassVar[dict[str, str]] = {
        "age": "56",
        "cycle": "diastole",
        "gender": "female",
        "quality": "good",
        "view": "two-chamber",
    }
    patient = "patient0001"
    first = "patient0001_2CH_ED"

    def write(self, root: Path) -> None:
        gray = photograph()[..., 0].astype(np.float32)
        labels = (blob() // 255) + (blob(left=10) // 255) * 3
        frames = [("patient0001", "2CH_ED"), ("patient0001", "2CH_ES"), ("patient0002", "4CH_ED")]
        for patient, name in frames:
            folder = root / patient
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, values in {"": gray, "_gt": labels}.items():
                image = nibabel.Nifti1Image(values.T, np.eye(4))
                nibabel.save(image, folder / f"{patient}_{name}{suffix}.nii.gz")
            (folder / f"Info_{name[:3]}.cfg").write_text(
                "ED: 1\nES: 18\nNbFrame: 18\nSex: F\nAge: 56\nImageQuality: Good\nEF: 54\n"
            )
        # A whole sequence is no image: its name tells another cycle than ED or ES.
        for suffix in ("", "_gt"):
            (root / "patient0001" / f"patient0001_2CH_half_sequence{suffix}.nii.gz").touch()

    def spoil(self, root: Path) -> None:
        (root / "patient0001" / "patient0001_2CH_ED.nii.gz").write_bytes(b"torn")

    def test_the_image_is_transposed(self, reader: DatasetReader) -> None:
        """NIfTI's first axis is x."""
        assert np.array_equal(reader.sample(0).image[..., 0], photograph()[..., 0])
        assert np.array_equal(reader.sample(0).masks[..., 1], blob(left=10))

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            (np.full((16, 12), 256.0), "has values 0 to 256.0, not 0 to 255|256"),
            (np.full((16, 12), 0.5), "its values have fractions"),
            (np.zeros((16, 12, 2)), "not that of one frame"),
            (np.full((16, 12), np.nan), "no numbers"),
        ],
    )
    def test_other_values_are_refused(
        self, values: NDArray[Any], message: str, root: Path, reader: DatasetReader
    ) -> None:
        """Nothing is scaled unseen."""
        path = root / "patient0001" / "patient0001_2CH_ED.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
        sample = reader.sample(0)
        assert sample.status == "failed"
        assert any(part in sample.error for part in message.split("|"))

    @pytest.mark.parametrize("content", [b"", b"no nifti", gzip.compress(b"x" * 400, mtime=0)])
    def test_damaged_files_are_rows(
        self, content: bytes, root: Path, reader: DatasetReader
    ) -> None:
        """Torn at any place, or something else under the name."""
        path = root / "patient0001" / "patient0001_2CH_ED_gt.nii.gz"
        whole = path.read_bytes()
        for damaged in (content, whole[: len(whole) // 2], whole[:-9], whole[:-2] + b"00"):
            path.write_bytes(damaged)
            assert reader.sample(0).status == "failed"

    def test_a_mask_is_needed(self, root: Path, dataset: SegmentationDataset) -> None:
        """Without one there is a row that says so."""
        (root / "patient0001" / "patient0001_2CH_ED_gt.nii.gz").unlink()
        sample = reader_of(dataset, {"source": root}).sample(0)
        assert (sample.status, sample.masks.shape) == ("no-mask", (0, 0, 0))


class TestFigshare(FormContract):
    """MATLAB 7.3: columns first, 16 bits, texts as numbers."""

    changes: ClassVar[dict[str, Any]] = {
        "targets": [{"name": "tumor", "noun": "brain tumor"}],
        "reader": {"form": "figshare-mat", "files": "{stem}.mat"},
    }
    channels = 1
    metadata: ClassVar[dict[str, str]] = {"tumor_type": "glioma"}
    patient = "MR040240B"
    first = "100"

    def write(self, root: Path) -> None:
        root.mkdir()
        for name in ("100", "101", "102"):
            with h5py.File(root / f"{name}.mat", "w") as file:
                data = file.create_group("cjdata")
                data["image"] = (photograph()[..., 0].astype(np.int16) * 11 - 5).T
                data["tumorMask"] = (blob() // 255).T
                data["label"] = np.array([[2.0]])
                data["PID"] = np.array([[ord(sign)] for sign in "MR040240B"], np.uint16)

    def spoil(self, root: Path) -> None:
        (root / "100.mat").write_bytes(b"torn")

    def test_the_image_spans_all_gray_levels(self, reader: DatasetReader) -> None:
        """From the lowest value to the highest."""
        image = reader.sample(0).image
        assert (image.min(), image.max()) == (0, 255)


def test_stretching_is_exact() -> None:
    """The nearest gray level, halves up, as exact fractions give it; one value becomes 0."""
    values = np.arange(-300, 1211, dtype=np.int16).reshape(1, -1)
    expected = [(510 * (v + 300) + 1510) // 3020 for v in range(-300, 1211)]
    assert stretched(Path("x.mat"), values).reshape(-1).tolist() == expected
    assert not stretched(Path("x.mat"), np.full((2, 2), 7, np.int16)).any()
