"""What must hold of embeddings before they are sealed: width, values, ids, and repeatability."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.artifact import Artifact
from pipeline.errors import DataError, NonDeterminismError
from pipeline.recipe import Recipe
from pipeline.store import Store
from pipeline.unit import Node, Unit, UnitWriter
from stages.embed import stage
from stages.embed.encoder import Embeddings
from stages.embed.probing import PROBE_ROWS, Probing
from stages.embed.prompt_rows import prompt_rows_node
from stages.embed.stage import ClassPrompt, image_node, prompt_node
from tests.stages.embed.toys import SLOTS, Spoil, build, pictures, ready, refused, sentences

BROKEN = 13
"""Row that the broken encoders of these tests spoil; in the second of three shards."""


def spoilt(row: int, value: float, first: int = 0) -> Spoil:
    """Return what puts `value` into one component of a row, or with 0 into all of them."""

    def spoil(found: Embeddings) -> Embeddings:
        # The first pixel of an image is the number of its row.
        rows = found[:, 0] == row + 1
        found[rows, None if value == 0 else first] = value
        return found

    return spoil


@pytest.mark.parametrize(
    ("value", "fault"),
    [(np.nan, "holds NaN"), (np.inf, "is infinite"), (-np.inf, "is infinite"), (0, "is zero")],
)
def test_unusable_values(tmp_path: Path, value: float, fault: str) -> None:
    """NaN, Inf and zero norm are refused, naming the row; the other shards are kept."""
    encoder = ready(spoilt(BROKEN, value, first=3))
    node = image_node(encoder, {}, pictures())
    where = f"'c{BROKEN}' (row {BROKEN})"
    refused(tmp_path, node, DataError, "embeddings/tiny-clip/toys/test", where, fault, "1 of 10")
    assert Store.open(tmp_path).records(node.recipe) == {0, 2}


@pytest.mark.parametrize(("factor", "fault"), [(1e6, "is infinite"), (1e-12, "is zero")])
def test_values_that_the_stored_type_cannot_hold(tmp_path: Path, factor: float, fault: str) -> None:
    """What float16 turns into infinity or zero is refused as such."""
    encoder = ready(lambda found: found * np.float32(factor), dtype="float16")
    node = image_node(encoder, {}, pictures(SLOTS))
    refused(tmp_path, node, DataError, "'c0' (row 0)", f"{fault} in float16")


@pytest.mark.parametrize(
    ("spoil", "shape"),
    [
        (lambda found: found[:, :7], "(12, 7) for 12"),
        (lambda found: found[:, :1], "(12, 1) for 12"),
        (lambda found: np.concatenate([found, found], axis=1), "(12, 32) for 12"),
        (lambda found: found[:1], "(1, 16) for 12"),
        (lambda found: found[:-1], "(11, 16) for 12"),
        (lambda found: found[0], "(16,) for 12"),
    ],
    ids=["narrow", "one column", "wide", "one row", "a row less", "flat"],
)
def test_wrong_dimension(tmp_path: Path, spoil: Spoil, shape: str) -> None:
    """Another width or number of rows is refused, also where NumPy would repeat it."""
    node = image_node(ready(spoil), {}, pictures(10))
    refused(tmp_path, node, DataError, shape, "'c0'", "16 components")


@pytest.mark.parametrize("width", [1, 7, 32])
def test_wrong_dimension_of_a_model(width: int) -> None:
    """A model of another width than declared is refused, also where NumPy would repeat it."""
    import torch

    from stages.embed.batches import FixedBatches

    batches = FixedBatches(torch.device("cpu"), 4)
    inputs = torch.ones(6, 3)
    with pytest.raises(DataError, match=rf"shape \({width},\), not of the 16 components"):
        batches.run(lambda rows: rows.new_ones(len(rows), width), inputs.__getitem__, 6, 16)


def shifted(index: pa.Table) -> pa.Table:
    """Return the rows of an index, the last one first."""
    return pa.concat_tables([index.slice(index.num_rows - 1), index.slice(0, index.num_rows - 1)])


def backwards(index: pa.Table) -> pa.Table:
    """Return the rows of an index, the last one first."""
    return index.take(list(range(index.num_rows))[::-1])


@pytest.mark.parametrize("wrong", [backwards, shifted])
def test_ids_that_are_not_those_of_the_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[pa.Table], pa.Table],
) -> None:
    """An index that is not the images', row by row, is refused, naming the first row."""
    rows = stage.sample_rows
    monkeypatch.setattr(stage, "sample_rows", lambda *of: wrong(rows(*of)))
    node = image_node(ready(), {}, pictures(10))
    told = "row 0 is not that of datasets/toys/test: its id is 'c9' instead of 'c0'"
    refused(tmp_path, node, DataError, told)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"name": ["c0", "c1", "c2"]}, "the index says nothing"),
        ({"id": ["c0", "c1"]}, "2 rows for rows 0 to 2"),
        ({"id": ["c0", "c1", None]}, "row 2 is not that"),
    ],
    ids=["other columns", "a row less", "null"],
)
def test_an_index_beside_that_of_an_input(
    tmp_path: Path, written: dict[str, list[str | None]], told: str
) -> None:
    """Every artifact that is aligned with an input has its rows, or is not sealed."""

    class Described:
        parallel = True

        def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
            writer.table(pa.table(written))

    images = pictures(3)
    recipe = Recipe("described", "toys/test", 1, {}, {"images": images.recipe})
    node = Node(recipe, Described(), 3, 1, 3, inputs={"images": images}, aligned="images")
    refused(tmp_path, node, DataError, told, "datasets/toys/test")


def test_ids_of_another_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage that describes the first rows in every shard is refused in the second."""
    rows = stage.sample_rows
    monkeypatch.setattr(
        stage, "sample_rows", lambda images, start, stop: rows(images, 0, stop - start)
    )
    node = image_node(ready(), {}, pictures(20))
    refused(tmp_path, node, DataError, "row 10 is not that of", "'c0' instead of 'c10'")
    assert Store.open(tmp_path).records(node.recipe) == {0}


def test_images_of_another_number(tmp_path: Path) -> None:
    """Embeddings of fewer rows than the images have are refused."""
    images = pictures()
    assert not build(tmp_path, images).failures
    short = Node(images.recipe, images.stage, SLOTS, images.row_bytes, images.slots)
    node = image_node(ready(), {}, short)
    refused(tmp_path, node, DataError, "25 rows of datasets/toys/test became 10 rows")


def test_unusable_texts(tmp_path: Path) -> None:
    """Class prompts and prompt rows pass the same gates, named by their text."""

    def spoil(found: Embeddings) -> Embeddings:
        found[found[:, 0] == len("five") + 1] = np.nan
        return found

    prompts = [ClassPrompt("plain", n, text, text) for n, text in enumerate(("one", "five"))]
    node = prompt_node(ready(spoil), {}, "toys", "plain", prompts)
    refused(tmp_path, node, DataError, "'five' (row 1) holds NaN")
    node = prompt_rows_node(ready(spoil), {}, sentences())
    refused(tmp_path, node, DataError, "'s4 p0: five' (row 4) holds NaN", "1 of 6")


def test_prompt_rows_in_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are not those of the prompts are refused, naming the first."""
    write = UnitWriter.table

    def written(writer: UnitWriter, table: pa.Table) -> None:
        write(writer, shifted(table) if "tokens" in table.column_names else table)

    monkeypatch.setattr(UnitWriter, "table", written)
    node = prompt_rows_node(ready(), {}, sentences())
    refused(tmp_path, node, DataError, "row 0 is not that of prompts/fixed/toys/test", "'s5'")


def sealed(root: Path, node: Node) -> Artifact:
    """Build a node and return its artifact."""
    build(root, node).raise_failures()
    return Store.open(root).artifact(node.recipe)


def test_the_probe_is_recorded(tmp_path: Path) -> None:
    """Rows are embedded twice in the room that the last batches have, and found equal."""
    encoder = ready()
    artifact = sealed(tmp_path, image_node(encoder, {}, pictures()))
    # 10, 10 and 5 rows in batches of 4 leave room for 2, 2 and 3 more.
    assert encoder.encoder.asked == [12, 12, 8]
    assert artifact.attributes["probe_rows"] == 7
    assert artifact.attributes["probe_difference"] == 0
    assert artifact.attributes["tolerance"] == 1e-4


def test_the_largest_difference_of_all_units_is_kept(tmp_path: Path) -> None:
    """Where a row stands may change it within the tolerance; the most it did is recorded."""

    def spoil(found: Embeddings) -> Embeddings:
        changed = found.copy()
        changed[SLOTS:, 5] += 2.0**-15 if found[0, 0] == SLOTS + 1 else 2.0**-17
        return changed

    artifact = sealed(tmp_path, image_node(ready(spoil), {}, pictures(20)))
    assert artifact.attributes["probe_rows"] == 4
    assert 2.0**-16 < artifact.attributes["probe_difference"] <= 2.0**-14
    expected = artifact.array("embeddings")[:][:, 0]
    np.testing.assert_array_equal(expected, np.arange(1, 21))


@pytest.mark.parametrize("change", [0.01, np.nan])
def test_an_encoder_that_does_not_repeat_itself(tmp_path: Path, change: float) -> None:
    """A row that comes out otherwise the second time fails its unit, with exit code 5."""

    def spoil(found: Embeddings) -> Embeddings:
        found[SLOTS:] += np.float32(change)
        return found

    node = image_node(ready(spoil), {}, pictures(SLOTS))
    told = "does not repeat itself"
    refused(tmp_path, node, NonDeterminismError, "'c", "more than 0.0001", told, "--device cpu")
    with pytest.raises(NonDeterminismError) as caught:
        build(tmp_path / "other", node).raise_failures()
    assert caught.value.exit_code == 5


def test_texts_are_probed(tmp_path: Path) -> None:
    """Equal texts are one input; of four in a batch of four a probe takes a batch of its own."""
    encoder = ready()
    artifact = sealed(tmp_path, prompt_rows_node(encoder, {}, sentences()))
    assert encoder.encoder.asked == [4 + artifact.attributes["probe_rows"]]
    assert artifact.attributes["probe_difference"] == 0
    embeddings = artifact.array("embeddings")[:]
    np.testing.assert_array_equal(embeddings[0], embeddings[5])
    assert np.isnan(embeddings[3]).all()


def test_units_without_room_are_probed_now_and_then(tmp_path: Path) -> None:
    """Where a probe costs a batch, the first unit spends it, and then one batch in 64."""
    encoder = ready()
    found = [
        sealed(tmp_path / str(n), image_node(encoder, {}, pictures(8))).attributes
        for n in range(70)
    ]
    probed = [n for n, attributes in enumerate(found) if attributes["probe_rows"]]
    assert probed == [0, 32, 64]
    assert "probe_difference" not in found[1]


@given(
    count=st.integers(0, 10_000),
    batch=st.integers(0, 300),
    at_once=st.sampled_from([64, 1000, 4096]),
    shard=st.integers(0, 5),
)
def test_probed_rows(count: int, batch: int, at_once: int, shard: int) -> None:
    """Few distinct rows are drawn, the same each time, and none stands where it stood."""
    unit = Unit(pictures(), shard)
    chosen = Probing().inputs(unit, count, batch, at_once)
    assert chosen == Probing().inputs(unit, count, batch, at_once)
    assert len(set(chosen)) == len(chosen) <= min(PROBE_ROWS, count)
    assert set(chosen) <= set(range(count))
    if count > PROBE_ROWS:
        assert chosen
    last = (count - 1) % at_once + 1
    for place, position in enumerate(chosen, last):
        assert batch < 2 or position % at_once % batch != place % batch
    if batch and -last % batch:
        assert -(-(last + len(chosen)) // batch) == -(-last // batch)
