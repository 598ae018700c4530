"""The explicit table of all kernels; a new corruption is its file and its line here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from stages.corrupt.kernels import (
    black_corner,
    brightness,
    bubble,
    characters,
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
    spatter,
    speckle_noise,
    stain_deposit,
    zoom_blur,
)
from stages.corrupt.kernels.kernel import Kernel

_ALL: tuple[Kernel[Any], ...] = (
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
    spatter.KERNEL,
    stain_deposit.KERNEL,
    gaussian_blur_by_size.KERNEL,
    gamma.KERNEL,
    enhance_contrast.KERNEL,
    enhance_brightness.KERNEL,
    characters.KERNEL,
    bubble.KERNEL,
    black_corner.KERNEL,
)

KERNELS: Mapping[str, Kernel[Any]] = MappingProxyType({kernel.name: kernel for kernel in _ALL})
"""Every kernel by its name in suite manifests."""
