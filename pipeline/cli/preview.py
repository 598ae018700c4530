"""``pipeline build corruptions --preview``: contact sheets instead of sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.cli.output import print_json, say, show, written
from pipeline.errors import DataError, UsageError
from pipeline.unit import Node

if TYPE_CHECKING:
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from stages.corrupt.kernels.kernel import Image
    from stages.corrupt.preview import Row, Sheet
    from stages.corrupt.stage import Render

USUAL_SEVERITY = 3
CLEAN = "clean"


def preview(
    study: Study,
    sets: Sequence[Node],
    severity: int | None,
    out: Path,
    resources: Resources,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Draw what `sets` would hold for the first sample of each split, and write it as PNG.

    Only clean splits that are missing are built. A sheet per suite shows datasets × corruptions
    at one severity; one per suite and split shows its corruptions × severities.

    Raises
    ------
    UsageError
        If none of the sets has the severity.
    """
    from pipeline.cli.choices import unique
    from pipeline.cli.execution import execute, show_plan
    from pipeline.plan import make_plan

    severities = sorted({_number(node, "severity") for node in sets})
    if severity is not None and severity not in severities:
        known = ", ".join(map(str, severities))
        message = f"no selected set has severity {severity}; there are: {known}"
        raise UsageError(message)
    chosen = severity or (USUAL_SEVERITY if USUAL_SEVERITY in severities else severities[-1])
    clean = unique(node.inputs["images"] for node in sets)
    plan = make_plan(study.store, clean)
    if dry_run:
        show_plan(study.store, plan, as_json=as_json)
        return
    if plan.steps:
        execute(study.store, plan, resources)
    files = _write(_sheets(study, sets, chosen), out)
    if as_json:
        print_json("preview", {"severity": chosen, "files": files})
        return
    for file in files:
        show(file["path"])


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
        artifact = self.study.store.artifact(self.clean.recipe)
        mixed = "images" in artifact.manifest.mixed
        images = artifact.mixed("images") if mixed else artifact.array("images")
        return cast("Image", images[self._first])

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
        rendered = cast("Render", node.stage)
        return rendered.one(self.image, self.sample, node.recipe.parameters)


def _sheets(study: Study, sets: Sequence[Node], severity: int) -> Iterator[tuple[str, Sheet]]:
    """Yield every sheet with the name of its file."""
    suites: dict[str, dict[str, dict[tuple[str, int], Node]]] = {}
    for node in sets:
        splits = suites.setdefault(node.recipe.name.partition("/")[0], {})
        found = splits.setdefault(node.inputs["images"].recipe.name, {})
        found[str(node.recipe.parameters["corruption"]), _number(node, "severity")] = node
    seed = _number(sets[0], "seed")
    for suite, grouped in suites.items():
        splits_of = [_Split(study, found) for found in grouped.values()]
        yield f"{suite}-by-dataset.png", _by_dataset(suite, splits_of, severity, seed)
        for split in splits_of:
            name = split.clean.recipe.name.replace("/", "-")
            yield f"{suite}-{name}-by-severity.png", _by_severity(suite, split, seed)


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


def _write(sheets: Iterator[tuple[str, Sheet]], out: Path) -> list[dict[str, Any]]:
    from stages.corrupt.preview import encode

    files = []
    for name, sheet in sheets:
        path = out / name
        with written(path):
            out.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode(sheet))
        say(f"{path}: {len(sheet.rows)} rows, {len(sheet.columns)} columns")
        rows = [row.labels[0] for row in sheet.rows]
        files.append({"path": str(path), "rows": rows, "columns": list(sheet.columns)})
    return files


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _number(node: Node, parameter: str) -> int:
    return int(str(node.recipe.parameters[parameter]))
