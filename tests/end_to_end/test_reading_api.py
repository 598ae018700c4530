"""`pipeline.open_store`: sealed sets for other people's code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr

import pipeline
from pipeline.errors import UsageError
from stages.corrupt import corrupt
from stages.corrupt.rendering import SUITES, render, sample_stream

SET = "medimeta-c/tiny/test/gaussian_noise/3"


@pytest.fixture
def reader(read_only_tiny: Any) -> Any:
    """Return the opened store of the tiny dataset."""
    return pipeline.open_store(read_only_tiny.folder / "store")


@pytest.fixture(autouse=True)
def compiled_elsewhere(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Keep what is compiled here out of the user's own cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", environment["XDG_CACHE_HOME"])
    return


def test_sets_are_listed_by_selector(reader: Any) -> None:
    """All sealed sets and clean splits, or those that a selector matches."""
    assert len(reader.sets()) == len(reader) == 35 + 3
    assert reader.sets("medimeta-c/tiny/test/*/3") == sorted(
        name for name in reader if name.endswith("/3")
    )
    assert reader.sets("tiny/*") == ["tiny/test", "tiny/train", "tiny/val"]
    assert reader.sets("nothing") == []


def test_images_and_labels_are_those_of_the_source(reader: Any, read_only_tiny: Any) -> None:
    """The clean split has the file's own pixels and labels, in its order."""
    clean = reader["tiny/test"]
    source = read_only_tiny.arrays()
    assert clean.images.shape == (24, 28, 28, 1)
    assert np.array_equal(clean.images[:][..., 0], source["test_images"])
    assert np.array_equal(clean.images[5][..., 0], source["test_images"][5])
    assert clean.labels == source["test_labels"][:, 0].tolist()
    assert clean.classes == ("dark", "bright")
    assert len(clean) == 24
    assert clean.attributes["licence"]["spdx"] == "CC0-1.0"
    assert clean.attributes["synthetic"] is False


def test_a_set_keeps_order_and_drawn_parameters(reader: Any) -> None:
    """The index of a set has the ids of the clean split, and a column per drawn parameter."""
    one = reader[SET]
    index = one.index()
    assert index["id"].to_pylist() == reader["tiny/test"].index(["id"])["id"].to_pylist()
    assert {"id", "label", "patient_id", "original_filepath", "images_blake3"} <= set(
        index.column_names
    )
    assert [name for name in index.column_names if name.startswith("drawn_")]
    assert one.labels == reader["tiny/test"].labels
    assert one.images.dtype == np.uint8
    assert one.images.shape == (24, 28, 28, 3)


def test_an_unknown_set_suggests_the_nearest(reader: Any) -> None:
    """A name that is not there is an error that knows a better one."""
    with pytest.raises(UsageError, match="did you mean 'medimeta-c/tiny/test/gaussian_noise/3'"):
        reader["medimeta-c/tiny/test/gausian_noise/3"]


@pytest.mark.parametrize("url", ["nowhere", "s3://bucket/store"])
def test_a_store_that_is_not_there(url: str, tmp_path: Path) -> None:
    """A folder that does not exist and a URL of an unknown kind are refused, nothing is made."""
    url = url if ":" in url else str(tmp_path / url)
    with pytest.raises(UsageError, match=r"there is no such store|by path or file"):
        pipeline.open_store(url)
    assert not list(tmp_path.iterdir())


def test_a_store_is_opened_by_url(reader: Any, read_only_tiny: Any) -> None:
    """A file:// URL, a string and a path open the same store."""
    folder = read_only_tiny.folder / "store"
    assert pipeline.open_store(folder.as_uri()).sets() == reader.sets()
    assert pipeline.open_store(str(folder)).sets() == reader.sets()


def test_plain_zarr_reads_a_set(reader: Any, read_only_tiny: Any) -> None:
    """zarr-python gives the same pixels and the names of the axes."""
    (folder,) = (read_only_tiny.folder / "store" / "corruptions" / SET).iterdir()
    array = zarr.open(folder / "images", mode="r")
    assert array.metadata.dimension_names == ("sample", "y", "x", "channel")
    assert np.array_equal(array[:], reader[SET].images[:])


@pytest.mark.parametrize("severity", [1, 5])
@pytest.mark.parametrize("corruption", [c.name for c in SUITES["medimeta-c"].corruptions])
def test_one_image_is_rendered_again_alone(reader: Any, corruption: str, severity: int) -> None:
    """An image by itself, with the stream of its identity, is the stored one to the last bit."""
    suite = SUITES["medimeta-c"]
    row = 17
    clean, stored = reader["tiny/test"], reader[f"medimeta-c/tiny/test/{corruption}/{severity}"]
    sample = clean.index(["id"])["id"][row].as_py()
    stream = sample_stream(0, "tiny", sample, corruption, severity)
    declared = suite.corruption(corruption)
    again, drawn = render(clean.images[row], declared, severity, suite, stream)
    assert np.array_equal(again, stored.images[row])
    index = stored.index().slice(row, 1).to_pylist()[0]
    assert drawn == {
        name.removeprefix("drawn_"): value
        for name, value in index.items()
        if name.startswith("drawn_")
    }


@pytest.mark.parametrize("corruption", ["contrast", "brightness", "pixelate", "zoom_blur"])
def test_the_public_function_gives_the_stored_image(reader: Any, corruption: str) -> None:
    """Where nothing is drawn, `stages.corrupt.corrupt` alone makes the pixels of the set."""
    stored = reader[f"medimeta-c/tiny/test/{corruption}/4"].images
    for row in (0, 23):
        clean = reader["tiny/test"].images[row]
        assert np.array_equal(corrupt(clean, corruption, 4), stored[row])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torch_loader_with_workers(reader: Any) -> None:
    """A set is a torch dataset; two spawned workers give all samples in order."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    wrapped = reader[SET].torch()
    assert isinstance(wrapped, Dataset)
    assert len(wrapped) == 24
    loader = DataLoader(wrapped, batch_size=10, num_workers=2, multiprocessing_context="spawn")
    batches = list(loader)
    images = torch.cat([images for images, _ in batches])
    labels = torch.cat([labels for _, labels in batches])
    assert images.dtype == torch.uint8
    assert tuple(images.shape) == (24, 3, 28, 28)
    assert np.array_equal(images.numpy().transpose(0, 2, 3, 1), reader[SET].images[:])
    assert labels.tolist() == reader[SET].labels


def test_a_transform_is_applied(reader: Any) -> None:
    """The transform gets the image tensor, and its answer takes the image's place."""
    image, label = reader[SET].torch(transform=lambda tensor: tensor.float() / 255)[3]
    assert image.dtype.is_floating_point
    assert label == reader[SET].labels[3]


def test_every_column_has_a_unit_and_a_meaning(read_only_tiny: Any) -> None:
    """Each column of each table in the store says what it is; a number also in which unit."""
    tables = sorted((read_only_tiny.folder / "store").rglob("*.parquet"))
    stages = {path.relative_to(read_only_tiny.folder / "store").parts[0] for path in tables}
    assert stages == {
        "sources",
        "datasets",
        "corruptions",
        "embeddings",
        "models",
        "predictions",
        "results",
        "summary",
        "comparisons",
    }
    for path in tables:
        for field in pq.read_schema(path):
            metadata = field.metadata or {}
            assert metadata.get(b"meaning"), (path, field.name)
            assert b"unit" in metadata, (path, field.name)
            numeric = str(field.type).startswith(("int", "uint", "float", "double"))
            assert not numeric or metadata[b"unit"], (path, field.name)
