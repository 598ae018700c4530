"""The formats that sets can be exported to, in an explicit table."""

from __future__ import annotations

from stages.exchange import (
    huggingface,
    medmnistc,
    png_folders,
    robustmedclip,
    web_shards,
    xarray_groups,
)
from stages.exchange.contract import Format

EXPORTS: dict[str, Format] = {
    robustmedclip.NAME: robustmedclip.FORMAT,
    medmnistc.NAME: medmnistc.FORMAT,
    web_shards.NAME: web_shards.FORMAT,
    "huggingface": huggingface.FORMAT,
    "png": png_folders.FORMAT,
    xarray_groups.NAME: xarray_groups.FORMAT,
}
"""Format of each name that `pipeline export` takes."""
