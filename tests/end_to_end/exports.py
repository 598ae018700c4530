"""What tests of all forms of export share."""

from __future__ import annotations

import numpy as np

from pipeline.reading import ImageSet

FORMATS = ("robustmedclip-npz", "medmnistc-npz", "webdataset", "huggingface", "png", "xarray")


def ids_of(one: ImageSet) -> list[str]:
    return one.index(["id"])["id"].to_pylist()


def pixels(path: str) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)
