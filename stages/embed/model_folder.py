"""Folders and repositories that hold one model: its weights, and `config.json`, which says of what.

Hugging Face's CLIPs and timm's models are published so. Works without torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pipeline.errors import DataError
from stages.embed.checkpoint import Config, check_given, read_json, wanted_weights, weights_place
from stages.embed.hub import Place
from stages.embed.schema import EncoderManifest, Weights
from stages.embed.wanted import WantedFile, around

CONFIG: Final = "config.json"
WEIGHTS: Final = ("model.safetensors", "pytorch_model.bin")
"""Names of the weights file, the preferred first."""


def model_folder(
    manifest: EncoderManifest, given: Path | None
) -> tuple[Place, WantedFile, WantedFile]:
    """Return where the model lies, its weights and its configuration, present or missing.

    Raises
    ------
    MissingInputError, DataError
        If `given` cannot hold them.
    """
    check_given(manifest, given)
    declared = manifest.weights or Weights()
    place = weights_place(declared, given)
    weights = wanted_weights(declared, place, given, WEIGHTS)
    return place, weights, wanted_file("configuration", place, CONFIG)


def wanted_file(
    role: Literal["configuration", "preprocessing"], place: Place, *names: str
) -> WantedFile:
    """Return the first of the files `names` that is at `place`."""
    found = place.find_first(names)
    present = () if found is None else (found,)
    groups = tuple((name,) for name in names)
    return WantedFile(role, " or ".join(names), groups, around(place), present)


def configuration(file: WantedFile, field: str, kind: str) -> Config:
    """Return what a present configuration states.

    Raises
    ------
    DataError
        Unless it has the text `field`, as every `kind` of configuration has.
    """
    path = file.present[0]
    config = read_json(path)
    if not isinstance(config.get(field), str):
        message = f"{path}: states no {field}, so it is no {kind}"
        raise DataError(message)
    return config
