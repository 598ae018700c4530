"""What `verify` finds, names and remembers."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.artifact import ALIAS, MANIFEST, Manifest
from pipeline.documents import seal_document
from pipeline.errors import StoreError, VerificationError
from pipeline.shards import CRC_BYTES, SLOT_BYTES
from pipeline.store import LEASES, SOURCES_FILE, STAGING, STORE_FILE, VERIFICATION_FILE, Store
from pipeline.verify import verify
from tests.damage import empty_slot, flip
from tests.pipeline.conftest import REPOSITORY
from tests.pipeline.every_kind import FILES
from tests.pipeline.toy import NUMBERS_SLOTS, Numbers, Toy, build

DOCUMENTS = {STORE_FILE, SOURCES_FILE, VERIFICATION_FILE, MANIFEST, ALIAS, "records"}
"""Files that carry a checksum of themselves, by name or folder."""


@pytest.fixture(scope="module")
def damaged(everything: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy in which one file after another is damaged and put right again."""
    return Path(shutil.copytree(everything, tmp_path_factory.mktemp("damaged") / "store"))


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
    empty_slot(path, item=1, items=NUMBERS_SLOTS)
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
    empty_slot(path, item=2, items=NUMBERS_SLOTS)
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
    content = flip(shard)
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
        flip(next(store_root.glob(FILES[name])))
    problems = verify(Store(store_root))
    assert len(problems) == 4
    assert verify(Store(store_root), workers=4) == problems


def test_a_damaged_store_file_is_refused(store_root: Path) -> None:
    """A store whose own file was changed is not opened."""
    flip(store_root / STORE_FILE)
    with pytest.raises(VerificationError, match="store.json"):
        Store.open(store_root)


def test_damaged_pins_are_refused_and_not_overwritten(store_root: Path) -> None:
    """Pins that were changed are neither used nor lost."""
    flip(store_root / SOURCES_FILE)
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
        flip(next(store_root.glob(FILES["shard"])))
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
