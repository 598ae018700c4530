"""Masks of random objects, and what `fixed` says of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from stages.prompt.measure import measure
from stages.prompt.rule_sets import RULE_SETS
from stages.prompt.wording import word
from stages.prompt.wording.context import Context
from tests.stages.prompt.plain_measures import binary

EIGHT = np.ones((3, 3))


def turned(x, y, angle):
    """Return coordinates along and across a direction."""
    cos, sin = math.cos(angle), math.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def draw_shape(rng, shape):
    """Return one ellipse, rectangle, ring or cloud of noise, which may be cut by the edges."""
    height, width = shape
    y, x = np.mgrid[:height, :width] + 0.5 - rng.uniform(0, shape)[:, None, None]
    angle = rng.uniform(0, math.pi) if rng.random() < 0.7 else 0.0
    along, across = turned(x, y, angle)
    a, b = rng.uniform(0.8, max(1.0, min(shape) / 2), 2)
    radius = (along / a) ** 2 + (across / b) ** 2
    kind = rng.integers(4)
    if kind == 0:
        return radius <= 1
    if kind == 1:
        return (abs(along) <= a) & (abs(across) <= b)
    if kind == 2:
        return (radius <= 1) & (radius > rng.uniform(0.3, 0.8))
    return (radius <= 1) & (rng.random(shape) < rng.uniform(0.05, 0.9))


def drawn(seed, shape, objects):
    """Return ids (0: background) of some shapes drawn over one another; never empty."""
    rng = np.random.default_rng(seed)
    ids = np.zeros(shape, np.uint16)
    for number in range(1, objects + 1):
        ids[draw_shape(rng, shape)] = number
    if not ids.any():
        ids[tuple(rng.integers(0, shape))] = 1
    return ids


SIDES = st.tuples(st.integers(1, 70), st.integers(1, 70)) | st.tuples(
    st.integers(100, 130), st.integers(100, 130)
)
IDS = st.builds(drawn, st.integers(0, 2**32 - 1), SIDES, st.integers(1, 9))
"""Masks of all sides, most not divisible by three; from 100 x 100 on a pixel is a speck."""
SPECKS = np.zeros((120, 150), np.uint16)
"""Two pixels, each below the minimum area: neither is the larger."""
SPECKS[10, 20] = SPECKS[90, 70] = 1


def described(ids, *, instances=False):
    """Return the words of a mask, and the number as counted."""
    record = measured(ids, instances=instances)
    attributes = word(RULE_SETS["fixed"], record, Context("object"))
    return dict(attributes.values), attributes.count


def measured(ids, *, instances=False):
    """Return the record of a mask, by connected components or by ids."""
    ids = np.ascontiguousarray(ids)
    return measure("s", "t", binary(ids), instances=ids if instances else None)
