"""From measurements to a verdict: what a published set most resembles, with a scale of chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream

Numbers = NDArray[np.float64]
Verdict: TypeAlias = Literal["most resembles", "cannot tell", "none of them", "rows not aligned"]

ALPHA = 0.01
"""Chance with which a code path is ruled out although it made the sets of a corruption."""
FLIPS = 1999
"""Random sign flips of a test, and resamples of a bootstrap."""
FEWEST_IMAGES = 12
"""Images below which a sign-flip test cannot rule anything out at five severities."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far apart renderings without randomness may be and still be called alike."""

    within_one: float
    """Share of values within 1 grey level from which a code path is not ruled out."""
    mean: float
    """Grey levels of mean absolute difference up to which two are not told apart."""


TOLERANCES = {
    "lossless": Tolerance(within_one=0.999, mean=0.02),
    # One value that differs by 1 before JPEG changes up to 64 after it, some by more than 1.
    "jpeg-85": Tolerance(within_one=0.95, mean=0.2),
}
"""By storage."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How one code path stands to the published images of one set, or of a corruption."""

    label: str
    score: float
    """Mean absolute difference in grey levels, or a distance of which chance gives about 1."""
    ruled_out: bool


def sign_flip_test(differences: Numbers, floors: Numbers, stream: Stream) -> float:
    """Return the p-value of paired differences that should be symmetric about 0.

    Were both images of a pair made by one code path, with independent random numbers, exchanging
    them would change nothing. The statistic is the largest over the measures of the mean
    difference beyond its floor, in units of its root mean square; the p-value is its rank among
    `FLIPS` random exchanges, which allows for the number of measures.

    Parameters
    ----------
    differences : (n, measures) float64
        One row per image; NaN counts as no difference.
    floors : (measures,) float64
        Means up to these do not count.

    Returns
    -------
    p : float
        From 1 / (`FLIPS` + 1) to 1.
    """
    known = np.nan_to_num(differences)
    count = len(known)
    scales = np.sqrt((known * known).mean(axis=0))
    scales[scales == 0.0] = np.inf
    words = stream.words(FLIPS * count).reshape(FLIPS, count)
    signs = np.concatenate([np.ones((1, count)), (words & np.uint64(1)) * 2.0 - 1.0])
    means = np.abs(signs @ known) / count
    largest = (np.maximum(0.0, means - floors) / scales).max(axis=1)
    return float(np.count_nonzero(largest >= largest[0] * (1 - 1e-12)) / len(largest))


def distance(differences: Numbers, chance: Numbers, floors: Numbers) -> float:
    """Return the root mean square over measures of mean differences in units of chance.

    Parameters
    ----------
    differences : (n, measures) float64
        Published minus rendered.
    chance : (measures,) float64
        Root mean square of the differences between two renderings by one code path.
    """
    measured = ~np.isnan(differences).all(axis=0)
    if not measured.any():
        return 0.0
    means = np.nanmean(differences[:, measured], axis=0)
    units = np.maximum(chance / np.sqrt(len(differences)), floors)[measured]
    return float(np.sqrt(np.mean((means / units) ** 2)))


def not_farther(nearest: Numbers, other: Numbers, tolerance: Tolerance, stream: Stream) -> bool:
    """Return whether `other` may be as near as `nearest`: (n,) pixel differences of each image.

    By a bootstrap over images of the mean paired difference, one-sided at `ALPHA`.
    """
    beyond = other - nearest
    if beyond.mean() <= tolerance.mean:
        return True
    rows = stream.below(len(beyond), FLIPS * len(beyond)).reshape(FLIPS, -1)
    return bool(np.quantile(beyond[rows].mean(axis=1), ALPHA) <= 0.0)


def judge(
    standings: list[Standing], alike: dict[tuple[str, str], bool]
) -> tuple[Verdict, list[str], list[Standing]]:
    """Return the verdict, the code paths it names, and all standings, best first.

    Parameters
    ----------
    standings : list of Standing
    alike : dict
        Whether two code paths, by label, render what cannot be told apart.

    Returns
    -------
    verdict : str
        ``most resembles`` if all that are left render alike, ``cannot tell`` if they differ,
        ``none of them`` if none is left.
    labels : list of str
        Those left, best first; the nearest for ``none of them``.
    """
    ranked = sorted(standings, key=lambda one: (one.ruled_out, one.score))
    if not ranked:
        return "none of them", [], []
    left = [one.label for one in ranked if not one.ruled_out]
    if not left:
        return "none of them", [ranked[0].label], ranked
    same = all(alike.get((left[0], one), False) for one in left[1:])
    return ("most resembles" if same else "cannot tell"), left, ranked
