"""The kernels once more, for torch: batched, on any of its devices.

Importing this package loads no torch; rendering does.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from stages.corrupt.on_torch import (
    black_corner,
    brightness,
    contrast,
    defocus_blur,
    elastic_transform,
    enhance_brightness,
    enhance_contrast,
    fog,
    frost,
    gamma,
    gaussian_blur,
    gaussian_blur_by_size,
    gaussian_noise,
    glass_blur,
    impulse_noise,
    jpeg_compression,
    motion_blur,
    pixelate,
    saturate,
    shot_noise,
    snow,
    speckle_noise,
    zoom_blur,
)
from stages.corrupt.on_torch.batched import BatchedKernel

_ALL = (
    gaussian_noise.KERNEL,
    impulse_noise.KERNEL,
    motion_blur.KERNEL,
    zoom_blur.KERNEL,
    brightness.KERNEL,
    contrast.KERNEL,
    pixelate.KERNEL,
    shot_noise.KERNEL,
    speckle_noise.KERNEL,
    defocus_blur.KERNEL,
    gaussian_blur.KERNEL,
    glass_blur.KERNEL,
    elastic_transform.KERNEL,
    jpeg_compression.KERNEL,
    saturate.KERNEL,
    fog.KERNEL,
    frost.KERNEL,
    snow.KERNEL,
    gaussian_blur_by_size.KERNEL,
    gamma.KERNEL,
    enhance_contrast.KERNEL,
    enhance_brightness.KERNEL,
    black_corner.KERNEL,
)

BATCHED: Mapping[str, BatchedKernel] = MappingProxyType({kernel.name: kernel for kernel in _ALL})
"""Every kernel that torch has, by its name in suite manifests."""
