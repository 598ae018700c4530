"""Fetching one file: resuming, retrying, mirrors, digests, local sources, placed files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.errors import HeldError, PipelineError, StoreError, VerificationError
from stages.download.fetch import Patience, fetch
from stages.download.sources import UrlSource
from tests.stages.download.served import (
    BLAKE3,
    CONTENT,
    MD5,
    SHA256,
    names,
    placed,
    shelf,
    url_source,
)

if TYPE_CHECKING:
    from tests.stages.download.conftest import Site

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

MIB = 1 << 20


class Waits(list[float]):
    """Stands for an event that stops waiting; only notes how long each wait was to be."""

    def wait(self, seconds: float) -> None:
        """Wait no time."""
        self.append(seconds)

    def is_set(self) -> bool:
        """Let all go on."""
        return False

    def patience(self, **limits: float) -> Patience:
        """Return short-tempered limits that wait through this object."""
        own: Any = {"stopped": self, "now": lambda: 1_000_000_000}
        return Patience(attempts=3, read_timeout=5, **own, **limits)


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
        fetch(placed(), tmp_path / "file" / "below", local=shelf(tmp_path))


def test_importing_the_module_loads_no_network_client(
    loaded_by: Callable[[str], set[str]],
) -> None:
    """`requests` is loaded by the first download, not by the import."""
    assert "requests" not in loaded_by("stages.download.fetch")
