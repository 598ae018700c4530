"""From cached embeddings to scores, robustness ratios and tables.

The formulas of the RobustMedCLIP paper are offered here for other people's code::

    from stages.evaluate import corruption_error, mean_corruption_error

Names are loaded when they are first asked for, so importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.evaluate.errors_under_corruption import (
        average_accuracy,
        clean_error,
        corruption_error,
        harmonic_mean,
        mean_corruption_error,
        relative_corruption_error,
        relative_mean_corruption_error,
        undefined_ratio,
    )

__all__ = [
    "average_accuracy",
    "clean_error",
    "corruption_error",
    "harmonic_mean",
    "mean_corruption_error",
    "relative_corruption_error",
    "relative_mean_corruption_error",
    "undefined_ratio",
]


def __getattr__(name: str) -> object:
    if name in __all__:
        module = importlib.import_module("stages.evaluate.errors_under_corruption")
        return getattr(module, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
