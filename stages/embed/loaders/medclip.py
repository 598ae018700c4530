"""MedCLIP: a Swin transformer or ResNet-50, and a BERT whose layers and tokens are averaged.

The networks are those of transformers and torchvision, the weights those of MedCLIP's authors,
read as data: their package is not needed. Images are prepared as their processor does
(`resize_mode = "pad-gray"`): the luma is padded to a square of at least the input size, so an image
of 28 pixels stays that small in the middle of a black one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.embed.batches import FixedBatches, choose_device
from stages.embed.encoder import Digest, Embeddings, Encoder, Images, checked_images
from stages.embed.parts import Parts, computed_by, find_parts, part_files
from stages.embed.preparation import declared_preprocessing, preparation, prepared
from stages.embed.schema import EncoderManifest, TextTower
from stages.embed.state import Adapt, State, fit
from stages.embed.towers import Tower
from stages.embed.wanted import WantedFile

if TYPE_CHECKING:
    import torch

    from stages.embed.medclip_model import Embed

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_TEXTS: Final = 8
"""Most texts in a batch: there are few of them, and padding costs as much as texts."""
_LARGEST_SCALE: Final = 4.6052
"""Upper bound of the logarithm of the logit scale in MedCLIP's code; the lower one is 0."""
_COUNTER: Final = "text_model.model.embeddings.position_ids"
"""A counter 0, 1, 2, … in the published files, which transformers no longer stores."""
_SWIN_INDEX: Final = "relative_position_index"
"""Follows from the window size; in the published files, but no longer stored either."""
_SWIN_NAMES: Final = (
    (".attention.self.query.", ".attention.q_proj."),
    (".attention.self.key.", ".attention.k_proj."),
    (".attention.self.value.", ".attention.v_proj."),
    (
        ".attention.self.relative_position_bias_table",
        ".attention.relative_position_bias.relative_position_bias_table",
    ),
    (".attention.output.dense.", ".attention.o_proj."),
    (".intermediate.dense.", ".mlp.fc1."),
    (".output.dense.", ".mlp.fc2."),
)
"""Names of a Swin's tensors in the published files and in transformers 5, applied in this order."""
PACKAGES: Final = ("torch", "torchvision", "transformers")


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return weights, the towers' configurations and the vocabulary."""
    return part_files(manifest, weights)


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return digests of weights and vocabulary, the architecture and the preprocessing."""
    parts = find_parts(manifest, weights)
    declared = declared_preprocessing(manifest).model_dump(mode="json")
    return {
        "loader": LOADER,
        "weights": digest(parts.weights),
        "architecture": {
            "vision": {"name": parts.architecture, **computed_by(parts.vision)},
            "text": computed_by(parts.text),
        },
        "preprocessing": {"size": manifest.input_size, **declared},
        "tokenizer": {
            "context_length": _text(manifest).context_length,
            "files": {path.name: digest(path) for path in parts.tokenizer},
        },
    }


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    parts = find_parts(manifest, weights)
    return load_adapted(manifest, parts, adapted, device=device, batch_size=batch_size)


def load_adapted(
    manifest: EncoderManifest, parts: Parts, adapt: Adapt, *, device: str, batch_size: int
) -> Encoder:
    """Return the encoder with weights that `adapt` gives the names of the networks' tensors."""
    from stages.embed.medclip_model import image_blocks, image_tower  # loads torch

    batches = FixedBatches(choose_device(device), batch_size)
    model = _build(manifest, parts)
    fit(model, parts.weights, name=manifest.id, adapt=adapt)
    model.float().eval().requires_grad_(requires_grad=False).to(batches.device)
    few = FixedBatches(batches.device, min(batch_size, _TEXTS))
    text = MedClipText(manifest, parts, model, few)
    embed = image_tower(model, parts.architecture)
    blocks = image_blocks(model, parts.architecture)
    return MedClipEncoder(manifest, embed, blocks, batches, text)


def adapted(state: State, model: torch.nn.Module) -> State:
    """Return `state` with the names and shapes that this transformers gives the same tensors."""
    expected = model.state_dict()
    kept = {
        _renamed(key) if key not in expected else key: value
        for key, value in state.items()
        if key in expected or not (key == _COUNTER or key.endswith(_SWIN_INDEX))
    }
    scale = kept.get("logit_scale")
    if scale is not None and scale.numel() == 1:
        kept["logit_scale"] = scale.reshape(())
    return kept


class MedClipEncoder:
    """A loaded MedCLIP."""

    def __init__(
        self,
        manifest: EncoderManifest,
        embed: Embed,
        blocks: Sequence[torch.nn.Module],
        batches: FixedBatches,
        text: MedClipText,
    ) -> None:
        self._width = manifest.width
        self._embed = embed
        self._batches = batches
        self._text = text
        self._prepare = preparation(manifest.input_size, declared_preprocessing(manifest))
        self.tower = Tower(embed, blocks, self.prepare_images, batches)

    @property
    def width(self) -> int:
        """Number of components of an embedding."""
        return self._width

    @property
    def text(self) -> MedClipText:
        """The text half."""
        return self._text

    def prepare_images(self, images: Images) -> torch.Tensor:
        """Return the model's input for `images`, float32 `(n, 3, input size, input size)`."""
        return prepared(images, self._prepare)

    def encode_images(self, images: Images) -> Embeddings:
        """Return the embedding of each image, float32 `(n, width)`."""
        return self._batches.run(
            self._embed,
            lambda part: self.prepare_images(images[part]),
            len(checked_images(images)),
            self._width,
        )


class MedClipText:
    """The text half of a loaded MedCLIP."""

    def __init__(
        self, manifest: EncoderManifest, parts: Parts, model: torch.nn.Module, batches: FixedBatches
    ) -> None:
        from stages.embed.medclip_model import text_tower  # loads torch

        self._width = manifest.width
        self._embed = text_tower(model)
        self._batches = batches
        self._context_length = _text(manifest).context_length
        self._tokenizer = _tokenizer(parts)
        learned = float(model.logit_scale.item())
        self._logit_scale = math.exp(min(max(learned, 0.0), _LARGEST_SCALE))
        blocks = model.text_model.model.encoder.layer
        self.tower = Tower(self._embed, blocks, self._tokens, batches)

    @property
    def context_length(self) -> int:
        """Number of tokens read of a text, start and end included."""
        return self._context_length

    @property
    def logit_scale(self) -> float:
        """Learned factor (the exponential is taken) between cosine similarity and logits."""
        return self._logit_scale

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Return the embedding of each text, float32 `(n, width)`."""
        return self._batches.run(
            self._embed,
            lambda part: self._tokens(list(texts[part])),
            len(texts),
            self._width,
        )

    def token_counts(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return the number of tokens of each text before cutting, start and end included."""
        # Not verbose: whether a text exceeds the context length is what is being asked.
        counts = [len(self._tokenizer(text, verbose=False).input_ids) for text in texts]
        return np.array(counts, np.int64)

    def _tokens(self, texts: list[str]) -> torch.Tensor:
        """Return token ids and attention masks, int64 `(n, 2, context length)`."""
        import torch  # only once there is a model

        tokens = self._tokenizer(
            texts,
            padding="max_length",
            truncation=True,
            max_length=self._context_length,
            return_tensors="pt",
        )
        return torch.stack([tokens.input_ids, tokens.attention_mask], dim=1)


def _text(manifest: EncoderManifest) -> TextTower:
    if manifest.text is None:
        message = f"encoder {manifest.id}: declares no tokenizer"
        raise DataError(message)
    return manifest.text


def _build(manifest: EncoderManifest, parts: Parts) -> torch.nn.Module:
    """Return the networks with random weights; nothing is downloaded for them."""
    import torch  # only once there is something to load

    from stages.embed.medclip_model import build  # as above

    try:
        # Initialisation draws random numbers, which are all overwritten: leave the caller's alone.
        with torch.random.fork_rng(devices=[]):
            return build(parts, manifest.width)
    except Exception as error:  # transformers checks configurations with errors of many types
        reason = str(error).strip().split("\n")[0]
        message = f"{parts.weights.parent}: its configurations are no {manifest.id}: {reason}"
        raise DataError(message) from error


def _renamed(name: str) -> str:
    if not name.startswith("vision_model."):
        return name
    for published, present in _SWIN_NAMES:
        name = name.replace(published, present)
    return name


def _tokenizer(parts: Parts) -> Callable[..., Any]:
    """Return the tokenizer, which lower-cases unless its files say otherwise, as MedCLIP's did."""
    import transformers  # only once there is something to load

    folder = parts.tokenizer[0].parent
    try:
        read = transformers.BertTokenizerFast.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the readers of tokenizer files raise errors of many types
        reason = str(error).strip().split("\n")[0]
        message = f"{folder}: its tokenizer files cannot be read: {reason}"
        raise DataError(message) from error
    tokenizer: Callable[..., Any] = read
    return tokenizer
