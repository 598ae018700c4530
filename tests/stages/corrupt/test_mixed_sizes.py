"""Suites on clean splits whose images keep their native size, and what becomes of their masks."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

import pipeline
from pipeline.artifact import Artifact
from pipeline.digest import digest_bytes
from pipeline.disk import remove_tree
from pipeline.errors import MissingInputError, UsageError
from pipeline.plan import make_plan
from pipeline.recipe import Recipe
from pipeline.runner import Manner, run
from pipeline.store import Store
from pipeline.tables import column
from pipeline.unit import Node, Unit, UnitWriter
from pipeline.verify import verify
from stages.corrupt.applying import applied
from stages.corrupt.backends import kernel_of
from stages.corrupt.golden import generated_image, golden_names
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.table import KERNELS
from stages.corrupt.masks import fate_of, moved
from stages.corrupt.naming import Backend
from stages.corrupt.rendering import SUITES, render, sample_stream, suite_for
from stages.corrupt.schema import SuiteManifest
from stages.corrupt.stage import set_node

SHAPES = [(64, 81, 3), (200, 120, 1), None, (20, 90, 3), (37, 64, 3), None]
"""Of the split's images; None where there is none. One is smaller than any kernel works for."""
STATUS = ["ok", "no-mask", "failed", "ok", "ok", "failed"]
TARGETS = 2


def image_of(row: int) -> Image:
    """Return the clean image of a row that has one."""
    return generated_image(SHAPES[row], f"row {row}")


def masks_of(row: int, targets: int = TARGETS) -> NDArray[np.uint8]:
    """Return the masks of a row, a disc in each, or nothing."""
    if STATUS[row] != "ok":
        return np.empty((0, 0, 0), np.uint8)
    height, width, _ = SHAPES[row]
    discs = [disc(height, width, (0.4 + 0.02 * t, 0.5), 0.2) for t in range(targets)]
    return np.stack(discs, axis=2)


def disc(height: int, width: int, centre: tuple[float, float], radius: float) -> NDArray[np.uint8]:
    """Return a mask with a disc; its centre and radius are shares of the sides."""
    y, x = np.ogrid[:height, :width]
    far = (y - centre[0] * height) ** 2 + (x - centre[1] * width) ** 2
    return np.where(far <= (radius * min(height, width)) ** 2, 255, 0).astype(np.uint8)


@dataclass
class Clean:
    """Writes a split as the download stage writes those of segmentation datasets."""

    parallel: bool = True
    targets: int = TARGETS

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write images, masks and index."""
        images, masks = writer.mixed("images"), writer.mixed("masks")
        instances = writer.mixed("instances", "uint16")
        for row in range(unit.start, unit.stop):
            images.append(np.empty((0, 0, 0), np.uint8) if SHAPES[row] is None else image_of(row))
            masks.append(masks_of(row, self.targets))
            instances.append(masks_of(row, self.targets).astype(np.uint16))
        writer.table(_index(range(unit.start, unit.stop)))


def _index(rows: Sequence[int]) -> pa.Table:
    columns = {
        column("id", pa.string(), "", "id"): [f"sample {row}" for row in rows],
        column("status", pa.string(), "", "status"): [STATUS[row] for row in rows],
        column("error", pa.string(), "", "error"): [
            "cannot be read" if STATUS[row] == "failed" else None for row in rows
        ],
        column("metadata", pa.string(), "", "metadata"): [json.dumps({"n": row}) for row in rows],
        column("mask_levels", pa.int32(), "1", "levels"): [2] * len(rows),
    }
    return pa.table(list(columns.values()), schema=pa.schema(list(columns)))


def clean_node(slots: int = 6, targets: int = TARGETS, row_bytes: int = 10_000) -> Node:
    """Return a split of mixed sizes."""
    recipe = Recipe(
        "datasets", "discs/test", 1, {"dataset": "discs", "split": "test", "size": "native"}
    )
    attributes = {
        "task": "segmentation",
        "targets": [{"name": f"disc {t}", "noun": "disc"} for t in range(targets)],
    }
    stage = Clean(targets=targets)
    return Node(recipe, stage, len(SHAPES), row_bytes, slots, attributes=attributes)


def build(root: Path, nodes: Sequence[Node]) -> None:
    """Build nodes in the store at `root`."""
    store = Store(root)
    run(store, make_plan(store, nodes), Manner(1)).raise_failures()


def node_of(
    suite: SuiteManifest, corruption: str, severity: int = 3, clean: Node | None = None
) -> Node:
    """Return a set of the split."""
    return set_node(suite, suite.corruption(corruption), severity, clean or clean_node())


def elastic_suites() -> list[tuple[str, str]]:
    """Return every suite and corruption, for some size, whose masks move along."""
    return [
        (name, corruption.name)
        for name in golden_names()
        for corruption in suite_for(name, 64, 64).corruptions
        if fate_of(corruption) == "moved along"
    ]


def native_suites() -> list[str]:
    """Return the shipped suites that every dataset of mixed sizes can have."""
    return [name for name, suite in SUITES.items() if not suite.between and not suite.datasets]


@pytest.mark.parametrize("name", native_suites())
def test_every_image_is_rendered_as_it_is_alone(name: str, tmp_path: Path) -> None:
    """Each image of a set has its own size, and the bytes and parameters of `render`."""
    suite = SUITES[name]
    nodes = [node_of(suite, corruption.name) for corruption in suite.corruptions]
    build(tmp_path, nodes)
    for node in nodes:
        artifact = Store(tmp_path).artifact(node.recipe)
        images, index = artifact.mixed("images"), artifact.index().to_pylist()
        assert len(images) == len(SHAPES) == len(index)
        for row in (0, 1, 4):
            corruption = suite.corruption(str(node.recipe.parameters["corruption"]))
            stream = sample_stream(0, "discs", f"sample {row}", corruption.name, 3)
            expected, drawn = render(image_of(row), corruption, 3, suite, stream)
            np.testing.assert_array_equal(images[row], expected)
            stored = {key[6:]: value for key, value in index[row].items() if "drawn_" in key}
            assert stored == drawn
            assert index[row]["images_blake3"] == bytes.fromhex(digest_bytes(expected.tobytes()))
    assert verify(Store(tmp_path)) == []


@pytest.mark.parametrize("slots", [6, 1])
def test_a_row_without_an_image_keeps_its_status(slots: int, tmp_path: Path) -> None:
    """No row is missing: not of what failed before, nor of what is too small for the kernel."""
    suite = SUITES["medimeta-c"]
    # Of so large rows a shard has one, and that of a failed sample nothing to draw for.
    node = node_of(suite, "gaussian_noise", clean=clean_node(slots, row_bytes=10**9 // slots**6))
    assert node.shards == (1 if slots == 6 else 6)
    build(tmp_path, [node])
    artifact = Store(tmp_path).artifact(node.recipe)
    rows = artifact.index().to_pylist()
    assert [row["id"] for row in rows] == [f"sample {n}" for n in range(6)]
    assert [row["status"] for row in rows] == ["ok", "no-mask", "failed", "failed", "ok", "failed"]
    small = f"gaussian_noise needs at least {KERNELS['gaussian_noise'].smallest_side}x"
    assert rows[3]["error"].startswith(small)
    assert rows[3]["error"].endswith("not 20x90")
    assert rows[2]["error"] == rows[5]["error"] == "cannot be read"
    assert [json.loads(row["metadata"])["n"] for row in rows] == list(range(6))
    shapes = [image.shape for image in artifact.mixed("images")]
    gone = (0, 0, 0)
    assert shapes == [(64, 81, 3), (200, 120, 3), gone, gone, (37, 64, 3), gone]
    drawn = [key for key in rows[0] if key.startswith("drawn_")]
    assert drawn
    for n, row in enumerate(rows):
        assert {row[key] is None for key in drawn} == {n in (2, 3, 5)}


@pytest.mark.parametrize(("name", "channels"), [("medimeta-c", 3), ("medimeta-c-fixed", 1)])
def test_gray_images_follow_the_suite(name: str, channels: int, tmp_path: Path) -> None:
    """A gray image among colour images enters and leaves as the suite says."""
    node = node_of(SUITES[name], "contrast")
    build(tmp_path, [node])
    assert Store(tmp_path).artifact(node.recipe).mixed("images")[1].shape == (200, 120, channels)


def test_shards_change_no_content(tmp_path: Path) -> None:
    """However the split and the set are cut, the contents are the same."""
    suite = SUITES["imagenet-c"]
    digests = set()
    for turn, slots in enumerate((1, 4, 6)):
        clean = clean_node(slots, row_bytes=(64 << 20) // slots)
        node = node_of(suite, "elastic_transform", clean=clean)
        assert node.slots == slots
        build(tmp_path / str(turn), [node])
        digests.add(Store(tmp_path / str(turn)).artifact(node.recipe).manifest.content_digest)
    assert len(digests) == 1


@pytest.mark.parametrize("severity", [3, 5])
@pytest.mark.parametrize(("name", "corruption"), elastic_suites())
def test_the_moved_mask_follows_what_is_in_the_image(
    name: str, corruption: str, severity: int
) -> None:
    """The mask of a bright disc lies on the disc of the corrupted image; the clean one does not."""
    check_that_masks_follow(suite_for(name, 96, 96), corruption, severity, "native")


@pytest.mark.parametrize("backend", ["torch", "imagecorruptions"])
def test_masks_follow_what_another_backend_renders(backend: Backend) -> None:
    """Masks are moved by what moved the image."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"the package {backend} is not installed")
    check_that_masks_follow(SUITES["imagenet-c"], "elastic_transform", 5, backend)


def check_that_masks_follow(
    suite: SuiteManifest, corruption: str, severity: int, backend: Backend
) -> None:
    """Compare moved and clean masks with where a corrupted image is bright."""
    declared = suite.corruption(corruption)
    kernel = kernel_of(backend, declared, severity, "cpu")
    unmoved = []
    for sample in range(8):
        mask = disc(96, 96, (0.5, 0.5), 0.1)[:, :, np.newaxis]
        image = np.repeat(np.where(mask > 0, 220, 40).astype(np.uint8), 3, axis=2)
        stream = sample_stream(0, "discs", sample, corruption, severity)
        rendered, drawn = render(image, declared, severity, suite, stream, kernel)
        bright = rendered[:, :, :1] >= 130
        assert overlap(moved(mask, kernel, drawn) > 0, bright) > 0.9
        unmoved.append(overlap(mask > 0, bright))
    assert np.mean(unmoved) < 0.9


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return the intersection over the union of two masks."""
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("targets", [1, 2, 3, 4, 7])
def test_any_number_of_layers_moves_as_each_does_alone(targets: int) -> None:
    """A layer's place among others changes nothing; the layers given are not written to."""
    declared = SUITES["imagenet-c"].corruption("elastic_transform")
    kernel = kernel_of("native", declared, 5)
    masks = masks_of(0, targets)
    masks.setflags(write=False)
    numbers = {"strength": 80.0, "reach": 0.005, "smoothing": 0.05, "noise_key": 77}
    together = moved(masks, kernel, numbers)
    assert together.shape == masks.shape
    assert set(np.unique(together)) == {0, 255}
    for layer in range(targets):
        alone = masks[:, :, layer : layer + 1]
        np.testing.assert_array_equal(moved(alone, kernel, numbers), together[:, :, [layer]])
        gray = kernel.apply_one(np.ascontiguousarray(alone), numbers)
        np.testing.assert_array_equal(together[:, :, [layer]] == 255, gray >= 128)


def test_only_what_puts_content_elsewhere_moves_masks() -> None:
    """The kernels that declare it are known by name."""
    assert [name for name, kernel in KERNELS.items() if kernel.moves_masks] == ["elastic_transform"]


def test_a_set_stores_masks_only_where_they_moved(tmp_path: Path) -> None:
    """A reader finds the masks that belong to the images, and where these are is on record."""
    suite = SUITES["imagenet-c"]
    nodes = [node_of(suite, name) for name in ("elastic_transform", "zoom_blur")]
    build(tmp_path, nodes)
    store = pipeline.open_store(tmp_path)
    clean = store["discs/test"]
    kept = store["imagenet-c/discs/test/zoom_blur/3"]
    own = store["imagenet-c/discs/test/elastic_transform/3"]
    assert (kept.attributes["masks"], own.attributes["masks"]) == (
        "as in the clean split",
        "moved along",
    )
    assert list(Store(tmp_path).artifact(nodes[1].recipe).manifest.mixed) == ["images"]
    assert list(Store(tmp_path).artifact(nodes[0].recipe).manifest.mixed) == ["images", "masks"]
    for row in range(len(SHAPES)):
        np.testing.assert_array_equal(clean.masks[row], masks_of(row))
        np.testing.assert_array_equal(kept.masks[row], masks_of(row))
    corruption = suite.corruption("elastic_transform")
    drawn = own.index().to_pylist()
    for row in (0, 4):
        numbers = {key[6:]: value for key, value in drawn[row].items() if "drawn_" in key}
        expected = moved(masks_of(row), kernel_of("native", corruption, 3), numbers)
        np.testing.assert_array_equal(own.masks[row], expected)
    for row in (1, 2, 3, 5):  # without a mask, without an image, too small
        assert own.masks[row].shape == (0, 0, 0)


def test_a_set_names_its_targets_and_has_no_labels(tmp_path: Path) -> None:
    """Classes and labels of a set with masks are an error that says what it has instead."""
    build(tmp_path, [node_of(SUITES["medimeta-c"], "contrast")])
    found = pipeline.open_store(tmp_path)["medimeta-c/discs/test/contrast/3"]
    assert found.targets == ("disc 0", "disc 1")
    for ask in (lambda: found.classes, lambda: found.labels):
        with pytest.raises(UsageError, match="`masks` of its `targets`"):
            ask()
    assert repr(found) == "<ImageSet medimeta-c/discs/test/contrast/3 6 of mixed size>"


def test_masks_of_a_clean_split_that_is_gone_are_an_error(tmp_path: Path) -> None:
    """A set that was moved without its clean split has images, but no masks."""
    node = node_of(SUITES["medimeta-c"], "contrast")
    build(tmp_path, [node])
    remove_tree(Store(tmp_path).folder(node.inputs["images"].recipe))
    found = pipeline.open_store(tmp_path)["medimeta-c/discs/test/contrast/3"]
    assert found.images[0].shape == (64, 81, 3)
    with pytest.raises(MissingInputError, match="datasets/discs/test, from which .* is not in"):
        _ = found.masks


def test_torch_gives_image_and_masks_in_their_own_size(tmp_path: Path) -> None:
    """A set with masks is a dataset of pairs; a transform takes and returns both."""
    build(tmp_path, [node_of(SUITES["medimeta-c"], "contrast")])
    found = pipeline.open_store(tmp_path)["medimeta-c/discs/test/contrast/3"]
    image, masks = found.torch()[0]
    np.testing.assert_array_equal(image.numpy(), found.images[0].transpose(2, 0, 1))
    np.testing.assert_array_equal(masks.numpy(), found.masks[0].transpose(2, 0, 1))
    cropped = found.torch(lambda image, masks: (image[:, :8, :8], masks[:, :8, :8]))
    assert [part.shape[1:] for part in cropped[4]] == [(8, 8), (8, 8)]
    assert len(cropped) == len(SHAPES)
    with pytest.raises(IndexError):
        cropped[len(SHAPES)]


def test_a_suite_that_depends_on_size_is_refused() -> None:
    """Severities between those of two sizes would not be one severity here."""
    with pytest.raises(UsageError, match=r"imagenet-c-by-size takes .* each their own size"):
        applied(SUITES["imagenet-c-by-size"], SUITES, dataset="discs", height=None, width=None)
    plain = applied(SUITES["imagenet-c"], SUITES, dataset="discs", height=None, width=None)
    assert plain == SUITES["imagenet-c"]


def test_what_happens_to_masks_is_part_of_the_key() -> None:
    """A kernel that came to move masks would make other sets."""
    suite = SUITES["imagenet-c"]
    for name, fate in (("elastic_transform", "moved along"), ("fog", "as in the clean split")):
        assert node_of(suite, name).recipe.parameters["masks"] == fate
