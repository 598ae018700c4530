"""Vision-only models of the timm package: DINOv2, ResNets and what else it can build.

The architecture is timm's own code without its classifier: an embedding is what the classifier
would read. The preprocessing is declared in the manifest, and `config.json` must confirm it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError, first_line
from stages.device import choose_device
from stages.embed.agreement import Stated, require_agreement
from stages.embed.batches import FixedBatches
from stages.embed.checkpoint import Config, read_json
from stages.embed.encoder import Digest, Encoder
from stages.embed.model_encoder import ModelEncoder, built
from stages.embed.model_folder import CONFIG, configuration, model_folder
from stages.embed.preparation import declared_preprocessing, preparation
from stages.embed.schema import EncoderManifest
from stages.embed.state import State, fit
from stages.embed.towers import image_blocks
from stages.embed.wanted import WantedFile, require

if TYPE_CHECKING:
    import torch

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_OURS: Final = frozenset(
    {"num_classes", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}
    | {"checkpoint_path", "cache_dir", "features_only", "scriptable", "exportable"}
)
"""Arguments of `timm.create_model` that are not taken from `config.json`."""
_PREPARED: Final[Config] = {
    "input_size": [3, 224, 224],
    "interpolation": "bicubic",
    "crop_pct": 0.875,
    "crop_mode": "center",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
"""What timm does where `pretrained_cfg` says nothing."""
_RESIZE_MODES: Final = {"center": "shortest", "squash": "squash"}
"""Names of timm's ways to resize, of those that a manifest can declare."""
PACKAGES: Final = ("timm", "open_clip", "torch", "torchvision", "safetensors")


@dataclass(frozen=True)
class TimmFiles:
    """The files of one model on this machine."""

    weights: Path
    """The state dict."""
    config: Config
    """What `config.json` states; empty where only weights were given."""

    @property
    def arguments(self) -> Config:
        """What the architecture is built with beside its name and `description`."""
        stated = self.config.get("model_args") or {}
        return {key: value for key, value in stated.items() if key not in _OURS}

    @property
    def description(self) -> Config | None:
        """What timm builds a transformer's position embeddings by, among others; none if bare."""
        return _description(self.config) or None


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return weights and configuration; given bare weights, what is named in the manifest."""
    _, model, config = model_folder(manifest, weights)
    bare = weights is not None and weights.is_file()
    if bare and not (config.present and _is_timm(config.present[0])):
        return (model,)
    if config.present:
        stated = configuration(config, "architecture", "configuration of a timm model")
        require_agreement(manifest, str(config.present[0]), _stated(manifest, stated))
    return model, config


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return the digest of the weights, the architecture and the preprocessing."""
    found = _find(manifest, weights)
    declared = declared_preprocessing(manifest).model_dump(mode="json")
    return {
        "loader": LOADER,
        "weights": digest(found.weights),
        "architecture": {
            "name": _architecture(manifest),
            "arguments": found.arguments,
            "fixed_input_size": (found.description or {}).get("fixed_input_size"),
        },
        "preprocessing": {"size": manifest.input_size, **declared},
    }


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    found = _find(manifest, weights)
    batches = FixedBatches(choose_device(device), batch_size)
    model = _build(manifest, found)
    fit(model, found.weights, name=_architecture(manifest), adapt=_without_classifier)
    model.float().eval().requires_grad_(requires_grad=False)
    _try_out(manifest, found, model)
    model.to(batches.device)
    prepare = preparation(manifest.input_size, declared_preprocessing(manifest))
    return ModelEncoder(manifest.width, model, prepare, batches, None, partial(image_blocks, model))


def _architecture(manifest: EncoderManifest) -> str:
    name = manifest.weights.architecture if manifest.weights else None
    if name is None:
        message = f"encoder {manifest.id}: declares no architecture"
        raise DataError(message)
    return name


def _find(manifest: EncoderManifest, given: Path | None) -> TimmFiles:
    """Return the files of the encoder, which agree with its manifest."""
    wanted = files(manifest, given)
    require(manifest, wanted)
    found = {one.role: one.present for one in wanted}
    config = found.get("configuration")
    return TimmFiles(found["weights"][0], read_json(config[0]) if config else {})


def _is_timm(path: Path) -> bool:
    """Return whether this is timm's configuration, not that of another file in the folder."""
    return "architecture" in read_json(path)


def _description(config: Config) -> Config:
    """Return what `config.json` says of preprocessing and shapes."""
    own = config.get("pretrained_cfg")
    return dict(own) if isinstance(own, Mapping) else {}


def _stated(manifest: EncoderManifest, config: Config) -> list[Stated]:
    """Return what `config.json` states, or means where it is silent, and the manifest."""
    own = _description(config)
    stated = _PREPARED | {key: value for key, value in own.items() if value is not None}
    declared, side = declared_preprocessing(manifest), manifest.input_size
    mode = stated["crop_mode"]
    return [
        ("architecture", config["architecture"], _architecture(manifest)),
        ("input_size", stated["input_size"], [3, side, side]),
        ("crop_mode", _RESIZE_MODES.get(str(mode), mode), declared.resize_mode),
        ("crop_pct", stated["crop_pct"], declared.crop),
        ("interpolation", stated["interpolation"], declared.interpolation),
        ("mean", stated["mean"], list(declared.mean)),
        ("std", stated["std"], list(declared.std)),
    ]


def _build(manifest: EncoderManifest, found: TimmFiles) -> torch.nn.Module:
    """Return the model with random weights; nothing is downloaded for it."""
    import timm  # only once there is something to load

    name = _architecture(manifest)
    # Names such as hf-hub:… are no architectures: timm would fetch what they stand for.
    if not timm.is_model(name):
        message = f"{manifest.id}: this timm has no architecture {name!r}"
        raise DataError(message)
    own = {"pretrained": False, "pretrained_cfg": found.description, "num_classes": 0}
    model = built(
        lambda: timm.create_model(name, **own, **found.arguments),
        f"{found.weights.parent}: timm cannot build {manifest.id}",
    )
    pooled, stated = getattr(model, "global_pool", None), found.config.get("global_pool")
    if isinstance(pooled, str) and isinstance(stated, str) and pooled != stated:
        message = (
            f"{found.weights.parent / CONFIG}: is not the encoder {manifest.id}: "
            f'global_pool is "{stated}", timm builds {name} with "{pooled}"'
        )
        raise DataError(message)
    return model


def _without_classifier(state: State, model: torch.nn.Module) -> State:
    """Return `state` without the tensors of the classifier; no others are left out."""
    names = _own(model).get("classifier") or ()
    heads = tuple(f"{name}." for name in ((names,) if isinstance(names, str) else names))
    expected = model.state_dict()
    return {k: v for k, v in state.items() if k in expected or not k.startswith(heads)}


def _own(model: torch.nn.Module) -> Config:
    """Return timm's description of a model that it built."""
    return dict(getattr(model, "pretrained_cfg", None) or {})


def _try_out(manifest: EncoderManifest, found: TimmFiles, model: torch.nn.Module) -> None:
    """Raise unless the model makes embeddings of the declared width from its declared input."""
    import torch  # as above

    side, own = manifest.input_size, _own(model)
    refusal = (
        f"{found.weights}: {_architecture(manifest)} does not take the {side}x{side} pixels "
        f"that the manifest of {manifest.id} says: "
    )
    if own.get("fixed_input_size") and own["input_size"][-1] != side:
        # Some transformers interpolate their position embeddings rather than refuse.
        message = f"{refusal}its input is {own['input_size'][-1]}x{own['input_size'][-1]}"
        raise DataError(message)
    try:
        with torch.inference_mode():
            shape = tuple(model(torch.zeros(1, 3, side, side)).shape)
    except Exception as error:  # every architecture refuses inputs in its own way
        message = refusal + first_line(error)
        raise DataError(message) from error
    if shape != (1, manifest.width):
        message = (
            f"{found.weights}: {_architecture(manifest)} makes embeddings of shape {shape[1:]}, "
            f"the manifest of {manifest.id} says a width of {manifest.width}"
        )
        raise DataError(message)
