"""Whether a living process holds a lock file, asked without making or changing anything."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

# `filelock` can only be asked by taking the lock, for which it makes and writes the file.


def is_held(path: Path) -> bool:
    """Tell whether a process holds the lock of a file; not if there is no such file."""
    try:
        handle = _open(path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or no telling
        return True
    finally:
        os.close(handle)
    return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)  # some network file systems lock nothing less
    except OSError as error:
        if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise
        return os.open(path, os.O_RDONLY)
