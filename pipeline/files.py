"""Files outside the store that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path


def write_whole(files: Mapping[Path, bytes | memoryview]) -> list[Path]:
    """Write files, none of which appears before the last is complete; return their paths.

    What a link leads to is replaced, not the link; a pipe or a device is written to as it is.

    Raises
    ------
    OSError
        If the file system refuses; no file has changed unless it did so while renaming.
    """
    staged: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            if path.exists() and not path.is_file():
                path.write_bytes(content)
                continue
            final = path.resolve()
            final.parent.mkdir(parents=True, exist_ok=True)
            staged[final] = final.with_name(f".{os.urandom(8).hex()}")
            with staged[final].open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for final, temporary in staged.items():
            temporary.replace(final)
    finally:
        for temporary in staged.values():
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    return list(files)
