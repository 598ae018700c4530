"""Writing files: the same bytes whichever way they reach the disk."""

from __future__ import annotations

import os
from pathlib import Path

import blake3
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.disk import BLOCK, Disk

MEBIBYTE = 1 << 20


def memory(size: int, *, aligned: bool) -> memoryview:
    """Return `size` random bytes at an address that is a multiple of `BLOCK`, or is not."""
    raw = np.random.default_rng(size).integers(0, 256, size + 2 * BLOCK, dtype=np.uint8)
    start = -raw.ctypes.data % BLOCK + (0 if aligned else 1)
    return raw[start : start + size].data


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(
        st.sampled_from((0, 1, BLOCK, MEBIBYTE, MEBIBYTE + 1, MEBIBYTE + BLOCK, 3 * MEBIBYTE - 7)),
        max_size=4,
    ),
    aligned=st.booleans(),
)
def test_any_pieces_are_written_in_order(
    tmp_path: Path, sizes: list[int], *, aligned: bool
) -> None:
    """Large aligned pieces, which go past the page cache, and all others end up in one file."""
    pieces = [memory(size, aligned=aligned) for size in sizes]
    path = tmp_path / "file"
    path.unlink(missing_ok=True)
    size, digest = Disk().write(path, pieces)
    content = b"".join(pieces)
    assert path.read_bytes() == content
    assert (size, digest) == (len(content), blake3.blake3(content).hexdigest())


def test_a_large_aligned_piece_goes_past_the_page_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole blocks of a shard are written directly where the file system can."""
    direct = getattr(os, "O_DIRECT", 0)
    try:
        os.close(os.open(tmp_path / "probe", os.O_CREAT | os.O_WRONLY | direct))
    except OSError:
        pytest.skip("this file system always uses memory")
    if not direct:
        pytest.skip("this system has no direct writes")
    import fcntl

    write, seen = os.write, []

    def watched(file: int, piece: memoryview) -> int:
        seen.append((bool(fcntl.fcntl(file, fcntl.F_GETFL) & direct), len(piece)))
        return write(file, piece)

    monkeypatch.setattr(os, "write", watched)
    Disk().write(tmp_path / "shard", [memory(MEBIBYTE + 5, aligned=True)])
    assert seen == [(True, MEBIBYTE), (False, 5)]


def test_short_writes_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system did not take at once is written next, whole blocks or not."""
    write = os.write
    for most in (BLOCK, 3 * BLOCK, 5000):
        monkeypatch.setattr(
            os, "write", lambda file, piece, most=most: write(file, piece[: max(most, BLOCK)])
        )
        piece = memory(MEBIBYTE + 77, aligned=most != 5000)
        path = tmp_path / f"short-{most}"
        Disk().write(path, [piece])
        assert path.read_bytes() == bytes(piece)


def test_what_was_not_taken_at_once_goes_past_the_page_cache_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it begins at a block; the rest is written as usual."""
    written: list[int | bool] = []
    write = os.write

    def switched(_file: int, *, on: bool) -> bool:
        written.append(on)
        return True

    def short(file: int, piece: memoryview) -> int:
        written.append(write(file, piece[: 64 * BLOCK]))
        return int(written[-1])

    monkeypatch.setattr("pipeline.disk._past_cache", switched)
    monkeypatch.setattr(os, "write", short)
    Disk().write(tmp_path / "shard", [memory(MEBIBYTE + 5, aligned=True)])
    assert written == [True, *[64 * BLOCK] * 4, False, 5]


def test_only_the_first_of_a_name_is_published(tmp_path: Path) -> None:
    """It is said whether it was; what another published before stays as it is."""
    final = tmp_path / "below" / "final"
    for content, first in ((b"one", True), (b"two", False)):
        Disk().write(tmp_path / content.decode(), [content])
        assert Disk().publish(tmp_path / content.decode(), final) is first
        assert final.read_bytes() == b"one"
