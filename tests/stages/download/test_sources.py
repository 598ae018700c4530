"""Where files come from: Zenodo, a local folder, a person who places them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import DataError, MissingInputError, PipelineError, VerificationError
from stages.download.fetch import fetch
from stages.download.sources import ZenodoSource
from tests.stages.download.served import BLAKE3, CONTENT, MD5, SHA256, names, placed, url_source

if TYPE_CHECKING:
    from tests.stages.download.conftest import Site

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])


def zenodo_record(site: Site, entry: dict[str, object]) -> None:
    """Serve a record whose only file is `entry`."""
    site.serve("/api/records/42", json.dumps({"files": [entry]}).encode())
    site.serve("/records/42/files/data.bin", CONTENT)


ZENODO = ZenodoSource(kind="zenodo", record=42, file="data.bin")


@pytest.mark.parametrize(
    "entry",
    [
        {"key": "data.bin", "size": len(CONTENT), "checksum": f"md5:{MD5}"},
        {"filename": "data.bin", "filesize": len(CONTENT), "checksum": MD5},
    ],
)
def test_zenodo_is_asked_for_the_digest(
    entry: dict[str, object], site: Site, tmp_path: Path
) -> None:
    """Without a digest in the manifest, the record's is used and returned for pinning."""
    zenodo_record(site, entry)
    fetched = fetch(ZENODO, tmp_path, zenodo=site.base)
    assert (fetched.promise.md5, fetched.promise.size_bytes) == (MD5, len(CONTENT))
    assert fetched.digests.blake3 == BLAKE3


def test_zenodo_is_not_asked_where_the_digest_is_known(site: Site, tmp_path: Path) -> None:
    """A pinned digest is enough: the record's page is not requested."""
    site.serve("/records/42/files/data.bin", CONTENT)
    pinned = ZENODO.model_copy(update={"blake3": BLAKE3})
    assert fetch(pinned, tmp_path, zenodo=site.base).promise.blake3 == BLAKE3


def test_zenodo_mirrors_follow_zenodo(site: Site, tmp_path: Path) -> None:
    """A mirror gives the file when the record's own address does not."""
    site.serve("/elsewhere/data.bin", CONTENT)
    source = ZENODO.model_copy(update={"md5": MD5, "mirrors": (f"{site.base}/elsewhere/{{file}}",)})
    assert fetch(source, tmp_path, zenodo=site.base).path.read_bytes() == CONTENT


def test_zenodo_faults_are_clear(site: Site, tmp_path: Path) -> None:
    """Wrong bytes, an unknown file, no digest and no record each have their own line."""
    zenodo_record(site, {"key": "data.bin", "size": 1, "checksum": "md5:" + "0" * 32})
    with pytest.raises(VerificationError, match="expected 1 bytes"):
        fetch(ZENODO, tmp_path, zenodo=site.base)
    zenodo_record(site, {"key": "data.bun", "size": 1, "checksum": "md5:" + "0" * 32})
    with pytest.raises(DataError, match="no file 'data.bin'; did you mean 'data.bun'"):
        fetch(ZENODO, tmp_path, zenodo=site.base)
    zenodo_record(site, {"key": "data.bin", "size": 1, "checksum": "crc:12"})
    with pytest.raises(DataError, match="no usable digest"):
        fetch(ZENODO, tmp_path, zenodo=site.base)
    site.pages.clear()
    with pytest.raises(PipelineError, match="HTTP 404"):
        fetch(ZENODO, tmp_path, zenodo=site.base)


@pytest.mark.parametrize("place", ["data.bin", "deep/er/data.bin"])
def test_a_local_folder_replaces_the_network(place: str, tmp_path: Path) -> None:
    """With a local folder the file is found at its top or below, copied and verified."""
    shelf = tmp_path / "shelf"
    (shelf / place).parent.mkdir(parents=True)
    (shelf / place).write_bytes(CONTENT)
    source = url_source("https://example.invalid/data.bin", md5=MD5)
    fetched = fetch(source, tmp_path / "out", local=shelf)
    assert fetched.path.read_bytes() == CONTENT
    assert fetched.origin == str(shelf / place)
    assert names(tmp_path / "out") == ["data.bin"]


def test_a_local_folder_without_the_file_is_clear(tmp_path: Path) -> None:
    """A missing or ambiguous local file is a missing input; a wrong one a mismatch."""
    source = url_source("https://example.invalid/data.bin", md5=MD5)
    with pytest.raises(MissingInputError, match=f"put it there; it must have md5 {MD5}"):
        fetch(source, tmp_path / "out", local=tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "data.bin").write_bytes(b"wrong")
    with pytest.raises(MissingInputError, match="holds 2 files named data.bin"):
        fetch(source, tmp_path / "out", local=tmp_path)
    with pytest.raises(VerificationError, match=f"expected md5 {MD5}"):
        fetch(source, tmp_path / "out", local=tmp_path / "a")
    assert names(tmp_path / "out") == []


def test_file_urls_are_copied(tmp_path: Path) -> None:
    """A file:// address, with escaped characters, is read; a missing one leads on."""
    shelf = tmp_path / "a shelf"
    shelf.mkdir()
    (shelf / "data.bin").write_bytes(CONTENT)
    urls = [f"file://{tmp_path}/none/data.bin", f"{shelf.as_uri()}/{{file}}"]
    fetched = fetch(url_source(*urls, md5=MD5), tmp_path / "out")
    assert fetched.digests.blake3 == BLAKE3
    with pytest.raises(PipelineError, match="No such file"):
        fetch(url_source(urls[0]), tmp_path / "other")


def test_a_placed_file_is_asked_for(tmp_path: Path) -> None:
    """Without the file, the error says where to register, where to place it and its digest."""
    with pytest.raises(MissingInputError) as caught:
        fetch(placed(), tmp_path)
    message = str(caught.value)
    expected = (
        "Sign the agreement",
        "example.invalid/register",
        SHA256,
        str(tmp_path / "data.bin"),
    )
    for part in expected:
        assert part in message
    assert caught.value.exit_code == 4


def test_a_placed_file_is_verified(tmp_path: Path) -> None:
    """A placed file is accepted by digest, refused when it is another."""
    (tmp_path / "data.bin").write_bytes(CONTENT)
    assert fetch(placed(), tmp_path).digests.sha256 == SHA256
    (tmp_path / "data.bin").write_bytes(b"other")
    with pytest.raises(VerificationError, match="expected sha256"):
        fetch(placed(), tmp_path)
