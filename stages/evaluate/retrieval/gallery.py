"""The texts that images are matched with: by design, with whose they are and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError


@dataclass(frozen=True)
class Probe:
    """Texts with one thing changed, each beside the true text of the same target."""

    design: str
    attribute: str
    """What was changed; several are joined by `+`."""
    samples: NDArray[np.int64]
    """Image of each pair."""
    true: NDArray[np.int64]
    changed: NDArray[np.int64]
    """Rows of the texts."""


@dataclass(frozen=True)
class Gallery:
    """The distinct true texts of one design."""

    design: str
    texts: tuple[str, ...]
    rows: NDArray[np.int64]
    """Of each text, a row of the embeddings."""
    owners: NDArray[np.bool_]
    """(images, texts): whether the text is one of the image's."""
    values: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    """By attribute: what it is for the targets that each text describes."""
    own_values: Mapping[str, tuple[frozenset[str], ...]] = field(default_factory=dict)
    """By attribute: what it is for the targets of each image."""

    @cached_property
    def described(self) -> NDArray[np.int64]:
        """The images that have a text of this design."""
        return np.flatnonzero(self.owners.any(axis=1))


def galleries(
    rows: Sequence[Mapping[str, Any]], samples: Sequence[str], attributes: Sequence[str]
) -> list[Gallery]:
    """Return a gallery for each design whose texts are true, in order of appearance.

    Parameters
    ----------
    rows
        Rows of the prompts: `sample`, `prompt`, `text`, `change` and the attributes.
    samples
        Ids of the images.
    attributes
        Names of the attributes that rows have.

    Raises
    ------
    DataError
        If a prompt is of a sample that is none of the images.
    """
    place = _places(samples)
    found: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        if row["text"] is not None and not row["change"]:
            found.setdefault(row["prompt"], {}).setdefault(row["text"], []).append(number)
    return [_gallery(design, texts, rows, place, attributes) for design, texts in found.items()]


def probes(rows: Sequence[Mapping[str, Any]], samples: Sequence[str]) -> list[Probe]:
    """Return a probe for each design whose texts are changed, in order of appearance.

    The true text is the chosen variant of the design that the changed one is named after
    (``p6-size-opposite`` after ``p6``), or of ``original``.
    """
    place = _places(samples)
    true: dict[tuple[str, str, str], int] = {}
    for number, row in enumerate(rows):
        if row["text"] is not None and not row["change"] and row["chosen"]:
            true[row["sample"], row["target"], row["prompt"]] = number
    found: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    for number, row in enumerate(rows):
        if row["text"] is None or not row["change"]:
            continue
        target = (row["sample"], row["target"])
        base = true.get((*target, row["prompt"].partition("-")[0]))
        base = true.get((*target, "original")) if base is None else base
        if base is not None:
            key = (row["prompt"], "+".join(row["changed"]))
            found.setdefault(key, []).append((_placed(place, row["sample"]), base, number))
    return [
        Probe(design, attribute, *np.array(pairs, np.int64).T)
        for (design, attribute), pairs in found.items()
    ]


def _gallery(
    design: str,
    texts: Mapping[str, Sequence[int]],
    rows: Sequence[Mapping[str, Any]],
    place: Mapping[str, int],
    attributes: Sequence[str],
) -> Gallery:
    owners = np.zeros((len(place), len(texts)), np.bool_)
    for column, numbers in enumerate(texts.values()):
        owners[[_placed(place, rows[number]["sample"]) for number in numbers], column] = True
    own: dict[str, list[set[str]]] = {name: [set() for _ in place] for name in attributes}
    for row in (rows[number] for numbers in texts.values() for number in numbers):
        for name in attributes:
            if row[name] is not None:
                own[name][place[row["sample"]]].add(row[name])
    told = {
        name: tuple(
            frozenset(rows[n][name] for n in numbers if rows[n][name] is not None)
            for numbers in texts.values()
        )
        for name in attributes
    }
    told = {name: values for name, values in told.items() if any(values)}
    return Gallery(
        design,
        tuple(texts),
        np.array([numbers[0] for numbers in texts.values()], np.int64),
        owners,
        told,
        {name: tuple(map(frozenset, own[name])) for name in told},
    )


def _places(samples: Sequence[str]) -> dict[str, int]:
    return {sample: number for number, sample in enumerate(samples)}


def _placed(place: Mapping[str, int], sample: str) -> int:
    if sample not in place:
        message = f"prompt of sample {sample!r}, which is none of the images"
        raise DataError(message)
    return place[sample]
