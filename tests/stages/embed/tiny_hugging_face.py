"""A tiny CLIP of transformers as repositories hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from stages.embed.encoder import EqualImages
from stages.embed.schema import EncoderManifest
from stages.embed.testing import TEXTS
from tests.stages.embed import tiny
from tests.stages.embed.tiny import MEAN, STD

SIZE = 32


PREPARED = {
    "crop_size": SIZE,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": list(MEAN),
    "image_std": list(STD),
    "resample": 3,
    "size": SIZE,
}


"""As the first published preprocessor_config.json are written; later ones are tested too."""


START, END = "<|startoftext|>", "<|endoftext|>"


def declare(**changes: object) -> EncoderManifest:
    """Return the manifest of the tiny CLIP, with changes by top-level field."""
    declared: dict[str, object] = {
        "id": "tiny-hf-clip",
        "family": "hugging_face_clip",
        "weights": {"repository": "some-lab/tiny-hf-clip"},
        "text": {"tokenizer": "hugging-face", "context_length": 24},
    }
    return tiny.declare(**declared | changes)


def write_tokenizer(folder: Path) -> int:
    """Write a vocabulary of bytes and a few merges as CLIP's is written; return its size."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    merges = ["l u", "n g</w>", "lu ng</w>", "x -", "r a", "ra y</w>"]
    tokens = [*letters, *(f"{one}</w>" for one in letters)]
    tokens += [merge.replace(" ", "") for merge in merges]
    vocabulary = {token: n for n, token in enumerate([*tokens, START, END])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    own = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 24, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    return len(vocabulary)


def write(folder: Path) -> Path:
    """Write a tiny CLIP as repositories hold them."""
    import transformers

    words = write_tokenizer(folder)
    tower = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
    }
    text = {**tower, "vocab_size": words, "max_position_embeddings": 24}
    text |= {"bos_token_id": words - 2, "eos_token_id": words - 1, "pad_token_id": words - 1}
    vision = {**tower, "image_size": SIZE, "patch_size": 8}
    config = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 16}
    config |= {"text_config": text, "vision_config": vision, "logit_scale_init_value": 2.6592}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(PREPARED))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(21)
        model = transformers.CLIPModel(transformers.CLIPConfig.from_dict(config))
    # Weights of this size make embeddings of usual size; the initial ones are nearly all alike.
    state = {k: v.contiguous() * (5 if v.ndim > 1 else 1) for k, v in model.state_dict().items()}
    save_file(state, weights_of(folder), metadata={"format": "pt"})
    return folder


def weights_of(folder: Path) -> Path:
    return folder / "model.safetensors"


def processor(folder: Path) -> Any:
    """Return transformers' own preparation of images, that which uses Pillow."""
    import transformers

    kind = getattr(transformers, "CLIPImageProcessorPil", transformers.CLIPImageProcessor)
    return kind.from_pretrained(folder)


def reference(folder: Path, images: EqualImages) -> tuple[np.ndarray, np.ndarray, float]:
    """Return transformers' own embeddings of images and of `TEXTS`, and its logit scale."""
    import transformers

    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    prepare = processor(folder)
    tokens = tokenizer(list(TEXTS), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        rows = [
            projected(
                model.get_image_features(**prepare(Image.fromarray(one), return_tensors="pt"))
            )
            for one in images
        ]
        texts = projected(model.get_text_features(**tokens))
    return torch.cat(rows).numpy(), texts.numpy(), float(model.logit_scale.detach().exp())


def projected(output: Any) -> torch.Tensor:
    """Return the embeddings, which transformers 5 wraps."""
    return output if torch.is_tensor(output) else output.pooler_output
