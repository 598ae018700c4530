"""Bootstrap resamples of a split: how often each of them holds each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream


@dataclass(frozen=True, eq=False)
class Units:
    """What is resampled: patients where they are known, else single images."""

    word: str
    """`patient` or `image`."""
    count: int
    """How many there are."""
    of_row: NDArray[np.intp]
    """The unit of each sample, (n,), numbered in the order of their names."""

    @classmethod
    def of(cls, ids: Sequence[str], patients: Sequence[str | None] | None) -> Units:
        """Return the units of samples.

        All images of a patient are one unit; an image whose patient is unknown (None or empty) is a
        unit of its own. The order of `ids` does not matter.
        """
        known = patients is not None and any(patients)
        named = patients if patients is not None and known else [None] * len(ids)
        # The prefixes keep a patient and an image of the same name apart.
        names = [
            f"patient {patient}" if patient else f"image {name}"
            for name, patient in zip(ids, named, strict=True)
        ]
        unique, of_row = np.unique(np.array(names, np.str_), return_inverse=True)
        return cls("patient" if known else "image", len(unique), of_row)

    def resampled(self, stream: Stream, number: int) -> NDArray[np.intp]:
        """Return how often resample `number` of a stream holds each sample, (n,).

        It draws as many units as there are, with replacement, and is the same whatever the number
        of resamples.
        """
        drawn = stream.child(number).below(self.count, self.count)
        return np.bincount(drawn, minlength=self.count)[self.of_row]
