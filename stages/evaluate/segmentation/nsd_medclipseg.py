"""Normalised surface distance as the code of MedCLIPSeg computes it, for comparison with its paper.

That code (`utils/eval.py` with `utils/SurfaceDice.py`) gives each mask a third axis of one layer
and calls DeepMind's 3-D function with a spacing of 1 and a tolerance of 2 px. The surface of such
a slab is mostly its two flat faces, so the value counts areas, not contours: every corner that
touches the mask is an element, and one that touches the other mask too is at distance 0. It lies
near the Dice of slightly grown masks and far above `nsd`, and says little about boundaries:

============================================================  =====  =====  ==============
mean over real masks                                          dice   nsd    nsd-medclipseg
============================================================  =====  =====  ==============
CHASE_DB1 vessels, second rater beside the first (28)         0.777  0.801  0.938
ISIC 2017 lesions at 512 × 512, moved by 3 px both ways (9)   0.964  0.435  0.991
ISIC 2017 lesions at native size, predicted at 224 × 224 (9)  0.983  0.251  0.990
============================================================  =====  =====  ==============

The last row is what the best possible model of 224 × 224 gets when its masks are enlarged by
nearest neighbour, as that code does. Values of `nsd` and of published tables that were made with
that code are not to be compared.
"""

from __future__ import annotations

import math

import numpy as np

from stages.evaluate.segmentation.contract import Floats, Pair, Score
from stages.evaluate.segmentation.surface import Codes, Surface, codes_of, within

TOLERANCE = 2.0
"""Pixels, whatever the pair's tolerance and spacing."""


def score(pair: Pair) -> Score:
    """Return the share of both slabs' surfaces within 2 px of the other, in [0, 1].

    As in that code two empty masks give 1 whatever the pair's rule, and one empty mask 0.
    """
    if not (pair.predicted_size or pair.reference_size):
        return Score(1.0, 0)
    first, second = (_faces(codes) for codes in codes_of(pair.predicted, pair.reference))
    near = within(first, second, TOLERANCE, (1.0, 1.0))
    near += within(second, first, TOLERANCE, (1.0, 1.0))
    whole = first.counts() + second.counts()
    # Both faces of a slab have the same elements at the same distances, so one of them will do.
    return Score(float((near * _AREAS).sum() / (whole * _AREAS).sum()), int(whole.sum()))


def _faces(codes: Codes) -> Surface:
    """Return the elements of one face: corners that touch any pixel of the mask."""
    return Surface(codes, codes > 0)


def _areas() -> Floats:
    """Return the marching-cubes area of one layer's corner by code, (16,), in pixels squared.

    The surface cuts the edges of the unit cube in the middle. One pixel is a triangle of side
    √½; two of a side a rectangle of 1 by √½; three a pentagon; four a square.
    """
    triangle = math.sqrt(3) / 8
    by_size = (0.0, triangle, math.sqrt(0.5), 0.5 + 3 * triangle, 1.0)
    areas = np.array([by_size[code.bit_count()] for code in range(16)])
    areas[[0b0110, 0b1001]] = 2 * triangle
    return areas


_AREAS = _areas()
