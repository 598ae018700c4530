"""Bad input: the right exit code, one clear line, and nothing half-written."""

from __future__ import annotations

import hashlib
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.documents import seal_document
from pipeline.store import Store
from tests.end_to_end.options import at

UNKNOWN = [
    (("build", "corruptions", "--datasets", "tinny"), "unknown dataset 'tinny'", "'tiny'"),
    (("build", "dataset"), "unknown target 'dataset'", "'datasets'"),
    (("build", "corruptions", "--suite", "medimetac"), "unknown suite", "'medimeta-c'"),
    (("build", "corruptions", "--run", "medimeta"), "unknown run", "'medimeta-c'"),
    (("build", "datasets", "--datasets", "tiny", "--splits", "tests"), "split", "'test'"),
    (("embed", "--model", "textures"), "unknown encoder", "'texture'"),
    (("embed", "--model", "texture", "--protocols", "probe"), "unknown protocol", "linear-probe"),
    (("eval", "--protocols", "linear-prob"), "unknown protocol", "'linear-probe'"),
    (("eval", "--baseline", "clip"), "unknown encoder", "did you mean 'clip-"),
    (("eval", "--encoders", "pixel"), "unknown encoder", "'pixels'"),
    (("eval", "--datasets", "tinny"), "unknown dataset", "'tiny'"),
    (("eval", "--run", "demos"), "unknown run", "'demo'"),
    (("eval", "--splits", "tests", "--datasets", "tiny"), "unknown split", "'test'"),
    (("eval", "--suite", "medimeta"), "unknown suite", "'medimeta-c'"),
    (("plan", "corruption"), "unknown target", "'corruptions'"),
    (("list", "dataset"), "unknown kind", "'datasets'"),
    (("explain", "medimeta-c/tiny/test/gauss/1"), "no artifact is named", "pipeline status"),
]


@pytest.mark.parametrize(
    ("arguments", "wrong", "hint"), UNKNOWN, ids=[" ".join(row[0]) for row in UNKNOWN]
)
def test_an_unknown_name_is_refused(
    pipeline: Any, tiny: Any, store: Path, arguments: tuple[str, ...], wrong: str, hint: str
) -> None:
    """An unknown name exits 2, suggests the nearest known one and makes no store."""
    pipeline(*arguments, *at(tiny, store), rc=None).refused(2, wrong, hint)
    assert not store.exists()


@pytest.mark.parametrize(
    "command",
    [("build", "corruptions"), ("plan", "corruptions"), ("embed", "--model", "texture"), ("eval",)],
    ids=" ".join,
)
def test_an_unknown_corruption_is_refused(
    pipeline: Any, tiny_built: Any, store: Path, command: tuple[str, ...]
) -> None:
    """A selector that matches no set exits 2 and is named."""
    selector = "medimeta-c/tiny/test/gausian_noise/3"
    answer = pipeline(*command, *at(tiny_built, store), "--only", selector, rc=None)
    answer.refused(2, selector)


def test_a_selector_of_nothing_verifies_nothing(pipeline: Any, read_only_tiny: Any) -> None:
    """`verify` of a name that is not in the store exits 2 instead of finding no problem."""
    store = read_only_tiny.folder / "store"
    answer = pipeline("verify", "corruptions/medimeta-c/tinny", "--store", store, rc=None)
    answer.refused(2, "corruptions/medimeta-c/tinny")


def test_an_address_is_not_a_store(pipeline: Any, tmp_path: Path) -> None:
    """A store that lies elsewhere exits 2, and no folder of that name is made."""
    for command in (("eval",), ("build", "corruptions", "--datasets", "phantom-oct"), ("demo",)):
        answer = pipeline(*command, "--store", "s3://bucket/store", rc=2)
        assert "a store is a folder of this machine" in answer.stderr
        assert "Traceback" not in answer.stderr
    assert not list(tmp_path.iterdir())


def test_every_fault_of_every_manifest_is_told_at_once(
    pipeline: Any, tiny: Any, store: Path
) -> None:
    """Exit 2 with file, key and nearest known name for each fault, in one go."""
    tiny.declare(clases='["a", "b"]', channels="2", source='{kind = "placed", files = "x"}')
    other = tiny.declaration.with_name("other.toml")
    other.write_text(tiny.declaration.read_text().replace("title", "titel"))
    answer = pipeline("build", "datasets", "--datasets", "tiny", *at(tiny, store), rc=2)
    assert "Traceback" not in answer.stderr
    lines = answer.stderr.splitlines()
    for file, key, what in [
        (tiny.declaration, "clases", "unknown field; did you mean 'classes'?"),
        (tiny.declaration, "channels", "Input should be 1 or 3"),
        (tiny.declaration, "url", "required"),
        (other, "titel", "unknown field; did you mean 'title'?"),
    ]:
        assert any(str(file) in line and key in line and what in line for line in lines), what
    assert not store.exists()


def test_a_wrong_digest_is_refused(pipeline: Any, tiny: Any, store: Path, whole: Any) -> None:
    """A file with another md5 than declared exits 5, naming file, digests and origin."""
    right = hashlib.md5(tiny.file.read_bytes()).hexdigest()
    arrays = tiny.arrays()
    arrays["test_images"][0, 0, 0] ^= 1
    np.savez(tiny.file, **arrays)
    wrong = hashlib.md5(tiny.file.read_bytes()).hexdigest()
    answer = build_datasets(pipeline, tiny, store)
    answer.refused(5, "tiny.npz", right, wrong)
    nothing_is_there(pipeline, store, whole)


def test_a_truncated_download_is_refused(pipeline: Any, tiny: Any, store: Path, whole: Any) -> None:
    """A file cut short exits 5 where its digest is known."""
    tiny.file.write_bytes(tiny.file.read_bytes()[:-1000])
    build_datasets(pipeline, tiny, store).refused(5, "tiny.npz")
    nothing_is_there(pipeline, store, whole)


def test_a_truncated_download_without_a_digest_is_refused(
    pipeline: Any, tiny: Any, store: Path, whole: Any
) -> None:
    """A file cut short exits 1 where nobody published a digest, and its digest is not pinned."""
    tiny.declare(source='{kind = "url", urls = ["https://example.invalid/t"], file = "tiny.npz"}')
    whole_file = tiny.file.read_bytes()
    tiny.file.write_bytes(whole_file[:-1000])
    build_datasets(pipeline, tiny, store).refused(1, "tiny.npz", "not a whole zip archive")
    nothing_is_there(pipeline, store, whole)
    tiny.file.write_bytes(whole_file)
    assert build_datasets(pipeline, tiny, store).rc == 0


def test_a_file_that_is_not_there_is_missing(
    pipeline: Any, tiny: Any, store: Path, whole: Any
) -> None:
    """A file to be got by hand exits 4 and says where to put it and which digest it must have."""
    digest = hashlib.md5(tiny.file.read_bytes()).hexdigest()
    answer = pipeline("build", "datasets", "--datasets", "tiny", *at(tiny, store), rc=None)
    answer.refused(4, "Ask for it", str(store), "--from", digest)
    tiny.file.unlink()
    build_datasets(pipeline, tiny, store).refused(4, "tiny.npz is not in", digest)
    nothing_is_there(pipeline, store, whole)


def without(name: str) -> Any:
    """Return a change that leaves an array out."""
    return lambda arrays: arrays.pop(name)


def with_(name: str, change: Any) -> Any:
    """Return a change of one array."""
    return lambda arrays: arrays.update({name: change(arrays[name])})


def with_nan(images: np.ndarray) -> np.ndarray:
    """Return images as fractions, one of them not a number."""
    fractions = images / np.float32(255)
    fractions[3, 5, 5] = np.nan
    return fractions


def with_label_2(labels: np.ndarray) -> np.ndarray:
    """Return labels of which one is of no class."""
    labels[3] = 2
    return labels


CONTENT = {
    "no labels": (without("test_labels"), "lacks test_labels"),
    "dtype": (with_("test_images", lambda x: x.astype(np.uint16)), "uint16, not uint8"),
    "float": (with_("test_images", lambda x: x / 255), "float64, not uint8"),
    "size": (with_("test_images", lambda x: x[:, :27, :27]), "(24, 27, 27)"),
    "colour": (with_("test_images", lambda x: np.stack([x] * 3, -1)), "(24, 28, 28, 3)"),
    "flat": (with_("test_images", lambda x: x.reshape(-1)), "have shape (18816,)"),
    "label": (with_("test_labels", with_label_2), "label 2 of row 3 is outside 0..1"),
    "float labels": (with_("test_labels", lambda x: x.astype(float)), "not integers"),
    "two labels": (with_("test_labels", lambda x: np.hstack([x, x])), "one label per sample"),
    "fewer labels": (with_("test_labels", lambda x: x[:-1]), "23 labels for 24 samples"),
    "empty": (with_("test_images", lambda x: x[:0]), "the split is empty"),
    "nan": (with_("test_images", with_nan), "NaN in an image (row 3)"),
    "objects": (with_("test_labels", lambda x: x.astype(object)), "test_labels"),
}


@pytest.mark.parametrize("case", CONTENT)
def test_a_file_with_other_content_is_refused(
    pipeline: Any, tiny: Any, store: Path, whole: Any, case: str
) -> None:
    """An npz that is not what its manifest says exits 1, however often it is tried."""
    change, told = CONTENT[case]
    arrays = tiny.arrays()
    change(arrays)
    tiny.write(arrays)
    build_datasets(pipeline, tiny, store, "--splits", "test").refused(1, "datasets/tiny/test", told)
    nothing_is_there(pipeline, store, whole, stages={"sources"})
    build_datasets(pipeline, tiny, store, "--splits", "test").refused(1, "datasets/tiny/test", told)


def test_other_split_counts_are_refused(pipeline: Any, tiny: Any, store: Path, whole: Any) -> None:
    """A split of another size than declared exits 3 with both numbers; the others are kept."""
    tiny.declare(splits="{train = 40, val = 8, test = 25}")
    answer = build_datasets(pipeline, tiny, store)
    answer.refused(3, "datasets/tiny/test", "the manifest says 25 samples, the source has 24")
    nothing_is_there(pipeline, store, whole, stages={"sources", "datasets"})
    again = build_datasets(pipeline, tiny, store)
    again.refused(1, "the manifest says 25 samples, the source has 24")


def test_a_file_is_not_a_store(pipeline: Any, tiny: Any, store: Path) -> None:
    """A store path that is a file exits 2 for every command, and the file is left alone."""
    store.write_text("not a folder")
    for command in (
        ("build", "datasets", "--datasets", "tiny", "--from", tiny.data),
        ("embed", "--model", "texture"),
        ("eval",),
        ("status",),
        ("list",),
    ):
        answer = pipeline(*command, *at(tiny, store), rc=None)
        answer.refused(2, str(store), "a store is a folder")
    for command in (("verify", "--store", store), ("demo", "--store", store)):
        pipeline(*command, rc=None).refused(2, str(store), "a store is a folder")
    assert store.read_text() == "not a folder"


def test_a_store_of_a_newer_schema_is_refused(pipeline: Any, tiny_built: Any, store: Path) -> None:
    """A store that a newer version wrote exits 1 for every command, before anything is changed."""
    (store / "store.json").write_bytes(seal_document({"schema": "medshards/store/2"}))
    before = tree(store)
    for command in (
        ("build", "corruptions", "--datasets", "tiny"),
        ("embed", "--model", "texture"),
        ("eval",),
        ("status",),
        ("plan",),
        ("list",),
        ("explain", "tiny/test"),
    ):
        answer = pipeline(*command, *at(tiny_built, store), rc=None)
        answer.refused(1, "medshards/store/2", "newer")
    pipeline("verify", "--store", store, rc=None).refused(1, "medshards/store/2")
    assert tree(store) == before


def test_eval_of_an_empty_store_lists_what_is_skipped(
    pipeline: Any, tiny: Any, store: Path
) -> None:
    """Bare `pipeline eval` with nothing embedded exits 0, says why, and makes no store."""
    answer = pipeline("eval", *at(tiny, store))
    assert "skipped: everything: nothing is embedded" in answer.stderr
    assert "pipeline embed --model" in answer.stderr
    assert not store.exists()


def test_eval_of_built_sets_without_embeddings(pipeline: Any, tiny_built: Any, store: Path) -> None:
    """Bare `pipeline eval` exits 0 while sets are built and nothing is embedded."""
    shutil.rmtree(store / "embeddings")
    answer = pipeline("eval", *at(tiny_built, store), "--json")
    assert answer.json["results"] == []
    assert "embed --model" in answer.json["skipped"][0]["command"]


@pytest.mark.parametrize(
    ("gone", "command"),
    [
        ("corruptions/medimeta-c/tiny/test/contrast/3", "pipeline build corruptions"),
        ("embeddings/texture/medimeta-c/tiny/test/contrast/3", "pipeline embed --model texture"),
    ],
)
def test_eval_of_a_partial_collection_is_refused(
    pipeline: Any, tiny_built: Any, store: Path, gone: str, command: str
) -> None:
    """Exit 4 names the set that is missing and the command that builds it; nothing is evaluated."""
    shutil.rmtree(store / gone)
    before = tree(store)
    answer = pipeline("eval", *at(tiny_built, store), "--baseline", "pixels", rc=None)
    answer.refused(4, "medimeta-c/tiny/test/contrast/3", command, f"--store {store}")
    assert tree(store) == before


def test_the_command_that_eval_names_builds_what_is_missing(
    pipeline: Any, tiny_built: Any, store: Path
) -> None:
    """Following the messages of exit 4 one after the other ends in exit 0."""
    shutil.rmtree(store / "corruptions/medimeta-c/tiny/test/contrast")
    shutil.rmtree(store / "embeddings/texture")
    options = ("--encoders", "texture", "--baseline", "texture")
    for _ in range(4):
        answer = pipeline("eval", *at(tiny_built, store), *options, rc=None)
        if answer.rc == 0:
            break
        answer.refused(4, "build it with: pipeline ")
        pipeline(*shlex.split(answer.stderr.partition("build it with: pipeline ")[2]))
    assert answer.rc == 0


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        (("--only", "medimeta-c/tiny/test/contrast/3"), "medimeta-c/tiny/test/contrast/3"),
        (("--datasets", "tiny"), "medimeta-c/tiny/test"),
        (("--datasets", "pneumoniamnist-28"), "pneumoniamnist-28"),
        (("--encoders", "clip-vit-b16"), "clip-vit-b16"),
        (("--baseline", "clip-vit-b16"), "clip-vit-b16"),
        (("--run", "demo"), "phantom-blood"),
        (("--splits", "val"), "medimeta-c/tiny/val"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_eval_of_something_named_that_is_missing_is_refused(
    pipeline: Any, tiny_built: Any, store: Path, options: tuple[str, str], missing: str
) -> None:
    """Whatever is named explicitly must exist: exit 4 names it and a command."""
    if options[0] in {"--only", "--datasets"}:
        shutil.rmtree(store / "corruptions")
    answer = pipeline("eval", *at(tiny_built, store), *options, rc=None)
    assert answer.rc == 4
    assert "Traceback" not in answer.stderr
    assert missing in answer.stderr
    assert "pipeline " in answer.stderr


def test_eval_of_a_named_protocol_that_no_encoder_has_is_refused(
    pipeline: Any, read_only_tiny: Any
) -> None:
    """Zero-shot of vision-only encoders, asked for by name, exits 4 instead of showing nothing."""
    store = read_only_tiny.folder / "store"
    answer = pipeline("eval", *at(read_only_tiny, store), "--protocols", "zero-shot", rc=4)
    assert "zero-shot of texture on medimeta-c/tiny/test: the encoder is vision-only" in (
        answer.stderr
    )


def test_two_processes_build_the_same_sets(
    pipeline: Any, tiny: Any, tiny_study: Path, store: Path, whole: Any, digests: Any
) -> None:
    """Started together they both succeed, and the store is what one of them would have made."""
    command = ("build", "all", "--datasets", "tiny", "--from", tiny.data, *at(tiny, store))
    processes = [pipeline.start(*command) for _ in range(2)]
    for process in processes:
        _, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert "Traceback" not in stderr
    whole(store)
    alone = digests(tiny_study / "store")
    found = digests(store)
    assert found == {name: alone[name] for name in found}
    assert len(found) == 1 + 3 + 35


def test_a_set_that_another_process_holds(
    pipeline: Any, tiny_built: Any, store: Path, whole: Any
) -> None:
    """With --no-wait it exits 75 and names the set; the holder's work is left alone."""
    name = "medimeta-c/tiny/test/contrast/3"
    shutil.rmtree(store / "corruptions" / name)
    only = ("--only", name, *at(tiny_built, store))
    unit = pipeline("build", "corruptions", *only, "--dry-run", "--json").json["units"][0]

    class Held:
        key, label = unit["recipe_key"], name

    with Store(store).lease(Held(), 0):  # type: ignore[arg-type]
        answer = pipeline("build", "corruptions", *only, "--no-wait", rc=None)
    answer.refused(75, name, "another process")
    assert not (store / "corruptions" / name).exists()
    pipeline("build", "corruptions", *only)
    whole(store)


def build_datasets(pipeline: Any, source: Any, store: Path, *options: object) -> Any:
    """Run `pipeline build datasets` with the dataset's own folder as the source."""
    command = ("build", "datasets", "--datasets", source.name, "--from", source.data)
    return pipeline(*command, *at(source, store), *options, rc=None)


def nothing_is_there(
    pipeline: Any, store: Path, whole: Any, stages: set[str] | frozenset[str] = frozenset()
) -> None:
    """Assert that a store holds whole artifacts of these stages alone, and no test split."""
    whole(store)
    rows = pipeline("list", "--store", store, "--json").json["artifacts"]
    assert {row["stage"] for row in rows} <= stages
    assert "tiny/test" not in {row["name"] for row in rows}
    left = [path for path in (store / "downloads").rglob("*") if path.is_file()]
    assert [path.name for path in left if path.suffix in {".part", ".npz"}] == []


def tree(folder: Path) -> dict[str, int]:
    """Return every path below a folder with its time of change."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*")}
