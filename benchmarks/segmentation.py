"""Segmentation metrics at 512 × 512 against MONAI, DeepMind's surface-distance and SciPy.

    python -m benchmarks.segmentation

One thread. Masks are one object each (a disc with a wavy border) and the same moved by 3 px.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.timing import in_turn
from pipeline.stream import Stream
from stages.evaluate.segmentation import METRICS, score_mask
from stages.evaluate.segmentation.contract import Pair

SIZE = 512


def main() -> None:
    """Print masks per second and the ratio to each peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    pair = _pair()
    peers = _peers(pair)
    print(f"{'metric':<20} {'masks / s':>10}   peers")
    for name, metric in METRICS.items():
        # A new pair each time: a pair remembers its sizes.
        own = _seconds(lambda metric=metric: metric(_again(pair)), repeats)
        ratios = [
            f"{peer} {_seconds(call, max(1, repeats // 4)) / own:.1f} ×"
            for peer, call in peers.get(name, {}).items()
        ]
        print(f"{name:<20} {1 / own:>10,.0f}   {'; '.join(ratios)}")
    for what, predicted in (("of masks", pair.predicted), ("probabilities", pair.probabilities)):
        seconds = _seconds(
            lambda predicted=predicted: score_mask(predicted, pair.reference), repeats
        )
        print(f"{'all ten, ' + what:<20} {1 / seconds:>10,.0f}")


def _pair() -> Pair:
    rows, columns = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    wave = 12 * np.sin(7 * np.arctan2(rows, columns)) + np.hypot(rows, columns)
    noise = Stream.of("benchmark", "segmentation").uniform(SIZE * SIZE).reshape(SIZE, SIZE)
    sure = (120 - np.roll(wave, (3, 3), axis=(0, 1)) + 4 * noise - 2) / 8
    chances = 1 / (1 + np.exp(-np.clip(sure, -30, 30)))
    return Pair(chances > 0.5, wave < 120, chances, np.minimum(chances, 1 - chances))


def _again(pair: Pair) -> Pair:
    return Pair(pair.predicted, pair.reference, pair.probabilities, pair.uncertainty)


def _peers(pair: Pair) -> dict[str, dict[str, Callable[[], object]]]:
    """Return what else computes each metric, by metric and peer."""
    warnings.simplefilter("ignore")
    import surface_distance
    import torch
    from monai.metrics import compute_dice, compute_iou, compute_surface_dice
    from scipy.stats import spearmanr

    torch.set_num_threads(1)
    maps = [torch.from_numpy(m)[None, None].float() for m in (pair.predicted, pair.reference)]
    errors = np.abs(pair.probabilities - pair.reference)

    def deepmind(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
        found = surface_distance.compute_surface_distances(second, first, (1.0,) * first.ndim)
        return surface_distance.compute_surface_dice_at_tolerance(found, 2.0)

    slabs = pair.predicted[..., None], pair.reference[..., None]
    return {
        "dice": {"MONAI": lambda: compute_dice(*maps)},
        "iou": {"MONAI": lambda: compute_iou(*maps)},
        "nsd": {
            "surface-distance": lambda: deepmind(pair.predicted, pair.reference),
            "MONAI": lambda: compute_surface_dice(
                *maps, [2.0], include_background=True, use_subvoxels=True, spacing=(1.0, 1.0)
            ),
        },
        "nsd-medclipseg": {"surface-distance": lambda: deepmind(*slabs)},
        "spearman": {"SciPy": lambda: spearmanr(pair.uncertainty.ravel(), errors.ravel())},
    }


def _seconds(call: Callable[[], object], repeats: int) -> float:
    """Return the least time of several calls after one to warm up."""
    return min(in_turn([call], repeats)[0])


if __name__ == "__main__":
    main()
