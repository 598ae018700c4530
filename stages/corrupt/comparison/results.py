"""What a comparison found, and how it is written down as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.corrupt.comparison.measures import MEASURES
from stages.corrupt.comparison.published import PublishedSet
from stages.corrupt.comparison.sampling import COLUMNS, Sampled, SampledSet, chance_of
from stages.corrupt.comparison.verdict import Standing, Verdict


@dataclass(frozen=True, slots=True)
class PathResult:
    """One code path beside one set."""

    sampled: Sampled
    standing: Standing
    p: float | None
    """Of the sign-flip test; None where nothing is random."""


@dataclass(frozen=True, slots=True)
class SetResult:
    """One published set beside all code paths."""

    published: PublishedSet
    measured: SampledSet
    paths: list[PathResult]
    """Best first."""
    jpeg_excess: float
    """Of the grid signature over that of the nearest lossless code path."""


@dataclass(slots=True)
class CorruptionResult:
    """One corruption over its severities."""

    corruption: str
    verdict: Verdict
    resembles: list[str]
    """Names left by all severities, best first; for ``none of them`` the nearest."""
    standings: list[Standing]
    """By name over all severities, best first."""
    unit: str
    """Of the scores."""
    jpeg: bool
    """Whether the published images carry a JPEG grid that lossless code paths lack."""
    one_draw: bool
    """Whether images of a set share their random numbers, which no test of chance allows for."""
    sets: list[SetResult]
    skipped: dict[str, str] = field(default_factory=dict)


def document(result: CorruptionResult) -> dict[str, Any]:
    """Return everything about a corruption as plain values for JSON."""
    return {
        "corruption": result.corruption,
        "severities": [one.published.severity for one in result.sets],
        "verdict": result.verdict,
        "resembles": result.resembles,
        "unit": result.unit,
        "standings": [
            {"name": one.label, "score": one.score, "ruled_out": one.ruled_out}
            for one in result.standings
        ],
        "jpeg_grid": result.jpeg,
        "one_draw": result.one_draw,
        "skipped": result.skipped,
        "sets": [_set_document(one) for one in result.sets],
    }


def _set_document(one: SetResult) -> dict[str, Any]:
    return {
        "severity": one.published.severity,
        "file": str(one.published.images.path),
        "own_row_nearest": one.measured.own_row_nearest,
        "own_row_nearest_expected": one.measured.own_row_expected,
        "jpeg_excess": one.jpeg_excess,
        "published": _means(tuple(MEASURES), one.measured.published),
        "chance": dict(zip(COLUMNS, chance_of(one.measured).tolist(), strict=True)),
        "code_paths": [_path_document(path) for path in one.paths],
    }


def _path_document(one: PathResult) -> dict[str, Any]:
    mean, largest, within = one.sampled.pixels.T
    return {
        "names": list(one.sampled.path.names),
        "storage": one.sampled.path.storage,
        "random": one.sampled.path.random,
        "score": one.standing.score,
        "p": one.p,
        "ruled_out": one.standing.ruled_out,
        "pixels": {
            "mean": float(mean.mean()),
            "largest": int(largest.max()),
            "share_within_1": float(within.mean()),
        },
        "differences": _means(COLUMNS, one.sampled.differences),
    }


def _means(names: tuple[str, ...], values: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the mean of each column over images; None where it was measured of none."""
    return {
        name: float(np.nanmean(column)) if np.isfinite(column).any() else None
        for name, column in zip(names, values.T, strict=True)
    }
