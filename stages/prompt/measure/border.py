"""The border that `find_contours(mask, 128)` traces, drawn into pixels as both papers' code does.

Marching squares put a point between every two neighbours a and b of which one is above 128 and
the other is not, at a's place plus (128 - a) / (b - a); the code drops the fraction. So the point
falls into the left or upper pixel of the two, or into the one that is exactly 128. A point at such
a pixel is drawn only if a line from it leads elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.prompt.measure.runs import Ints, components, framed, grouped

LEVEL = 128
_BELOW, _AT, _ABOVE, _OUTSIDE = range(4)
_CLASSES = np.array([_BELOW] * LEVEL + [_AT] + [_ABOVE] * (255 - LEVEL), np.uint8)


def border_boxes(gray: NDArray[np.uint8]) -> Ints:
    """Return the boxes of the 8-connected pieces of the border that is traced in a gray mask.

    They are left, top, right, bottom, (pieces, 4); right and bottom are outside. Pieces are in the
    order of their first pixel, row by row. An image of one row or column has none: marching squares
    need two.

    Parameters
    ----------
    gray : ndarray of uint8 (H, W)
    """
    import cv2

    high = cv2.threshold(gray, LEVEL - 1, 255, cv2.THRESH_BINARY)[1]
    left, top, width, height = cv2.boundingRect(high)
    if min(gray.shape) < 2 or not width:
        return np.zeros((0, 4), np.int64)
    # A border pixel lies inside or beside what is above.
    left, top, right, bottom = left - 1, top - 1, left + width + 1, top + height + 1
    left, top = max(left, 0), max(top, 0)
    border = framed(_drawn(gray[top:bottom, left:right]))
    labels, count, start, stop, number = components(border, 8)
    if not count:
        return np.zeros((0, 4), np.int64)
    origin = left - 1, top - 1
    return grouped(start, stop, number, count, labels.shape[1], origin).boxes()


def _drawn(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a binary image (0, 1) of the border, of the same shape."""
    import cv2

    side = cv2.LUT(gray, _CLASSES)
    border = np.zeros_like(gray)
    # Only below and above differ by the bit of 2 alone.
    border[:, :-1] = (side[:, :-1] ^ side[:, 1:]) == _ABOVE
    border[:-1] |= (side[:-1] ^ side[1:]) == _ABOVE
    if (side == _AT).any():
        row, column = np.nonzero(side == _AT)
        border[row, column] |= _leads_elsewhere(side, row, column)
    return border


def _leads_elsewhere(side: NDArray[np.uint8], row: Ints, column: Ints) -> NDArray[np.bool_]:
    """Return which pixels of exactly 128 are an end of a line in one of their four squares.

    In a square where the pixel is the only one not above, both ends of the line are at the pixel.
    """
    import cv2

    padded = cv2.copyMakeBorder(side, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=_OUTSIDE)
    row, column = row + 1, column + 1
    ends = np.zeros(len(row), np.bool_)
    for down in (-1, 1):
        for right in (-1, 1):
            beside = padded[row, column + right] == _ABOVE
            below = padded[row + down, column] == _ABOVE
            across = padded[row + down, column + right]
            alone = beside & below & (across == _ABOVE)
            ends |= (beside | below) & ~alone & (across != _OUTSIDE)
    return ends
