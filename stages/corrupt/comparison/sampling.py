"""Measurements of one published set and of what the code paths make of the same clean images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.corrupt.comparison.code_paths import CodePath, with_channels
from stages.corrupt.comparison.measures import MEASURES, Clean, measure, pixel_differences
from stages.corrupt.comparison.verdict import TOLERANCES, sign_flip_test
from stages.corrupt.kernels.kernel import Image, Images

Numbers = NDArray[np.float64]

RENDERINGS = 8
"""Of each image by each random code path, among which the nearest to the published is sought."""
COLUMNS = (*MEASURES, "distance to the nearest rendering")
"""What the columns of differences are."""
FLOORS = np.array([*MEASURES.values(), 0.05])
"""Smallest difference that counts, by column."""
_THINNED_SIDE = 112
_THUMBNAIL = 16
_FEWEST_TO_SHARE = 8


@dataclass(frozen=True, slots=True)
class Renderings:
    """One image by one code path."""

    image: Image
    """The one that stands for the code path."""
    other: Image
    """One more, with other random numbers; the same object where nothing is random."""
    further: tuple[NDArray[np.int16], ...]
    """More of them, thinned out, to look for the nearest."""
    measured: Numbers
    """`COLUMNS` of `image` but the last."""
    measured_other: Numbers


@dataclass(slots=True)
class Sampled:
    """One code path beside the published images, row by row."""

    path: CodePath
    differences: Numbers
    """Published minus rendered, (n, `COLUMNS`)."""
    chance: Numbers
    """One rendering minus another, (n, `COLUMNS`)."""
    pixels: Numbers
    """Mean and largest absolute difference and share within 1 grey level, (n, 3)."""
    nearest: NDArray[np.int64]
    """Which of the further renderings is nearest to the published image, and to the code path's
    own: (n, 2)."""


@dataclass(frozen=True, slots=True)
class SampledSet:
    """A published set beside all code paths."""

    published: Numbers
    """`MEASURES` of the published images, (n, measures)."""
    own_row_nearest: float
    """Share of published images that correlate best with the clean one of their row."""
    own_row_expected: float
    """The least such share of any code path's renderings; 1 where there is none."""
    residuals_recur: float
    """Mean correlation between residuals of neighbouring published images, beyond the highest of
    renderings by any code path."""
    paths: list[Sampled]
    alike: dict[tuple[str, str], bool]
    """Whether two code paths render what cannot be told apart on these images."""


def sample_set(
    paths: Sequence[CodePath], clean: Sequence[Image], published: Images, stream: Stream
) -> SampledSet:
    """Return what is measured of `published` and of renderings of the same `clean` images.

    Parameters
    ----------
    paths : sequence of CodePath
    clean : sequence of n images (H, W, 1) or (H, W, 3)
        As they enter the code paths.
    published : (n, H, W, C) uint8
    stream : Stream
        Of the set; every code path and image has numbers of its own below it.
    """
    count, channels = len(published), published.shape[3]
    measured = np.empty((count, len(MEASURES)))
    shown = max(1, len(paths))
    thumbnails = np.empty((2 + shown, count, _THUMBNAIL**2))
    before: list[NDArray[np.int16]] = []
    recurring = np.zeros((count, 1 + shown))
    empty = (count, len(COLUMNS))
    found = [
        Sampled(
            path, np.zeros(empty), np.zeros(empty), np.zeros((count, 3)), np.zeros((count, 2), int)
        )
        for path in paths
    ]
    between = {
        (one.label, other.label): np.zeros((count, len(COLUMNS)))
        for one in paths
        for other in paths
        if _comparable(one, other)
    }
    for row, (image, target) in enumerate(zip(clean, published, strict=True)):
        view = Clean.of(with_channels(image, channels))
        measured[row] = measure(target, view)
        drawn = [_renderings(path, image, view, stream, row) for path in paths]
        pictured = [one.image for one in drawn] or [image]
        thumbnails[:, row] = [_thumbnail(one) for one in (image, target, *pictured)]
        residuals = [_thinned(one) - _thinned_values(view.pixels) for one in (target, *pictured)]
        if before:
            recurring[row] = [_correlation(*two) for two in zip(residuals, before, strict=True)]
        before = residuals
        for sampled, own in zip(found, drawn, strict=True):
            _compare_row(sampled, own, target, measured[row], row)
        for (one, first), (other, second) in _pairs(paths, drawn):
            between[one.label, other.label][row] = _between(one, first, second)
    alike = {
        key: _are_alike(key, differences, paths, stream) for key, differences in between.items()
    }
    nearest, *expected = (_own_row_nearest(thumbnails[0], one) for one in thumbnails[1:])
    means = recurring[1:].mean(axis=0) if count > 1 else np.zeros(1 + shown)
    recur = float(means[0] - means[1:].max())
    return SampledSet(measured, nearest, min(expected), recur, found, alike)


def chance_of(sampled: SampledSet) -> Numbers:
    """Return by column the root mean square between two renderings, the median of code paths."""
    squares = [
        np.sqrt(np.nanmean(np.nan_to_num(one.chance) ** 2, axis=0))
        for one in sampled.paths
        if one.path.random
    ]
    return np.median(squares, axis=0) if squares else np.zeros(len(COLUMNS))


def shares_one_draw(measured: SampledSet, nearest: Sampled) -> bool:
    """Return whether published images seem to share one draw of random numbers.

    Then neighbours have the same noise; or the same one of the further renderings, which share
    theirs too, is nearest to nearly all of them.

    Parameters
    ----------
    nearest : Sampled
        The code path that comes nearest.
    """
    if not nearest.path.random or len(nearest.nearest) < _FEWEST_TO_SHARE:
        return False
    published, own = (np.bincount(one).max() / len(one) for one in nearest.nearest.T)
    same = published >= 0.8 and published >= own + 0.3
    return bool(same or measured.residuals_recur >= 0.3)


def _own_row_nearest(clean: Numbers, corrupted: Numbers) -> float:
    """Return the share of corrupted thumbnails that correlate best with the clean one beside it.

    Without what all have in common, and whether dark is light. Equal clean images count as the
    same.
    """
    correlations = np.abs(_standardised(corrupted) @ _standardised(clean).T)
    own = np.diagonal(correlations)
    return float(np.mean(own >= correlations.max(axis=1) - 1e-9))


def _comparable(one: CodePath, other: CodePath) -> bool:
    same_kind = one.random == other.random and one.storage == other.storage
    return one is not other and same_kind


def _pairs(
    paths: Sequence[CodePath], drawn: Sequence[Renderings]
) -> Iterator[tuple[tuple[CodePath, Renderings], tuple[CodePath, Renderings]]]:
    both = list(zip(paths, drawn, strict=True))
    for one in both:
        for other in both:
            if _comparable(one[0], other[0]):
                yield one, other


def _renderings(path: CodePath, image: Image, view: Clean, stream: Stream, row: int) -> Renderings:
    channels = view.pixels.shape[2]
    own = stream.child(path.label)

    def rendered(*identity: int | str) -> Image:
        return path.render(image, own.child(*identity), channels)

    first = rendered(row, 0)
    measured = measure(first, view)
    if not path.random:
        return Renderings(first, first, (_thinned(first),), measured, measured)
    second = rendered(row, 1)
    # The same random numbers for all images, by which it shows if the published images share theirs
    further = tuple(_thinned(rendered("further", draw)) for draw in range(RENDERINGS))
    return Renderings(first, second, further, measured, measure(second, view))


def _compare_row(
    sampled: Sampled, own: Renderings, target: Image, measured: Numbers, row: int
) -> None:
    sampled.differences[row, :-1] = measured - own.measured
    sampled.pixels[row] = pixel_differences(target, own.image)
    which_own, at_own = _nearest(own.image, own.further)
    which, at_target = _nearest(target, own.further)
    sampled.nearest[row] = which, which_own
    sampled.differences[row, -1] = at_target - at_own
    if sampled.path.random:
        sampled.chance[row, :-1] = own.measured - own.measured_other
        sampled.chance[row, -1] = at_own - _nearest(own.other, own.further)[1]


def _between(one: CodePath, first: Renderings, second: Renderings) -> Numbers:
    if not one.random:
        return np.full(len(COLUMNS), pixel_differences(first.image, second.image)[0])
    apart = [_nearest(image, first.further)[1] for image in (second.image, first.image)]
    return np.append(second.measured - first.measured, apart[0] - apart[1])


def _are_alike(
    key: tuple[str, str], differences: Numbers, paths: Sequence[CodePath], stream: Stream
) -> bool:
    path = next(path for path in paths if path.label == key[0])
    if not path.random:
        return bool(differences.mean() <= TOLERANCES[path.storage].mean)
    # Ruling out at 5 severities is at a fifth of the level, so a tenth is no stricter here.
    return sign_flip_test(differences, FLOORS, stream.child("alike", *key)) > 0.001


def _nearest(image: Image, further: Sequence[NDArray[np.int16]]) -> tuple[int, float]:
    """Return which of the thinned-out renderings is nearest, and its mean absolute difference."""
    thinned = _thinned(image)
    apart = [float(np.abs(thinned - one).mean()) for one in further]
    which = int(np.argmin(apart))
    return which, apart[which]


def _thinned(image: Image) -> NDArray[np.int16]:
    return _thinned_values(image.astype(np.int16))


def _thinned_values(values: NDArray[np.int16]) -> NDArray[np.int16]:
    step = max(1, min(values.shape[:2]) // _THINNED_SIDE)
    return values[::step, ::step]


def _correlation(first: NDArray[np.int16], second: NDArray[np.int16]) -> float:
    one, other = (values.astype(np.float64) - values.mean() for values in (first, second))
    lengths = np.sqrt((one * one).sum() * (other * other).sum())
    return float((one * other).sum() / lengths) if lengths else 0.0


def _thumbnail(image: Image) -> Numbers:
    """Return the means of 16 x 16 fields of the image, flat."""
    values = image.astype(np.float64).mean(axis=2)
    for axis in (0, 1):
        edges = np.linspace(0, values.shape[axis], _THUMBNAIL, endpoint=False).astype(np.int64)
        widths = np.diff([*edges, values.shape[axis]])
        sums = np.add.reduceat(values, edges, axis=axis)
        values = sums / (widths[:, np.newaxis] if axis == 0 else widths)
    flat: Numbers = values.ravel()
    return flat


def _standardised(thumbnails: Numbers) -> Numbers:
    """Return thumbnails of unit length, each without its mean and without the common part."""
    centred = thumbnails - thumbnails.mean(axis=1, keepdims=True)
    centred /= np.maximum(1e-9, np.linalg.norm(centred, axis=1, keepdims=True))
    if len(centred) > 2:
        centred = centred - centred.mean(axis=0)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True)
    found: Numbers = centred / np.maximum(1e-9, lengths)
    return found
