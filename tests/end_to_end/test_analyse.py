"""`analyse`: tables and figures from sealed sets alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pipeline as library
from tests.end_to_end.options import at

MODELS = {"torch", "torchvision", "open_clip", "transformers", "timm"}


@pytest.fixture(scope="session")
def analysed(read_only_tiny: Any, once: Any, command_line: Any) -> Path:
    """Return the folder of an analysis of the tiny store, with its `answer.json`."""

    def build(folder: Path) -> None:
        where = at(read_only_tiny)
        run = command_line(folder)
        answer = run("analyse", *where, "--out", "out", "--workers", "2", "--json")
        (folder / "answer.json").write_text(answer.stdout)

    return once("analysed", build)


def test_densities_are_those_of_the_sets(analysed: Path, read_only_tiny: Any) -> None:
    """Every count in the table is that of the set's own pixels."""
    table = pq.read_table(analysed / "out" / "densities.parquet")
    assert table.num_rows == 256 * (1 + 35 * 3)
    reader = library.open_store(read_only_tiny.folder / "store")
    rows = table.to_pylist()
    for corruption, severity, name in [
        ("clean", 0, "tiny/test"),
        ("impulse_noise", 4, "medimeta-c/tiny/test/impulse_noise/4"),
    ]:
        images = reader[name].images[:]
        for channel in range(images.shape[3]):
            found = [
                row["pixels"]
                for row in rows
                if (row["corruption"], row["severity"], row["channel"])
                == (corruption, severity, channel)
            ]
            assert np.array_equal(found, np.bincount(images[..., channel].ravel(), minlength=256))


def test_tables_say_what_they_hold(analysed: Path) -> None:
    """Every column has a unit and a meaning, and every row the digest of what was read."""
    for path in (analysed / "out").glob("*.parquet"):
        table = pq.read_table(path)
        assert all(field.metadata.keys() >= {b"unit", b"meaning"} for field in table.schema)
        assert set(table["n"].to_pylist()) == {24}
        assert len(set(table["content_digest"].to_pylist())) == 36
    spectra = pq.read_table(analysed / "out" / "spectra.parquet").to_pylist()
    clean = [row for row in spectra if row["corruption"] == "clean"]
    assert not any(row["difference"] for row in clean)
    assert clean[0]["frequency"] == 0
    assert clean[1]["frequency"] == 1 / 56
    for corruption, sign in (("gaussian_noise", 1), ("zoom_blur", -1)):
        strongest = [
            row for row in spectra if (row["corruption"], row["severity"]) == (corruption, 5)
        ]
        fine = [row["difference"] for row in strongest if row["frequency"] > 0.4]
        assert sign * np.mean(fine) > 0.05


def test_figures_can_be_seen(analysed: Path) -> None:
    """Three pictures, of more than one colour, as large as their panels ask for."""
    sizes = {}
    for path in (analysed / "out").glob("*.png"):
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
            assert len(picture.getcolors(maxcolors=1 << 24)) > 20
    assert sizes == {
        "medimeta-c-spectra.png": (700, 780),
        "medimeta-c-spectra-2d.png": (1680, 370),
        "medimeta-c-densities.png": (1820, 340),
    }


def test_the_answer_lists_sets_and_files(
    analysed: Path, pipeline: Any, read_only_tiny: Any, tmp_path: Path
) -> None:
    """--json has a row per set; a second run writes the same bytes, whatever the workers."""
    where = at(read_only_tiny)
    answer = pipeline("analyse", *where, "--out", tmp_path / "out", "--workers", "1", "--json").json
    assert answer["schema"] == "medshards/analyse/1"
    assert len(answer["sets"]) == 36
    assert answer["sets"][0]["corruption"] == "clean"
    assert answer["sets"][0]["distance"] == 0
    assert {Path(path).name for path in answer["files"]} == {
        path.name for path in (analysed / "out").iterdir()
    }
    for path in map(Path, answer["files"]):
        assert path.read_bytes() == (analysed / "out" / path.name).read_bytes()


def test_a_target_and_a_selector(pipeline: Any, read_only_tiny: Any, tmp_path: Path) -> None:
    """One target writes its own files only; `--only` alone chooses sets."""
    where = at(read_only_tiny)
    only = ("--only", "medimeta-c/tiny/test/contrast/*")
    answer = pipeline("analyse", "densities", *where, *only, "--out", tmp_path / "d", "--json").json
    assert [Path(path).name for path in answer["files"]] == [
        "densities.parquet",
        "medimeta-c-densities.png",
    ]
    assert [row["severity"] for row in answer["sets"]] == [0, 1, 2, 3, 4, 5]
    assert "low" not in answer["sets"][0]
    people = pipeline("analyse", "spectra", *where, *only, "--out", tmp_path / "s")
    assert len(people.stdout.splitlines()) == 7
    assert "distance" not in people.stdout
    assert f"written: {tmp_path / 's' / 'spectra.parquet'}\n" in people.stderr


def test_no_raw_data_network_or_models(pipeline: Any, tiny_built: Any) -> None:
    """Sealed shards are enough."""
    store = tiny_built.folder / "store"
    for gone in (store / "sources", store / "downloads", store / "embeddings", tiny_built.data):
        shutil.rmtree(gone, ignore_errors=True)
    loaded = pipeline.modules("analyse", *at(tiny_built, store), mode="isolated")
    assert not loaded & (MODELS | {"numba", "cv2", "sklearn"})


UNKNOWN = [
    (("spectrum",), "unknown target 'spectrum'", "'spectra'"),
    (("all", "--datasets", "tinny"), "unknown dataset 'tinny'", "'tiny'"),
    (("all", "--suite", "medimetac"), "unknown suite", "'medimeta-c'"),
    (("all", "--datasets", "tiny", "--splits", "tests"), "unknown split", "'test'"),
    (("all", "--only", "medimeta-c/tiny/test/blur"), "medimeta-c/tiny/test/blur", "list sets"),
]


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"), UNKNOWN, ids=[" ".join(r[0]) for r in UNKNOWN]
)
def test_an_unknown_name_is_refused(
    pipeline: Any, read_only_tiny: Any, arguments: tuple[str, ...], wrong: str, hint: str
) -> None:
    """Exit 2, and nothing is written."""
    where = at(read_only_tiny)
    pipeline("analyse", *arguments, *where, rc=None).refused(2, wrong, hint)
    assert not (pipeline.folder / "analysis").exists()


def test_missing_sets_are_named(pipeline: Any, tiny_built: Any, tmp_path: Path) -> None:
    """Exit 4 with the command that builds what is missing, which then is enough."""
    new = tmp_path / "new"
    command = "pipeline build corruptions --suite medimeta-c --datasets tiny"
    answer = pipeline("analyse", *at(tiny_built, new), "--datasets", "tiny", rc=None)
    answer.refused(4, "tiny/test", command, str(new))
    pipeline("analyse", *at(tiny_built, new), rc=None).refused(4, "nothing is sealed", str(new))
    built = tiny_built.folder / "store"
    shutil.rmtree(built / "corruptions" / "medimeta-c" / "tiny" / "test" / "contrast" / "2")
    where = at(tiny_built, built)
    answer = pipeline("analyse", *where, rc=None)
    answer.refused(4, "medimeta-c/tiny/test/contrast/2: not built", "--splits test")
    assert not (tiny_built.folder / "analysis").exists()
    pipeline("analyse", *where, "--only", "medimeta-c/tiny/test/contrast/3")
    pipeline("build", "corruptions", "--suite", "medimeta-c", "--datasets", "tiny", *where)
    pipeline("analyse", *where)


def test_a_damaged_set_is_refused(pipeline: Any, tiny_built: Any) -> None:
    """A shard cut short exits 5 and nothing is written."""
    store = tiny_built.folder / "store"
    shard = next((store / "corruptions").glob("**/contrast/2/*/images/c.0*"))
    shard.write_bytes(shard.read_bytes()[:-10])
    pipeline("analyse", *at(tiny_built, store), rc=None).refused(5, "pipeline verify")
    assert not (tiny_built.folder / "analysis").exists()
