"""Posterise: fewer grey levels, as a display of few bits shows them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

from pipeline.manifest import Declared
from pipeline.stream import Stream
from stages.corrupt.kernels.kernel import Images, Kernel, Parameters, Shape, in_runs


class Severity(Declared):
    """Parameters of one severity."""

    bits: Annotated[int, Field(ge=1, le=8)]
    """Bits of each channel that are kept."""


def draw(stream: Stream, severity: Severity, shape: Shape) -> dict[str, int | float | str]:
    """Return ``bits``: nothing is random."""
    return {"bits": severity.bits}


def apply(images: Images, parameters: Parameters, posterised: Images) -> None:
    """Write each image with the lower bits of every value set to 0."""
    lost = 8 - int(parameters["bits"])
    np.left_shift(images >> lost, lost, out=posterised)


KERNEL = Kernel(name="posterise", severity=Severity, draw=draw, apply=in_runs(apply))
