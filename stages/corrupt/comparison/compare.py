"""Compare a folder of published sets with every code path, corruption by corruption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.corrupt.comparison import verdict as rules
from stages.corrupt.comparison.code_paths import JPEG_SUFFIX, CodePath, code_paths, suites_for
from stages.corrupt.comparison.measures import JPEG_GRID
from stages.corrupt.comparison.published import PublishedFolder, PublishedSet
from stages.corrupt.comparison.results import CorruptionResult, PathResult, SetResult
from stages.corrupt.comparison.sampling import (
    FLOORS,
    SampledSet,
    chance_of,
    sample_set,
    shares_one_draw,
)
from stages.corrupt.comparison.verdict import Standing
from stages.corrupt.kernels.kernel import Image, Images
from stages.corrupt.schema import SuiteManifest

ALIGNED = 0.5
"""Share of the images recognised in a rendering that must be recognised in the published set, by
correlating best with the clean image of their own row."""
RECOGNISABLE = 0.3
"""Share recognised in a rendering below which a set says nothing about the order of its rows."""
JPEG_SUSPECTED = 0.01
"""Excess of vanishing coefficients from which JPEG is looked into."""
JPEG_EVIDENT = 0.05
"""Excess that is a JPEG grid even where no code path followed by JPEG comes near."""
_PROBES = 3


@dataclass(frozen=True, slots=True)
class CleanImages:
    """The clean images of the published sets, in the same order."""

    name: str
    shape: tuple[int, int, int, int]
    """(N, H, W, C)."""
    rows: Callable[[Sequence[int]], Images]


@dataclass(frozen=True, slots=True)
class _Job:
    suites: list[SuiteManifest]
    skipped: dict[str, str]
    """Suites that have nothing for these images, with the reason."""
    rows: list[int]
    clean: list[Image]
    stream: Stream


def chosen_rows(count: int, samples: int, seed: int) -> list[int]:
    """Return the rows of a random sample without repetition, in order."""
    words = Stream.of("compare", seed, "rows").words(count)
    return sorted(int(row) for row in np.argsort(words, kind="stable")[:samples])


def compare(
    folder: PublishedFolder,
    clean: CleanImages,
    suites: Sequence[SuiteManifest],
    *,
    dataset: str | None = None,
    samples: int,
    seed: int,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _corruption: None,
) -> list[CorruptionResult]:
    """Return for each corruption of `folder` what it most resembles.

    Parameters
    ----------
    clean : CleanImages
        As many as every set has, of the same size.
    dataset : str, optional
        Id of the dataset without its size, for suites that differ between datasets.
    samples : int
        Images of each set that are rendered and measured; all where there are fewer.
    seed : int
        Chooses the images and every random number.
    workers : int
        Corruptions compared at the same time; changes nothing in the result.
    progress : callable
        Called with each corruption that is finished.

    Raises
    ------
    DataError
        If a set has another number or another size of images than the clean ones.
    """
    for one in folder.sets:
        _check(one, clean)
    rows = chosen_rows(clean.shape[0], samples, seed)
    images = _entering(clean.rows(rows))
    plain, skipped = suites_for(suites, dataset, *clean.shape[1:3])
    job = _Job(plain, skipped, rows, images, Stream.of("compare", seed))
    corruptions = list(dict.fromkeys(one.corruption for one in folder.sets))

    def compared(corruption: str) -> CorruptionResult:
        sets = [one for one in folder.sets if one.corruption == corruption]
        result = _compare_corruption(sorted(sets, key=lambda one: one.severity), job)
        progress(corruption)
        return result

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(compared, corruptions))


def _check(published: PublishedSet, clean: CleanImages) -> None:
    path, shape = published.images.path, published.images.shape
    fault = ""
    if published.count != clean.shape[0]:
        fault = (
            f"{published.count} images at severity {published.severity}, but {clean.shape[0]} "
            "clean ones: the rows do not correspond"
        )
    elif shape[1:3] != clean.shape[1:3]:
        sizes = "{}x{}, but the clean ones {}x{}".format(*shape[1:3], *clean.shape[1:3])
        fault = f"images are {sizes}; give the clean images of that size"
    if fault:
        message = f"{path}: {fault} ({clean.name})"
        raise DataError(message)


def _entering(images: Images) -> list[Image]:
    """Return clean images as they enter a suite: one channel if all of them are gray."""
    if images.shape[3] == 3 and all(
        np.array_equal(images[..., a], images[..., b]) for a, b in pairwise(range(3))
    ):
        images = images[..., :1]
    return [np.ascontiguousarray(image) for image in images]


def _compare_corruption(sets: list[PublishedSet], job: _Job) -> CorruptionResult:
    skipped = dict(job.skipped)
    lossless: list[list[CodePath]] = []
    for one in sets:
        paths, left_out = code_paths(job.suites, one.corruption, one.severity, job.clean[:_PROBES])
        lossless.append(paths)
        skipped |= left_out
    alpha = rules.ALPHA / len(sets)
    results = [
        _compare_set(one, paths, job, alpha) for one, paths in zip(sets, lossless, strict=True)
    ]
    if any(result.jpeg_excess > JPEG_SUSPECTED for result in results):
        results = [
            _compare_set(one, [*paths, *(path.as_jpeg() for path in paths)], job, alpha)
            for one, paths in zip(sets, lossless, strict=True)
        ]
    return _summarised(results, skipped)


def _compare_set(
    published: PublishedSet, paths: list[CodePath], job: _Job, alpha: float
) -> SetResult:
    images = published.rows(job.rows)
    stream = job.stream.child(published.corruption, published.severity)
    measured = sample_set(paths, job.clean, images, stream)
    results = _ranked(measured, stream, alpha)
    excess = 0.0
    lossless = [one for one in results if one.sampled.path.storage == "lossless"]
    if lossless:
        nearest = min(lossless, key=lambda one: one.standing.score).sampled
        excess = float(np.nanmean(nearest.differences[:, JPEG_GRID]))
    return SetResult(published, measured, results, excess)


def _ranked(measured: SampledSet, stream: Stream, alpha: float) -> list[PathResult]:
    """Return how each code path stands: by pixels if none is random, else by statistics."""
    random = any(one.path.random for one in measured.paths)
    chance = chance_of(measured)
    differences = [one.pixels[:, 0] for one in measured.paths]
    best = min(differences, key=np.mean, default=np.zeros(0))
    results = []
    for one in measured.paths:
        label = one.path.label
        p = None
        if one.path.random:
            p = rules.sign_flip_test(one.differences, FLOORS, stream.child("test", label))
            ruled_out = p < alpha
        else:
            tolerance = rules.TOLERANCES[one.path.storage]
            bootstrap = stream.child("bootstrap", label)
            near = rules.not_farther(best, one.pixels[:, 0], tolerance, bootstrap)
            within = float(one.pixels[:, 2].mean())
            ruled_out = within < tolerance.within_one or not (random or near)
        score = float(one.pixels[:, 0].mean())
        if random:
            score = rules.distance(one.differences, chance, FLOORS)
        results.append(PathResult(one, Standing(label, score, ruled_out), p))
    return sorted(results, key=lambda one: (one.standing.ruled_out, one.standing.score))


def _summarised(results: list[SetResult], skipped: dict[str, str]) -> CorruptionResult:
    """Return a corruption's result: a name is ruled out as soon as one severity rules it out."""
    standings = _by_name(results)
    alike: dict[tuple[str, str], bool] = {}
    for one in standings:
        for other in standings:
            alike[one.label, other.label] = all(
                _alike(result, one.label, other.label) for result in results
            )
    verdict, resembles, ranked = rules.judge(standings, alike)
    random = any(one.sampled.path.random for result in results for one in result.paths)
    one_draw = any(_shares_one_draw(result) for result in results)
    too_few = random and len(results[0].measured.published) < rules.FEWEST_IMAGES
    if not all(_aligned(result) for result in results):
        verdict, resembles = "rows not aligned", []
    elif one_draw or (too_few and verdict == "most resembles"):
        verdict = "cannot tell"
    return CorruptionResult(
        results[0].published.corruption,
        verdict,
        resembles,
        ranked,
        "chance" if random else "grey levels",
        _jpeg_grid(results, ranked),
        one_draw,
        results,
        skipped,
    )


def _aligned(result: SetResult) -> bool:
    expected = result.measured.own_row_expected
    return expected < RECOGNISABLE or result.measured.own_row_nearest >= ALIGNED * expected


def _shares_one_draw(result: SetResult) -> bool:
    """Return what the code path with the best score says of the published images."""
    best = min(result.paths, key=lambda one: one.standing.score, default=None)
    return best is not None and shares_one_draw(result.measured, best.sampled)


def _jpeg_grid(results: list[SetResult], ranked: list[Standing]) -> bool:
    evident = any(result.jpeg_excess > JPEG_EVIDENT for result in results)
    return evident or bool(ranked and ranked[0].label.endswith(JPEG_SUFFIX))


def _names(path: CodePath) -> list[str]:
    stored = JPEG_SUFFIX if path.storage == "jpeg-85" else ""
    return [name + stored for name in path.names]


def _by_name(results: list[SetResult]) -> list[Standing]:
    """Return the mean score of each name that every severity has."""
    found: dict[str, list[Standing]] = {}
    for result in results:
        for one in result.paths:
            for name in _names(one.sampled.path):
                found.setdefault(name, []).append(one.standing)
    return [
        Standing(
            name,
            float(np.mean([one.score for one in standings])),
            any(one.ruled_out for one in standings),
        )
        for name, standings in found.items()
        if len(standings) == len(results)
    ]


def _alike(result: SetResult, one: str, other: str) -> bool:
    label = {name: s.sampled.path.label for s in result.paths for name in _names(s.sampled.path)}
    pair = label[one], label[other]
    return pair[0] == pair[1] or result.measured.alike.get(pair, False)
