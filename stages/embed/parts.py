"""Files of MedCLIP and of what was tuned from it: weights, configurations and a vocabulary.

Nothing describes the published weights, so the configurations of the models that they were built
from are needed too. Each lies in the weights folder, in a folder there that is named as its
repository (without the owner), or in the hub cache. Works without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import DataError
from stages.embed.checkpoint import (
    VOCABULARIES,
    Config,
    check_given,
    read_json,
    wanted_vocabulary,
    wanted_weights,
    weights_place,
)
from stages.embed.hub import Place
from stages.embed.schema import EncoderManifest, Weights
from stages.embed.wanted import Role, WantedFile, around, require

WEIGHTS: Final = ("pytorch_model.bin", "model.safetensors")
"""Names of the weights file, the preferred first."""
ARCHITECTURES: Final = ("swin", "resnet50")
"""Image towers: a Swin transformer that `config.json` describes, or torchvision's ResNet-50."""
_UNUSED: Final = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "id2label", "label2id"}
    | {"torch_dtype", "dtype"}
)
"""Fields of a configuration that have no influence on embeddings."""


@dataclass(frozen=True)
class Parts:
    """The files of one model on this machine."""

    weights: Path
    """The state dict."""
    architecture: str
    """Which image tower, of `ARCHITECTURES`."""
    vision: Config
    """Configuration of a Swin image tower; empty for ResNet-50."""
    text: Config
    """Configuration of the BERT text tower."""
    tokenizer: tuple[Path, ...]
    """Vocabulary files, all in one folder."""


def find_parts(manifest: EncoderManifest, given: Path | None) -> Parts:
    """Return the files of the encoder, from `given` (folder or weights file) and the hub cache.

    Raises
    ------
    MissingInputError
        Naming every missing file at once.
    DataError
        If a configuration cannot be read or disagrees with the manifest.
    """
    wanted = part_files(manifest, given)
    require(manifest, wanted)
    found = {one.role: one.present for one in wanted}
    towers = found.get("configuration", ())
    vision = read_json(towers[0]) if towers else {}
    bert = read_json(found["text configuration"][0])
    _check(manifest, vision, bert)
    architecture = (manifest.weights or Weights()).architecture or ""
    return Parts(found["weights"][0], architecture, vision, bert, found["vocabulary"])


def part_files(manifest: EncoderManifest, given: Path | None) -> tuple[WantedFile, ...]:
    """Return the files that `find_parts` looks for, present or missing.

    Raises
    ------
    MissingInputError, DataError
        If `given` cannot hold them, a configuration cannot be read, or the manifest is none of
        this family's.
    """
    declared, text = manifest.weights or Weights(), manifest.text
    if declared.architecture not in ARCHITECTURES or text is None:
        message = (
            f"encoder {manifest.id}: family {manifest.family} is vision-language and has the "
            f"architecture {' or '.join(ARCHITECTURES)}, the manifest says "
            f"{manifest.kind} and {declared.architecture}"
        )
        raise DataError(message)
    check_given(manifest, given)
    place = weights_place(declared, given)
    wanted = [wanted_weights(declared, place, given, WEIGHTS)]
    if declared.architecture == "swin":
        wanted.append(_configuration("configuration", "swin", around(place, declared.base)))
    beside = around(place, text.repository)
    wanted.append(_configuration("text configuration", "bert", beside))
    wanted.append(wanted_vocabulary(beside, VOCABULARIES[:2]))
    return tuple(wanted)


def computed_by(configuration: Config) -> Config:
    """Return the fields of a configuration that have a bearing on embeddings."""
    return {key: value for key, value in configuration.items() if key not in _UNUSED}


def _configuration(role: Role, kind: str, places: tuple[Place, ...]) -> WantedFile:
    """Return the `config.json` of a model of type `kind`."""
    paths = (path for other in places if (path := other.find("config.json")))
    present = next(((path,) for path in paths if read_json(path).get("model_type") == kind), ())
    title = f'config.json with "model_type": "{kind}"'
    return WantedFile(role, title, (("config.json",),), places, present)


def _check(manifest: EncoderManifest, vision: Config, bert: Config) -> None:
    """Raise unless the configurations are those of the declared encoder."""
    faults = []
    context_length = manifest.text.context_length if manifest.text else 0
    if (side := vision.get("image_size", manifest.input_size)) != manifest.input_size:
        faults.append(f"image_size is {side}, the manifest says {manifest.input_size}")
    if (most := bert.get("max_position_embeddings", 512)) < context_length:
        faults.append(
            f"max_position_embeddings is {most}, the manifest says a context of {context_length}"
        )
    if (layers := bert.get("num_hidden_layers", 12)) < 2:
        faults.append(f"num_hidden_layers is {layers}, but two are averaged with the last")
    if faults:
        message = f"config.json: is not of the encoder {manifest.id}: {'; '.join(faults)}"
        raise DataError(message)
