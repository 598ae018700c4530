"""A remote that means harm: what it names leads nowhere but below its own folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import Document, read_document, seal_document
from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.sharing.names import fault_of_path, split_path
from pipeline.sharing.s3 import S3Remote
from pipeline.store import Store
from tests.faulty_server import faulty_server
from tests.pipeline.sharing.conftest import Lab

pytestmark = [pytest.mark.allow_hosts(["127.0.0.1"]), pytest.mark.usefixtures("without_fsync")]

KEY = "a" * 64
EVIL = [
    f"../outside/x/{KEY}",
    f"numbers/../../x/{KEY}",
    f"/etc/x/{KEY}",
    f"C:/x/{KEY}",
    f"numbers/toy\x00/{KEY}",
    f"numbers/..\\..\\x/{KEY}",
    f"numbers//x/{KEY}",
    f"numbers/./x/{KEY}",
]


@pytest.mark.parametrize("path", EVIL)
def test_a_catalogue_that_leads_outside(published: Path, here: Path, path: str) -> None:
    """A name with .., a root, a drive letter or NUL is refused in one line, and nothing written."""
    document = read_document(published / "catalogue.json")
    document["artifacts"][path] = {"manifest.json": 10}
    (published / "catalogue.json").write_bytes(seal_document(document))
    with (
        faulty_server(published) as server,
        pytest.raises(VerificationError, match=r"^http.*refused: .*leads outside its folder$"),
    ):
        Lab(server.base).pull(here)
    assert not here.exists()


@pytest.mark.parametrize("path", EVIL)
def test_a_listing_that_leads_outside(
    here: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is such a key in the listing of a bucket."""
    monkeypatch.setattr(
        S3Remote,
        "_ask",
        lambda *_, **__: {"Contents": [{"Key": f"{path}/manifest.json", "Size": 9}]},
    )
    monkeypatch.setattr("pipeline.sharing.holdings._check_schema", lambda *_: None)
    with pytest.raises(VerificationError, match="refused: .*leads outside"):
        Lab("s3://bucket").pull(here)


def _renamed(document: Document, old: str, new: str) -> None:
    shard = document["shards"][0]["files"]
    shard[new] = shard.pop(old)


def _evil_manifests() -> dict[str, Callable[[Document], Any]]:
    index = "index/00000.parquet"
    names = {
        "up": "../../../../../evil",
        "absolute": "/tmp/evil",
        "drive": "C:/evil",
        "nul": "index/e\x00vil",
        "manifest": "manifest.json",
        "alias": "alias.json",
        "published": "published.json",
        "record": "records/00000.json",
        "folder": "records",
        "nested": "sums",
    }
    changes: dict[str, Callable[[Document], Any]] = {
        name: lambda document, path=path: _renamed(document, index, path)
        for name, path in names.items()
    }
    changes["elsewhere"] = lambda document: document.update(name="toy/9")
    changes["upwards"] = lambda document: document.update(name="../toy")
    changes["other key"] = lambda document: document.update(recipe_key=KEY)
    changes["bytes"] = lambda d: d["shards"][0]["files"][index].update(bytes=-1)
    changes["huge"] = lambda d: d["shards"][0]["files"][index].update(bytes=2**70)
    changes["digest"] = lambda d: d["shards"][0]["files"][index].update(blake3="../x")
    changes["no shards"] = lambda document: document.update(shards=None)
    return changes


@pytest.mark.parametrize("change", _evil_manifests())
def test_a_manifest_that_leads_outside(published: Path, here: Path, change: str) -> None:
    """A manifest with a valid checksum and names that may not be is refused before any transfer."""
    path = next((published / "sums/toy/0/odd").rglob("manifest.json"))
    document = read_document(path)
    _evil_manifests()[change](document)
    path.write_bytes(seal_document(document))
    with pytest.raises(VerificationError, match=r"manifest\.json: refused: "):
        Lab(str(published)).pull(here)
    assert not here.exists()


def test_what_lies_beside_a_manifest(published: Path, here: Path) -> None:
    """What published.json names is refused unless it is a record or lies flat beside it."""
    path = next((published / "sums/toy/0/odd").rglob("published.json"))
    document = read_document(path)
    entry = document["files"]["SHA256SUMS"]
    for name in ("../x", "/x", "manifest.json", "alias.json", "records/00009.json", "a/b", ""):
        path.write_bytes(seal_document({**document, "files": {name: entry}}))
        with pytest.raises(VerificationError, match=r"published\.json: refused: "):
            Lab(str(published)).pull(here)


@pytest.mark.parametrize("nbytes", [2**50, 2**61])
def test_sizes_that_no_disk_has(published: Path, here: Path, nbytes: int) -> None:
    """A file that is said to be larger than the disk is refused before anything is moved."""
    path = next((published / "sums/toy/0/odd").rglob("manifest.json"))
    document = read_document(path)
    document["shards"][0]["files"]["index/00000.parquet"]["bytes"] = nbytes
    path.write_bytes(seal_document(document))
    path.with_name("published.json").unlink()
    with pytest.raises(
        StoreError, match=rf"bytes free, and the pull would bring {str(nbytes)[:8]}"
    ):
        Lab(str(published)).pull(here)
    assert not list(here.rglob("c.*"))


def test_an_alias_that_leads_outside(published: Path, here: Path) -> None:
    """An alias names a recipe key or is refused."""
    folder = next((published / "sums/toy/0/odd").iterdir()).with_name("b" * 64)
    folder.mkdir()
    alias = {"schema": "medshards/alias/1", "recipe_key": "../../../x"}
    (folder / "alias.json").write_bytes(seal_document(alias))
    with pytest.raises(VerificationError, match=r"alias\.json: refused: .*no recipe key"):
        Lab(str(published)).pull(here)


def test_a_record_of_another_shard(published: Path, here: Path) -> None:
    """A valid record in the place of another is not accepted."""
    records = next((published / "numbers").rglob("records"))
    (records / "00001.json").write_bytes((records / "00000.json").read_bytes())
    with pytest.raises(VerificationError, match=r"00001\.json: is not the record"):
        Lab(str(published)).pull(here, "numbers/toy/0").raise_failures()
    assert not list((here / "numbers").rglob("manifest.json"))


def test_links_out_of_a_shared_folder(published: Path, here: Path, tmp_path: Path) -> None:
    """A link in a shared folder gives away nothing that lies outside it."""
    (tmp_path / "secret").write_text("secret")
    path = next((published / "sums/toy/0/odd").rglob("c.0"))
    path.unlink()
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(PipelineError, match=r"c\.0: a link leads out of the store"):
        Lab(str(published)).pull(here).raise_failures()


@pytest.mark.parametrize("name", ["catalogue.json", "manifest.json"])
def test_documents_without_bound(
    published: Path, here: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that goes on and on is given up, one that nests and nests is refused."""
    path = next(published.rglob(name))
    good = path.read_bytes()
    path.write_text("[" * 100_000)
    with faulty_server(published) as server:
        with pytest.raises(VerificationError, match=r"checksum"):
            Lab(server.base).pull(here)
        monkeypatch.setattr("pipeline.sharing.remote.SMALL", 1000)
        path.write_bytes(good + b" " * 100_000)
        with pytest.raises((VerificationError, StoreError), match="longer than 1000 bytes"):
            Lab(server.base).pull(here)


def test_stages_that_would_meet_the_store_itself(published: Path, here: Path) -> None:
    """What lies in staging, leases or downloads of a remote is no artifact."""
    source = next((published / "sums/toy/0/odd").iterdir())
    for stage in ("staging", "leases", "downloads"):
        (published / stage / "x").mkdir(parents=True)
        source_copy = published / stage / "x" / source.name
        source_copy.mkdir()
        (source_copy / "manifest.json").write_bytes((source / "manifest.json").read_bytes())
    Lab(str(published)).pull(here).raise_failures()
    assert {m.label.partition("/")[0] for m in Store(here).manifests()} == {
        "sources",
        "numbers",
        "sums",
    }


@given(st.text(st.sampled_from("ab./\\:C\x00\n é"), min_size=1, max_size=12))
def test_every_name_is_refused_or_stays_below(text: str) -> None:
    """Whatever a name is made of, it is refused, or its path lies below its folder."""
    root = Path("/store")
    if fault_of_path(text) is None:
        path = Path(f"{root}/{text}")
        assert path.is_relative_to(root)
        assert ".." not in path.parts
        assert json.loads(json.dumps(text)) == text
        split_path(text)
    else:
        with pytest.raises(VerificationError):
            split_path(text)
