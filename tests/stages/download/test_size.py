"""Sizes that manifests declare, what follows from them, and folders that a person places."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import ManifestError, MissingInputError
from pipeline.manifest import read_manifest
from pipeline.shards import TARGET_BYTES
from pipeline.store import Store
from stages.corrupt.rendering import SUITES
from stages.corrupt.stage import set_node
from stages.download.declared import splits_of
from stages.download.folders import folder_of, located
from stages.download.schema import Dataset, DatasetManifest, expand
from stages.download.stage import source_node, split_node

Declare = Callable[..., Dataset]
ROADS = "road-scenes"


@pytest.mark.parametrize(
    ("written", "size", "shape"),
    [
        ("8", 8, (8, 8)),
        ("[8, 8]", 8, (8, 8)),
        ("[1024, 2048]", (1024, 2048), (1024, 2048)),
        ("[4096, 8]", (4096, 8), (4096, 8)),
    ],
)
def test_a_size_is_a_side_or_height_and_width(
    written: str, size: object, shape: tuple[int, int], declare: Declare
) -> None:
    """Height comes first; a square is the same value however it is written."""
    dataset = declare(size=written)
    assert (dataset.size, dataset.shape) == (size, shape)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("7", "size: Value error, a side has 8 to 4096 pixels, not 7"),
        ("4097", "not 4097"),
        ("[1024, 4]", "not 4"),
        ("[5000, 1024]", "not 5000"),
        ("[]", "give the side of a square, or [height, width], in whole pixels"),
        ("[64]", "or [height, width]"),
        ("[64, 64, 3]", "or [height, width]"),
        ("[64.0, 32.0]", "in whole pixels"),
        ("64.0", "in whole pixels"),
        ("true", "in whole pixels"),
        ('"1024x2048"', "in whole pixels"),
        ("{height = 64, width = 32}", "in whole pixels"),
    ],
)
def test_other_sizes_are_refused_in_one_line(
    written: str, message: str, write_manifest: Callable[..., Path]
) -> None:
    """One fault, at the key `size`, that says what to write."""
    path = write_manifest(size=written)
    with pytest.raises(ManifestError) as caught:
        read_manifest(path, DatasetManifest)
    (fault,) = [line for line in str(caught.value).splitlines() if ": size" in line]
    assert message in fault
    assert str(caught.value) == fault


def test_variants_are_named_by_height_and_width(write_manifest: Callable[..., Path]) -> None:
    """A published size may be a rectangle too; its dataset is `<id>-<height>x<width>`."""
    variants = '[{size = 28, file = "a.npz"}, {size = [64, 128], file = "b.npz"}]'
    source = '{kind = "url", urls = ["https://example.invalid/{file}"]}'
    manifest = read_manifest(
        write_manifest(size=None, variants=variants, source=source), DatasetManifest
    )
    assert [dataset.id for dataset in expand(manifest)] == ["tiny-28", "tiny-64x128"]


def test_phantoms_are_square(write_manifest: Callable[..., Path]) -> None:
    """The generators draw squares only, and a manifest that asks for another shape is told so."""
    phantom = {"reader": '{form = "phantom", modality = "oct"}', "source": None}
    path = write_manifest(**phantom, synthetic="true", size="[32, 64]")
    with pytest.raises(ManifestError, match="phantom images are square"):
        read_manifest(path, DatasetManifest)
    read_manifest(write_manifest(**phantom, synthetic="true", size="[64, 64]"), DatasetManifest)


def test_keys_of_squares_hold_one_integer(declare: Declare, tmp_path: Path) -> None:
    """So every recipe from before there were rectangles keeps its key; others differ by shape."""
    store = Store(tmp_path / "store")
    recipes = {}
    for written in ("8", "[8, 8]", "[8, 16]", "[16, 8]"):
        dataset = declare(size=written)
        node = split_node(store, dataset, "test", source_node(store, dataset))
        recipes[written] = node.recipe
        assert node.row_bytes == math.prod(dataset.shape)
    assert recipes["8"].parameters["size"] == 8
    assert recipes["8"].key == recipes["[8, 8]"].key
    assert recipes["[8, 16]"].parameters["size"] == [8, 16]
    assert len({recipe.key for recipe in recipes.values()}) == 3


def test_shards_of_road_scenes_stay_small(shipped: dict[str, Dataset], tmp_path: Path) -> None:
    """At 6.3 MB an image, a shard of a split and of a set holds 10 images: about 63 MB."""
    dataset = shipped[ROADS]
    for row in range(40):
        path = tmp_path / ROADS / "test" / "tunnel" / f"{row:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    store = Store(tmp_path / "store")
    dataset = located(dataset, tmp_path, tmp_path)
    clean = split_node(store, dataset, "test", source_node(store, dataset))
    suite = SUITES["medimeta-c"]
    for node in (clean, set_node(suite, suite.corruptions[0], 1, clean)):
        assert (node.rows, node.row_bytes, node.slots) == (40, 1024 * 2048 * 3, 10)
        assert node.slots * node.row_bytes <= TARGET_BYTES


def test_road_scenes_are_declared_for_zero_shot(shipped: dict[str, Dataset]) -> None:
    """1024 × 2048 colour, several sets of class prompts, and nothing but recipes to pass on."""
    dataset = shipped[ROADS]
    assert (dataset.shape, dataset.channels, dataset.synthetic) == ((1024, 2048), 3, False)
    assert set(dataset.prompts) == {"named", "described", "varied"}
    assert dataset.licence.redistribution == "recipes"
    # The corruptions imitate weather, so a class that is one would not keep its label.
    words = " ".join([*dataset.classes, *map(str, dataset.prompts.values())])
    assert not {"fog", "foggy", "snow", "snowy", "frost", "bright", "rain"} & set(words.split())


def test_a_folder_without_a_path_is_placed_or_named(
    shipped: dict[str, Dataset], tmp_path: Path
) -> None:
    """It is looked for below the store's downloads, or in --from, there or under its own id."""
    store = Store(tmp_path / "store")
    dataset = shipped[ROADS]
    assert located(dataset, tmp_path, None) == dataset
    assert folder_of(store, dataset) == tmp_path / "store" / "downloads" / "folder" / ROADS
    named = tmp_path / "mine"
    assert folder_of(store, located(dataset, tmp_path, named)) == named.resolve()
    (named / ROADS).mkdir(parents=True)
    assert folder_of(store, located(dataset, tmp_path, named)) == (named / ROADS).resolve()


def test_a_path_starts_at_the_manifest(declare: Declare, tmp_path: Path) -> None:
    """A folder whose manifest names it is not looked for elsewhere; other sources have none."""
    dataset = declare(
        reader='{form = "folder"}', source='{kind = "folder", path = "../mine"}', splits=None
    )
    found = located(dataset, tmp_path / "my", tmp_path / "other")
    assert folder_of(Store(tmp_path), found) == (tmp_path / "mine").resolve()
    file = declare()
    assert located(file, tmp_path, tmp_path / "other") is file
    assert folder_of(Store(tmp_path), file) is None


def test_a_folder_that_is_not_there_is_asked_for(
    shipped: dict[str, Dataset], tmp_path: Path
) -> None:
    """Neither its splits nor its inventory can be told; the error says what to put where."""
    store = Store(tmp_path / "store")
    for ask in (splits_of, source_node):
        with pytest.raises(MissingInputError, match=r"test/city-street.*name it with --from"):
            ask(store, shipped[ROADS])


def test_a_folder_source_says_where_or_what(write_manifest: Callable[..., Path]) -> None:
    """Without a path there must be instructions for whoever has to place the folder."""
    for source in ('{kind = "folder"}', '{kind = "folder", instructions = " "}'):
        path = write_manifest(reader='{form = "folder"}', source=source, splits=None)
        with pytest.raises(ManifestError, match="give the path of the folder, or instructions"):
            read_manifest(path, DatasetManifest)
