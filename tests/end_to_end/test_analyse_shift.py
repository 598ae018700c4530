"""`analyse shift`: how far embeddings move, from sealed embeddings alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipeline.cli.study import Study
from pipeline.store import Store
from tests.end_to_end.blobs import MANIFEST, draw
from tests.end_to_end.options import at

MODELS = {"torch", "torchvision", "open_clip", "transformers", "timm"}
MEASURES = ("cosine_distance", "frechet_distance", "neighbours_kept", "top1", "auroc")


@pytest.fixture(scope="session")
def shifted(read_only_tiny: Any, once: Any, command_line: Any) -> Path:
    """Return the folder of an analysis of the tiny store's embeddings, with `answer.json`."""

    def build(folder: Path) -> None:
        asked = ("--out", "out", "--workers", "2", "--points", "360", "--json")
        answer = command_line(folder)("analyse", "shift", *at(read_only_tiny), *asked)
        (folder / "answer.json").write_text(answer.stdout)

    return once("shifted", build)


def embeddings(source: Any, encoder: str, corruption: str, severity: int) -> np.ndarray:
    """Return the unit embeddings of a set, severity 0 being the clean split."""
    study = Study(Store.open(source.folder / "store"), source.manifests)
    images = study.split("tiny", "test")
    for node in study.sets("medimeta-c", "tiny", "test"):
        parameters = node.recipe.parameters
        if (parameters["corruption"], parameters["severity"]) == (corruption, severity):
            images = node
    rows = study.store.artifact(study.embedding(encoder, images).recipe).array("embeddings")[:]
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_measures_are_those_of_the_sealed_embeddings(shifted: Path, read_only_tiny: Any) -> None:
    """Every encoder and set has its row, with distances of its own rows."""
    rows = pq.read_table(shifted / "out" / "shift.parquet").to_pylist()
    assert len(rows) == 2 * 35
    assert {row["encoder"] for row in rows} == {"pixels", "texture"}
    for row in rows:
        assert (row["n"], row["dropped"], row["resampled_by"]) == (24, 0, "image")
        assert row["neighbours_kept_by_chance"] == 10 / 23
        assert all(row[name] >= 0 for name in MEASURES)
        for name in set(MEASURES) - {"frechet_distance"}:
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
        if row["corruption"] == "contrast" and row["severity"] == 3:
            clean = embeddings(read_only_tiny, row["encoder"], "clean", 0)
            corrupted = embeddings(read_only_tiny, row["encoder"], "contrast", 3)
            plain = 1 - (clean * corrupted).sum(axis=1)
            assert row["width"] == clean.shape[1]
            np.testing.assert_allclose(row["cosine_distance"], plain.mean(), atol=1e-6)
            own = np.argmax(corrupted @ clean.T, axis=1) == np.arange(24)
            np.testing.assert_allclose(row["top1"], own.mean(), atol=1e-9)


def test_json_is_the_table(shifted: Path) -> None:
    """The document on stdout holds the same values and names the files."""
    document = json.loads((shifted / "answer.json").read_text())
    assert document["schema"] == "medshards/analyse-shift/1"
    rows = pq.read_table(shifted / "out" / "shift.parquet").to_pylist()
    assert document["sets"] == rows
    assert [Path(path).name for path in document["files"]] == [
        "shift.parquet",
        "projection.parquet",
        "medimeta-c-pixels-shift.png",
        "medimeta-c-pixels-projection.png",
        "medimeta-c-texture-shift.png",
        "medimeta-c-texture-projection.png",
    ]


def test_tables_say_what_they_hold(shifted: Path) -> None:
    """Every column has a unit and a meaning, and every row the digest of what was read."""
    for path in (shifted / "out").glob("*.parquet"):
        table = pq.read_table(path)
        assert all(field.metadata.keys() >= {b"unit", b"meaning"} for field in table.schema)
        assert len(set(table["content_digest"].to_pylist())) >= 60
    points = pq.read_table(shifted / "out" / "projection.parquet").to_pylist()
    assert len(points) == 2 * 36 * 10
    assert {row["points"] for row in points} == {360}
    assert {row["projection"] for row in points} == {"tsne"}
    assert len({row["id"] for row in points}) == 10
    assert {row["corruption"] for row in points} > {"clean", "pixelate"}


def test_figures_can_be_seen(shifted: Path) -> None:
    """Two pictures per encoder, of more than one colour, as large as their panels ask for."""
    for encoder in ("pixels", "texture"):
        for kind, size in (("shift", (700, 1150)), ("projection", (1890, 390))):
            with Image.open(shifted / "out" / f"medimeta-c-{encoder}-{kind}.png") as picture:
                assert picture.size == size
                assert len(picture.getcolors(maxcolors=1 << 24)) > 20


def test_a_second_analysis_is_the_same(shifted: Path, pipeline: Any, read_only_tiny: Any) -> None:
    """Files are equal whatever the number of workers; one encoder alone gives the same rows."""
    asked = ("--model", "texture", "--points", "360", "--out", "again", "--workers", "1", "--json")
    answer = pipeline("analyse", "shift", *at(read_only_tiny), *asked).json
    rows = pq.read_table(shifted / "out" / "shift.parquet").to_pylist()
    assert answer["sets"] == [row for row in rows if row["encoder"] == "texture"]
    for kind in ("shift", "projection"):
        name = f"medimeta-c-texture-{kind}.png"
        assert (pipeline.folder / "again" / name).read_bytes() == (
            shifted / "out" / name
        ).read_bytes()


def test_people_see_a_table(pipeline: Any, read_only_tiny: Any) -> None:
    """One line per set, what the columns mean, and no projection where none is asked for."""
    only = ("--only", "medimeta-c/tiny/test/contrast/*", "--model", "pixels")
    answer = pipeline("analyse", "shift", *at(read_only_tiny), *only, "--projection", "none")
    heading, *lines = answer.stdout.splitlines()
    assert len(lines) == 5
    for name in ("cosine", "Fréchet", "kept of 10", "top-1", "AUROC"):
        assert name in heading
    assert "95 % interval" in answer.stderr
    assert answer.stderr.endswith("written: analysis/medimeta-c-pixels-shift.png\n")
    assert {path.name for path in (pipeline.folder / "analysis").iterdir()} == {
        "shift.parquet",
        "medimeta-c-pixels-shift.png",
    }


def test_embeddings_are_enough(pipeline: Any, tiny_built: Any) -> None:
    """No images, raw data, network or models: only sealed embeddings are read."""
    store = tiny_built.folder / "store"
    shutil.rmtree(tiny_built.data)
    for gone in ("sources", "downloads", "corruptions"):
        shutil.rmtree(store / gone, ignore_errors=True)
    for images in store.glob("datasets/**/images"):
        shutil.rmtree(images)
    asked = ("--points", "100", "--projection", "pca")
    command = ("analyse", "shift", *at(tiny_built), *asked)
    loaded = pipeline.modules(*command, mode="isolated")
    assert not loaded & (MODELS | {"numba", "cv2", "sklearn"})


def test_pairs_without_an_embedding_are_left_out(pipeline: Any, tmp_path: Path) -> None:
    """Images that are torn, or too small for a corruption, are counted and change nothing else."""
    names = ["one", "two", "three", "four", "tiny", "torn"]
    for number, name in enumerate(names):
        draw(tmp_path / "photographs", name, (5, 5 + number, 8), size=16 if name == "tiny" else 90)
    (tmp_path / "photographs" / "images" / "torn.png").write_bytes(b"not a picture")
    (tmp_path / "my" / "datasets").mkdir(parents=True)
    (tmp_path / "my" / "datasets" / "blobs.toml").write_text(MANIFEST)
    where = ("--store", "store", "--manifests", "my")
    only = ("--only", "imagenet-c/blobs/test/contrast/3")
    pipeline("build", "corruptions", "--suite", "imagenet-c", *only, *where)
    pipeline("embed", "--model", "pixels", "--datasets", "blobs", *where)
    answer = pipeline("analyse", "shift", *where, *only)
    assert "2 pairs are left out" in answer.stderr
    assert "–" in answer.stdout
    (row,) = pq.read_table(tmp_path / "analysis" / "shift.parquet").to_pylist()
    assert (row["n"], row["dropped"], row["neighbours"]) == (4, 2, 3)
    assert row["neighbours_kept"] is None
    assert row["cosine_distance"] > 0
    points = pq.read_table(tmp_path / "analysis" / "projection.parquet").to_pylist()
    assert sorted(row["id"] for row in points) == sorted(names[:4] * 2)


UNKNOWN = [
    (("--model", "textures"), "unknown encoder 'textures'", "'texture'"),
    (("--projection", "t-sne"), "unknown projection 't-sne'", "'tsne'"),
    (("--datasets", "tinny"), "unknown dataset 'tinny'", "'tiny'"),
    (("--suite", "medimetac"), "unknown suite", "'medimeta-c'"),
    (("--only", "medimeta-c/tiny/test/blur"), "medimeta-c/tiny/test/blur", "list sets"),
]


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"), UNKNOWN, ids=[" ".join(r[0]) for r in UNKNOWN]
)
def test_an_unknown_name_is_refused(
    pipeline: Any, read_only_tiny: Any, arguments: tuple[str, ...], wrong: str, hint: str
) -> None:
    """Exit 2, and nothing is written."""
    answer = pipeline("analyse", "shift", *at(read_only_tiny), *arguments, rc=None)
    answer.refused(2, wrong, hint)
    assert not (pipeline.folder / "analysis").exists()


def test_options_of_shift_are_of_shift(pipeline: Any, read_only_tiny: Any) -> None:
    """Pixels have no encoder."""
    answer = pipeline("analyse", "spectra", *at(read_only_tiny), "--model", "pixels", rc=None)
    answer.refused(2, "--model", "pipeline analyse shift")


def test_missing_embeddings_are_named(pipeline: Any, tiny_built: Any, tmp_path: Path) -> None:
    """Exit 4 with the command that embeds what is missing, which then is enough."""
    new = tmp_path / "new"
    answer = pipeline("analyse", "shift", *at(tiny_built, new), "--model", "pixels", rc=None)
    answer.refused(4, "nothing is embedded", f"pipeline embed --model pixels --store {new}")
    store = tiny_built.folder / "store"
    shutil.rmtree(store / "embeddings" / "pixels" / "medimeta-c" / "tiny" / "test" / "contrast")
    answer = pipeline("analyse", "shift", *at(tiny_built), rc=None)
    asked = "--suite medimeta-c --datasets tiny --splits test"
    command = f"pipeline embed --model pixels {asked} --store {store} --manifests"
    answer.refused(4, "contrast/1, ", "and 2 more: not embedded", command)
    assert "build" not in answer.stderr
    assert not (pipeline.folder / "analysis").exists()
    _, _, told = answer.stderr.strip().rpartition("embed it with: pipeline ")
    pipeline(*told.split())
    cheap = ("--projection", "none", "--only", "medimeta-c/tiny/test/contrast/*")
    pipeline("analyse", "shift", *at(tiny_built), *cheap)
    shutil.rmtree(store / "embeddings" / "pixels")
    shutil.rmtree(store / "corruptions" / "medimeta-c" / "tiny" / "test" / "contrast" / "2")
    named = ("--model", "pixels", "--datasets", "tiny")
    answer = pipeline("analyse", "shift", *at(tiny_built), *named, rc=None)
    answer.refused(4, "pipeline build corruptions --suite", "&& pipeline embed --model pixels")


def test_damaged_embeddings_are_refused(pipeline: Any, tiny_built: Any) -> None:
    """A shard cut short exits 5 and nothing is written."""
    folder = tiny_built.folder / "store" / "embeddings" / "pixels"
    shard = next(folder.glob("**/contrast/2/*/embeddings/c.0*"))
    shard.write_bytes(shard.read_bytes()[:-10])
    pipeline("analyse", "shift", *at(tiny_built), rc=None).refused(5, "pipeline verify")
    assert not (pipeline.folder / "analysis").exists()
