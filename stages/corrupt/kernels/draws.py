"""Whole numbers of one key, for kernels that scatter objects over an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.kernels.noise import random_words


class Draws:
    """Whole numbers of `key`, each time the same, taken one after another."""

    def __init__(self, key: int, count: int) -> None:
        """Make the first `count` numbers of `key`."""
        self._words = random_words(key, count).copy()
        self._taken = 0

    def between(self, low: int, high: int) -> int:
        """Return the next number, uniform in `low` to `high`, both included.

        It is the high half of the product of a 32-bit word and the number of values: no value is
        more than 2**-32 likelier than another.
        """
        word = int(self._words[self._taken])
        self._taken += 1
        return low + (word * (high - low + 1) >> 32)

    def levels(self, count: int) -> NDArray[np.int64]:
        """Return the next `count` numbers, uniform in 0 to 255."""
        words = self._words[self._taken : self._taken + count]
        self._taken += count
        return (words >> np.uint32(24)).astype(np.int64)
