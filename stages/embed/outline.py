"""Which blocks the towers of an encoder have and what shape their outputs are, without torch.

Read from what identifies an encoder's files, so a plan of its features is settled before a model
library is loaded. Blocks are counted from 0: the output of block `i` is `hidden_states[i + 1]` of
transformers, and what CLIPSeg calls layer `i` of its `extract_layers`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from pipeline.digest import Json
from pipeline.errors import DataError, UsageError
from stages.embed.clip_folder import half
from stages.embed.schema import HAND_MADE, EncoderManifest

_SIZES: Final = {
    "tiny": (12, 192),
    "small": (12, 384),
    "base": (12, 768),
    "large": (24, 1024),
    "huge": (32, 1280),
}
"""Depth and width of timm's plain vision transformers, by the word in their names."""
_TRANSFORMER: Final = re.compile(
    r"vit_(?P<size>[a-z]+)_patch(?P<patch>\d+)(?P<registers>_reg4)?"
    r"(_clip|_quickgelu|_dinov2|_\d+)*"
)
"""Names of those of timm's transformers that have a class token first, then the registers."""
_TINY: Final = "test_vit"
"""timm's own miniature transformer, of 6 blocks of width 64 with patches of 16 pixels."""
_RESNET: Final = re.compile(r"resnet(18|34|50|101|152)")
_STAGES: Final = 4
_RESNET_STRIDE: Final = 4
"""Pixels of one place of a ResNet's first stage; each later stage doubles it."""


@dataclass(frozen=True)
class Shape:
    """What one block of a tower returns for one input."""

    tokens: int
    width: int
    grid: tuple[int, int] | None = None
    """Rows and columns of patches; none for text."""
    prefix: tuple[str, ...] = ()
    """What the tokens before the patches are."""


@dataclass(frozen=True)
class Outline:
    """The blocks of one tower."""

    shapes: tuple[Shape, ...]
    """Of each block, in the order of computation."""
    kind: str
    """What the blocks are: "block" of a transformer, "stage" of a pyramid."""

    def chosen(self, blocks: Sequence[int], encoder: str, tower: str) -> tuple[int, ...]:
        """Return the numbers of blocks from 0, ascending and each once.

        Negative ones count from the end.

        Raises
        ------
        UsageError
            If there is no such block, or the outputs of several differ in shape.
        """
        count = len(self.shapes)
        unknown = [block for block in blocks if not -count <= block < count]
        if unknown or not blocks:
            asked = ", ".join(map(str, unknown)) or "of no number"
            message = (
                f"the {tower} tower of {encoder} has no {self.kind} {asked}: it has {count} "
                f"{self.kind}s, 0 to {count - 1}, or -{count} to -1 counted from the end"
            )
            raise UsageError(message)
        found = tuple(sorted({block % count for block in blocks}))
        if len({self.shapes[block] for block in found}) > 1:
            shapes = "; ".join(f"{b}: {_told(self.shapes[b])}" for b in found)
            message = (
                f"the {self.kind}s of {encoder}'s {tower} tower have outputs of different shape "
                f"({shapes}): give one of them at a time by --blocks"
            )
            raise UsageError(message)
        return found


def image_outline(manifest: EncoderManifest, identity: Mapping[str, Json]) -> Outline:
    """Return the blocks of the image tower.

    Parameters
    ----------
    manifest : EncoderManifest
    identity : mapping
        What the loader of its family returned.

    Raises
    ------
    UsageError
        Saying what the encoder offers, if it has no blocks or unknown ones.
    """
    if manifest.family in HAND_MADE:
        message = (
            f"{manifest.id} is a fixed formula: it has no blocks, so it offers --features global "
            "only"
        )
        raise UsageError(message)
    architecture, size = _mapping(identity, "architecture"), manifest.input_size
    family = manifest.family
    if family == "timm":
        return _timm(manifest, str(architecture["name"]))
    if family == "hugging_face_clip":
        tower: Mapping[str, Any] = half(dict(architecture), "vision")
        depth, width = _number(tower, "num_hidden_layers", 12), _number(tower, "hidden_size", 768)
        return _transformer(depth, width, size, _number(tower, "patch_size", 32), ("class",))
    if "vision" in architecture:  # MedCLIP, and what was tuned from it
        vision = _mapping(architecture, "vision")
        return _swin(vision, size) if vision["name"] == "swin" else _resnet(size, 256)
    vision = _mapping(architecture, "vision_cfg")
    if "timm_model_name" in vision:
        return _timm(manifest, str(vision["timm_model_name"]))
    if isinstance(vision.get("layers"), (list, tuple)):
        return _resnet(size, 4 * _number(vision, "width", 64))
    depth, width = _number(vision, "layers", 12), _number(vision, "width", 768)
    return _transformer(depth, width, size, _number(vision, "patch_size", 16), ("class",))


def text_outline(manifest: EncoderManifest, identity: Mapping[str, Json]) -> Outline:
    """Return the blocks of the text tower.

    Raises
    ------
    UsageError
        If the encoder reads no text.
    """
    if manifest.text is None:
        message = (
            f"{manifest.id} is a vision-only encoder: it has no tokens of texts, so leave "
            "--prompts out or name a vision-language encoder (see `pipeline list encoders`)"
        )
        raise UsageError(message)
    architecture = _mapping(identity, "architecture")
    text: Mapping[str, Any]
    if manifest.family == "hugging_face_clip":
        text = half(dict(architecture), "text")
        width = 512
    elif "text_model" in architecture:
        text, width = _mapping(architecture, "text_model"), 768
    elif "text" in architecture:
        text, width = _mapping(architecture, "text"), 768
    else:
        own = _mapping(architecture, "text_cfg")
        text = {"num_hidden_layers": own.get("layers"), "hidden_size": own.get("width")}
        width = 512
    shape = Shape(manifest.text.context_length, _number(text, "hidden_size", width))
    return Outline((shape,) * _number(text, "num_hidden_layers", 12), "block")


def _transformer(depth: int, width: int, size: int, patch: int, prefix: tuple[str, ...]) -> Outline:
    side = size // patch
    shape = Shape(side * side + len(prefix), width, (side, side), prefix)
    return Outline((shape,) * depth, "block")


def _pyramid(size: int, stride: int, width: int, stages: int) -> Outline:
    """Return stages of which each has half the side and twice the width of the one before."""
    shapes = []
    for stage in range(stages):
        side = -(-size // (stride << stage))
        shapes.append(Shape(side * side, width << stage, (side, side)))
    return Outline(tuple(shapes), "stage")


def _resnet(size: int, width: int) -> Outline:
    return _pyramid(size, _RESNET_STRIDE, width, _STAGES)


def _swin(vision: Mapping[str, Any], size: int) -> Outline:
    depths = vision.get("depths", (2, 2, 6, 2))
    patch, width = _number(vision, "patch_size", 4), _number(vision, "embed_dim", 96)
    return _pyramid(size, patch, width, len(depths))


def _timm(manifest: EncoderManifest, name: str) -> Outline:
    """Return the blocks of an architecture that is told by timm's name for it."""
    plain = name.partition(".")[0]
    found, size = _TRANSFORMER.fullmatch(plain), manifest.input_size
    if plain == _TINY:
        return _transformer(6, 64, size, 16, ("class",))
    if found is not None and found["size"] in _SIZES:
        prefix = ("class", *(["register"] * 4 if found["registers"] else []))
        return _transformer(*_SIZES[found["size"]], size, int(found["patch"]), prefix)
    if found := _RESNET.fullmatch(plain):
        return _resnet(size, 64 if int(found[1]) < 50 else 256)
    message = (
        f"{manifest.id} is timm's {name}, of which the blocks are not known: it offers --features "
        "global only; patch features are offered of vit_{tiny,small,base,large,huge}_patch… with "
        "a class token and of resnet18 to resnet152"
    )
    raise UsageError(message)


def _told(shape: Shape) -> str:
    return f"{shape.tokens} tokens of {shape.width}"


def _mapping(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    if not isinstance(value, Mapping):
        message = f"the identity of the encoder says nothing of its {key}"
        raise DataError(message)
    return cast("Mapping[str, Any]", value)


def _number(found: Mapping[str, Any], key: str, default: int) -> int:
    value = found.get(key)
    if isinstance(value, (list, tuple)) and len(set(value)) == 1:
        value = value[0]
    return default if value is None else int(value)
