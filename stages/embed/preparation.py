"""How 8-bit images become a model's input, as its manifest declares: the only normalisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pipeline.errors import DataError
from stages.embed.encoder import Images, checked_images
from stages.embed.schema import EncoderManifest, Preprocessing

if TYPE_CHECKING:
    import torch
    from PIL import Image

Prepare: TypeAlias = Callable[[Any], "torch.Tensor"]
"""Function from one Pillow image to the model's input, float32 `(3, size, size)`."""


def declared_preprocessing(manifest: EncoderManifest) -> Preprocessing:
    """Return what the manifest declares; nothing stands in for it."""
    if manifest.preprocessing is None:
        message = f"encoder {manifest.id}: declares no preprocessing"
        raise DataError(message)
    return manifest.preprocessing


def preparation(size: int, declared: Preprocessing) -> Prepare:
    """Return the preparation of one Pillow image for an input of `size` pixels."""
    once = _once(size, declared)
    if declared.normalised == 1:
        return once
    from torchvision.transforms import Normalize  # only once there is a model

    again = Normalize(declared.mean, declared.std)
    return lambda picture: again(once(picture))


def _once(size: int, declared: Preprocessing) -> Prepare:
    """Return the preparation with the declared mean and deviation taken out once."""
    if declared.resize_mode == "pad-gray":
        return _padded_gray(size, declared)
    import open_clip  # as above

    prepare: Prepare = open_clip.image_transform(
        size,
        is_train=False,
        mean=declared.mean,
        std=declared.std,
        resize_mode=declared.resize_mode,
        interpolation=declared.interpolation,
        fill_color=declared.fill,
    )
    return prepare


def prepared(images: Images, prepare: Prepare) -> torch.Tensor:
    """Return the model's input for `images`, float32 `(n, 3, size, size)`, one by one.

    Each image takes the path through Pillow that the model was trained with; gray images are
    replicated to three channels.
    """
    import torch  # only once there is a model
    from PIL import Image  # as above

    pictures = checked_images(images)
    gray = images.shape[3] == 1
    return torch.stack([prepare(Image.fromarray(p[..., 0] if gray else p)) for p in pictures])


def _padded_gray(size: int, declared: Preprocessing) -> Prepare:
    """Return what MedCLIP's processor does to an image, without its package.

    The luma (ITU-R 601-2, 8 bit) lies in the middle of a square with the longer side of the image
    but at least `size`, so small images are not enlarged. The square is resized to `size`, scaled
    to 0..1 and normalised; the channel is replicated.
    """
    import torch  # only once there is a model
    from PIL import Image  # as above

    filters = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}
    resample = filters[declared.interpolation]
    mean = np.array(declared.mean, np.float32)[:, None, None]
    std = np.array(declared.std, np.float32)[:, None, None]

    def prepare(picture: Image.Image) -> torch.Tensor:
        width, height = picture.size
        side = max(size, width, height)
        square = Image.new("L", (side, side), declared.fill)
        square.paste(picture.convert("L"), ((side - width) // 2, (side - height) // 2))
        pixels = np.asarray(square.resize((size, size), resample), np.float32)
        return torch.from_numpy((pixels * np.float32(1 / 255) - mean) / std)

    return prepare
