"""What `verify` finds, names and remembers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import google_crc32c
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.artifact import ALIAS, MANIFEST, Manifest
from pipeline.cli.states import states
from pipeline.cli.study import Study
from pipeline.disk import remove_tree
from pipeline.documents import seal_document
from pipeline.errors import MissingInputError, StoreError, VerificationError
from pipeline.plan import make_plan
from pipeline.shards import CRC_BYTES, EMPTY_SLOT, SLOT_BYTES
from pipeline.store import (
    LEASES,
    SOURCES_FILE,
    STAGING,
    STORE_FILE,
    VERIFICATION_FILE,
    Store,
)
from pipeline.verify import verify
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.toy import NUMBERS_SLOTS, Numbers, Toy, build, values_of

FILES = {
    "store file": STORE_FILE,
    "pins": SOURCES_FILE,
    "verification record": VERIFICATION_FILE,
    "manifest of a source": f"sources/toy/*/{MANIFEST}",
    "record of a source": "sources/toy/*/records/00000.json",
    "index of a source": "sources/toy/*/index/00000.parquet",
    "source file": "sources/toy/*/files/given/offset.txt",
    "source file in another folder": "sources/toy/*/files/below/note.txt",
    "manifest": f"numbers/toy/0/*/{MANIFEST}",
    "record": "numbers/toy/0/*/records/00002.json",
    "array metadata": "numbers/toy/0/*/pixels/zarr.json",
    "shard": "numbers/toy/0/*/pixels/c.0.0.0.0",
    "last shard": "numbers/toy/0/*/pixels/c.2.0.0.0",
    "shard of floats": "numbers/toy/0/*/floats/c.1.0",
    "shard of single numbers": "sums/toy/0/odd/*/sums/c.1",
    "shard of mixed size": "numbers/toy/0/*/pieces/00001/c/0",
    "its metadata": "numbers/toy/0/*/pieces/00002/zarr.json",
    "index": "numbers/toy/0/*/index/00001.parquet",
    "alias": f"sums/toy/0/odd/*/{ALIAS}",
}
"""Every kind of file in a store, by a pattern that finds at least one of them."""

DOCUMENTS = {STORE_FILE, SOURCES_FILE, VERIFICATION_FILE, MANIFEST, ALIAS, "records"}
"""Files that carry a checksum of themselves, by name or folder."""


@pytest.fixture(scope="module")
def everything(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store that holds every kind of file."""
    root = tmp_path_factory.mktemp("everything") / "store"
    shutil.copytree(built, root)
    store = Store(root)
    store.pin("files", "toy", "0" * 64)
    store.record_damaged({})
    build(root, Toy(numbers_version=2).targets()).raise_failures()
    assert verify(Store(root)) == []
    return root


@pytest.fixture(scope="module")
def damaged(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy in which one file after another is damaged and put right again."""
    return Path(shutil.copytree(everything, tmp_path_factory.mktemp("damaged") / "store"))


@pytest.fixture
def store_root(everything: Path, tmp_path: Path) -> Path:
    """Return a copy to be damaged."""
    return Path(shutil.copytree(everything, tmp_path / "store"))


def test_every_file_of_a_store_is_of_a_listed_kind(everything: Path) -> None:
    """No kind of file escapes the tests below."""
    kinds = {_kind(everything, path) for path in _files(everything)}
    listed = {_kind(everything, path) for name in FILES.values() for path in everything.glob(name)}
    assert kinds == listed


@pytest.mark.parametrize("name", FILES.values(), ids=FILES)
def test_a_flipped_byte_is_found_wherever_it_is(name: str, store_root: Path) -> None:
    """A change of one byte at the start, within or at the end of any file is found and named."""
    path = next(store_root.glob(name))
    content = path.read_bytes()
    document = path.name in DOCUMENTS or path.parent.name in DOCUMENTS
    for position in {0, len(content) // 3, len(content) // 2, len(content) - 1}:
        flipped = bytearray(content)
        flipped[position] ^= 1
        path.write_bytes(flipped)
        problems = verify(Store(store_root))
        assert path.relative_to(store_root).as_posix() in {problem.file for problem in problems}
        kinds = {problem.kind for problem in problems}
        assert kinds <= ({"manifest"} if document else {"changed", "missing_row", "missing_chunk"})
        path.write_bytes(content)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(list(FILES.values())), at=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(name: str, at: float, bit: int, damaged: Path) -> None:
    """A change of one bit anywhere in any file is found, whatever that makes of the file."""
    path = next(damaged.glob(name))
    content = path.read_bytes()
    changed = bytearray(content)
    changed[round(at * (len(content) - 1))] ^= 1 << bit
    path.write_bytes(changed)
    try:
        problems = verify(Store(damaged))
    finally:
        path.write_bytes(content)
    assert _below(damaged, path) in {problem.file for problem in problems}


@pytest.mark.parametrize("name", [n for n in FILES.values() if "/" in n and ALIAS not in n])
def test_a_removed_file_is_found_wherever_it_is(name: str, store_root: Path) -> None:
    """A file that is gone makes its artifact unsealed, or is named."""
    path = next(store_root.glob(name))
    path.unlink()
    problems = verify(Store(store_root))
    if path.name == MANIFEST:
        assert {problem.kind for problem in problems} == {"unsealed"}
    else:
        assert path.relative_to(store_root).as_posix() in {problem.file for problem in problems}
        assert {problem.kind for problem in problems} <= {"missing", "manifest"}


@pytest.mark.parametrize(
    "name", [name for name in FILES.values() if "/c." in name or "/c/" in name]
)
@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_truncated_shard_is_found(name: str, left: float, store_root: Path) -> None:
    """A shard that was cut short is called truncated."""
    path = next(store_root.glob(name))
    os.truncate(path, int(path.stat().st_size * left))
    (problem,) = verify(Store(store_root))
    assert (problem.kind, problem.file) == ("truncated", _below(store_root, path))


def test_a_deleted_inner_chunk_is_found(store_root: Path) -> None:
    """An item that the shard's own index calls absent is named, though the index is valid."""
    path = next(store_root.glob(FILES["shard"]))
    _drop_chunk(path, NUMBERS_SLOTS, 1)
    (problem,) = verify(Store(store_root))
    assert problem.kind == "missing_chunk"
    assert problem.file == _below(store_root, path)
    assert "[1]" in problem.detail


def test_a_shard_written_anew_without_an_item_is_found(store_root: Path) -> None:
    """A shard that another program wrote again and shorter lacks a chunk, and is not just cut."""
    path = next(store_root.glob(FILES["shard"]))
    content = path.read_bytes()
    index = NUMBERS_SLOTS * SLOT_BYTES + CRC_BYTES
    path.write_bytes(content[:10] + content[-index:])
    _drop_chunk(path, NUMBERS_SLOTS, 2)
    (problem,) = verify(Store(store_root))
    assert problem.kind == "missing_chunk"


def test_a_removed_row_is_found(store_root: Path) -> None:
    """An index with one row less says how many it has."""
    path = next(store_root.glob(FILES["index"]))
    pq.write_table(pq.read_table(path).slice(1), path)
    (problem,) = verify(Store(store_root))
    assert (problem.kind, problem.file) == ("missing_row", _below(store_root, path))
    assert "2 rows instead of 3" in problem.detail


def test_a_leftover_staging_folder_is_found(store_root: Path) -> None:
    """What a killed writer left is found until the next build sweeps it."""
    (store_root / STAGING / "77-cafe").mkdir()
    (store_root / STAGING / "77-cafe" / "half.part").write_bytes(b"half")
    for _ in range(2):
        (problem,) = verify(Store(store_root))
        assert (problem.kind, problem.file) == ("leftover_staging", "staging/77-cafe")
    build(store_root)
    assert verify(Store(store_root)) == []


def test_the_staging_folder_of_a_living_writer_is_no_problem(store_root: Path) -> None:
    """A store is verified while it is written."""
    with Store(store_root).writing():
        assert verify(Store(store_root)) == []


@pytest.mark.parametrize(
    "name",
    ["stray.txt", "numbers/stray.txt", "numbers/toy/0/*/stray.txt", "sums/toy/0/odd/*/sums/c.9"],
)
def test_a_file_that_nothing_knows_is_found(name: str, store_root: Path) -> None:
    """Files that no manifest lists are named."""
    folder, _, stray = name.rpartition("/")
    path = next(store_root.glob(folder) if folder else iter([store_root])) / stray
    path.write_text("stray")
    (problem,) = verify(Store(store_root))
    assert (problem.kind, problem.file) == ("unexpected", _below(store_root, path))


def test_an_artifact_begun_and_not_sealed_is_found(store_root: Path) -> None:
    """Shards without a manifest are not an artifact."""
    other = Toy(seed=5)

    def stop(unit: object) -> None:
        if getattr(unit, "shard", 0) == 1:
            raise StoreError("stopped")

    build(store_root, [Toy(seed=5, numbers_stage=Numbers(before=stop)).numbers()])
    (problem,) = verify(Store(store_root))
    assert (problem.kind, problem.artifact) == ("unsealed", "numbers/toy/5")
    build(store_root, [other.numbers()]).raise_failures()
    assert verify(Store(store_root)) == []


def test_the_items_of_a_shard_that_was_exchanged_are_found(store_root: Path) -> None:
    """Items that do not belong to their rows are found even if the manifest was made to fit."""
    folder = next(store_root.glob("numbers/toy/0/*"))
    manifest = Manifest.read(folder)
    first, last = folder / "pixels" / "c.0.0.0.0", folder / "pixels" / "c.1.0.0.0"
    shards = manifest.document["shards"]
    a, b = shards[0]["files"], shards[1]["files"]
    a["pixels/c.0.0.0.0"], b["pixels/c.1.0.0.0"] = b["pixels/c.1.0.0.0"], a["pixels/c.0.0.0.0"]
    (folder / MANIFEST).write_bytes(seal_document(manifest.document))
    content = first.read_bytes()
    first.write_bytes(last.read_bytes())
    last.write_bytes(content)
    problems = verify(Store(store_root))
    assert {problem.kind for problem in problems} == {"content"}
    assert len(problems) == 2 * NUMBERS_SLOTS


def test_only_what_is_selected_is_read(store_root: Path) -> None:
    """Damage of an artifact that was not selected is not looked for, nor forgotten."""
    shard = next(store_root.glob(FILES["shard"]))
    content = _flip(shard)
    read: list[str] = []
    selected = verify(
        Store(store_root),
        lambda label: label.startswith("sums/"),
        progress=lambda name, _: read.append(name),
    )
    assert selected == []
    assert set(read) == {"sums/toy/0/odd", "sums/toy/0/even"}
    verify(Store(store_root))
    verify(Store(store_root), lambda label: label.startswith("sums/"))
    assert list(Store(store_root).damaged().values()) == [["changed"]]
    shard.write_bytes(content)
    verify(Store(store_root), lambda label: label.startswith("numbers/"))
    assert Store(store_root).damaged() == {}


def test_any_number_of_workers_finds_the_same(store_root: Path) -> None:
    """Problems come in one order."""
    for name in ("shard", "index", "source file", "shard of single numbers"):
        _flip(next(store_root.glob(FILES[name])))
    problems = verify(Store(store_root))
    assert len(problems) == 4
    assert verify(Store(store_root), workers=4) == problems


def test_damage_is_remembered_until_the_artifact_is_built_again(store_root: Path) -> None:
    """A damaged artifact is refused by readers and plans; a rebuilt one is another."""
    toy = Toy()
    recipe = toy.sums("even").recipe
    before = values_of(store_root, toy.sums("even"), "sums")
    _flip(next(Store(store_root).folder(recipe).glob("sums/c.0")))
    assert Store(store_root).artifact(recipe) is not None  # nobody has looked yet
    assert [problem.kind for problem in verify(Store(store_root))] == ["changed"]
    with pytest.raises(VerificationError, match="is damaged .*: remove .* and build it again"):
        Store(store_root).artifact(recipe)
    with pytest.raises(VerificationError, match="is damaged"):
        make_plan(Store(store_root), toy.targets())
    remove_tree(Store(store_root).folder(recipe))
    with pytest.raises(MissingInputError, match="sums/toy/0/even is not built yet"):
        Store(store_root).artifact(recipe)
    build(store_root).raise_failures()
    assert np.array_equal(values_of(store_root, toy.sums("even"), "sums"), before)
    assert verify(Store(store_root)) == []
    assert Store(store_root).damaged() == {}


def test_status_tells_what_the_last_verify_found(store_root: Path) -> None:
    """An artifact is damaged if a verify said so, or if its manifest cannot be trusted."""

    def damaged() -> set[str]:
        rows = states(Study(Store.open(store_root)))
        return {f"{row['stage']}/{row['name']}" for row in rows if row["state"] == "damaged"}

    _flip(next(Store(store_root).folder(Toy().sums("even").recipe).glob("sums/c.0")))
    assert damaged() == set()
    verify(Store(store_root))
    assert damaged() == {"sums/toy/0/even"}
    _flip(next(store_root.glob(FILES["manifest of a source"])))
    assert damaged() == {"sums/toy/0/even", "sources/toy"}


def test_a_damaged_input_is_not_built_upon(store_root: Path) -> None:
    """What was found damaged never enters something new."""
    _flip(next(Store(store_root).folder(Toy().numbers().recipe).glob("pixels/c.0*")))
    verify(Store(store_root))
    remove_tree(Store(store_root).folder(Toy().sums("odd").recipe))
    with pytest.raises(VerificationError, match="numbers/toy/0 is damaged"):
        make_plan(Store(store_root), Toy().targets())


def test_a_damaged_record_of_verification_is_written_anew_by_a_whole_verify(
    store_root: Path,
) -> None:
    """Commands refuse a record they cannot trust, and say what helps; a partial verify keeps it."""
    shard = next(store_root.glob(FILES["shard"]))
    _flip(shard)
    _flip(store_root / VERIFICATION_FILE)
    with pytest.raises(VerificationError, match="verify` on the whole store"):
        make_plan(Store(store_root), Toy().targets())
    kinds = [problem.kind for problem in verify(Store(store_root), lambda _: False)]
    assert kinds == ["manifest"]
    assert {problem.kind for problem in verify(Store(store_root))} == {"changed", "manifest"}
    assert [problem.kind for problem in verify(Store(store_root))] == ["changed"]
    assert list(Store(store_root).damaged().values()) == [["changed"]]


def test_a_damaged_manifest_is_refused_by_readers_and_plans(store_root: Path) -> None:
    """A manifest that was changed is never taken for an artifact, or for none."""
    path = next(store_root.glob(FILES["manifest of a source"]))
    _flip(path)
    with pytest.raises(VerificationError, match="checksum"):
        Store(store_root).sealed(Toy().files().recipe)


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(b"no table")])
def test_an_index_that_cannot_be_read_is_one_clear_error(
    damage: Callable[[Path], object], store_root: Path
) -> None:
    """Readers of an index that is gone or no Parquet file are told to verify."""
    damage(next(store_root.glob(FILES["index"])))
    with pytest.raises(VerificationError, match="index cannot be read: run `pipeline verify`"):
        Store(store_root).artifact(Toy().numbers().recipe).index()


def test_a_damaged_store_file_is_refused(store_root: Path) -> None:
    """A store whose own file was changed is not opened."""
    _flip(store_root / STORE_FILE)
    with pytest.raises(VerificationError, match="store.json"):
        Store.open(store_root)


def test_damaged_pins_are_refused_and_not_overwritten(store_root: Path) -> None:
    """Pins that were changed are neither used nor lost."""
    _flip(store_root / SOURCES_FILE)
    content = (store_root / SOURCES_FILE).read_bytes()
    with pytest.raises(VerificationError, match="checksum"):
        Store(store_root).pins()
    with pytest.raises(VerificationError, match="checksum"):
        Store(store_root).pin("files", "other", "1" * 64)
    assert (store_root / SOURCES_FILE).read_bytes() == content


def test_a_verify_that_finds_nothing_changes_nothing(store_root: Path) -> None:
    """Looking leaves every file as it is."""
    before = {path: path.stat().st_mtime_ns for path in store_root.rglob("*")}
    assert verify(Store(store_root)) == []
    assert {path: path.stat().st_mtime_ns for path in store_root.rglob("*")} == before


@pytest.mark.parametrize("damaged", [False, True])
def test_a_read_only_store_is_verified(damaged: bool, store_root: Path) -> None:
    """Damage is found where it cannot be recorded; a real read-only mount, root or not."""
    (store_root / STAGING / "9-dead").mkdir()
    if damaged:
        _flip(next(store_root.glob(FILES["shard"])))
    code = (
        "import sys; from pathlib import Path; from pipeline.store import Store;"
        "from pipeline.verify import verify;"
        "print(*sorted(problem.kind for problem in verify(Store.open(Path(sys.argv[1])))))"
    )
    script = 'mount --bind -o ro "$1" "$1" && cd "$2" && exec "$3" -c "$4" "$1"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", store_root]
    if shutil.which("unshare") is None or not _may_mount():
        pytest.skip("mounting in a user namespace is not allowed here")
    done = subprocess.run(
        [*command, REPOSITORY, sys.executable, code], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == (["changed"] if damaged else []) + ["leftover_staging"]


def _may_mount() -> bool:
    command = ["unshare", "--map-root-user", "--mount", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _files(root: Path) -> Iterator[Path]:
    skipped = {STAGING, LEASES}
    for path in root.rglob("*"):
        if path.is_file() and path.relative_to(root).parts[0] not in skipped:
            yield path


def _kind(root: Path, path: Path) -> tuple[str, str]:
    """Return what a file is: by its folder, or its name where it lies at a top."""
    parts = path.relative_to(root).parts
    if len(parts) == 1 or path.name in {MANIFEST, ALIAS, "zarr.json"}:
        return "", path.name
    return path.parent.name, ""


def _below(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _flip(path: Path) -> bytes:
    """Change a byte in the middle; return what the file held."""
    content = path.read_bytes()
    changed = bytearray(content)
    changed[len(content) // 2] ^= 1
    path.write_bytes(changed)
    return content


def _drop_chunk(path: Path, slots: int, item: int) -> None:
    """Mark an item as absent in a shard's index, whose checksum is made to fit."""
    content = bytearray(path.read_bytes())
    start = len(content) - slots * SLOT_BYTES - CRC_BYTES
    index = np.frombuffer(content, "<u8", slots * 2, start).copy()
    index[2 * item : 2 * item + 2] = EMPTY_SLOT
    raw = index.tobytes()
    content[start:] = raw + np.array([google_crc32c.value(raw)], "<u4").tobytes()
    path.write_bytes(content)
