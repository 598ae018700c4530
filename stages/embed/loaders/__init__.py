"""One module per encoder family, each a `stages.embed.encoder.Loader`."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

from stages.embed.encoder import Loader
from stages.embed.schema import Family

LOADERS: Mapping[Family, str] = MappingProxyType(
    {
        "texture": "stages.embed.loaders.texture",
        "pixels": "stages.embed.loaders.pixels",
        "open_clip": "stages.embed.loaders.open_clip",
        "medclip": "stages.embed.loaders.medclip",
        "robustmedclip": "stages.embed.loaders.robustmedclip",
        "hugging_face_clip": "stages.embed.loaders.hugging_face_clip",
        "timm": "stages.embed.loaders.timm",
    }
)
"""Module of each family, by name, so that listing encoders loads none of them."""


def loader(family: Family) -> Loader:
    """Return the loader of `family`; importing it loads no model library yet."""
    return cast("Loader", importlib.import_module(LOADERS[family]))
