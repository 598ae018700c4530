"""The reference package and real images, where they are present."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def reference() -> ModuleType:
    """Return `imagecorruptions.corruptions`, imported without its missing `pkg_resources`."""
    if importlib.util.find_spec("imagecorruptions") is None:
        pytest.skip("the package imagecorruptions is not installed")
    stub = types.ModuleType("pkg_resources")
    stub.resource_filename = lambda package, name: name  # type: ignore[attr-defined]
    before = sys.modules.get("pkg_resources")
    sys.modules["pkg_resources"] = stub
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("imagecorruptions.corruptions")
    finally:
        if before is None:
            del sys.modules["pkg_resources"]
        else:
            sys.modules["pkg_resources"] = before


@pytest.fixture
def package(reference: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return `reference`; its call of scikit-image's filter is put into today's words."""
    from skimage.filters import gaussian

    def filtered(image: Any, sigma: Any, *, multichannel: bool = False, **options: Any) -> Any:
        axis = -1 if multichannel else None
        return gaussian(image, sigma=sigma, channel_axis=axis, **options)

    monkeypatch.setattr(reference, "gaussian", filtered)
    return reference


@pytest.fixture(scope="session")
def real_images() -> dict[str, NDArray[np.uint8]]:
    """Return a fundus photograph, a dermoscopy image, nuclei and a chest X-ray, as (H, W, 3)."""
    from PIL import Image

    root = Path(__file__).parents[3]
    data = Path(os.environ.get("MEDSHARDS_TEST_DATA", root / "../shared/data"))
    paths = [data / "chase_db1" / "Image_01L.jpg", data / "dsb_nuclei" / "img2d.tif"]
    xrays = data / "pneumoniamnist_v1" / "pneumoniamnist.npz"
    if not all(path.exists() for path in [*paths, xrays]):
        pytest.skip(f"the real test images are not in {data}")
    images = {}
    for path in paths:
        with Image.open(path) as image:
            images[path.stem] = np.asarray(image.convert("RGB").resize((224, 200)))
    with np.load(xrays, allow_pickle=False) as arrays:
        # A block of whole X-rays: the reference refuses images below 32 pixels.
        block = arrays["test_images"][:16].reshape(4, 4, 28, 28).swapaxes(1, 2).reshape(112, 112)
    images["xrays"] = np.repeat(block[:, :, np.newaxis], 3, axis=2)
    return images
