"""What a plan will take of a file system beside bytes: files, inodes and the longest path."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pipeline.artifact import INDEX, MANIFEST, RECORDS, index_name, record_name
from pipeline.mixed import METADATA
from pipeline.plan import Plan, Step
from pipeline.store import Store

_ARRAY = "images"
"""Artifacts have one array, whatever its name, as far as is known before they are built; a second
one, or plain files, come on top."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a plan will add to a store, by estimate."""

    files: int
    inodes: int
    """Files and folders."""
    longest_path: str
    """The longest of the files' paths; on most systems one may have 4,095 bytes, of which each part
    at most 255."""

    @property
    def longest_bytes(self) -> int:
        """Bytes of the longest path."""
        return len(os.fsencode(self.longest_path))


def footprint(store: Store, plan: Plan) -> Footprint:
    """Return what the steps of a plan will add to a store; a walk over steps, not over units."""
    files = inodes = 0
    longest = (0, "")
    known: set[str] = set()
    for step in plan.steps:
        # Of each unit the shard, its part of the index and its record; then what seals them.
        own = 3 * len(step.units) + 2
        files += own
        inodes += own + 4  # the folder of the artifact, and one for each kind of file
        recipe = step.node.recipe
        above = recipe.label
        while above and above not in known:
            known.add(above)
            inodes += 1
            above = above.rpartition("/")[0]
        path = f"{recipe.label}/{recipe.key}/{_longest_below(step)}"
        longest = max(longest, (len(os.fsencode(path)), path))
    return Footprint(files, inodes, str(store.root.absolute() / longest[1]) if files else "")


def _longest_below(step: Step) -> str:
    last = max(0, step.node.shards - 1)
    shard = f"{_ARRAY}/c.{last}.0.0.0"
    names = f"{INDEX}/{index_name(last)}", f"{RECORDS}/{record_name(last)}", f"{_ARRAY}/{METADATA}"
    return max(MANIFEST, shard, *names, key=len)
