"""Clean error, CE, mCE, relative mCE and average accuracy.

Eq. 6 to 8 of the RobustMedCLIP paper, and the relative mCE of Hendrycks and Dietterich (ICLR 2019).

Imam et al., "On the Robustness of Medical Vision-Language Models: Are they Truly
Generalizable?", MIUA 2025, arXiv:2505.15425. Everything here is a fraction or a ratio; the
paper's tables print the same values times 100.

The error of a multi-label task is 1 - the mean over labels of each label's binary accuracy, as
MedMNIST defines accuracy; the balanced ratios use 1 - the mean over labels of balanced accuracy,
the error of MedMNIST-C. The formulas are the same.

The axes are always the same: severities last, corruptions before them, anything else (encoders,
bootstrap resamples) in front.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Values: TypeAlias = NDArray[np.float64] | np.float64
"""An array, or one number where no axis is left."""

SMALLEST_BASELINE_ERROR = 1e-3
"""Mean baseline error below which a ratio says more about chance than about the encoder.

One wrong answer in a thousand: such a denominator rests on a handful of samples, and one sample
more or less would change the ratio by a large factor.
"""

SMALLEST_BASELINE_LOSS = 1e-2
"""Mean error that corruption adds to the baseline below which a relative ratio is undefined.

One image in a hundred: with a thousand images the added error is itself uncertain by about that
much, so below it the ratio may have any size and either sign. MedMNIST-C's own AlexNet errors have
such cases: contrast_up of PneumoniaMNIST lowers its error, that of ChestMNIST adds 0.0036.
"""


def corruption_error(
    error: ArrayLike, baseline_error: ArrayLike, *, smallest: float = SMALLEST_BASELINE_ERROR
) -> Values:
    """Return CE = sum over severities of E, divided by the same sum for the baseline (Eq. 7).

    Parameters
    ----------
    error
        Top-1 errors E = 1 - accuracy (Eq. 6) in [0, 1], shape (..., S) with severities last.
    baseline_error
        Those of the baseline encoder on the same sets, shape (..., S); the leading axes
        broadcast against `error`, the severities must be the same.
    smallest
        Mean baseline error below which the ratio is undefined.

    Returns
    -------
    Ratios of shape (...), 1 where the encoder errs as often as the baseline. NaN where the
    baseline's error is zero or tiny, never infinity; `undefined_ratio` says which those are.

    Raises
    ------
    ValueError
        If the severity axes differ, are empty or missing.
    """
    errors, baselines = _paired(error, baseline_error, axes=1)
    return _ratio(errors.sum(axis=-1), baselines.sum(axis=-1), smallest * errors.shape[-1])


def mean_corruption_error(
    error: ArrayLike, baseline_error: ArrayLike, *, smallest: float = SMALLEST_BASELINE_ERROR
) -> Values:
    """Return mCE, the plain mean of CE over corruptions (Eq. 8).

    Parameters
    ----------
    error
        Top-1 errors in [0, 1], shape (..., C, S) with corruptions before severities.
    baseline_error
        Those of the baseline, shape (..., C, S); the leading axes broadcast.
    smallest
        As in `corruption_error`.

    Returns
    -------
    Ratios of shape (...). NaN where the CE of any corruption is undefined: a mean over the
    others would be a different quantity under the same name.

    Raises
    ------
    ValueError
        If the corruption or severity axes differ, are empty or missing.
    """
    errors, baselines = _paired(error, baseline_error, axes=2)
    ratios = corruption_error(errors, baselines, smallest=smallest)
    return _plain(np.asarray(ratios).mean(axis=-1))


def relative_corruption_error(
    error: ArrayLike,
    clean: ArrayLike,
    baseline_error: ArrayLike,
    baseline_clean: ArrayLike,
    *,
    smallest: float = SMALLEST_BASELINE_LOSS,
) -> Values:
    """Return sum over severities of E - E_clean, divided by the same sum for the baseline.

    Parameters
    ----------
    error, baseline_error
        As in `corruption_error`, shape (..., S).
    clean, baseline_clean
        Errors on the uncorrupted split, shape (...).
    smallest
        Mean of the baseline's E - E_clean below which the ratio is undefined.

    Returns
    -------
    Ratios of shape (...): what corruption costs the encoder over what it costs the baseline,
    below 0 where it helps. NaN where it costs the baseline nothing or hardly anything.

    Raises
    ------
    ValueError
        If the severity axes differ, are empty or missing.
    """
    errors, baselines = _paired(error, baseline_error, axes=1)
    lost = errors.mean(axis=-1) - np.asarray(clean, np.float64)
    baseline_lost = baselines.mean(axis=-1) - np.asarray(baseline_clean, np.float64)
    return _ratio(lost, baseline_lost, smallest)


def relative_mean_corruption_error(
    error: ArrayLike,
    clean: ArrayLike,
    baseline_error: ArrayLike,
    baseline_clean: ArrayLike,
    *,
    smallest: float = SMALLEST_BASELINE_LOSS,
) -> Values:
    """Return relative mCE, the plain mean of relative CE over corruptions, shape (...).

    Errors have shape (..., C, S), clean errors (...). NaN where any corruption's ratio is
    undefined, as in `mean_corruption_error`.

    Raises
    ------
    ValueError
        If the corruption or severity axes differ, are empty or missing.
    """
    errors, baselines = _paired(error, baseline_error, axes=2)
    cleans = (np.asarray(value, np.float64)[..., None] for value in (clean, baseline_clean))
    own, theirs = cleans
    ratios = relative_corruption_error(errors, own, baselines, theirs, smallest=smallest)
    return _plain(np.asarray(ratios).mean(axis=-1))


def harmonic_mean(inside: ArrayLike, outside: ArrayLike) -> Values:
    """Return 2 a b / (a + b) of scores in and out of distribution, shapes (...); 0 if both are 0.

    Here they are the accuracy on the clean split and the average accuracy under corruption: the
    mean is high only where both are.
    """
    a, b = np.broadcast_arrays(np.asarray(inside, np.float64), np.asarray(outside, np.float64))
    mean = np.zeros(a.shape)
    np.divide(2 * a * b, a + b, out=mean, where=(a + b) != 0)
    return _plain(mean)


def clean_error(
    error: ArrayLike, baseline_error: ArrayLike, *, smallest: float = SMALLEST_BASELINE_ERROR
) -> Values:
    """Return the clean error E_clean / E_clean of the baseline, shapes (...).

    NaN where the baseline's clean error is zero or tiny.
    """
    errors, baselines = _paired(error, baseline_error, axes=0)
    return _ratio(errors, baselines, smallest)


def average_accuracy(accuracy: ArrayLike) -> Values:
    """Return the mean over corruptions of the mean over severities.

    Parameters
    ----------
    accuracy
        Accuracies in [0, 1], shape (..., C, S).

    Returns
    -------
    Accuracies of shape (...).

    Raises
    ------
    ValueError
        If an axis is empty or missing.
    """
    values = np.asarray(accuracy, np.float64)
    _require_axes(values, axes=2)
    return _plain(values.mean(axis=-1).mean(axis=-1))


def undefined_ratio(
    baseline_error: ArrayLike, *, smallest: float = SMALLEST_BASELINE_ERROR
) -> NDArray[np.bool_] | np.bool_:
    """Return where `corruption_error` is undefined: True for a zero or tiny baseline error.

    Parameters
    ----------
    baseline_error
        Errors of the baseline, shape (..., S) with severities last; for the clean error give
        the errors a last axis of length 1.
    smallest
        As in `corruption_error`.
    """
    values = np.asarray(baseline_error, np.float64)
    _require_axes(values, axes=1)
    return _too_small(values.sum(axis=-1), smallest * values.shape[-1])


def _paired(
    error: ArrayLike, baseline_error: ArrayLike, axes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as float64, their last `axes` axes being equal rather than broadcast."""
    errors = np.asarray(error, np.float64)
    baselines = np.asarray(baseline_error, np.float64)
    _require_axes(errors, axes)
    _require_axes(baselines, axes)
    inner = slice(errors.ndim - axes, None), slice(baselines.ndim - axes, None)
    if errors.shape[inner[0]] != baselines.shape[inner[1]]:
        message = (
            f"errors of shape {errors.shape} and baseline errors of shape {baselines.shape} "
            "do not cover the same corruptions and severities"
        )
        raise ValueError(message)
    return errors, baselines


def _require_axes(values: NDArray[np.float64], axes: int) -> None:
    named = ("corruption", "severity")[2 - axes :]
    if values.ndim < axes or 0 in values.shape[values.ndim - axes :]:
        message = f"shape {values.shape} lacks a {' and a '.join(named)} axis with entries"
        raise ValueError(message)


def _ratio(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], smallest: float
) -> Values:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    usable = ~_too_small(denominator, smallest)
    ratio = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=ratio, where=usable)
    return _plain(ratio)


def _plain(values: Values) -> Values:
    """Return an array without axes as a plain number."""
    return values if np.ndim(values) else np.float64(values)


def _too_small(denominator: NDArray[np.float64], smallest: float) -> NDArray[np.bool_]:
    # Written so that NaN counts as too small, and zero does even with smallest = 0.
    return ~(denominator >= max(smallest, np.finfo(np.float64).tiny))
