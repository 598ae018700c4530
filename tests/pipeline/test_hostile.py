"""Manifests, tables and arrays that were made to harm, each with valid checksums of its own."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.artifact import MANIFEST, Artifact, Manifest
from pipeline.documents import read_document, seal_document
from pipeline.errors import ManifestError, VerificationError
from pipeline.manifest import Declared, read_manifest
from pipeline.soundness import fault_of_manifest, fault_of_name
from pipeline.store import Store
from pipeline.tables import encode_table, read_table
from pipeline.verify import verify
from tests.pipeline.toy import Toy

HUGE = 10**15
pytestmark = pytest.mark.usefixtures("without_fsync")


@pytest.fixture(scope="module")
def document(built: Path) -> dict[str, Any]:
    """Return the manifest of the toy's numbers."""
    return read_document(Store(built).folder(Toy().numbers().recipe) / MANIFEST)


def put(document: dict[str, Any], value: object, *keys: str | int) -> dict[str, Any]:
    """Return a copy of a document with another value at some place."""
    changed = copy.deepcopy(document)
    place: Any = changed
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return changed


def renamed(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a copy of a document one of whose files has another name."""
    files = dict(document["shards"][0]["files"])
    files[name] = files.pop(next(iter(files)))
    return put(document, files, "shards", 0, "files")


HOSTILE: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "name with ..": (lambda d: put(d, "../../etc", "name"), "leads outside"),
    "absolute name": (lambda d: put(d, "/etc", "name"), "leads outside"),
    "stage with ..": (lambda d: put(d, "..", "stage"), "leads outside"),
    "input with ..": (lambda d: put(d, "a/../..", "inputs", "files", "name"), "leads outside"),
    "key that is a path": (lambda d: put(d, "../x", "recipe_key"), "is no digest"),
    "file outside": (lambda d: renamed(d, "../../../home/key"), "leads outside"),
    "absolute file": (lambda d: renamed(d, "/etc/passwd"), "leads outside"),
    "file with a backslash": (lambda d: renamed(d, "..\\x"), "leads outside"),
    "file with a null": (lambda d: renamed(d, "a\x00b"), "leads outside"),
    "array outside": (
        lambda d: put(d, {"../x": {"dtype": "uint8", "shape": [1]}}, "arrays"),
        "no name",
    ),
    "objects": (lambda d: put(d, "object", "arrays", "pixels", "dtype"), "are refused"),
    "structured items": (lambda d: put(d, "u1,O", "arrays", "pixels", "dtype"), "are refused"),
    "huge items": (
        lambda d: put(d, [HUGE, HUGE, HUGE], "arrays", "pixels", "shape"),
        "are refused",
    ),
    "larger items": (lambda d: put(d, [HUGE, 1, 1], "arrays", "pixels", "shape"), "items need"),
    "negative items": (lambda d: put(d, [-1, 2], "arrays", "pixels", "shape"), "are refused"),
    "many axes": (lambda d: put(d, [1] * 100, "arrays", "pixels", "shape"), "are refused"),
    "huge rows": (lambda d: put(d, HUGE, "rows"), "not those of its shards"),
    "huge shard": (
        lambda d: put(put(d, HUGE + 4, "rows"), HUGE, "shards", 0, "rows"),
        "the first has|items need",
    ),
    "negative shard": (
        lambda d: put(put(d, 7 - 3 - 3, "rows"), -3, "shards", 0, "rows"),
        "not those of its shards",
    ),
    "rows that are true": (lambda d: put(d, True, "shards", 2, "rows"), "not those of its shards"),
    "another digest": (
        lambda d: put(d, {"x": {"bytes": 1, "blake3": "../x"}}, "files"),
        "has no digest",
    ),
    "a list of shards that is none": (lambda d: put(d, 5, "shards"), "not in the form"),
    "no inputs": (lambda d: put(d, None, "inputs"), "not in the form"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_manifest_that_cannot_be_is_refused(
    kind: str, copied: Path, document: dict[str, Any]
) -> None:
    """One line names the fault, nothing is opened or allocated for it, and verify tells it."""
    change, told = HOSTILE[kind]
    folder = Store(copied).folder(Toy().numbers().recipe)
    (folder / MANIFEST).write_bytes(seal_document(change(document)))
    with pytest.raises(VerificationError, match=told) as caught:
        Manifest.read(folder)
    assert "\n" not in str(caught.value)
    problems = verify(Store(copied))
    assert [one.kind for one in problems if one.artifact == "numbers/toy/0"] == ["manifest"]


def test_every_honest_manifest_is_sound(built: Path) -> None:
    """What this program seals is never refused."""
    for manifest in Store(built).manifests():
        assert fault_of_manifest(manifest.document) is None


_values = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)
_keys = ["stage", "name", "rows", "arrays", "files", "shards", "inputs", "recipe_key"]


@settings(max_examples=200)
@given(key=st.sampled_from(_keys), value=_values)
def test_nonsense_is_a_fault_and_never_an_exception(
    document: dict[str, Any], key: str, value: object
) -> None:
    """Whatever stands in a field, the answer is a sentence or that it is sound."""
    fault = fault_of_manifest({**document, key: value})
    assert fault is None or fault


@pytest.mark.parametrize("name", ["", ".", "..", "a/..", "/a", "a//b", "a\\b", "a\nb", 5, "a/"])
def test_names_that_lead_elsewhere_are_faults(name: object) -> None:
    """No name of a remote listing or a manifest leaves its folder."""
    assert fault_of_name(name)


def test_ordinary_names_are_none() -> None:
    """Spaces, Unicode and dots within names are ordinary."""
    for name in ("a", "medimeta-c@torch/pbc/test/x/3", "Größe 图像/a b.npz", "..a/b.."):
        assert fault_of_name(name) is None


def test_an_artifact_that_lies_elsewhere_is_told(copied: Path) -> None:
    """A sealed artifact copied under another key is not taken for that one."""
    folder = Store(copied).folder(Toy().sums("odd").recipe)
    shutil.copytree(folder, folder.with_name("0" * 64))
    (problem,) = verify(Store(copied))
    assert (problem.kind, problem.artifact) == ("manifest", "sums/toy/0/odd")
    assert "belongs elsewhere" in problem.detail


def repeating(rows: int, text: str) -> pa.Table:
    """Return a table of one text, again and again, made without its memory."""
    indices = pa.array(np.zeros(rows, np.int32))
    return pa.table({"id": pa.DictionaryArray.from_arrays(indices, pa.array([text]))})


def write(table: pa.Table, path: Path, **options: Any) -> Path:
    """Write a table as its file would be, without the schema that says it was a dictionary."""
    pq.write_table(table, path, compression="zstd", store_schema=False, **options)
    return path


def test_a_table_of_more_rows_than_promised_is_refused(tmp_path: Path) -> None:
    """Rows are compared in the footer, before any column is read."""
    path = write(pa.table({"x": pa.nulls(1_000_000, pa.int64())}), tmp_path / "x.parquet")
    with pytest.raises(VerificationError, match="1000000 rows instead of 7"):
        read_table(path, rows=7)


def test_a_table_that_unpacks_without_bound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows or bytes many times the size of the file are refused by the footer alone."""
    from pipeline import tables

    monkeypatch.setattr(tables, "_SMALL", 1 << 16)
    monkeypatch.setattr(tables, "LARGEST_RATIO", 20)
    nulls = write(pa.table({"x": pa.nulls(1_000_000, pa.int8())}), tmp_path / "nulls.parquet")
    with pytest.raises(VerificationError, match="say that they hold"):
        read_table(nulls)
    zeros = pa.table({"x": np.zeros(1_000_000, np.int64)})
    packed = write(zeros, tmp_path / "zeros.parquet", use_dictionary=False)
    with pytest.raises(VerificationError, match="say that they hold"):
        read_table(packed)


def test_one_long_text_in_every_row_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte that a hundred thousand rows name would fill 100 GB: it is counted first."""
    from pipeline import tables

    monkeypatch.setattr(tables, "_SMALL", 1 << 20)
    path = write(repeating(100_000, "x" * 1_000_000), tmp_path / "x.parquet")
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(VerificationError, match="unpacks to 100000000000 bytes"):
        read_table(path)
    assert pa.total_allocated_bytes() - before < 16 << 20


def test_honest_tables_of_many_repeated_texts_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of classes and distinct ids are what tables hold, in whole or by columns."""
    from pipeline import tables

    monkeypatch.setattr(tables, "_SMALL", 1 << 10)
    rows = 50_000
    table = pa.table(
        {
            "label": [f"class {n % 5}" for n in range(rows)],
            "id": [f"image-{n:08d}" for n in range(rows)],
            "nested": [[n, n + 1] for n in range(rows)],
            "maybe": [None if n % 2 else "x" for n in range(rows)],
        }
    )
    (tmp_path / "x.parquet").write_bytes(encode_table(table))
    assert read_table(tmp_path / "x.parquet", rows=rows).equals(table)
    some = read_table(tmp_path / "x.parquet", ["id", "label"])
    assert some.equals(table.select(["id", "label"]))


@pytest.mark.parametrize(
    "shape",
    [(2**31 - 1, 2**31 - 1, 2**31 - 1), (-1, -6, 1), (2**20, 2**20, 1), (7, 3, 1)],
)
def test_shapes_that_the_file_cannot_hold_are_refused(
    copied: Path, shape: tuple[int, int, int]
) -> None:
    """An index of items larger than their file takes no memory, whatever overflows."""
    numbers = Toy().numbers()
    artifact = Store(copied).artifact(numbers.recipe)
    path = artifact.manifest.folder / "index" / "00000.parquet"
    table = read_table(path)
    for axis, value in zip(("height", "width", "channels"), shape, strict=True):
        name = f"pieces_{axis}"
        column = table[name].to_pylist()
        column[1] = value
        position = table.column_names.index(name)
        field = table.schema.field(name)
        table = table.set_column(position, field, pa.array(column, field.type))
    path.write_bytes(encode_table(table))
    hostile = Artifact(artifact.manifest)
    with pytest.raises(VerificationError, match="cannot hold the items|bytes instead of"):
        hostile.mixed("pieces")[1]
    assert {"changed"} == {one.kind for one in verify(Store(copied))}


def test_arrays_take_no_memory_for_files_that_are_not_there(copied: Path) -> None:
    """Reading rows of a shard whose file is short fails before memory is taken for the rows."""
    artifact = Store(copied).artifact(Toy().numbers().recipe)
    shard = artifact.manifest.folder / "pixels" / "c.0.0.0.0"
    shard.write_bytes(b"short")
    for key in (slice(None), slice(None, None, 2), [0, 1], 0):
        with pytest.raises(VerificationError, match="5 bytes instead of"):
            artifact.array("pixels")[key]


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("pixels/zarr.json", lambda d: {**d, "shape": [HUGE, 2, 3, 1]}),
        (
            "pixels/zarr.json",
            lambda d: {
                **d,
                "chunk_grid": {
                    "name": "regular",
                    "configuration": {"chunk_shape": [HUGE, 2, 3, 1]},
                },
            },
        ),
        ("pixels/zarr.json", lambda d: {**d, "codecs": [{"name": "pickle"}]}),
        ("pieces/00001/zarr.json", lambda d: {**d, "shape": [HUGE]}),
    ],
)
def test_zarr_metadata_of_another_array_is_found(
    copied: Path, file: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    """What only other programs read is compared with the manifest, even with a right digest."""
    from pipeline.digest import digest_bytes

    folder = Store(copied).folder(Toy().numbers().recipe)
    data = json.dumps(change(json.loads((folder / file).read_bytes()))).encode()
    (folder / file).write_bytes(data)
    document = read_document(folder / MANIFEST)
    tables = [document["files"], *(shard["files"] for shard in document["shards"])]
    for table in tables:
        if file in table:
            table[file] = {"bytes": len(data), "blake3": digest_bytes(data)}
    (folder / MANIFEST).write_bytes(seal_document(document))
    problems = verify(Store(copied))
    assert [(one.kind, Path(one.file).name) for one in problems] == [("content", "zarr.json")]


class _Declaration(Declared):
    """A manifest of one name and one folder."""

    id: str
    path: str = ""


@pytest.mark.parametrize(
    "text",
    [
        'id = "${HOME}"',
        'id = "a"\npath = "$(id)"',
        'id = "a"\npath = "~/data"',
        'id = "%USERPROFILE%"',
        'id = "!!python/object:os.system"',
        'id = "{{ config }}"',
        'id = "a"\npath = "`id`"',
    ],
)
def test_manifests_with_references_to_code_or_environment_are_refused(
    text: str, tmp_path: Path
) -> None:
    """Nothing in a manifest is ever looked up or run, and what looks like it is refused."""
    (tmp_path / "x.toml").write_text(text)
    with pytest.raises(ManifestError, match="neither the environment nor code") as caught:
        read_manifest(tmp_path / "x.toml", _Declaration)
    assert "\n" not in str(caught.value)


def test_dollars_and_braces_of_texts_are_kept(tmp_path: Path) -> None:
    """Formulas, prices and the places of a template are texts."""
    (tmp_path / "x.toml").write_text('id = "an image of a {}, $x^2$, 5 % of 10 $"')
    assert read_manifest(tmp_path / "x.toml", _Declaration).id.endswith("10 $")


def test_shipped_manifests_are_all_read() -> None:
    """No manifest of ours looks like a reference."""
    from pipeline.cli.study import Study

    study = Study(Store(Path("nowhere")))
    assert study.datasets
    assert study.suites
    assert study.encoders
    assert study.runs
    assert study.rule_sets
