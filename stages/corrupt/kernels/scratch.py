"""Working memory that each thread keeps between images.

Fresh arrays of this size come from the operating system page by page, which costs more than the
arithmetic done in them and makes threads wait for each other.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

_OF_THREAD = threading.local()


def floats(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return this thread's float32 memory as an array of `shape`, with arbitrary content.

    The next call in the same thread returns the same memory.
    """
    return _memory("floats", int(np.prod(shape)) * 4).view(np.float32).reshape(shape)


def words(count: int) -> NDArray[np.uint32]:
    """Return this thread's uint32 memory as `count` words, with arbitrary content.

    The next call in the same thread returns the same memory.
    """
    return _memory("words", count * 4).view(np.uint32)


def levels(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return this thread's uint8 memory as an array of `shape`, with arbitrary content.

    The next call in the same thread returns the same memory.
    """
    return _memory("levels", int(np.prod(shape))).reshape(shape)


def _memory(name: str, size: int) -> NDArray[np.uint8]:
    """Return the first `size` bytes of the thread's block `name`, which only ever grows."""
    block: NDArray[np.uint8] | None = getattr(_OF_THREAD, name, None)
    if block is None or block.size < size:
        block = np.empty(size, np.uint8)
        setattr(_OF_THREAD, name, block)
    return block[:size]
