"""Contact sheets of the sets of a study: one sample per split under its corruptions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, cast

from pipeline.cli.choices import corruption_of
from pipeline.errors import DataError
from stages.vocabulary import CLEAN

if TYPE_CHECKING:
    from pipeline.artifact import Artifact
    from pipeline.cli.study import Study
    from pipeline.unit import Node
    from stages.corrupt.kernels.kernel import Image
    from stages.corrupt.preview import Row, Sheet
    from stages.corrupt.stage import Render

USUAL_SEVERITY = 3


def usual_severity(sets: Sequence[Node]) -> int:
    """Return at which severity sheets by dataset are drawn where none is named."""
    severities = {severity for _, severity in map(corruption_of, sets)}
    return USUAL_SEVERITY if USUAL_SEVERITY in severities else max(severities)


def contact_sheets(
    study: Study, sets: Sequence[Node], severity: int
) -> Iterator[tuple[str, Sheet]]:
    """Yield every sheet with the name of its file.

    A sheet per suite shows datasets × corruptions at one severity; one per suite and split shows
    its corruptions × severities. A set that is sealed is read, any other is rendered.
    """
    suites: dict[str, dict[str, dict[tuple[str, int], Node]]] = {}
    for node in sets:
        splits = suites.setdefault(node.recipe.name.partition("/")[0], {})
        found = splits.setdefault(node.inputs["images"].recipe.name, {})
        found[corruption_of(node)] = node
    seed = int(str(sets[0].recipe.parameters["seed"]))
    for suite, grouped in suites.items():
        splits_of = [_Split(study, found) for found in grouped.values()]
        yield f"{suite}-by-dataset.png", _by_dataset(suite, splits_of, severity, seed)
        for split in splits_of:
            name = split.clean.recipe.name.replace("/", "-")
            yield f"{suite}-{name}-by-severity.png", _by_severity(suite, split, seed)


@dataclass(frozen=True)
class _Split:
    """One clean split under one suite, of which the first sample is shown."""

    study: Study
    sets: dict[tuple[str, int], Node]

    @cached_property
    def clean(self) -> Node:
        return next(iter(self.sets.values())).inputs["images"]

    @cached_property
    def image(self) -> Image:
        return _image(self.study.store.artifact(self.clean.recipe), self._first)

    @cached_property
    def sample(self) -> str:
        index = self.study.store.artifact(self.clean.recipe).index(["id"])
        return str(index["id"][self._first].as_py())

    @cached_property
    def _first(self) -> int:
        """Position of the first sample that has an image."""
        artifact = self.study.store.artifact(self.clean.recipe)
        if "images" not in artifact.manifest.mixed:
            return 0
        present = artifact.mixed("images").shapes.all(axis=1)
        if not present.any():
            message = f"{self.clean.recipe.name} has no sample whose image could be read"
            raise DataError(message)
        return int(present.argmax())

    @property
    def corruptions(self) -> list[str]:
        return list(dict.fromkeys(corruption for corruption, _ in self.sets))

    @property
    def labels(self) -> tuple[str, ...]:
        """What is said of the sample beside its tiles."""
        from stages.corrupt.preview import magnification

        height, width, _ = self.image.shape
        factor = magnification(self.image)
        scale = f"shown {factor:.3g} times as large" if factor != 1 else "shown as it is"
        modality = str(self.clean.attributes.get("modality", ""))
        if self.clean.attributes.get("synthetic") and "synthetic" not in modality:
            modality = f"synthetic {modality}".strip()
        lines = (self.clean.recipe.name, modality, f"sample {self.sample}")
        return (*filter(None, lines), f"{height} x {width} pixels", scale)

    def tile(self, corruption: str, severity: int) -> Image | None:
        """Return the sample under a corruption, exactly as its set holds it."""
        node = self.sets.get((corruption, severity))
        if node is None:
            return None
        if self.study.store.sealed(node.recipe):
            return _image(self.study.store.artifact(node.recipe), self._first)
        rendered = cast("Render", node.stage)
        return rendered.one(self.image, self.sample, node.recipe.parameters)


def _by_dataset(suite: str, splits: Sequence[_Split], severity: int, seed: int) -> Sheet:
    from stages.corrupt.preview import Row, Sheet

    held = [c for s in splits for c in s.corruptions if (c, severity) in s.sets]
    corruptions = tuple(dict.fromkeys(held))
    rows = tuple(
        Row(split.labels, (split.image, *(split.tile(name, severity) for name in corruptions)))
        for split in splits
    )
    title = f"{suite}, severity {severity}, seed {seed}"
    return Sheet(title, (CLEAN, *map(_readable, corruptions)), rows)


def _by_severity(suite: str, split: _Split, seed: int) -> Sheet:
    from stages.corrupt.preview import Row, Sheet

    severities = sorted({severity for _, severity in split.sets})

    def row(corruption: str, labels: tuple[str, ...]) -> Row:
        tiles = (split.tile(corruption, severity) for severity in severities)
        return Row((_readable(corruption), *labels), (split.image, *tiles))

    first, *others = split.corruptions
    rows = (row(first, split.labels), *(row(name, ()) for name in others))
    title = f"{suite}, {split.clean.recipe.name}, seed {seed}"
    return Sheet(title, (CLEAN, *(f"severity {number}" for number in severities)), rows)


def _image(artifact: Artifact, row: int) -> Image:
    mixed = "images" in artifact.manifest.mixed
    images = artifact.mixed("images") if mixed else artifact.array("images")
    return cast("Image", images[row])


def _readable(name: str) -> str:
    return name.replace("_", " ")
