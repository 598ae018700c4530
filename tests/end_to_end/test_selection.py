"""Which artifacts a command makes: selectors, splits, suites, runs, dry runs and second runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.options import at

SUITE = """
schema = 1
id = "mine"
title = "Mine"
gray = "stay"
source = "these tests"

[[corruptions]]
name = "dim"
kernel = "contrast"
severities = [{factor = 0.9}, {factor = 0.8}, {factor = 0.7}, {factor = 0.6}, {factor = 0.5}]
"""
RUN = """
schema = 1
id = "small"
title = "A small study"
suites = ["mine"]
datasets = ["tiny"]
encoders = ["pixels"]
baseline = "pixels"
protocols = ["prototype"]
bootstrap = {resamples = 50}
"""


def planned(pipeline: Any, *command: object) -> list[str]:
    """Return `<stage>/<name>` of what a command would make."""
    units = pipeline(*command, "--dry-run", "--json").json["units"]
    return [f"{unit['stage']}/{unit['name']}" for unit in units]


def tree(folder: Path) -> dict[str, tuple[int, int]]:
    """Return every path below a folder with its inode and time of change."""
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*")}


def own_suite(source: Any) -> None:
    """Declare the suite `mine` and the run `small`."""
    for folder, name, text in (("corruptions", "mine", SUITE), ("runs", "small", RUN)):
        (source.manifests / folder).mkdir(exist_ok=True)
        (source.manifests / folder / f"{name}.toml").write_text(text)


def test_bare_build_corruptions_is_medimeta_c(pipeline: Any, store: Path) -> None:
    """Seven corruptions, five severities, five test splits: 175 sets and what they need."""
    names = planned(pipeline, "build", "corruptions", "--store", store)
    sets = [name.split("/")[1:] for name in names if name.startswith("corruptions/")]
    assert len(sets) == 175
    assert {(part[0], part[2]) for part in sets} == {("medimeta-c", "test")}
    assert {part[1] for part in sets} == {"pbc", "mammo_calc", "pneumonia", "fundus", "oct"}
    others = [name for name in names if not name.startswith("corruptions/")]
    assert sum(name.startswith("sources/") for name in others) == 5
    assert sum(name.startswith("datasets/") and name.endswith("/test") for name in others) == 5
    assert len(others) == 10
    assert not store.exists()


@pytest.mark.parametrize(
    ("options", "sets", "others"),
    [
        (("--only", "medimeta-c/tiny/test/*/3"), 7, 2),
        (("--only", "medimeta-c/tiny/*/contrast"), 5, 2),
        (("--only", "medimeta-c/tiny/test/contrast/3"), 1, 2),
        (("--only", "*/tiny/test/pixelate/[45]"), 2, 2),
        (("--only", "*/*/test/contrast/1", "--only", "*/*/*/pixelate/2"), 2, 2),
        (("--splits", "val"), 35, 2),
        (("--splits", "train,val,test"), 105, 4),
        (("--splits", "val", "--splits", "test"), 70, 3),
        (("--splits", "val", "--only", "*/*/*/contrast/5"), 1, 2),
        (("--suite", "mine"), 5, 2),
        (("--suite", "mine", "--splits", "val", "--only", "mine/tiny/val/dim/2"), 1, 2),
        (("--run", "small"), 5, 2),
        (("--run", "small", "--suite", "medimeta-c"), 35, 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_options_narrow_and_change_what_is_built(
    pipeline: Any, tiny: Any, options: tuple[str, ...], sets: int, others: int
) -> None:
    """Sets by selector, split, suite and run, and besides them only what they need."""
    own_suite(tiny)
    named = () if "--run" in options else ("--datasets", "tiny")
    names = planned(pipeline, "build", "corruptions", *named, *options, *at(tiny))
    assert sum(name.startswith("corruptions/") for name in names) == sets
    assert len(names) == sets + others


def test_a_selector_alone_names_its_dataset(pipeline: Any, tiny: Any) -> None:
    """`--only` needs no `--datasets` beside it where it names the dataset in plain words."""
    only = ("--only", "medimeta-c/tiny/test/contrast/3")
    names = planned(pipeline, "build", "corruptions", *only, *at(tiny))
    assert names[-1] == "corruptions/medimeta-c/tiny/test/contrast/3"
    assert len(names) == 3


def test_build_datasets_builds_the_named_splits(pipeline: Any, tiny: Any) -> None:
    """All declared splits by default, else those of --splits."""
    build = ("build", "datasets", "--datasets", "tiny", *at(tiny))
    assert planned(pipeline, *build)[1:] == [f"datasets/tiny/{s}" for s in ("train", "val", "test")]
    assert planned(pipeline, *build, "--splits", "val")[1:] == ["datasets/tiny/val"]


def test_two_datasets_in_one_list(pipeline: Any, tiny: Any) -> None:
    """Datasets are listed with commas or by repeating the option, in that order."""
    other = type(tiny)(tiny.folder, "other", {"train": 4, "val": 2, "test": 6})
    other.write()
    comma = ("--datasets", "other,tiny")
    twice = ("--datasets", "other", "--datasets", "tiny")
    names = planned(pipeline, "build", "datasets", *comma, *at(tiny))
    assert names == planned(pipeline, "build", "datasets", *twice, *at(tiny))
    clean = [name for name in names if name.startswith("datasets/")]
    assert [name.split("/")[1] for name in clean] == ["other"] * 3 + ["tiny"] * 3


@pytest.mark.parametrize(
    ("options", "images"),
    [
        ((), ["test", "train", "val", "*/*"]),
        (("--protocols", "prototype"), ["test", "train", "*/*"]),
        (("--splits", "val"), ["val"]),
        (("--splits", "train,val"), ["train", "val"]),
        (("--only", "medimeta-c/tiny/test/contrast/*"), ["test", "train", "val", "contrast/*"]),
    ],
    ids=" ".join,
)
def test_what_embed_embeds(
    pipeline: Any, tiny_built: Any, options: tuple[str, ...], images: list[str]
) -> None:
    """Sealed sets, their clean test split, what protocols learn from; other splits when named."""
    shutil.rmtree(tiny_built.folder / "store" / "embeddings")
    names = planned(pipeline, "embed", "--model", "pixels", *options, *at(tiny_built))
    prefix = "embeddings/pixels/"
    assert all(name.startswith(prefix) for name in names)
    clean = {name.split("/")[-1] for name in names if name.count("/") == 3}
    assert clean == {name for name in images if "/" not in name}
    expected = {"*/*": 35, "contrast/*": 5}
    sets = sum(expected.get(name, 0) for name in images)
    assert len(names) == len(clean) + sets


def test_embed_takes_only_what_is_sealed(pipeline: Any, tiny: Any) -> None:
    """With one set built, that set, its clean split and what is learned from are embedded."""
    only = ("--only", "medimeta-c/tiny/test/contrast/3", *at(tiny))
    pipeline("build", "corruptions", *only, "--from", tiny.data)
    names = planned(pipeline, "embed", "--model", "pixels", *at(tiny))
    assert {name.removeprefix("embeddings/pixels/") for name in names} == {
        "medimeta-c/tiny/test/contrast/3",
        "tiny/test",
        "tiny/train",
        "datasets/tiny/train",
        "tiny/val",
        "datasets/tiny/val",
    }


def test_embed_without_anything_built_says_what_to_build(pipeline: Any, tiny: Any) -> None:
    """Exit 4 with the command; a dataset that is named is in it."""
    embed = ("embed", "--model", "pixels", *at(tiny))
    pipeline(*embed, rc=None).refused(4, "pipeline build corruptions")
    named = pipeline(*embed, "--datasets", "tiny", rc=None)
    named.refused(4, "tiny", "pipeline build corruptions --datasets tiny --store")


def test_a_part_first_and_the_rest_later(
    pipeline: Any, tiny: Any, tiny_study: Path, digests: Callable[[Path], dict[str, str]]
) -> None:
    """A store built in pieces, by 1, 2 and 4 workers, has the digests of one built at once."""
    build = ("build", "corruptions", "--datasets", "tiny", *at(tiny))
    pipeline(*build, "--only", "*/*/*/*/3", "--from", tiny.data, "--workers", 1)
    pipeline("embed", "--model", "pixels", *at(tiny), "--workers", 1)
    pipeline(*build, "--only", "*/*/*/motion_blur", "--workers", 2)
    pipeline(*build, "--workers", 4)
    pipeline("embed", "--model", "texture,pixels", *at(tiny), "--workers", 2)
    pipeline("build", "datasets", "--datasets", "tiny", *at(tiny))
    pipeline("eval", "--baseline", "pixels", *at(tiny), "--workers", 1)
    assert digests(tiny.folder / "store") == digests(tiny_study / "store")


def test_another_seed_gives_other_noise(pipeline: Any, tiny_built: Any) -> None:
    """Sets of another seed stand beside the old ones; those that draw nothing keep their pixels."""
    only = ("--only", "*/*/*/contrast/1", "--only", "*/*/*/gaussian_noise/1")
    build = ("build", "corruptions", "--datasets", "tiny", "--seed", 1, *only, *at(tiny_built))
    assert pipeline(*build, "--json").json["units"] == 2
    rows = pipeline("list", "sets", *at(tiny_built), "--json").json["sets"]
    found = {
        name: {r["content_digest"] for r in rows if r["name"].endswith(name)}
        for name in ("contrast/1", "gaussian_noise/1")
    }
    assert len(found["contrast/1"]) == 1
    assert len(found["gaussian_noise/1"]) == 2


@pytest.mark.parametrize(
    "command",
    [
        ("build", "all", "--datasets", "tiny"),
        ("build", "corruptions"),
        ("plan",),
        ("demo",),
    ],
    ids=" ".join,
)
def test_a_dry_run_makes_no_store(pipeline: Any, tiny: Any, command: tuple[str, ...]) -> None:
    """Where there is no store, planning leaves none behind, and nothing else either."""
    before = tree(tiny.folder)
    options = at(tiny)[:2] if command[0] == "demo" else at(tiny)
    dry = () if command[0] == "plan" else ("--dry-run",)
    assert pipeline(*command, *options, *dry).stdout
    assert tree(tiny.folder) == before


def test_a_dry_run_changes_nothing(pipeline: Any, tiny_built: Any) -> None:
    """In a store that lacks something, no file is made, changed or removed."""
    store = tiny_built.folder / "store"
    shutil.rmtree(store / "embeddings/texture/medimeta-c/tiny/test/contrast")
    shutil.rmtree(store / "summary")
    before = tree(tiny_built.folder)
    for command in (
        ("build", "corruptions", "--datasets", "tiny", "--seed", 1),
        ("embed", "--model", "texture"),
        ("eval", "--encoders", "pixels", "--baseline", "pixels"),
    ):
        assert planned(pipeline, *command, *at(tiny_built))
    assert tree(tiny_built.folder) == before


def test_a_second_run_does_nothing(pipeline: Any, tiny_built: Any) -> None:
    """Every command on a complete store says so and leaves each file as it is."""
    before = tree(tiny_built.folder)
    for command in (
        ("build", "all", "--datasets", "tiny"),
        ("embed", "--model", "texture,pixels"),
        ("eval", "--baseline", "pixels"),
    ):
        assert "nothing to do" in pipeline(*command, *at(tiny_built)).stderr
        assert planned(pipeline, *command, *at(tiny_built)) == []
    assert tree(tiny_built.folder) == before


def test_a_run_of_ones_own(pipeline: Any, tiny: Any) -> None:
    """A run manifest gives suites, datasets, encoders, protocols and baseline of a whole study."""
    own_suite(tiny)
    run = ("--run", "small", *at(tiny))
    pipeline("build", "all", *run, "--from", tiny.data)
    lacking = pipeline("eval", *run, rc=None)
    lacking.refused(4, "pixels on mine/tiny/test", "pipeline embed --model pixels")
    pipeline("embed", "--model", "pixels", *run)
    document = pipeline("eval", *run, "--json").json
    assert document["baseline"] == "pixels"
    assert {row["protocol"] for row in document["results"]} == {"prototype"}
    assert {row["corruption"] for row in document["results"]} == {"clean", "dim"}
    assert {row["resamples"] for row in document["results"]} == {50}
    states = pipeline("status", *run, "--json").json["artifacts"]
    assert {row["state"] for row in states} == {"sealed"}


def test_status_of_a_run_lists_what_it_lacks(pipeline: Any, tiny: Any) -> None:
    """With --run the sets of a study that nothing has begun are missing too."""
    own_suite(tiny)
    assert pipeline("status", *at(tiny), "--json").json["artifacts"] == []
    rows = pipeline("status", "--run", "small", *at(tiny), "--json").json["artifacts"]
    assert {row["state"] for row in rows} == {"missing"}
    names = {row["name"] for row in rows}
    assert names >= {"tiny/test", "tiny/train", "mine/tiny/test/dim/1"}


def test_eval_narrows(pipeline: Any, tiny_built: Any) -> None:
    """Encoders, protocols and selectors narrow the results to what they name."""
    base = ("eval", "--baseline", "pixels", *at(tiny_built), "--json")
    only = ("--only", "medimeta-c/tiny/test/contrast/*")
    document = pipeline(*base, "--encoders", "pixels", "--protocols", "prototype", *only).json
    assert {row["encoder"] for row in document["results"]} == {"pixels"}
    assert {row["protocol"] for row in document["results"]} == {"prototype"}
    assert {row["corruption"] for row in document["results"]} == {"clean", "contrast"}


def test_eval_writes_tables(pipeline: Any, tiny_built: Any) -> None:
    """--out writes all results and all of the summary as Parquet, the rows of --json."""
    import pyarrow.parquet as pq

    out = tiny_built.folder / "out"
    document = pipeline(
        "eval", "--baseline", "pixels", *at(tiny_built), "--out", out, "--json"
    ).json
    for name in ("results", "summary"):
        assert pq.read_table(out / f"{name}.parquet").to_pylist() == document[name]
