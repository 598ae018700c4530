"""Files outside the store: replaced whole, where links lead to, and never a device."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from pipeline.files import write_whole


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    """The link stays; folders are made on the way; nothing else is left."""
    target = tmp_path / "below" / "target"
    (tmp_path / "link").symlink_to(target)
    assert write_whole({tmp_path / "link": b"first"}) == [tmp_path / "link"]
    write_whole({tmp_path / "link": b"second"})
    assert (tmp_path / "link").is_symlink()
    assert target.read_bytes() == b"second"
    assert list(target.parent.iterdir()) == [target]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """As `--out /dev/stdout` asks for: it is no file that could be replaced."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole({pipe: b"content"})
    reader.join(60)
    assert read == [b"content"]
    assert pipe.is_fifo()


def test_one_of_several_that_cannot_be_written(tmp_path: Path) -> None:
    """Then none of the others has changed."""
    (tmp_path / "one").write_bytes(b"before")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole({tmp_path / "one": b"after", tmp_path / "folder": b"after"})
    assert (tmp_path / "one").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "one"]
