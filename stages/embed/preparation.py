"""How 8-bit images become a model's input, as its manifest declares: the only normalisation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError
from stages.embed.ahead import preparing
from stages.embed.encoder import Images, checked_image, checked_images
from stages.embed.processor import cores
from stages.embed.schema import EncoderManifest, Preprocessing

if TYPE_CHECKING:
    import torch
    from PIL import Image

Prepare: TypeAlias = Callable[[Any], "torch.Tensor"]
"""Function from one Pillow image to the model's input, float32 `(3, size, size)`."""
_EACH = 4
"""Images for which a further thread is worth it."""


def declared_preprocessing(manifest: EncoderManifest) -> Preprocessing:
    """Return what the manifest declares; nothing stands in for it."""
    if manifest.preprocessing is None:
        message = f"encoder {manifest.id}: declares no preprocessing"
        raise DataError(message)
    return manifest.preprocessing


def preparation(
    size: int, declared: Preprocessing, *, centre: Literal["rounded", "floored"] = "rounded"
) -> Prepare:
    """Return the preparation of one Pillow image for an input of `size` pixels.

    `centre` says where the kept centre starts if what is cut off is an odd number of pixels:
    at the nearest even row or column, as in torchvision, or at the one before, as in transformers.
    """
    plain = declared.crop == 1 and centre == "rounded"
    once = _once(size, declared) if plain else _cropped(size, declared, centre)
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


def _cropped(size: int, declared: Preprocessing, centre: str) -> Prepare:
    """Return the preparation that keeps a part of the resized image."""
    from torchvision.transforms import functional  # only once there is a model

    if declared.resize_mode not in {"shortest", "squash"}:
        message = f"resize_mode {declared.resize_mode} leaves nothing to crop"
        raise DataError(message)
    side = math.floor(size / declared.crop)
    shape = [side] if declared.resize_mode == "shortest" else [side, side]
    filters = functional.InterpolationMode
    filter_ = {"bicubic": filters.BICUBIC, "bilinear": filters.BILINEAR}[declared.interpolation]

    def prepare(picture: Image.Image) -> torch.Tensor:
        resized = functional.resize(picture.convert("RGB"), shape, filter_)
        if centre == "rounded":
            kept = functional.center_crop(resized, [size, size])
        else:
            width, height = resized.size
            kept = functional.crop(resized, (height - size) // 2, (width - size) // 2, size, size)
        return functional.normalize(functional.to_tensor(kept), declared.mean, declared.std)

    return prepare


def prepared(images: Images, prepare: Prepare) -> torch.Tensor:
    """Return the model's input for `images`, float32 `(n, 3, size, size)`, one by one.

    Each image takes the path through Pillow that the model was trained with; gray images are
    replicated to three channels. Several threads each take a part of them, image by image.
    """
    import torch  # only once there is a model

    def made(part: slice) -> list[torch.Tensor]:
        return [prepare(_picture(image)) for image in checked_images(images[part])]

    threads = min(cores(), -(-len(images) // _EACH))
    if threads < 2:
        return torch.stack(made(slice(None)))
    step = -(-len(images) // threads)
    parts = [slice(start, start + step) for start in range(0, len(images), step)]
    done = preparing().map(made, parts)
    return torch.stack([tensor for tensors in done for tensor in tensors])


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    """Return `image` as Pillow's own."""
    from PIL import Image  # only once there is a model

    return Image.fromarray(image[..., 0] if checked_image(image).shape[2] == 1 else image)


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
