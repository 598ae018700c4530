"""Road scenes drawn with NumPy: not realistic, but labelled, coloured and of any size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLASSES = ("city-street", "highway", "residential", "parking-lot", "gas-station", "tunnel")
"""Folders of the classes of the shipped manifest road-scenes, in label order."""

_GROUND = {"residential": (96, 140, 70), "highway": (120, 150, 80), "tunnel": (40, 38, 36)}
_ASPHALT, _WALL, _LAMP, _PAINT = (88, 88, 92), (60, 56, 52), (255, 214, 130), (235, 235, 225)


def scene(kind: str, shape: tuple[int, int], index: int) -> NDArray[np.uint8]:
    """Return one scene, uint8 (height, width, 3): sky, ground, a road, and what the kind has.

    Scenes of one kind differ by `index` in texture, in where the road ends, and in its things.
    """
    height, width = shape
    rng = np.random.default_rng([CLASSES.index(kind), index])
    y, x = np.mgrid[0:height, 0:width]
    y, x = y / height, x / width
    horizon, middle = 0.42, rng.uniform(0.44, 0.56)
    image = np.empty((height, width, 3))
    image[:] = np.where((y < horizon)[..., None], (150, 185, 225), _GROUND.get(kind, (128,) * 3))
    spread = {"highway": 1.1, "parking-lot": 2.2}.get(kind, 0.7)
    on_road = (y >= horizon) & (np.abs(x - middle) < spread * (y - horizon) + 0.01)
    image[on_road] = _ASPHALT
    dashes = on_road & (np.abs(x - middle) < 0.02 * (y - horizon) + 0.002) & (y * 24 % 2 < 1)
    image[dashes] = _PAINT
    if kind == "tunnel":
        outside = (x - middle) ** 2 + (y - 0.5) ** 2 < 0.01
        image[(y < horizon) & ~outside] = _WALL
        image[(np.abs(y - 0.3) < 0.02) & (x * 12 % 2 < 0.6) & ~outside] = _LAMP
    else:
        _add_things(image, kind, rng)
    noise = rng.normal(0.0, 4.0, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def _add_things(image: NDArray[np.float64], kind: str, rng: np.random.Generator) -> None:
    """Draw boxes: buildings or houses behind the road, cars on it, pumps under a canopy."""
    height, width, _ = image.shape

    def box(left: float, top: float, right: float, bottom: float, colour: object) -> None:
        rows = slice(int(top * height), int(bottom * height))
        image[rows, int(left * width) : int(right * width)] = colour

    tall = {"city-street": 0.36, "residential": 0.14, "gas-station": 0.08}.get(kind, 0.0)
    for left in np.arange(0.0, 1.0, 0.14) if tall else ():
        box(left, 0.42 - tall * rng.uniform(0.6, 1.0), left + 0.11, 0.43, rng.integers(60, 190, 3))
    cars = {"parking-lot": 12, "highway": 4, "city-street": 3}.get(kind, 1)
    for _ in range(cars):
        left, top = rng.uniform(0.05, 0.85), rng.uniform(0.5, 0.85)
        box(left, top, left + 0.09, top + 0.08, rng.integers(20, 230, 3))
    if kind == "gas-station":
        box(0.55, 0.25, 0.98, 0.32, (210, 40, 40))
        for left in (0.6, 0.75, 0.9):
            box(left, 0.32, left + 0.03, 0.6, (230, 230, 230))


def write_scenes(
    folder: Path, shape: tuple[int, int], each: int
) -> dict[str, tuple[int, NDArray[np.uint8]]]:
    """Write `each` scenes of every kind as PNG files; return label and pixels by path.

    The paths below `folder` are those of the test split: `test/<class folder>/<index>.png`.
    """
    from PIL import Image

    written = {}
    for label, kind in enumerate(CLASSES):
        (folder / "test" / kind).mkdir(parents=True, exist_ok=True)
        for index in range(each):
            path, image = f"test/{kind}/{index:03d}.png", scene(kind, shape, index)
            Image.fromarray(image).save(folder / path, compress_level=1)
            written[path] = label, image
    return written
