"""Random numbers that depend only on an identity: never on order, workers or global state."""

from __future__ import annotations

from dataclasses import dataclass

import blake3
import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json, canonical_json


@dataclass(frozen=True, slots=True)
class Stream:
    """A counter-based random stream (Philox4x64-10, Salmon et al. 2011) of one identity.

    A stream has no position: every method returns the same numbers each time it is called.
    Independent numbers come from `child` streams.

    `numpy.random.Philox` supplies the raw words: NumPy promises that a bit generator's stream
    never changes, and golden tests pin it. NumPy's distributions carry no such promise and are
    not used.
    """

    key: int
    """64-bit key of the generator."""

    @classmethod
    def of(cls, *identity: Json) -> Stream:
        """Return the stream keyed by the blake3 of the canonical JSON of `identity`."""
        digest = blake3.blake3(canonical_json(identity)).digest(8)
        return cls(int.from_bytes(digest, "little"))

    def child(self, *identity: Json) -> Stream:
        """Return the stream of `identity` below this one, independent of it and its siblings."""
        return Stream.of(self.key, *identity)

    def words(self, count: int) -> NDArray[np.uint64]:
        """Return the first `count` 64-bit words."""
        return np.random.Philox(key=self.key).random_raw(count)

    def uniform(self, count: int) -> NDArray[np.float64]:
        """Return the first `count` numbers in [0, 1), multiples of 2**-53, one word each."""
        return (self.words(count) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def below(self, bound: int, count: int) -> NDArray[np.int64]:
        """Return the first `count` integers in [0, bound), by the high half of a product.

        The bias of at most ``bound / 2**32`` is far below anything a study of images can see.
        """
        high = self.words(count) >> np.uint64(32)
        return ((high * np.uint64(bound)) >> np.uint64(32)).astype(np.int64)
