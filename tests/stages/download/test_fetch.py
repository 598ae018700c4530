"""Fetching one file: resuming, retrying, mirrors, digests, local sources, placed files."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import blake3
import pytest

from pipeline.errors import (
    DataError,
    HeldError,
    MissingInputError,
    PipelineError,
    StoreError,
    VerificationError,
)
from stages.download.fetch import Patience, fetch
from stages.download.sources import PlacedSource, UrlSource, ZenodoSource

if TYPE_CHECKING:
    from tests.stages.download.conftest import Site

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MIB = 1 << 20
CONTENT = bytes(range(256)) * 20_000
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
BLAKE3 = blake3.blake3(CONTENT).hexdigest()


class Waits(list[float]):
    """A sleep that only notes how long it was to be."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)

    def patience(self, **limits: float) -> Patience:
        """Return short-tempered limits that wait through this object."""
        return Patience(attempts=3, read_timeout=5, sleep=self, now=lambda: 1_000_000_000, **limits)


def url_source(*urls: str, **promise: object) -> UrlSource:
    """Return a source at `urls`, named data.bin, with the given digests."""
    return UrlSource.model_validate({"kind": "url", "urls": urls, "file": "data.bin", **promise})


def names(folder: Path) -> list[str]:
    """Return the names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def interrupted(site: Site, tmp_path: Path, source: UrlSource, page: str = "/data.bin") -> None:
    """Leave the first MiB of `page` as a part, as a killed process would."""
    site.pages[page].cut_after, site.pages[page].cuts = MIB, 1
    with pytest.raises(PipelineError):
        fetch(source, tmp_path, patience=Patience(attempts=1))
    assert (tmp_path / "data.bin.part").stat().st_size == MIB


def test_a_file_is_fetched_digested_and_named_last(site: Site, tmp_path: Path) -> None:
    """The file comes whole, with all three digests, progress, and nothing beside it."""
    site.serve("/data.bin", CONTENT)
    seen: list[tuple[int, int | None]] = []
    source = url_source(f"{site.base}/{{file}}", sha256=SHA256, size_bytes=len(CONTENT))
    fetched = fetch(source, tmp_path / "new", progress=lambda *step: seen.append(step))
    assert fetched.path.read_bytes() == CONTENT
    digests = fetched.digests
    assert (digests.md5, digests.sha256, digests.blake3) == (MD5, SHA256, BLAKE3)
    assert (fetched.size, fetched.origin) == (len(CONTENT), f"{site.base}/data.bin")
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert names(tmp_path / "new") == ["data.bin"]


def test_a_file_that_is_there_is_verified_and_not_fetched(site: Site, tmp_path: Path) -> None:
    """A present file is accepted by digest without a request; a wrong one is reported."""
    page = site.serve("/data.bin", CONTENT)
    source = url_source(f"{site.base}/data.bin", blake3=BLAKE3)
    fetch(source, tmp_path)
    fetch(source, tmp_path)
    assert len(page.requests) == 1
    (tmp_path / "data.bin").write_bytes(b"damaged")
    with pytest.raises(VerificationError, match=f"expected blake3 {BLAKE3}, got .*remove"):
        fetch(source, tmp_path)


def test_a_cut_connection_is_resumed_within_one_call(site: Site, tmp_path: Path) -> None:
    """A transfer cut off twice continues with Range and If-Range, and waits between."""
    page = site.serve("/data.bin", CONTENT, cut_after=2 * MIB, cuts=2)
    waits = Waits()
    fetched = fetch(url_source(f"{site.base}/data.bin"), tmp_path, patience=waits.patience())
    assert fetched.digests.blake3 == BLAKE3
    ranges = [request.get("Range") for request in page.requests]
    assert ranges == [None, "bytes=2097152-", "bytes=4194304-"]
    assert page.requests[1]["If-Range"] == '"first"'
    assert waits == [1.0, 1.0]


def test_a_later_call_resumes_the_part(site: Site, tmp_path: Path) -> None:
    """What a killed process left is continued, and the digest covers all of it."""
    page = site.serve("/data.bin", CONTENT)
    source = url_source(f"{site.base}/data.bin", md5=MD5)
    interrupted(site, tmp_path, source)
    assert fetch(source, tmp_path).digests.sha256 == SHA256
    assert page.requests[-1]["Range"] == "bytes=1048576-"
    assert names(tmp_path) == ["data.bin"]


def test_a_changed_file_starts_over(site: Site, tmp_path: Path) -> None:
    """A part of an older version (another ETag) is dropped, not joined to the new one."""
    page = site.serve("/data.bin", b"old" * 1_000_000)
    source = url_source(f"{site.base}/data.bin")
    interrupted(site, tmp_path, source)
    page.content, page.etag = CONTENT, '"second"'
    assert fetch(source, tmp_path).digests.blake3 == BLAKE3


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_version_or_digest_the_part_is_not_trusted(
    etag: str | None, site: Site, tmp_path: Path
) -> None:
    """Where nothing could tell that the bytes belong together, the transfer starts over."""
    page = site.serve("/data.bin", CONTENT, etag=etag)
    source = url_source(f"{site.base}/data.bin")
    interrupted(site, tmp_path, source)
    assert fetch(source, tmp_path).digests.blake3 == BLAKE3
    assert "Range" not in page.requests[-1]


def test_a_server_without_ranges_starts_over_cleanly(site: Site, tmp_path: Path) -> None:
    """An answer 200 to a Range request replaces the part instead of being appended."""
    page = site.serve("/data.bin", CONTENT)
    source = url_source(f"{site.base}/data.bin", md5=MD5)
    interrupted(site, tmp_path, source)
    page.ranges = False
    assert fetch(source, tmp_path).path.read_bytes() == CONTENT


def test_a_resumption_at_another_place_is_not_joined(site: Site, tmp_path: Path) -> None:
    """A server that resumes elsewhere than asked never gets its bytes appended."""
    page = site.serve("/data.bin", CONTENT)
    source = url_source(f"{site.base}/data.bin")
    interrupted(site, tmp_path, source)
    page.shift = 256
    waits = Waits()
    assert fetch(source, tmp_path, patience=waits.patience()).digests.blake3 == BLAKE3
    assert waits == [0.0]


def test_the_bytes_are_durable_before_the_name(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is fsynced before it is renamed, and its folder after."""
    site.serve("/data.bin", CONTENT)
    synced: list[tuple[str, bool]] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.name, (tmp_path / "data.bin").exists()))
        real(descriptor)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("open files are named by /proc only")
    monkeypatch.setattr(os, "fsync", noted)
    fetch(url_source(f"{site.base}/data.bin"), tmp_path)
    assert synced == [("data.bin.part", False), (tmp_path.name, True)]


def test_a_complete_part_needs_no_more_bytes(site: Site, tmp_path: Path) -> None:
    """A part that was killed just before its renaming is finished by the server's 416."""
    site.serve("/data.bin", CONTENT)
    (tmp_path / "data.bin.part").write_bytes(CONTENT)
    fetched = fetch(url_source(f"{site.base}/data.bin", md5=MD5), tmp_path)
    assert fetched.digests.blake3 == BLAKE3


@pytest.mark.parametrize("left", [b"x" * 1_000, b"x" * (len(CONTENT) + 5)])
def test_a_part_of_something_else_is_replaced(left: bytes, site: Site, tmp_path: Path) -> None:
    """A stale part, shorter or longer, ends in one whole transfer and the right bytes."""
    site.serve("/data.bin", CONTENT)
    (tmp_path / "data.bin.part").write_bytes(left)
    waits = Waits()
    source = url_source(f"{site.base}/data.bin", md5=MD5)
    assert fetch(source, tmp_path, patience=waits.patience()).path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_obeyed(status: int, site: Site, tmp_path: Path) -> None:
    """Seconds and HTTP dates are waited for; without the header the wait doubles."""
    site.serve(
        "/data.bin",
        CONTENT,
        answers=[
            (status, {"Retry-After": "7"}),
            (status, {"Retry-After": "Sun, 09 Sep 2001 01:47:10 GMT"}),
        ],
    )
    waits = Waits()
    fetch(url_source(f"{site.base}/data.bin"), tmp_path, patience=waits.patience())
    assert waits == [7.0, 30.0]
    site.pages["/data.bin"].answers = [(status, {}), (status, {"Retry-After": "soon"})]
    waits.clear()
    fetch(url_source(f"{site.base}/data.bin"), tmp_path / "b", patience=waits.patience())
    assert waits == [1.0, 2.0]


def test_a_too_long_retry_after_ends_the_attempts(site: Site, tmp_path: Path) -> None:
    """A server that asks for more patience than there is, is not waited for."""
    site.serve("/data.bin", CONTENT, answers=[(503, {"Retry-After": "86400"})])
    waits = Waits()
    with pytest.raises(PipelineError, match="asks to wait 86400 s"):
        fetch(url_source(f"{site.base}/data.bin"), tmp_path, patience=waits.patience())
    assert waits == []


def test_retries_are_bounded(site: Site, tmp_path: Path) -> None:
    """A server that always fails is given up with its reason, the count and the way out."""
    site.serve("/data.bin", CONTENT, answers=[(500, {})] * 9)
    waits = Waits()
    with pytest.raises(PipelineError, match=r"HTTP 500 .*after 3 attempts.*--from") as caught:
        fetch(url_source(f"{site.base}/data.bin"), tmp_path, patience=waits.patience())
    assert caught.value.exit_code == 1
    assert waits == [1.0, 2.0]
    assert names(tmp_path) == []


def test_a_truncated_download_leaves_only_a_part(site: Site, tmp_path: Path) -> None:
    """A server that always cuts off ends in one clear line and a part to resume."""
    site.serve("/data.bin", CONTENT, cut_after=1 << 16, cuts=99)
    waits = Waits()
    with pytest.raises(PipelineError, match=r"after 3 attempts.*Run again to continue"):
        fetch(url_source(f"{site.base}/data.bin"), tmp_path, patience=waits.patience())
    assert names(tmp_path) == ["data.bin.part", "data.bin.part.json"]
    assert (tmp_path / "data.bin.part").stat().st_size == 3 << 16


def test_an_unreachable_address_is_one_clear_line(site: Site, tmp_path: Path) -> None:
    """A refused connection is retried and then reported without a library's nesting."""
    waits = Waits()
    with pytest.raises(PipelineError, match="refused") as caught:
        fetch(url_source("http://127.0.0.1:9/data.bin"), tmp_path, patience=waits.patience())
    assert "\n" not in str(caught.value)
    assert len(waits) == 2


def test_mirrors_are_tried_in_order(site: Site, tmp_path: Path) -> None:
    """A missing file and wrong bytes lead on to the next address."""
    site.serve("/b/data.bin", b"wrong")
    site.serve("/c/data.bin", CONTENT)
    urls = [f"{site.base}/{part}/{{file}}" for part in "abc"]
    fetched = fetch(url_source(*urls, md5=MD5), tmp_path)
    assert fetched.origin == f"{site.base}/c/data.bin"
    assert fetched.path.read_bytes() == CONTENT


def test_a_wrong_digest_names_everything_and_keeps_nothing(site: Site, tmp_path: Path) -> None:
    """The error has the file, expected and actual digest, and what to do; no part is left."""
    site.serve("/data.bin", CONTENT)
    wrong = "0" * 32
    with pytest.raises(VerificationError) as caught:
        fetch(url_source(f"{site.base}/data.bin", md5=wrong), tmp_path)
    message = str(caught.value)
    for part in ("data.bin", wrong, MD5, "manifest of your own"):
        assert part in message
    assert caught.value.exit_code == 5
    assert names(tmp_path) == []


def test_a_wrong_length_is_refused_before_the_transfer(site: Site, tmp_path: Path) -> None:
    """A length that differs from the promised size is reported at once."""
    site.serve("/data.bin", CONTENT)
    with pytest.raises(VerificationError, match=r"expected 12 bytes, the server offers 5120000"):
        fetch(url_source(f"{site.base}/data.bin", size_bytes=12), tmp_path)
    assert names(tmp_path) == []


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


def placed() -> PlacedSource:
    """Return a source that needs registration."""
    return PlacedSource(
        kind="placed",
        file="data.bin",
        url="https://example.invalid/register",
        instructions="Sign the agreement.",
        sha256=SHA256,
    )


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


def test_two_processes_never_mix_their_bytes(site: Site, tmp_path: Path) -> None:
    """While another process holds the part, a fetch stops instead of writing into it."""
    site.serve("/data.bin", CONTENT)
    with (tmp_path / "data.bin.part").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(HeldError, match="another process is fetching it"):
            fetch(url_source(f"{site.base}/data.bin"), tmp_path)


def test_an_unwritable_destination_is_a_store_error(tmp_path: Path) -> None:
    """A destination that cannot be made is reported as such."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError):
        fetch(placed(), tmp_path / "file" / "below", local=_shelf(tmp_path))


def _shelf(tmp_path: Path) -> Path:
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / "data.bin").write_bytes(CONTENT)
    return tmp_path / "shelf"


def test_importing_the_module_loads_no_network_client(
    loaded_by: Callable[[str], set[str]],
) -> None:
    """`requests` is loaded by the first download, not by the import."""
    assert "requests" not in loaded_by("stages.download.fetch")
