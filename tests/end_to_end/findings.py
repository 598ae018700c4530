"""A multi-label dataset: gray images with bright patches."""

from __future__ import annotations

import numpy as np

from tests.end_to_end.conftest import TinySource

CORNERS = {"north": np.s_[2:10, 8:20], "west": np.s_[8:20, 2:10], "south": np.s_[18:26, 8:20]}
COUNTS = {"train": 96, "val": 8, "test": 48}


class FindingsSource(TinySource):
    """Gray images with any number of three bright patches; a label in eight is wrong."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays of the npz, labels uint8 (N, 3)."""
        rng = np.random.default_rng(11)
        arrays = {}
        for split, count in self.counts.items():
            labels = rng.random((count, 3)) < (0.5, 0.4, 0.3)
            images = rng.integers(40, 120, (count, 28, 28))
            for label, place in enumerate(CORNERS.values()):
                images[labels[:, label], *place] += 60
            arrays[f"{split}_images"] = images.astype(np.uint8)
            arrays[f"{split}_labels"] = (labels ^ (rng.random((count, 3)) < 1 / 8)).astype(np.uint8)
        return arrays

    def declare(self, **fields: str) -> None:
        """Write the manifest."""
        usual = {
            "task": '"multi-label"',
            "classes": '["north", "west", "south"]',
            "prompts": '{clinical = ["light above", "light at the left", "light below"]}',
            "absent_prompts": '{clinical = ["dark above", "dark at the left", "dark below"]}',
        }
        super().declare(**(usual | fields))
