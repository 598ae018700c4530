"""Files of MedCLIP and of what was tuned from it: weights, configurations and a vocabulary.

Nothing describes the published weights, so the configurations of the models that they were built
from are needed too. Each lies in the weights folder, in a folder there that is named as its
repository (without the owner), or in the hub cache. Works without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipeline.errors import DataError, MissingInputError
from stages.embed.checkpoint import SUFFIXES, Config, read_json, vocabulary_in, weights_in
from stages.embed.hub import Place, cache_folder
from stages.embed.schema import EncoderManifest, TextTower, Weights

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
    declared, text = manifest.weights or Weights(), manifest.text
    if declared.architecture not in ARCHITECTURES or text is None:
        message = (
            f"encoder {manifest.id}: family {manifest.family} is vision-language and has the "
            f"architecture {' or '.join(ARCHITECTURES)}, the manifest says "
            f"{manifest.kind} and {declared.architecture}"
        )
        raise DataError(message)
    place, weights = _weights(manifest, declared, given)
    missing = [] if weights else [_published(declared, place)]
    vision: Config | None = {}
    if declared.architecture == "swin":
        vision = _configuration(place, declared.base, "swin", missing)
    bert = _configuration(place, text.repository, "bert", missing)
    around = _around(place, text.repository)
    tokenizer = next((files for other in around if (files := vocabulary_in(other))), ())
    if not tokenizer:
        missing.append(f"vocab.txt or tokenizer.json {_where(around)}")
    if missing or weights is None or vision is None or bert is None:
        raise MissingInputError(_advice(manifest, declared, text, missing))
    _check(manifest, text, vision, bert)
    return Parts(weights, declared.architecture, vision, bert, tokenizer)


def computed_by(configuration: Config) -> Config:
    """Return the fields of a configuration that have a bearing on embeddings."""
    return {key: value for key, value in configuration.items() if key not in _UNUSED}


def _weights(
    manifest: EncoderManifest, declared: Weights, given: Path | None
) -> tuple[Place, Path | None]:
    """Return where files are looked for first, and the weights file if it is there."""
    if given is None:
        place = Place(repository=declared.repository, revision=declared.revision)
    elif given.is_dir():
        place = Place(folder=given)
    elif not given.is_file():
        message = f"{manifest.id}: --weights {given}: no such file or folder"
        raise MissingInputError(message)
    elif given.suffix not in SUFFIXES:
        message = (
            f"{given}: weights are a folder or a file of {', '.join(sorted(SUFFIXES))}; "
            "unpack an archive first"
        )
        raise DataError(message)
    else:
        return Place(folder=given.parent), given
    return place, weights_in(place, declared.file, WEIGHTS)


def _published(declared: Weights, place: Place) -> str:
    """Return the missing weights file and where it comes from."""
    name = declared.file or WEIGHTS[0]
    if declared.url is not None:
        name = f"{name}, published in {declared.url} (unpack it)"
    return name if place == Place() else f"{name} of {place}"


def _around(place: Place, repository: str | None) -> list[Place]:
    """Return where files of `repository` may lie, the nearest first."""
    places = [place]
    if repository is not None:
        if place.folder is not None:
            places.append(Place(folder=place.folder / repository.rpartition("/")[2]))
        places.append(Place(repository=repository))
    return [other for other in places if other != Place()]


def _where(places: list[Place]) -> str:
    return "of " + " or ".join(map(str, places)) if places else "in the weights folder"


def _configuration(
    place: Place, repository: str | None, kind: str, missing: list[str]
) -> Config | None:
    """Return the `config.json` of a model of type `kind`, adding to `missing` where none is."""
    around = _around(place, repository)
    for other in around:
        path = other.find("config.json")
        if path is not None and (read := read_json(path)).get("model_type") == kind:
            return read
    missing.append(f'config.json with "model_type": "{kind}" {_where(around)}')
    return None


def _check(manifest: EncoderManifest, text: TextTower, vision: Config, bert: Config) -> None:
    """Raise unless the configurations are those of the declared encoder."""
    faults = []
    if (side := vision.get("image_size", manifest.input_size)) != manifest.input_size:
        faults.append(f"image_size is {side}, the manifest says {manifest.input_size}")
    if (most := bert.get("max_position_embeddings", 512)) < text.context_length:
        faults.append(
            f"max_position_embeddings is {most}, the manifest says a context of "
            f"{text.context_length}"
        )
    if (layers := bert.get("num_hidden_layers", 12)) < 2:
        faults.append(f"num_hidden_layers is {layers}, but two are averaged with the last")
    if faults:
        message = f"config.json: is not of the encoder {manifest.id}: {'; '.join(faults)}"
        raise DataError(message)


def _advice(
    manifest: EncoderManifest, declared: Weights, text: TextTower, missing: list[str]
) -> str:
    """Return what is missing and where it can be put."""
    lines = [f"{manifest.id}: files are missing; needed:"]
    lines += [f"  - {item}" for item in missing]
    lines.append(
        "each in the folder given by --weights DIR, in a folder there that is named as its "
        f"repository, or in the hub cache {cache_folder()}"
    )
    wanted = {
        declared.repository: declared.file or WEIGHTS[0],
        declared.base: "config.json",
        text.repository: "config.json vocab.txt",
    }
    lines += [
        f"where there is a network: hf download {repository} {files}"
        for repository, files in wanted.items()
        if repository
    ]
    return "\n".join(lines)
