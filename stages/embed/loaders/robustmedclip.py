"""RobustMedCLIP: BiomedCLIP or MedCLIP's ResNet-50, tuned with low-rank adapters.

The model that was tuned is built as its own family builds it, with the adapters added into its
weights, so it costs no more than that model. Its own preprocessing is the one it was tuned with,
CLIP's, for both; its embeddings are compared by cosine, without a temperature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pipeline.digest import Json, digest_file
from pipeline.errors import DataError
from stages.embed.adapters import RESNET, VISION_TRANSFORMER, merging, refuse_adapters_alone
from stages.embed.checkpoint import find_checkpoint
from stages.embed.encoder import Digest, Encoder
from stages.embed.loaders import medclip, open_clip
from stages.embed.parts import find_parts
from stages.embed.schema import EncoderManifest, Weights
from stages.embed.wanted import WantedFile

LOADER: Final = 1
"""Raised by hand when the embeddings of equal weights change."""
_STRIDE: Final = 32
"""A ResNet-50 halves its input five times."""
PACKAGES: Final = tuple(dict.fromkeys(open_clip.PACKAGES + medclip.PACKAGES))


def files(manifest: EncoderManifest, weights: Path | None) -> tuple[WantedFile, ...]:
    """Return the files of the tuned model's family."""
    if _is_resnet(manifest):
        return medclip.files(manifest, weights)
    return open_clip.files(manifest, weights)


def identity(
    manifest: EncoderManifest, weights: Path | None, *, digest: Digest = digest_file
) -> dict[str, Json]:
    """Return what the tuned model's family returns, and the rank of the adapters."""
    rank = _rank(manifest)
    if _is_resnet(manifest):
        refuse_adapters_alone(find_parts(manifest, weights).weights)
        base = medclip.identity(manifest, weights, digest=digest)
    else:
        refuse_adapters_alone(find_checkpoint(manifest, weights).weights)
        base = open_clip.identity(manifest, weights, digest=digest)
    return {**base, "adapters": {"loader": LOADER, "rank": rank}}


def load(
    manifest: EncoderManifest,
    weights: Path | None,
    *,
    device: str = "auto",
    batch_size: int = 32,
) -> Encoder:
    """Return the encoder, computing in float32 on `device`."""
    rank = _rank(manifest)
    if _is_resnet(manifest):
        if manifest.input_size % _STRIDE:
            message = (
                f"encoder {manifest.id}: adapters of convolutions can be added to them where the "
                f"input size is a multiple of {_STRIDE}, the manifest says {manifest.input_size}"
            )
            raise DataError(message)
        parts = find_parts(manifest, weights)
        refuse_adapters_alone(parts.weights)
        adapt = merging(RESNET, parts.weights, name=manifest.id, rank=rank)
        return medclip.load_adapted(manifest, parts, adapt, device=device, batch_size=batch_size)
    path = find_checkpoint(manifest, weights).weights
    refuse_adapters_alone(path)
    adapt = merging(VISION_TRANSFORMER, path, name=manifest.id, rank=rank)
    return open_clip.load_adapted(manifest, weights, adapt, device=device, batch_size=batch_size)


def _rank(manifest: EncoderManifest) -> int:
    rank = (manifest.weights or Weights()).lora_rank
    if rank is None:
        message = f"encoder {manifest.id}: declares no lora_rank, which its files do not state"
        raise DataError(message)
    return rank


def _is_resnet(manifest: EncoderManifest) -> bool:
    return (manifest.weights or Weights()).architecture == "resnet50"
