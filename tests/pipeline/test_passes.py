"""One pass over a file finds its digest and every item that is not as promised."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import passes
from pipeline.digest import digest_bytes
from pipeline.passes import Items, Passes, pass_over
from pipeline.stream import Stream


def written(path: Path, sizes: list[int], gap: int, tail: int) -> tuple[bytes, Items]:
    """Write items with gaps between and something after them."""
    total = sum(sizes) + gap * len(sizes) + tail
    data = Stream.of("passes").words(total // 8 + 1).tobytes()[:total]
    path.write_bytes(data)
    digests, start = b"", 0
    for size in sizes:
        digests += bytes.fromhex(digest_bytes(data[start : start + size]))
        start += size + gap
    return data, Items(sizes, gap, digests)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 50), max_size=30),
    gap=st.sampled_from([0, 4]),
    tail=st.integers(0, 40),
    piece=st.sampled_from([1, 16, 100, 1 << 22]),
    wrong=st.integers(0, 5000),
)
def test_every_wrong_item_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sizes: list[int],
    gap: int,
    tail: int,
    piece: int,
    wrong: int,
) -> None:
    """However it is cut into pieces: the file's own digest, and the item of a changed byte."""
    monkeypatch.setattr(passes, "_PIECE", piece)
    path = tmp_path / "file"
    data, items = written(path, sizes, gap, tail)
    found = pass_over(path, items)
    assert (found.size, found.digest, found.differing) == (len(data), digest_bytes(data), ())
    if data:
        wrong %= len(data)
        path.write_bytes(data[:wrong] + bytes([data[wrong] ^ 1]) + data[wrong + 1 :])
        inside, start = [], 0
        for number, size in enumerate(sizes):
            inside += [number] if start <= wrong < start + size else []
            start += size + gap
        changed = pass_over(path, items)
        assert changed.digest != found.digest
        assert list(changed.differing) == inside


def test_a_file_that_ends_early_has_wrong_items(tmp_path: Path) -> None:
    """Items that are cut off do not match, and no memory is taken for what is not there."""
    _, items = written(tmp_path / "file", [10] * 5, 4, 0)
    (tmp_path / "file").write_bytes((tmp_path / "file").read_bytes()[:30])
    assert pass_over(tmp_path / "file", items).differing == (2, 3, 4)


def test_processes_find_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small items are digested in processes where that pays, with the same findings."""
    monkeypatch.setattr(passes, "_WORTH_PROCESSES", 1)
    _, items = written(tmp_path / "file", [10] * 5, 4, 8)
    with Passes(2) as together:
        assert together.over(tmp_path / "file", items) == pass_over(tmp_path / "file", items)
        assert together.over(tmp_path / "file") == pass_over(tmp_path / "file")
