"""A small dataset with masks, of images of any size: dark red squares on gray."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

MANIFEST = """
schema = 1
id = "blobs"
title = "Blobs"
collection = "mine"
modality = "drawn"
task = "segmentation"
typical_size = [90, 120]
channels = 3
synthetic = true
citation = "none"
access = "drawn by the tests"
[[targets]]
name = "blob"
noun = "blob"
[licence]
spdx = "CC0-1.0"
redistribution = "pixels"
share_alike = false
source = "the tests"
[reader]
form = "pairs"
images = ["images/{stem}.png"]
masks = ["masks/{stem}.png"]
[source]
kind = "folder"
path = "../../photographs"
[[split_sets]]
name = "all"
source = "the tests"
"""


def save(path: Path, pixels: Any) -> None:
    """Write a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path)


def draw(root: Path, name: str, *squares: tuple[int, int, int], size: int = 90) -> None:
    """Write an image of `size` x 120 with dark red squares (top, left, side) and its mask."""
    image = np.full((size, 120, 3), 190, np.uint8)
    mask = np.zeros((size, 120), np.uint8)
    for top, left, side in squares:
        image[top : top + side, left : left + side] = (150, 20, 20)
        mask[top : top + side, left : left + side] = 255
    save(root / "images" / f"{name}.png", image)
    save(root / "masks" / f"{name}.png", mask)
