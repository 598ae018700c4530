"""Masks that are written as polygons or run lengths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from pipeline.errors import DataError
from stages.download.segmenting.dataset import DatasetReader
from stages.download.segmenting.schema import SegmentationDataset
from stages.download.segmenting.shapes import from_polygons, from_run_lengths
from tests.stages.download.segmenting.building import blob, dataset_in, photograph, save
from tests.stages.download.segmenting.form_contract import FormContract

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
