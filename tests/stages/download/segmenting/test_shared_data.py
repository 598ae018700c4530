"""Real photographs and masks, where the shared data are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from pipeline.store import Store
from stages.download.segmenting.plain import plain_folder
from tests.stages.download.segmenting.building import built, index

Shared = Callable[[str], Path]


def test_isic_2017(shared: Shared) -> None:
    """Nine photographs find their masks by the ending; their size is the median of the headers."""
    folder = shared("isic2017")
    dataset = plain_folder(folder / "images", folder / "masks", noun="skin lesion")
    assert (dataset.typical_size, dataset.channels, dataset.id) == ((2000, 3008), 3, "isic2017")
    from stages.download.segmenting.dataset import reader_of

    reader = reader_of(dataset, {"source": folder / "images", "masks": folder / "masks"})
    assert (len(reader.entries), reader.strays) == (9, ())
    row = reader.ids.index("ISIC_0014600")
    sample = reader.sample(row)
    with Image.open(folder / "masks" / "ISIC_0014600_segmentation.png") as picture:
        assert np.array_equal(sample.masks[..., 0], np.array(picture))
    assert sample.image.shape == (1936, 2592, 3)
    assert sample.layers[0].findings == ()


def test_chase_db1(shared: Shared, store: Store) -> None:
    """One of two raters is chosen by a pattern; the other's masks are no images."""
    folder = shared("chase_db1")
    dataset = plain_folder(
        folder,
        folder,
        noun="vessel",
        image_pattern="{stem}.jpg",
        mask_patterns=["{stem}_1stHO.png"],
    )
    artifact = built(store, dataset)
    rows = index(artifact)
    assert [row["status"] for row in rows] == ["ok"] * 28
    assert rows[0]["mask_filepaths"] == ["Image_01L_1stHO.png"]
    with Image.open(folder / "Image_01L_1stHO.png") as picture:
        expected = np.array(picture.convert("L"))
    assert np.array_equal(artifact.mixed("masks")[0][..., 0], expected)


def test_numbered_nuclei(shared: Shared, store: Store) -> None:
    """The 16-bit numbers are the instances; its 16-bit photograph is stretched to 8 bits."""
    folder = shared("dsb_nuclei")
    options = {"image_pattern": "img{n}.tif", "mask_patterns": ["mask{n}.tif"]}
    dataset = plain_folder(folder, folder, noun="nucleus", meaning="instances", **options)
    artifact = built(store, dataset)
    image = artifact.mixed("images")[0]
    assert (image.dtype, image.min(), image.max()) == (np.uint8, 0, 255)
    assert "image-stretched" in index(artifact)[0]["mask_findings"][0]
    numbers = tifffile.imread(folder / "mask2d.tif")
    assert np.array_equal(artifact.mixed("instances")[0][..., 0], numbers)
    assert np.array_equal(artifact.mixed("masks")[0][..., 0] > 0, numbers > 0)
    assert index(artifact)[0]["mask_levels"] == [len(np.unique(numbers))]
