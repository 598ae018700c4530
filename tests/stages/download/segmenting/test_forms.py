"""What every on-disk form gives, shown on files in its real form."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any, ClassVar

import h5py
import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from pipeline.errors import DataError
from pipeline.store import Store
from stages.download.segmenting.dataset import DatasetReader, reader_of
from stages.download.segmenting.figshare import stretched
from stages.download.segmenting.schema import SegmentationDataset
from stages.download.segmenting.shapes import from_polygons, from_run_lengths
from tests.stages.download.segmenting.building import (
    blob,
    built,
    dataset_in,
    index,
    photograph,
    save,
)


class FormContract:
    """Every form: subclasses write its files and say what must come back."""

    changes: ClassVar[dict[str, Any]]
    """Fields of the manifest."""
    channels: ClassVar[int]
    metadata: ClassVar[dict[str, str]]
    """Of the first sample."""
    patient: ClassVar[str | None] = None
    first: ClassVar[str]
    """Id of the first sample."""

    def write(self, root: Path) -> None:
        """Write three images of 12 × 16 and their masks; that of the first is `blob()`."""
        raise NotImplementedError

    def spoil(self, root: Path) -> None:
        """Make the first sample unreadable."""
        raise NotImplementedError

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = tmp_path / "data"
        self.write(root)
        return root

    @pytest.fixture
    def dataset(self, root: Path) -> SegmentationDataset:
        return dataset_in(root, **self.changes)

    @pytest.fixture
    def reader(self, root: Path, dataset: SegmentationDataset) -> DatasetReader:
        return reader_of(dataset, {"source": root})

    def test_samples_are_sorted_and_named_apart(self, reader: DatasetReader) -> None:
        """Entries are in the order of their paths; ids differ."""
        paths = [entry.path for entry in reader.entries]
        assert paths == sorted(paths)
        assert len(set(reader.ids)) == len(reader.ids) == 3
        assert reader.ids[0] == self.first

    def test_arrays_are_aligned(self, reader: DatasetReader) -> None:
        """Image and layers have one height and width, and a layer holds 0 and 255 only."""
        for row in reader.rows("test"):
            sample = reader.sample(row)
            assert (sample.status, sample.error) == ("ok", "")
            assert sample.image.dtype == sample.masks.dtype == np.uint8
            assert sample.image.shape == (12, 16, self.channels)
            assert sample.masks.shape == (12, 16, len(reader.dataset.targets))
            assert set(np.unique(sample.masks)) <= {0, 255}
            for items in (sample.sources, sample.instances):
                assert items.shape in {(0, 0, 0), sample.masks.shape}

    def test_the_mask_is_the_one_that_was_drawn(self, reader: DatasetReader) -> None:
        """Rows are rows and columns are columns."""
        assert np.array_equal(reader.sample(0).masks[..., 0], blob())

    def test_metadata_are_words(self, store: Store, dataset: SegmentationDataset) -> None:
        """As prompts use them."""
        row = index(built(store, dataset))[0]
        assert row["metadata"] == self.metadata
        assert row["patient_id"] == self.patient
        assert row["mask_filepaths"]

    def test_it_is_read_twice_the_same(self, reader: DatasetReader) -> None:
        """Nothing is kept from one reading to the next."""
        one, two = reader.sample(1), reader.sample(1)
        assert np.array_equal(one.image, two.image)
        assert np.array_equal(one.masks, two.masks)

    def test_what_cannot_be_read_is_a_row(
        self, root: Path, store: Store, dataset: SegmentationDataset
    ) -> None:
        """With its error; the others are there, and no path of this machine is."""
        self.spoil(root)
        artifact = built(store, dataset)
        rows = index(artifact)
        assert [row["status"] for row in rows] == ["failed", "ok", "ok"]
        assert rows[0]["error"]
        assert str(root) not in rows[0]["error"]
        assert artifact.mixed("images")[0].shape == (0, 0, 0)
        assert artifact.mixed("masks")[1].shape[:2] == (12, 16)

    def test_no_image_at_all_is_an_error(
        self, dataset: SegmentationDataset, tmp_path: Path
    ) -> None:
        """It says which pattern matches nothing, or which file is missing."""
        empty = tmp_path / "empty"
        (empty / "x").mkdir(parents=True)
        (empty / "x" / "notes.txt").write_text("nothing")
        with pytest.raises(DataError, match=r"tiny: (no file matches|there is no )"):
            reader_of(dataset, {"source": empty})


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


SQUARE = [[[3.0, 2.0], [7.0, 2.0], [7.0, 5.0], [3.0, 5.0]]]


def _run_lengths(mask: NDArray[np.uint8]) -> dict[str, Any]:
    code = coco.encode(np.asfortranarray(mask // 255))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode()}


class TestPolygons(FormContract):
    """CheXlocalize: the names of an image joined are its key in the JSON."""

    changes: ClassVar[dict[str, Any]] = {
        "targets": [
            {"name": "airspace-opacity", "noun": "Airspace Opacity"},
            {"name": "edema", "noun": "Edema"},
        ],
        "reader": {
            "form": "polygons",
            "images": "CheXpert/{split}/{patient}/{study}/{view}_{side}.jpg",
            "annotations": ["annotations.json"],
            "labels": ["valid.csv"],
        },
        "prompt_family": "chest-xray",
        "frame": "patient",
    }
    channels = 1
    metadata: ClassVar[dict[str, str]] = {
        "view": "frontal",
        "pathology": "Enlarged Cardiomediastinum, Lung Opacity",
    }
    patient = "patient64541"
    first = "CheXpert/val/patient64541/study1/view1_frontal"

    def annotations(self) -> dict[str, Any]:
        return {
            "patient64541_study1_view1_frontal": {
                "img_size": [12, 16],
                "Airspace Opacity": SQUARE,
                "Edema": [*SQUARE, [[10, 8], [14, 8], [14, 10]]],
            },
            "patient64541_study1_view2_lateral": {"img_size": [12, 16], "Edema": SQUARE},
            "patient64542_study1_view1_frontal": {"img_size": [12, 16]},
            "patient7_study1_view1_frontal": {"img_size": [12, 16]},
        }

    def write(self, root: Path) -> None:
        folder = root / "CheXpert" / "val"
        for name in [
            "patient64541/study1/view1_frontal",
            "patient64541/study1/view2_lateral",
            "patient64542/study1/view1_frontal",
            "patient9/study1/view1_frontal",
        ]:
            save(folder / f"{name}.jpg", photograph()[..., 0])
        (root / "annotations.json").write_text(json.dumps(self.annotations()))
        (root / "valid.csv").write_text(
            "Path,Sex,Age,No Finding,Enlarged Cardiomediastinum,Lung Opacity,Edema\n"
            "CheXpert-v1.0/valid/patient64541/study1/view1_frontal.jpg,Male,73,0.0,1.0,1.0,0.0\n"
            "CheXpert-v1.0/valid/patient64542/study1/view1_frontal.jpg,Male,70,1.0,0.0,0.0,0.0\n"
        )

    @pytest.fixture
    def dataset(self, root: Path) -> SegmentationDataset:
        changes = json.loads(json.dumps(self.changes))
        changes["reader"]["images"] = "CheXpert/val/{patient}/{study}/{view}_{side}.jpg"
        return dataset_in(root, **changes)

    def spoil(self, root: Path) -> None:
        name = "patient64541/study1/view1_frontal.jpg"
        save(root / "CheXpert" / "val" / name, photograph(16, 12)[..., 0])

    def test_targets_are_found_by_their_names(self, reader: DatasetReader) -> None:
        """But for case and signs; an annotated image without a target has an empty layer."""
        areas = [
            [int(np.count_nonzero(layer.mask)) for layer in reader.sample(row).layers]
            for row in range(3)
        ]
        assert areas[0][0] == 20
        assert areas[0][1] > 20
        assert areas[1:] == [[0, 20], [0, 0]]
        assert [entry.metadata.get("pathology") for entry in reader.entries] == [
            "Enlarged Cardiomediastinum, Lung Opacity",
            None,
            None,
        ]

    def test_annotated_images_that_are_absent_are_told(self, reader: DatasetReader) -> None:
        """And images that no file names are left out, as declared."""
        assert reader.strays == ("patient7_study1_view1_frontal",)
        assert len(reader.entries) == 3


class TestRunLengths(TestPolygons):
    """The same as compressed run lengths, each with its own size."""

    def annotations(self) -> dict[str, Any]:
        return {
            image: {
                name: _run_lengths(from_polygons(shapes, (12, 16)).astype(np.uint8) * 255)
                for name, shapes in targets.items()
                if name != "img_size"
            }
            for image, targets in super().annotations().items()
        }


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


@pytest.mark.parametrize("seed", range(8))
def test_run_lengths_are_those_of_coco(seed: int) -> None:
    """Decoded as pycocotools does, whatever the mask."""
    words = np.frombuffer(bytes((seed * 37 + i * i * 11) % 251 for i in range(30 * 41)), np.uint8)
    mask = np.where(words.reshape(30, 41) > 40 * seed, 255, 0).astype(np.uint8)
    code = _run_lengths(mask)
    assert np.array_equal(from_run_lengths(code["counts"], (30, 41)), mask > 0)


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("PVWX6", "run lengths of"),
        ("é", "hold the character"),
        ("P", "middle of a number"),
        ([-1, 21], "run lengths of 20 pixels"),
        ([2**70], "run lengths of"),
        ("o" * 60 + "0", "run lengths of"),
        (3, ""),
    ],
)
def test_wrong_run_lengths_are_refused(counts: object, message: str) -> None:
    """Instead of a mask of something else."""
    with pytest.raises(DataError, match=message or "a text or a list"):
        from_run_lengths(counts, (4, 5))


def test_polygons_are_drawn_with_their_outlines() -> None:
    """As the authors of the annotations draw them."""
    drawn = from_polygons(SQUARE, (12, 16))
    assert np.array_equal(drawn, blob() > 0)
    picture = Image.new("1", (16, 12))
    assert not np.array(picture).any()
    for wrong in ("text", [["x"]], [[[1]]]):
        with pytest.raises(DataError, match="polygon"):
            from_polygons(wrong, (12, 16))
