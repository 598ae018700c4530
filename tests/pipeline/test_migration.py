"""Stores as the previous version wrote them are read, completed and verified.

``stores/previous.zip`` was written by that version: the toy built twice, the second time with a
raised version of the numbers so that there are aliases, and numbers of another seed of which two
of three shards are published.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline import schemas
from pipeline.artifact import MANIFEST
from pipeline.documents import read_document, seal_document
from pipeline.errors import StoreError, VerificationError
from pipeline.events import EventLog, RunFinished
from pipeline.pins import encode_pins, read_pins
from pipeline.plan import make_plan
from pipeline.store import SOURCES_FILE, Store
from pipeline.tables import read_table
from pipeline.verify import verify
from tests.pipeline.toy import Toy, build, digests_of

PREVIOUS = Path(__file__).with_name("stores") / "previous.zip"
pytestmark = pytest.mark.usefixtures("without_fsync")


@pytest.fixture
def previous(tmp_path: Path) -> Path:
    """Return a store that the previous version wrote."""
    with zipfile.ZipFile(PREVIOUS) as archive:
        archive.extractall(tmp_path / "store")
    return tmp_path / "store"


def test_the_files_are_of_the_previous_version(previous: Path) -> None:
    """The store has none of what this version adds, so that reading it says something."""
    record = read_document(next(previous.glob("numbers/toy/0/*/records/00000.json")))
    assert record["schema"] == "medshards/shard/1"
    assert record["schema"] != schemas.RECORD
    assert "totals" not in record
    table = next(previous.glob("numbers/toy/0/*/index/00000.parquet"))
    assert b"schema" not in (pq.read_metadata(table).metadata or {})
    assert "schema" not in (previous / SOURCES_FILE).read_text()


def test_what_was_sealed_is_read_and_verified(previous: Path, built: Path) -> None:
    """Every artifact, alias, pin and record is understood, and its content is the same as now."""
    problems = verify(Store(previous))
    assert {problem.kind for problem in problems} == {"unsealed"}  # the begun numbers
    store = Store.open(previous)
    assert store.pins() == {"files": {"toy": "0" * 64}}
    ours, theirs = digests_of(built), digests_of(previous)
    assert {name: theirs[name][0] for name in ours} == {name: ours[name][0] for name in ours}
    assert make_plan(store, Toy().targets()).steps == ()
    assert make_plan(store, Toy(numbers_version=2).targets()).steps == ()


def test_what_was_begun_is_completed(previous: Path, tmp_path: Path) -> None:
    """Shards of the previous version and of this one are sealed together, as if built at once."""
    numbers = Toy(seed=1).numbers()
    assert Store(previous).records(numbers.recipe) == {0, 1}
    (step,) = make_plan(Store(previous), [numbers]).steps
    assert len(step.units) == 1
    build(previous, [numbers]).raise_failures()
    build(tmp_path / "new", [numbers]).raise_failures()
    old, new = (Store(root).artifact(numbers.recipe) for root in (previous, tmp_path / "new"))
    assert old.manifest.content_digest == new.manifest.content_digest
    assert old.index().equals(new.index())
    assert np.array_equal(old.array("pixels")[:], new.array("pixels")[:])
    assert verify(Store(previous)) == []


def test_a_pin_written_now_keeps_those_from_before(previous: Path) -> None:
    """The file of pins takes this version's form when it is next written, and loses nothing."""
    Store(previous).pin("files", "other", "1" * 64)
    assert Store(previous).pins() == {"files": {"toy": "0" * 64, "other": "1" * 64}}
    assert f'schema = "{schemas.PINS}"' in (previous / SOURCES_FILE).read_text()


@pytest.mark.parametrize("kind", ["manifest", "record", "table", "pins"])
def test_a_newer_version_is_refused_with_what_to_do(
    kind: str, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says which file is of which version; nothing is guessed."""
    folder = Store(copied).folder(Toy().numbers().recipe)
    if kind == "manifest":
        path = folder / MANIFEST
        path.write_bytes(seal_document(read_document(path) | {"schema": "medshards/artifact/9"}))
        with pytest.raises(StoreError, match="medshards/artifact/9"):
            Store(copied).artifact(Toy().numbers().recipe)
    elif kind == "record":
        (folder / MANIFEST).unlink()
        path = folder / "records" / "00000.json"
        path.write_bytes(seal_document(read_document(path) | {"schema": "medshards/shard/9"}))
        with pytest.raises(StoreError, match="medshards/shard/9"):
            build(copied, [Toy().numbers()]).raise_failures()
    elif kind == "table":
        from pipeline import tables

        monkeypatch.setattr(tables, "TABLE", "medshards/table/0")
        with pytest.raises(StoreError, match="medshards/table/1"):
            read_table(folder / "index" / "00000.parquet")
    else:
        (copied / SOURCES_FILE).write_bytes(encode_pins({}, "medshards/pins/9"))
        with pytest.raises(StoreError, match="medshards/pins/9"):
            Store(copied).pins()


def test_changed_pins_are_found_in_either_form(tmp_path: Path) -> None:
    """A digest that somebody edited is damage, whichever version wrote the file."""
    for schema in (None, schemas.PINS):
        path = tmp_path / "sources.toml"
        path.write_bytes(encode_pins({"files": {"a": "0" * 64}}, schema))
        assert read_pins(path) == {"files": {"a": "0" * 64}}
        path.write_bytes(path.read_bytes().replace(b'a = "0', b'a = "1'))
        with pytest.raises(VerificationError, match="checksum"):
            read_pins(path)


def test_every_file_states_its_version(copied: Path, tmp_path: Path) -> None:
    """Documents, tables, pins and logs that are written now name their schema."""
    build(copied, Toy(numbers_version=2).targets()).raise_failures()
    Store(copied).pin("files", "toy", "0" * 64)
    Store(copied).record_damaged({})
    for path in copied.rglob("*.json"):
        document = json.loads(path.read_bytes())
        if path.name != "zarr.json":  # whose version is `zarr_format`
            assert document["schema"].startswith("medshards/"), path
    for path in copied.rglob("*.parquet"):
        assert pq.read_metadata(path).metadata[b"schema"].decode() == schemas.TABLE, path
    assert schemas.PINS in (copied / SOURCES_FILE).read_text()
    log = EventLog(tmp_path / "log.jsonl")
    log(RunFinished(1, 0, 0.5))
    log.close()
    assert json.loads((tmp_path / "log.jsonl").read_text())["schema"] == schemas.LOG
