"""Features of blocks against each family's own package, run directly on the same inputs.

Float32 states may differ by 1e-4 of the largest component: batches round differently.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline.artifact import Artifact
from pipeline.errors import DataError, NonDeterminismError, PipelineError, UsageError
from pipeline.store import Store
from stages.embed.encoder import Encoder
from stages.embed.features import patch_node
from stages.embed.loaders import loader
from stages.embed.outline import Outline, image_outline, text_outline
from stages.embed.schema import EncoderManifest
from stages.embed.testing import TEXTS, generated_images
from stages.embed.towers import HasBlocks
from tests.stages.embed import tiny_hugging_face, tiny_timm
from tests.stages.embed import tiny_robustmedclip as robust
from tests.stages.embed.tiny import BERT_MODEL, CLIP_MODEL, declare_bert, declare_clip, write_config
from tests.stages.embed.tiny_medclip import (
    Plain,
    declare_medclip,
    tokens_of,
    write_swin_files,
    write_text_files,
)
from tests.stages.embed.toys import ROWS, Ready, build, pictures, refused

IMAGES = generated_images(5, 40, 56, 3)
Features = np.ndarray


def prepared(manifest: EncoderManifest, folder: Path) -> tuple[Encoder, Mapping[str, Any]]:
    """Return the encoder on the CPU in batches of two, and its identity."""
    family = loader(manifest.family)
    encoder = family.load(manifest, folder, device="cpu", batch_size=2)
    return encoder, family.identity(manifest, folder)


def features(half: object, outline: Outline, given: Sequence[Any], *blocks: int) -> Features:
    """Return what blocks of a tower make of inputs."""
    assert isinstance(half, HasBlocks)
    shape = outline.shapes[blocks[0]]
    return half.tower.features(given, blocks, (shape.tokens, shape.width), 8)


def close(found: Features, expected: torch.Tensor | np.ndarray) -> None:
    """Require equality but for rounding."""
    expected = np.asarray(expected)
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def pixels_of(encoder: Any) -> torch.Tensor:
    """Return the model's input for the images."""
    return encoder.prepare_images(IMAGES)


def test_open_clip_images(clip_folder: Path) -> None:
    """Patches of CLIP's own tower are those of open_clip's intermediates, class token first."""
    import open_clip

    encoder, identity = prepared(declare_clip(), clip_folder)
    outline = image_outline(declare_clip(), identity)
    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    pixels = torch.stack([prepare(Image.fromarray(image)) for image in IMAGES])
    with torch.inference_mode():
        own = model.eval().visual.forward_intermediates(
            pixels, indices=[0, 1], output_fmt="NLC", output_extra_tokens=True
        )
    both = zip(own["image_intermediates_prefix"], own["image_intermediates"], strict=True)
    expected = torch.stack([torch.cat(parts, 1) for parts in both], 1)
    assert outline.shapes[0].grid == (4, 4)
    assert outline.shapes[0].prefix == ("class",)
    close(features(encoder, outline, IMAGES, 0, 1), expected)
    close(features(encoder, outline, IMAGES, 1), expected[:, 1:])


def test_open_clip_resnet(tmp_path: Path) -> None:
    """Stages of CLIP's ResNets are the feature maps that open_clip returns, row by row."""
    import open_clip
    from safetensors.torch import save_file

    vision = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None}
    config = CLIP_MODEL | {"vision_cfg": vision}
    write_config(tmp_path, config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = open_clip.CLIP(**config).eval()
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, tmp_path / "open_clip_model.safetensors")
    manifest = declare_clip(input_size=64)
    encoder, identity = prepared(manifest, tmp_path)
    outline = image_outline(manifest, identity)
    assert outline.kind == "stage"
    with torch.inference_mode():
        maps = model.visual.forward_intermediates(pixels_of(encoder), 4)["image_intermediates"]
    for stage, own in enumerate(maps[-4:]):
        assert own.shape[2:] == outline.shapes[stage].grid
        expected = own.flatten(2).transpose(1, 2)[:, None]
        close(features(encoder, outline, IMAGES, stage), expected)


def test_robustmedclip(bert_folder: Path, tmp_path: Path) -> None:
    """Patches of the tuned tower are those with its adapters run beside the weights."""
    shutil.copytree(bert_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "open_clip_pytorch_model.bin").unlink()
    plain = robust.PlainViT(bert_folder)
    torch.save(plain.state(), tmp_path / "model.pth")
    weights = {"repository": "some-lab/robust", "file": robust.FILE, "lora_rank": robust.RANK}
    manifest = declare_bert(family="robustmedclip", weights=weights)
    encoder, identity = prepared(manifest, tmp_path)
    with torch.inference_mode():
        ((patches, prefix),) = plain.model.visual.trunk.forward_intermediates(
            pixels_of(encoder),
            [3],
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
    found = features(encoder, image_outline(manifest, identity), IMAGES, 3)
    close(found, torch.cat([prefix, patches], 1)[:, None])


def test_open_clip_texts(clip_folder: Path) -> None:
    """Tokens of CLIP's own text tower are those of open_clip's intermediates."""
    import open_clip

    encoder, identity = prepared(declare_clip(), clip_folder)
    outline = text_outline(declare_clip(), identity)
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{clip_folder}")
    tokens = open_clip.get_tokenizer(f"local-dir:{clip_folder}")(list(TEXTS))
    with torch.inference_mode():
        own = model.eval().forward_intermediates(
            text=tokens, text_indices=[0, 1], normalize_intermediates=False
        )
    assert len(outline.shapes) == CLIP_MODEL["text_cfg"]["layers"]
    found = features(encoder.text, outline, TEXTS, 0, 1)
    close(found, torch.stack(own["text_intermediates"], 1))


def test_timm_trunk_and_bert(bert_folder: Path) -> None:
    """BiomedCLIP's towers: the trunk's intermediates are timm's, the text's transformers'."""
    import open_clip

    encoder, identity = prepared(declare_bert(), bert_folder)
    text = BERT_MODEL["text_cfg"] | {
        "hf_model_name": str(bert_folder),
        "hf_model_pretrained": False,
    }
    name = f"local-dir:{bert_folder}"
    model, _, prepare = open_clip.create_model_and_transforms(name, text_cfg=text)
    model.eval()
    pixels = torch.stack([prepare(Image.fromarray(image)) for image in IMAGES])
    tokens = open_clip.get_tokenizer(name)(list(TEXTS))
    with torch.inference_mode():
        blocks = model.visual.trunk.forward_intermediates(
            pixels, [1, 4], return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True
        )
        states = model.text.transformer(
            input_ids=tokens, attention_mask=(tokens != 0).long(), output_hidden_states=True
        ).hidden_states
    expected = torch.stack([torch.cat([prefix, rest], 1) for rest, prefix in blocks], 1)
    outline = image_outline(declare_bert(), identity)
    close(features(encoder, outline, IMAGES, 1, 4), expected)
    of_text = text_outline(declare_bert(), identity)
    found = features(encoder.text, of_text, TEXTS, 0, 1)
    close(found, torch.stack(states[1:], 1))


def test_hugging_face_clip(tmp_path: Path) -> None:
    """Features of block i are hidden_states[i + 1] of transformers."""
    import transformers

    folder, manifest = tiny_hugging_face.write(tmp_path), tiny_hugging_face.declare()
    encoder, identity = prepared(manifest, folder)
    model = transformers.CLIPModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer(
        list(TEXTS), padding="max_length", truncation=True, max_length=24, return_tensors="pt"
    )
    with torch.inference_mode():
        states = model.vision_model(
            pixel_values=pixels_of(encoder), output_hidden_states=True
        ).hidden_states
        words = model.text_model(**tokens, output_hidden_states=True).hidden_states
    found = features(encoder, image_outline(manifest, identity), IMAGES, 0, 1)
    close(found, torch.stack(states[1:], 1))
    found = features(encoder.text, text_outline(manifest, identity), TEXTS, 0)
    close(found, words[1][:, None])


def test_timm_transformer(tmp_path: Path) -> None:
    """Patches of a timm transformer are those of timm's intermediates."""
    import timm

    folder, manifest = tiny_timm.write(tmp_path), tiny_timm.declare()
    encoder, identity = prepared(manifest, folder)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    with torch.inference_mode():
        blocks = model.forward_intermediates(
            pixels_of(encoder),
            [2, 5],
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
    expected = torch.stack([torch.cat([prefix, rest], 1) for rest, prefix in blocks], 1)
    close(features(encoder, image_outline(manifest, identity), IMAGES, 2, 5), expected)


@pytest.mark.parametrize("architecture", ["swin", "resnet50"])
def test_medclip(architecture: str, tmp_path: Path) -> None:
    """Stages of MedCLIP's towers are feature maps row by row; its text's are hidden states."""
    plain = Plain(architecture, 3)
    torch.save(plain.state(), tmp_path / "pytorch_model.bin")
    write_text_files(tmp_path / "tiny-bert")
    write_swin_files(tmp_path / "tiny-swin")
    manifest = declare_medclip(architecture)
    encoder, identity = prepared(manifest, tmp_path)
    outline, pixels = image_outline(manifest, identity), pixels_of(encoder)
    with torch.inference_mode():
        if architecture == "swin":
            maps = plain.vision(
                pixels, output_hidden_states=True, output_hidden_states_before_downsampling=True
            ).reshaped_hidden_states[1:]
        else:
            x = plain.vision.maxpool(
                plain.vision.relu(plain.vision.bn1(plain.vision.conv1(pixels)))
            )
            maps = [x := getattr(plain.vision, f"layer{stage}")(x) for stage in (1, 2, 3, 4)]
        words = plain.bert(
            torch.tensor([tokens_of("lung opacity")]), output_hidden_states=True
        ).hidden_states
    assert outline.kind == "stage"
    for stage in range(len(outline.shapes)) if architecture == "resnet50" else (1,):
        height, width = outline.shapes[stage].grid or (0, 0)
        expected = maps[stage]
        assert expected.shape[2:] == (height, width)
        expected = expected.flatten(2).transpose(1, 2)[:, None]
        close(features(encoder, outline, IMAGES, stage), expected)
    of_text = text_outline(manifest, identity)
    found = features(encoder.text, of_text, ["lung opacity"], 0, 3)
    count = len(tokens_of("lung opacity"))
    close(found[:, :, :count], torch.stack([words[1], words[4]], 1))


def test_blocks_of_different_shape_or_none(tmp_path: Path) -> None:
    """A block that is not there, and stages that do not fit in one array, are refused."""
    write_text_files(tmp_path / "tiny-bert")
    torch.save(Plain("resnet50", 3).state(), tmp_path / "pytorch_model.bin")
    manifest = declare_medclip("resnet50")
    outline = image_outline(manifest, loader("medclip").identity(manifest, tmp_path))
    assert outline.chosen([-1, 3], "it", "image") == (3,)
    with pytest.raises(UsageError, match=r"stage 4: it has 4 stages, 0 to 3, or -4 to -1"):
        outline.chosen([4], "it", "image")
    with pytest.raises(UsageError, match=r"different shape \(2: 16 tokens of 1024; 3: 4 tokens"):
        outline.chosen([2, 3], "it", "image")


def test_a_tower_that_is_not_as_outlined(clip_folder: Path) -> None:
    """What a block returns is not stored if it is of another shape than was planned."""
    encoder, _ = prepared(declare_clip(), clip_folder)
    assert isinstance(encoder, HasBlocks)
    with pytest.raises(DataError, match=r"of shape \(1, 17, 32\), not of the 1 x 16 x 32"):
        encoder.tower.features(IMAGES, (0,), (16, 32), 8)


@pytest.mark.parametrize(
    ("architecture", "tokens", "width", "depth"),
    [
        ("vit_base_patch14_dinov2", 1 + 11 * 11, 768, 12),
        ("vit_large_patch14_reg4_dinov2", 5 + 11 * 11, 1024, 24),
        ("vit_small_patch16_224", 1 + 10 * 10, 384, 12),
        ("resnet50", 5 * 5, 2048, 4),
        ("resnet18", 5 * 5, 512, 4),
    ],
)
def test_outlines_of_timm(architecture: str, tokens: int, width: int, depth: int) -> None:
    """The shapes that names of timm stand for are those of the models it builds."""
    import timm

    weights = {"repository": "some-lab/tiny", "architecture": architecture}
    manifest = tiny_timm.declare(weights=weights)
    outline = image_outline(manifest, {"architecture": {"name": architecture}})
    last = outline.shapes[-1]
    assert (last.tokens, last.width, len(outline.shapes)) == (tokens, width, depth)
    with torch.device("meta"):
        options = {"img_size": 160} if architecture.startswith("vit") else {}
        model = timm.create_model(architecture, num_classes=0, **options)
    if architecture.startswith("vit"):
        assert len(model.blocks) == depth
        assert model.num_prefix_tokens == len(last.prefix)
        side = model.patch_embed.grid_size[0]
        assert model.num_prefix_tokens + side * side == tokens
    else:
        assert [one["num_chs"] for one in model.feature_info[1:]] == [
            shape.width for shape in outline.shapes
        ]


@pytest.mark.parametrize("architecture", ["convnext_tiny", "vit_base_patch16_siglip_224"])
def test_architectures_without_known_blocks(architecture: str) -> None:
    """An architecture of which the blocks are not known says what is offered."""
    weights = {"repository": "some-lab/tiny", "architecture": architecture}
    manifest = tiny_timm.declare(weights=weights)
    with pytest.raises(UsageError, match="offers --features global only"):
        image_outline(manifest, {"architecture": {"name": architecture}})


class Grey:
    """A tower whose single block repeats the first pixel of an image, spoilt in some rows."""

    def __init__(self, value: float = 1.0, *, drifts: bool = False) -> None:
        self.value = value
        self.calls = 0
        self.drifts = drifts

    @property
    def tower(self) -> Grey:
        """Itself."""
        return self

    def features(
        self, given: Sequence[Any], blocks: Sequence[int], shape: tuple[int, int], at_most: int
    ) -> Features:
        """Return the features of images that may be read one by one."""
        assert at_most == 4
        self.calls += 1
        first = np.array([image[0, 0, 0] for image in given], np.float32)
        found = np.ones((len(given), len(blocks), *shape), np.float32)
        found *= (first + 1)[:, None, None, None]
        found[first == 13] *= self.value
        if self.drifts:
            found += 3 * np.arange(len(given), dtype=np.float32)[:, None, None, None]
        return found


ARCHITECTURE = {"architecture": {"vision_cfg": {"layers": 2, "width": 768, "patch_size": 1}}}
"""Of a tower whose features are large: 1025 tokens of 768, 21 rows a shard."""


def test_rows_in_shards_by_bytes(tmp_path: Path) -> None:
    """Shards hold about as many bytes as those of images; rows and ids are the images'."""
    node = patch_node(Ready(declare_clip(), Grey()), ARCHITECTURE, pictures(), [-1])
    assert (node.slots, node.shards) == (16, 2)
    build(tmp_path, node).raise_failures()
    store = Store.open(tmp_path)
    artifact: Artifact = store.artifact(node.recipe)
    assert artifact.index(["id"])["id"].to_pylist() == [f"c{row}" for row in range(ROWS)]
    found = artifact.array("patches")
    assert [float(found[row].max()) for row in range(ROWS)] == [row + 1 for row in range(ROWS)]
    assert artifact.attributes["probe_difference"] == 0


@pytest.mark.parametrize(
    ("grey", "dtype", "kind", "fault"),
    [
        (Grey(np.nan), "float32", DataError, "'c13' (row 13) holds NaN"),
        (Grey(0.0), "float32", DataError, "'c13' (row 13) is zero"),
        (Grey(1e4), "float16", DataError, "'c13' (row 13) is infinite in float16"),
        (Grey(drifts=True), "float32", NonDeterminismError, "once more in another batch"),
    ],
)
def test_gates(
    tmp_path: Path,
    grey: Grey,
    dtype: str,
    kind: type[PipelineError],
    fault: str,
) -> None:
    """What embeddings are refused for, features are too."""
    node = patch_node(Ready(declare_clip(dtype=dtype), grey), ARCHITECTURE, pictures(15))
    refused(tmp_path, node, kind, fault)


def test_the_key() -> None:
    """Blocks and stored type are in the key, in whatever way the blocks are named."""

    def key(*blocks: int, dtype: str = "float32") -> str:
        encoder = Ready(declare_clip(dtype=dtype), Grey())
        return patch_node(encoder, ARCHITECTURE, pictures(), blocks).recipe.key

    assert key(0, 1) == key(-1, 0) == key(1, 0, 1)
    assert len({key(0), key(1), key(0, 1), key(0, dtype="float16")}) == 4
