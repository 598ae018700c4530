"""What TGANet's training code measures of a mask, without its augmentation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.prompt.measure.border import border_boxes
from stages.prompt.record import TganetMeasures

SIDE = 256
"""Side that the mask is resized to, pixels."""


def tganet(gray: NDArray[np.uint8]) -> TganetMeasures:
    """Measure a gray mask, resized by OpenCV's default (bilinear) rule as TGANet resizes it.

    Its boxes are those of the pieces of the border that is traced at level 128, in the order of
    their first pixel; of their sizes the last one's stays.

    Parameters
    ----------
    gray : ndarray of uint8 (H, W)
    """
    import cv2

    boxes = border_boxes(cv2.resize(gray, (SIDE, SIDE)))
    if not len(boxes):
        return TganetMeasures(0, 0.0)
    left, top, right, bottom = boxes[-1].tolist()
    return TganetMeasures(len(boxes), (bottom - top) * (right - left) / (SIDE * SIDE))
