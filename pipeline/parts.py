"""A share of the units of a plan, for schedulers that start the same command many times."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import UsageError
from pipeline.plan import Plan, Step
from pipeline.unit import Node


@dataclass(frozen=True)
class Part:
    """Part `number` of `count`, counted from one.

    Units are dealt by the place of their artifact among the targets and by their shard, never by
    what a store holds or who else runs: whatever the order in which parts begin and end, every unit
    is in exactly one. What a part's units are made from is built by every part that needs it and
    finds it missing, so that none has to wait for one that has not begun.
    """

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Part:
        """Return the part that ``i/n`` names.

        Raises
        ------
        UsageError
            If it is no part.
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        part = cls(int(match[1]), int(match[2])) if match else cls(0, 0)
        if not 1 <= part.number <= part.count:
            message = f"--parts {text}: give i/n with i from 1 to n, such as 1/8"
            raise UsageError(message)
        return part

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def of(self, plan: Plan, targets: Sequence[Node]) -> Plan:
        """Return what of a plan for `targets` is in this part, with the inputs that it needs."""
        places = {key: place for place, key in enumerate(_unique(targets))}
        own: dict[str, Step] = {}
        for step in plan.steps:
            place = places.get(step.node.recipe.key)
            if place is not None and (kept := self._share(step, place)) is not None:
                own[step.node.recipe.key] = kept
        needed = _inputs_of(step.node for step in own.values())
        steps = []
        for step in plan.steps:
            key = step.node.recipe.key
            if key in needed:
                steps.append(step)
            elif key in own:
                steps.append(own[key])
        return Plan(tuple(steps), plan.sealed)

    def _share(self, step: Step, place: int) -> Step | None:
        """Return what of a step is in this part; None if nothing is."""
        if not step.units:  # all is published, and only the seal is missing
            return step if self._has(place) else None
        units = tuple(unit for unit in step.units if self._has(place + unit.shard))
        return replace(step, units=units) if units else None

    def _has(self, position: int) -> bool:
        return position % self.count == self.number - 1


def _unique(targets: Iterable[Node]) -> Mapping[str, None]:
    return dict.fromkeys(node.recipe.key for node in targets)


def _inputs_of(nodes: Iterable[Node]) -> set[str]:
    """Return the recipe keys of everything that nodes are made from, however far back."""
    found: set[str] = set()
    waiting = list(nodes)
    while waiting:
        for node in waiting.pop().inputs.values():
            if node.recipe.key not in found:
                found.add(node.recipe.key)
                waiting.append(node)
    return found
