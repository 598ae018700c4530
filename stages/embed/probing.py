"""The determinism probe: a few inputs of a unit are embedded once more, in another place.

A model computes whole batches, so where the last batch of a unit has room the probe costs nothing.
Else it costs a batch of its own, which the first unit of a process spends and after it one in
`_EVERY` batches; a unit that comes between has none, and says so.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import NonDeterminismError
from pipeline.stream import Stream

if TYPE_CHECKING:
    from pipeline.unit import Unit, UnitWriter

PROBE_ROWS: Final = 4
"""Most inputs of a unit that are embedded twice."""
_EVERY: Final = 64
"""Batches of a model for one that only probes, and inputs of a formula for one embedded twice."""
_DRAWN: Final = 8 * PROBE_ROWS
"""Candidates, of which some may be the same or stand in the same place of a batch."""


class Probing:
    """What an encoder has been probed for in this process, as units may run at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since = _EVERY

    def inputs(self, unit: Unit, count: int, batch: int, at_once: int) -> list[int]:
        """Return which of a unit's inputs are to be embedded once more, after all others.

        Parameters
        ----------
        unit : Unit
            Keys the sample: it is the same for every build.
        count : int
            Inputs of the unit.
        batch : int
            Inputs that are always computed together, padded if need be; 0 where each is alone.
        at_once : int
            Inputs that the encoder is given in one call; batches begin anew with each.

        Returns
        -------
        list of int
            Positions in `0..count`; no input is to stand in the place of a batch that it had.
        """
        if not count:
            return []
        last = (count - 1) % at_once + 1
        wanted = min(count, self._wanted(count, last, batch))
        drawn = Stream.of("probe", unit.recipe.key, unit.shard).below(count, _DRAWN)
        chosen: list[int] = []
        for position in dict.fromkeys(map(int, drawn)):
            place = last + len(chosen)
            moved = batch < 2 or (position % at_once - place) % batch != 0
            if moved and len(chosen) < wanted:
                chosen.append(position)
        return chosen

    def _wanted(self, count: int, last: int, batch: int) -> int:
        if not batch:
            return min(PROBE_ROWS, max(1, count // _EVERY))
        if room := -last % batch:
            return min(PROBE_ROWS, room)
        with self._lock:
            self._since += -(-count // batch)
            if self._since < _EVERY:
                return 0
            self._since = 0
        return min(PROBE_ROWS, batch)


def record_probe(
    writer: UnitWriter,
    stored: NDArray[np.floating[Any]],
    again: NDArray[np.floating[Any]],
    names: Sequence[str],
    tolerance: float,
) -> None:
    """Record how many rows were embedded twice, and the largest difference between the two.

    The artifact's attributes get ``probe_rows`` and, where there are any, ``probe_difference``.

    Parameters
    ----------
    stored : ndarray
        `(k, width)`, as they are stored.
    again : ndarray
        `(k, width)`, of the same inputs in another place.
    names : sequence of str
        Of these inputs, for the message.
    tolerance : float
        Largest absolute difference of a component that is allowed.

    Raises
    ------
    NonDeterminismError
        If a component differs by more.
    """
    writer.totals["probe_rows"] = len(stored)
    if not len(stored):
        return
    with np.errstate(over="ignore"):  # infinite is far enough apart
        second = again.astype(stored.dtype).astype(np.float64)
    apart = np.abs(second - stored.astype(np.float64)).max(axis=1)
    apart[np.isnan(apart)] = np.inf
    worst = int(np.argmax(apart))
    difference = float(apart[worst])
    if difference > tolerance:
        message = (
            f"embedding {names[worst]!r} once more in another batch changed it by "
            f"{difference:.2g}, more than {tolerance:g}: the encoder does not repeat itself here; "
            "try --device cpu, --precision float32 or another --batch-size"
        )
        raise NonDeterminismError(message)
    writer.largest["probe_difference"] = difference
