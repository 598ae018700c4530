"""The page of a report: what an evaluation found, beside what the store says of its sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cli.evaluation import Evaluation, skipped_lines
from pipeline.cli.report_content import (
    compared,
    few_shot,
    flags,
    in_short,
    retrieval,
    robustness,
    tables,
)
from pipeline.cli.report_provenance import coverage, leaks, overlaps, provenance
from pipeline.cli.report_sets import contact_sheet_section, pixel_sections, shift_section
from pipeline.cli.retrieval import retrieval_nodes
from pipeline.errors import MissingInputError
from stages.evaluate.figures.views import views
from stages.evaluate.notes import condensed
from stages.report.content import Page

if TYPE_CHECKING:
    from stages.report.content import Section


def report_page(found: Evaluation, images: int, workers: int, board: Path | None) -> Page:
    """Return everything a report says of an evaluation that was run.

    Parameters
    ----------
    found : Evaluation
    images : int
        Images of a set that spectra and densities are measured on, at most.
    workers : int
        Sets measured at the same time.
    board : Path, optional
        Folder of a leaderboard to compare with.

    Raises
    ------
    MissingInputError
        If there is no leaderboard in that folder.
    """
    results, summary = found.results(), found.summary()
    study = found.study
    seen = views(results, summary)
    synthetic = sorted(
        {s.system.dataset for s in found.systems if s.images.attributes["synthetic"]}
    )
    resnets = {name for name in _encoders(results) if study.encoder(name).is_resnet}
    sections: list[Section | None] = [
        in_short(seen, found.comparisons(), synthetic=synthetic),
        robustness(seen, resnets),
        few_shot(summary),
        retrieval(_retrieved(found)),
        tables(results, summary),
        None if board is None else compared(board),
        contact_sheet_section(found),
        *pixel_sections(found, images, workers),
        shift_section(found, workers),
        coverage(found),
        flags(
            condensed(found.notes()), skipped_lines(found.skipped), overlaps(found) + leaks(found)
        ),
        provenance(found),
    ]
    names = ", ".join(_encoders(results))
    datasets = ", ".join(dict.fromkeys(row["dataset"] for row in results))
    return Page(
        title="Robustness report",
        subtitle=f"{names} on {datasets}",
        sections=tuple(section for section in sections if section is not None),
        footer="Made by pipeline report from sealed artifacts; every number is in results.parquet, "
        "summary.parquet and the tables folder beside this page.",
    )


def _retrieved(found: Evaluation) -> list[dict[str, Any]]:
    """Return the rows of every retrieval that is sealed."""
    try:
        nodes = retrieval_nodes(found.study, (), (), None, found.bootstrap)
    except MissingInputError:
        return []
    store = found.study.store
    sealed = [store.artifact(node.recipe) for node in nodes if store.sealed(node.recipe)]
    return [row for artifact in sealed for row in artifact.index().to_pylist()]


def _encoders(rows: Iterable[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["encoder"] for row in rows))
