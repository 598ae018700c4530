"""The package `imagecorruptions` as it was published, made to run on current libraries.

Version 1.1.2 neither imports nor runs on today's setuptools, NumPy and scikit-image, draws from
NumPy's global state and, for impulse noise, from none that can be seeded. Here its own source is
executed unchanged in a namespace of its own, whose imports lead to stand-ins for the names that
are gone and to a random state that belongs to the call. No installed file, module or global state
is touched, so parity tests and benchmarks may use it beside anything else.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import os
import threading
from functools import lru_cache
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MissingInputError
from pipeline.manifest import require_known
from stages.vocabulary import SEVERITIES

PACKAGE = "imagecorruptions"
CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
    "speckle_noise",
    "gaussian_blur",
    "spatter",
    "saturate",
)
"""Its nineteen corruptions, in its own order."""
SMALLEST_SIDE = 32
"""Smallest side in pixels that it accepts."""

_OF_THREAD = threading.local()


def reference_corrupt(
    image: NDArray[np.uint8], corruption: str, severity: int, *, seed: int
) -> NDArray[np.uint8]:
    """Return what ``imagecorruptions.corrupt`` gives for `image`, always the same for a `seed`.

    Parameters
    ----------
    image : (H, W), (H, W, 1) or (H, W, 3) uint8
        Sides of at least 32 pixels.
    corruption : str
        One of `CORRUPTIONS`.
    severity : int
        1 to 5.
    seed : int
        Seed of every random number, 0 to 2**32 - 1. As after ``numpy.random.seed(seed)``, except
        for impulse noise, which the package draws from elsewhere.

    Returns
    -------
    corrupted : (H, W, 3) uint8

    Raises
    ------
    UsageError
        For an unknown corruption.
    DataError
        For what the package refuses: another dtype or shape, sides below 32, another severity.
    MissingInputError
        If the package is not installed.
    """
    from PIL import Image

    require_known("corruption", corruption, CORRUPTIONS)
    fault = _fault(image, severity)
    if fault:
        raise DataError(fault)
    channels = image if image.ndim == 3 else image[:, :, np.newaxis]
    replicated = np.ascontiguousarray(np.broadcast_to(channels, (*channels.shape[:2], 3)))
    functions, dice = package_namespace()
    dice.throw(seed)
    rendered = functions[corruption](Image.fromarray(replicated), severity)
    return np.uint8(rendered)  # type: ignore[return-value]


class _Dice:
    """The random numbers of one call, under the names of ``numpy.random``."""

    def __init__(self) -> None:
        self.throw(0)

    def throw(self, seed: int) -> None:
        """Start anew from `seed`."""
        self._state = np.random.RandomState(seed)
        self.generator = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._state, name)


class _Renamed:
    """A module some of whose names are others."""

    def __init__(self, module: Any, **names: Any) -> None:  # noqa: ANN401
        self.__dict__.update(names, _module=module)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.__dict__["_module"], name)


def package_namespace() -> tuple[dict[str, Any], _Dice]:
    """Return this thread's execution of the package's source, and its random numbers."""
    if not hasattr(_OF_THREAD, "executed"):
        code, folder = _source()
        dice = _Dice()
        modules = _stand_ins(folder, dice)

        def import_(name: str, *rest: Any) -> Any:  # noqa: ANN401
            return modules[name] if name in modules else builtins.__import__(name, *rest)

        own = vars(builtins) | {"__import__": import_, "print": lambda *_args: None}
        executed: dict[str, Any] = {"__name__": PACKAGE, "__builtins__": own}
        exec(code, executed)  # noqa: S102  # an installed dependency, as an import would do
        _OF_THREAD.executed = executed, dice
    found: tuple[dict[str, Any], _Dice] = _OF_THREAD.executed
    return found


@lru_cache(maxsize=1)
def _source() -> tuple[CodeType, Path]:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        message = f"the reference needs the package {PACKAGE}: pip install {PACKAGE}"
        raise MissingInputError(message)
    path = Path(spec.origin).with_name("corruptions.py")
    return compile(path.read_bytes(), str(path), "exec"), path.parent


def _stand_ins(folder: Path, dice: _Dice) -> dict[str, Any]:
    """Return what the package's imports of vanished or stateful names lead to."""
    import scipy.ndimage
    import skimage
    import skimage.color
    import skimage.filters

    util = importlib.import_module("skimage.util")

    def gaussian(image: NDArray[Any], *args: Any, **options: Any) -> NDArray[Any]:  # noqa: ANN401
        if options.pop("multichannel", False):
            options["channel_axis"] = -1
        blurred: NDArray[Any] = skimage.filters.gaussian(image, *args, **options)
        return blurred

    def random_noise(image: NDArray[Any], **options: Any) -> NDArray[Any]:  # noqa: ANN401
        noisy: NDArray[Any] = util.random_noise(image, rng=dice.generator, **options)
        return noisy

    return {
        "numpy": _Renamed(np, random=dice, float_=np.float64),
        "pkg_resources": SimpleNamespace(
            resource_filename=lambda _package, name: os.fspath(folder / name)
        ),
        "scipy.ndimage.interpolation": scipy.ndimage,
        "skimage": _Renamed(skimage, util=_Renamed(util, random_noise=random_noise)),
        "skimage.filters": _Renamed(skimage.filters, gaussian=gaussian),
    }


def _fault(image: NDArray[np.uint8], severity: int) -> str | None:
    if severity not in SEVERITIES:
        return f"severity must be 1 to 5, not {severity}"
    if (
        image.dtype != np.uint8
        or image.ndim not in (2, 3)
        or image.shape[2:] not in ((), (1,), (3,))
    ):
        return (
            f"image must be uint8 (H, W), (H, W, 1) or (H, W, 3), not {image.dtype} {image.shape}"
        )
    if min(image.shape[:2]) < SMALLEST_SIDE:
        return f"the reference needs at least {SMALLEST_SIDE} pixels a side, not {image.shape[:2]}"
    return None
