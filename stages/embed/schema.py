"""What an encoder manifest declares."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
)

from pipeline.manifest import Declared

Text = Annotated[str, Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9@_-]*$")]
Repository = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Unit = Annotated[float, Field(ge=0, le=1)]

Family: TypeAlias = Literal[
    "texture", "pixels", "open_clip", "medclip", "robustmedclip", "hugging_face_clip", "timm"
]
HAND_MADE: frozenset[Family] = frozenset({"texture", "pixels"})
"""Families that compute a fixed formula: no weights, nothing learned, no text."""
_READ_OF_WEIGHTS: Mapping[Family, frozenset[str]] = MappingProxyType(
    {
        "hugging_face_clip": frozenset({"repository", "revision", "file", "sha256"}),
        "timm": frozenset({"repository", "revision", "file", "sha256", "architecture"}),
    }
)
"""What of `Weights` the families read whose `config.json` states the rest."""


class Licence(Declared):
    """Under what terms the weights (or the code, where there are none) may be used."""

    spdx: Text
    """SPDX identifier, or `LicenseRef-` and the name of a licence that has none."""
    source: Text
    """Where the licence was read."""


class Preprocessing(Declared):
    """How 8-bit RGB pixels become the model's input; always declared, never guessed.

    Weights alone do not tell how their images were prepared, and the wrong preparation gives
    plausible embeddings without any error.
    """

    resize_mode: Literal["shortest", "longest", "squash", "pad-gray"]
    """Shortest side to the input size and centre crop, longest side and padding, or both sides.

    `pad-gray` is MedCLIP's: the luma, padded to a square of at least the input size, then resized.
    """
    interpolation: Literal["bicubic", "bilinear"]
    """Interpolation of the resize, always with antialiasing."""
    mean: tuple[Unit, Unit, Unit]
    """Subtracted per channel, red green blue, from pixels scaled to 0..1."""
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]
    """Divided by, per channel, after the mean was subtracted."""
    fill: Annotated[int, Field(ge=0, le=255)] = 0
    """Grey level of the padding of `longest` and `pad-gray`."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Part of each side that is kept, the centre: images are first resized to the input size
    divided by it, rounded down (timm's `crop_pct`); only with `shortest` and `squash`."""
    normalised: Literal[1, 2] = 1
    """How often `mean` and `std` are taken out.

    Twice is no model's own preparation, but a mistake of published code that only a variant
    labelled as such repeats, so that its numbers can be compared.
    """

    @field_validator("crop")
    @classmethod
    def _crops_a_filled_square(cls, crop: float, info: ValidationInfo) -> float:
        if crop < 1 and info.data.get("resize_mode") in {"longest", "pad-gray"}:
            message = "crops what resize_mode shortest or squash gives; remove it"
            raise ValueError(message)
        return crop

    @model_serializer(mode="wrap")
    def _said_where_unusual(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what is done once or to the whole, so that no other key speaks of it."""
        said: dict[str, Any] = serialize(self)
        usual = {"normalised": 1, "crop": 1}
        for name, value in usual.items():
            if getattr(self, name) == value:
                said.pop(name, None)
        return said


class Weights(Declared):
    """Where the weights are published and which architecture they belong to."""

    repository: Repository | None = None
    """Hugging Face Hub repository; none: the weights are only ever given by `--weights`."""
    revision: Text = "main"
    """Branch, tag or commit of the repository."""
    architecture: Text | None = None
    """open_clip's name of the architecture; without it the weights folder must describe it.

    In MedCLIP and what was tuned from it, the image tower: `swin` or `resnet50`; in timm, its name
    of the architecture.
    """
    tag: Text | None = None
    """open_clip's name of the published weights of that architecture."""
    quick_gelu: bool = False
    """Whether the weights were trained with QuickGELU instead of GELU."""
    file: Text | None = None
    """Path of the weights in the repository, where the family has no usual name for them."""
    base: Repository | None = None
    """Repository of the model they were tuned from, whose configuration describes them."""
    url: Text | None = None
    """Where the weights are published outside the Hub: the file, a zip that holds it, or a page."""
    sha256: Sha256 | None = None
    """Hexadecimal SHA-256 of the weights file itself, also where that is published in a zip."""
    lora_rank: PositiveInt | None = None
    """Rank of the low-rank adapters among the weights."""

    @field_validator("tag")
    @classmethod
    def _tag_of_architecture(cls, tag: str | None, info: ValidationInfo) -> str | None:
        if tag is not None and info.data.get("architecture") is None:
            message = "a tag belongs to an architecture; give that too"
            raise ValueError(message)
        return tag


class TextTower(Declared):
    """How texts become the model's input."""

    tokenizer: Literal["clip", "hugging-face"]
    """CLIP's byte-pair encoding, which open_clip brings along, or tokenizer files."""
    context_length: PositiveInt
    """Number of tokens read, start and end included; longer texts are cut."""
    repository: Repository | None = None
    """Hub repository of the text tower's `config.json` and tokenizer, where it is another one."""
    projection: Literal["linear", "mlp"] | None = None
    """In open_clip, makes the model of `repository` the text tower of a named architecture.

    Its first token's last state, projected in this way, is the embedding of a text.
    """

    @field_validator("projection")
    @classmethod
    def _projects_a_model(cls, projection: str | None, info: ValidationInfo) -> str | None:
        known = info.data
        if projection is None or (known.get("repository") and known.get("tokenizer") != "clip"):
            return projection
        message = "projects the model of a repository, read by its own tokenizer; give both"
        raise ValueError(message)


class EncoderManifest(Declared):
    """A file in `manifests/encoders/`: one encoder."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this form of manifest; written `schema = 1`."""
    id: Name
    """Name in selectors, sets and folders."""
    title: Text
    """Name for people."""
    description: Text
    """What it is, and what it must not be taken for."""
    citation: Text
    """How to cite it."""
    family: Family
    """Which loader brings it to life."""
    kind: Literal["vision-language", "vision-only"]
    """Whether it embeds texts too."""
    width: PositiveInt
    """Number of components of an embedding."""
    input_size: Annotated[int, Field(ge=8, le=4096)]
    """Height and width of its input, pixels."""
    dtype: Literal["float32", "float16"] = "float32"
    """In which embeddings are stored; they are computed in float32."""
    licence: Licence
    pretraining_data: tuple[Text, ...] = Field(default=(), validate_default=True)
    """What the weights were trained on, one entry per collection."""
    preprocessing: Preprocessing | None = Field(default=None, validate_default=True)
    weights: Weights | None = Field(default=None, validate_default=True)
    text: TextTower | None = Field(default=None, validate_default=True)

    @property
    def is_resnet(self) -> bool:
        """Whether its image tower is a ResNet."""
        name = self.weights.architecture if self.weights is not None else None
        return name is not None and name.lower().startswith(("rn", "resnet"))

    @field_validator("kind")
    @classmethod
    def _hand_made_see_only(cls, kind: str, info: ValidationInfo) -> str:
        if kind != "vision-only" and info.data.get("family") in {*HAND_MADE, "timm"}:
            message = f"a {info.data['family']} encoder embeds no text; write vision-only"
            raise ValueError(message)
        return kind

    @field_validator("pretraining_data", "preprocessing", "weights")
    @classmethod
    def _only_learned(cls, value: object, info: ValidationInfo) -> object:
        family = info.data.get("family")
        if family in HAND_MADE and value:
            message = f"a {family} encoder learns nothing; remove it"
            raise ValueError(message)
        if family is not None and family not in HAND_MADE and not value:
            message = f"a learned encoder ({family}) declares it; say so where it is not published"
            raise ValueError(message)
        return value

    @field_validator("weights")
    @classmethod
    def _weights_as_read(cls, weights: Weights | None, info: ValidationInfo) -> Weights | None:
        family = info.data.get("family")
        read = _READ_OF_WEIGHTS.get(family) if family is not None else None
        if weights is None or read is None:
            return weights
        said = {name for name in weights.model_fields_set if getattr(weights, name)}
        if unread := sorted(said - read):
            message = f"a {family} encoder reads no {', '.join(unread)}; remove it"
            raise ValueError(message)
        if family == "timm" and weights.architecture is None:
            message = "a timm encoder declares timm's name of its architecture"
            raise ValueError(message)
        return weights

    @field_validator("text")
    @classmethod
    def _text_where_read(cls, text: TextTower | None, info: ValidationInfo) -> TextTower | None:
        kind = info.data.get("kind")
        if kind == "vision-only" and text is not None:
            message = "a vision-only encoder reads no text; remove it"
            raise ValueError(message)
        if kind == "vision-language" and text is None:
            message = "a vision-language encoder declares its tokenizer and context length"
            raise ValueError(message)
        own = text is None or (text.tokenizer == "hugging-face" and text.projection is None)
        if info.data.get("family") == "hugging_face_clip" and not own:
            message = "a hugging_face_clip encoder has tokenizer files and its own projection"
            raise ValueError(message)
        return text
