"""What every export starts from: one prompt of one target, with all that is known of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stages.prompt.attributes import Attributes, Prompt
from stages.prompt.record import FAILED, Record


@dataclass(frozen=True, slots=True)
class PromptRow:
    """One prompt, in one of its variants."""

    sample: str
    """Id of the image."""
    target: str
    """Name of the mask layer."""
    image_name: str
    """Path of the image file below the folder of images."""
    mask_name: str
    """Path of the mask file below the folder of masks."""
    prompt: Prompt
    attributes: Attributes
    record: Record
    split: str
    dataset: str


def of_targets(rows: Iterable[PromptRow]) -> list[list[PromptRow]]:
    """Return the rows of each target that was measured, in the order of their first row."""
    found: dict[tuple[str, str, str, str], list[PromptRow]] = {}
    for row in rows:
        if row.record.status != FAILED:
            found.setdefault(_target(row), []).append(row)
    return list(found.values())


def left_out(rows: Iterable[PromptRow]) -> int:
    """Return how many targets have no place in an export, because nothing was measured of them."""
    return len({_target(row) for row in rows if row.record.status == FAILED})


def of_splits(rows: Iterable[PromptRow]) -> dict[str, list[PromptRow]]:
    """Return the rows of each split, in the order of their first row."""
    found: dict[str, list[PromptRow]] = {}
    for row in rows:
        found.setdefault(row.split, []).append(row)
    return found


def variants(rows: Sequence[PromptRow]) -> dict[str, list[Prompt]]:
    """Return the variants of each prompt of one target by design, in their order."""
    found: dict[str, list[Prompt]] = {}
    for row in rows:
        found.setdefault(row.prompt.design, []).append(row.prompt)
    return {
        design: sorted(prompts, key=lambda one: one.variant) for design, prompts in found.items()
    }


def _target(row: PromptRow) -> tuple[str, str, str, str]:
    return row.dataset, row.split, row.sample, row.target
