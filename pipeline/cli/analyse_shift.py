"""``pipeline analyse shift``: how far embeddings move under corruption, from sealed ones alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.choices import corruption_of
from pipeline.cli.embedded_sets import EmbeddedGroup, Pair, Selection, embedded_groups
from pipeline.cli.output import (
    SYNTHETIC,
    print_json,
    print_table,
    say,
    write_files,
)
from pipeline.cli.progress import RunProgress
from pipeline.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pipeline.cli.study import Study
    from stages.analyse.shift import Shift
    from stages.analyse.shift_tables import EmbeddedSet, ProjectedSets, ShiftedSet

LEGEND = """\
cosine: mean cosine distance of a corrupted embedding from its clean one [95 % interval]
Fréchet: distance of the two sets, squared as in FID (of two halves of the clean split)
kept: share of the nearest clean neighbours of an image that its corrupted version keeps
top-1: share of corrupted images to which no clean image is nearer than their own
AUROC: corrupted told from clean by a larger distance to the nearest clean image but its own"""


@dataclass(frozen=True)
class Drawn:
    """How embeddings are projected."""

    method: str
    """Of `stages.analyse.projection.METHODS`."""
    points: int
    """Most points of one projection."""

    @classmethod
    def asked(cls, method: str | None, points: int | None) -> Drawn:
        """Return what options ask for, or what is usual; refuse an unknown method."""
        from stages.analyse.projection import METHODS, POINTS, require_method

        if method is not None:
            require_method(method)
        return cls(method or METHODS[0], points or POINTS)


def analyse_shift(
    study: Study, chosen: Selection, drawn: Drawn, out: Path, workers: int, *, as_json: bool
) -> None:
    """Measure every selected set against its clean split, write tables and figures, show both."""
    groups = embedded_groups(study, chosen)
    shifted, projections = measured(study, groups, drawn, workers)
    files = _write(shifted, projections, out)
    _show(shifted, files, as_json=as_json)


def measured(
    study: Study, groups: Sequence[EmbeddedGroup], drawn: Drawn, workers: int
) -> tuple[list[ShiftedSet], list[ProjectedSets]]:
    """Measure and project all groups, several sets at the same time."""
    from pipeline.events import RunFinished, RunStarted, UnitFinished
    from stages.analyse.threads import single_threaded_pool

    # Damaged ones are refused before anything is measured.
    artifacts = [
        study.store.artifact(pair.embeddings.recipe)
        for group in groups
        for pair in (group.clean, *group.sets)
    ]
    display, started = RunProgress(), time.perf_counter()
    count = sum(len(group.sets) for group in groups)
    display(RunStarted(count, sum(one.manifest.nbytes for one in artifacts), workers))
    shifted: list[ShiftedSet] = []
    projections: list[Future[ProjectedSets]] = []

    def measure(group: EmbeddedGroup, pool: ThreadPoolExecutor) -> None:
        split = _Split(study, group)
        if drawn.method != "none":
            projections.append(pool.submit(split.projection, drawn))
        for one in pool.map(split.shifted, group.sets):
            shifted.append(one)
            label = f"{group.encoder}/{group.suite}/{one.set.row}"
            display(UnitFinished(label, 0, one.shift.n, 0, 0.0))

    try:
        with single_threaded_pool(workers, neighbours=drawn.method == "tsne") as pool:
            for group in groups:
                measure(group, pool)
            planes = [future.result() for future in projections]
        display(RunFinished(count, 0, time.perf_counter() - started))
    finally:
        display.close()
    return shifted, planes


class _Split:
    """A clean split as one encoder sees it, read and prepared once for all its sets."""

    def __init__(self, study: Study, group: EmbeddedGroup) -> None:
        from stages.analyse.resampling import Resamples
        from stages.analyse.shift import Clean, present

        self._store = study.store
        self._group = group
        self._ids, self._clean = self._read(group.clean)
        self._present = present(self._clean)
        self._resamples = Resamples.draw(
            group.dataset, group.split, self._ids, self._patients(study)
        )
        self._require_pairs(group.clean, int(self._present.sum()))
        self._reference = Clean(self._clean[self._present])
        self._named = self._embedded(group.clean)

    def shifted(self, pair: Pair) -> ShiftedSet:
        """Measure one set."""
        from stages.analyse.shift_tables import ShiftedSet

        return ShiftedSet(self._named, self._embedded(pair), self._shift(pair))

    def _shift(self, pair: Pair) -> Shift:
        import numpy as np

        from stages.analyse.shift import Clean, measure_shift, present

        corrupted = self._corrupted(pair)
        both = self._present & present(corrupted)
        rows = np.flatnonzero(both)
        self._require_pairs(pair, len(rows))
        whole = len(rows) == int(self._present.sum())
        reference = self._reference if whole else Clean(self._clean[rows])
        dropped = len(both) - len(rows)
        return measure_shift(reference, corrupted[rows], self._resamples.of(rows), dropped)

    def projection(self, drawn: Drawn) -> ProjectedSets:
        """Return two coordinates of the clean split and all its sets together."""
        import numpy as np

        from stages.analyse.projection import chosen_rows, projected
        from stages.analyse.shift import present
        from stages.analyse.shift_tables import ProjectedSets

        group = self._group
        usable = self._present.copy()
        for pair in group.sets:
            usable &= present(self._corrupted(pair))
        if not usable.any():
            message = f"{self._named.row}: no image has an embedding in every set to project"
            raise DataError(message)
        versions = 1 + len(group.sets)
        rows = chosen_rows(usable, versions, group.dataset, group.split, drawn.points)
        parts = [self._clean[rows], *(self._corrupted(pair)[rows] for pair in group.sets)]
        plane = projected(parts, drawn.method)
        return ProjectedSets(
            drawn.method,
            (self._named, *(self._embedded(pair) for pair in group.sets)),
            tuple(self._ids[row] for row in rows),
            np.asarray(plane.reshape(versions, len(rows), 2)),
        )

    def _read(self, pair: Pair) -> tuple[list[str], NDArray[np.floating]]:
        artifact = self._store.artifact(pair.embeddings.recipe)
        ids: list[str] = artifact.index(["id"])["id"].to_pylist()
        return ids, artifact.array("embeddings")[:]

    def _corrupted(self, pair: Pair) -> NDArray[np.floating]:
        """Return the embeddings of a set, whose rows must be those of the clean split."""
        ids, embeddings = self._read(pair)
        if ids != self._ids:
            message = f"{pair.embeddings.recipe.label}: its ids are not those of the clean split"
            raise DataError(message)
        return embeddings

    def _patients(self, study: Study) -> list[str | None] | None:
        """Return whose images they are, where the clean split is there and says so."""
        if study.store.sealed(self._group.clean.images.recipe) is None:
            return None
        index = study.store.artifact(self._group.clean.images.recipe).index()
        if "patient_id" not in index.column_names:
            return None
        known = dict(zip(index["id"].to_pylist(), index["patient_id"].to_pylist(), strict=True))
        return [known.get(name) for name in self._ids]

    def _embedded(self, pair: Pair) -> EmbeddedSet:
        from stages.analyse.shift_tables import EmbeddedSet

        group = self._group
        corruption, severity = corruption_of(pair.images)
        return EmbeddedSet(
            encoder=group.encoder,
            suite=group.suite,
            dataset=group.dataset,
            split=group.split,
            corruption=corruption,
            severity=severity,
            synthetic=bool(pair.images.attributes.get("synthetic")),
            content_digest=self._store.artifact(pair.embeddings.recipe).manifest.content_digest,
        )

    def _require_pairs(self, pair: Pair, count: int) -> None:
        if count < 2:
            message = f"{pair.embeddings.recipe.label}: {count} embeddings are too few to compare"
            raise DataError(message)


def _write(
    shifted: Sequence[ShiftedSet], projections: Sequence[ProjectedSets], out: Path
) -> list[Path]:
    """Write tables of all and figures of each suite and encoder; return their paths."""
    from pipeline.tables import encode_table
    from stages.analyse import shift_figures, shift_tables

    made: list[tuple[str, bytes | memoryview]] = [
        ("shift.parquet", encode_table(shift_tables.shift_table(shifted)))
    ]
    if projections:
        table = shift_tables.projection_table(projections)
        made.append(("projection.parquet", encode_table(table)))
    for (suite, encoder), sets in _by_system(shifted):
        picture = shift_figures.curve_figure(suite, encoder, sets)
        made.append((f"{suite}-{encoder}-shift.png", picture))
        planes = [
            p for p in projections if (p.sets[0].suite, p.sets[0].encoder) == (suite, encoder)
        ]
        if planes:
            picture = shift_figures.projection_figure(suite, encoder, planes)
            made.append((f"{suite}-{encoder}-projection.png", picture))
    return write_files(out, {out / name: content for name, content in made})


def _by_system(
    shifted: Sequence[ShiftedSet],
) -> Iterator[tuple[tuple[str, str], list[ShiftedSet]]]:
    found: dict[tuple[str, str], list[ShiftedSet]] = {}
    for one in shifted:
        found.setdefault((one.set.suite, one.set.encoder), []).append(one)
    yield from found.items()


def _show(shifted: Sequence[ShiftedSet], files: Sequence[Path], *, as_json: bool) -> None:
    from stages.analyse.shift_tables import shift_rows

    rows = shift_rows(shifted)
    if as_json:
        print_json("analyse-shift", {"sets": rows, "files": [str(path) for path in files]})
        return
    names = ("encoder", "suite", "dataset", "split", "corruption", "severity", "n")
    headings = (*names, "cosine", "Fréchet", f"kept of {rows[0]['neighbours']}", "top-1", "AUROC")
    print_table(headings, [[*(str(row[name]) for name in names), *_cells(row)] for row in rows])
    say(LEGEND)
    if dropped := sum(row["dropped"] for row in rows):
        say(f"note: {dropped} pairs are left out, for one of the two has no embedding")
    if any(row["synthetic"] for row in rows):
        say(SYNTHETIC)
    for path in files:
        say(f"written: {path}")


def _cells(row: dict[str, Any]) -> list[str]:
    def number(name: str, form: str = ".3f") -> str:
        return "–" if row[name] is None else format(row[name], form)

    def distance(name: str) -> str:
        return number(name, ".3g")

    interval = f"[{distance('cosine_distance_low')}, {distance('cosine_distance_high')}]"
    return [
        f"{distance('cosine_distance')} {interval}",
        f"{distance('frechet_distance')} ({distance('frechet_distance_clean_halves')})",
        number("neighbours_kept"),
        number("top1"),
        number("auroc"),
    ]
