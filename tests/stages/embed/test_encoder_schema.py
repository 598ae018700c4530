"""Encoder manifests: what is refused, and that those shipped agree with open_clip."""

from __future__ import annotations

from importlib import resources

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import read_manifest
from stages.embed.checkpoint import TEXT_TOWERS
from stages.embed.loaders import LOADERS, loader
from stages.embed.schema import EncoderManifest

FOLDER = resources.files("manifests") / "encoders"
SHIPPED = sorted(path.name for path in FOLDER.iterdir() if path.name.endswith(".toml"))
TAGGED = [name for name in SHIPPED if "\ntag = " in FOLDER.joinpath(name).read_text()]
CLIP = FOLDER.joinpath("clip-vit-b16.toml").read_text()
TEXTURE = FOLDER.joinpath("texture.toml").read_text()


def read(text: str, tmp_path) -> EncoderManifest:
    """Return the manifest in `text`."""
    path = tmp_path / "encoder.toml"
    path.write_text(text)
    return read_manifest(path, EncoderManifest)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_manifests_are_valid(name, tmp_path):
    """Every shipped manifest is valid, named by its id, and has a loader."""
    text = FOLDER.joinpath(name).read_text()
    manifest = read(text, tmp_path)
    assert f"{manifest.id}.toml" == name
    assert hasattr(loader(manifest.family), "identity")
    assert hasattr(loader(manifest.family), "load")


def test_the_named_encoders_are_shipped():
    """The encoders of the papers' main tables, and the two that need no weights, are declared."""
    expected = {"texture", "pixels", "clip-vit-b16", "clip-rn50", "biomedclip"}
    assert expected <= {name.removesuffix(".toml") for name in SHIPPED}


@pytest.mark.parametrize("name", TAGGED)
def test_shipped_manifests_agree_with_open_clip(name, tmp_path):
    """Width, input size, context, activation and preprocessing are those open_clip states."""
    import open_clip

    manifest = read(FOLDER.joinpath(name).read_text(), tmp_path)
    model = open_clip.get_model_config(manifest.weights.architecture)
    published = open_clip.get_pretrained_cfg(manifest.weights.architecture, manifest.weights.tag)
    assert published["hf_hub"].strip("/") == manifest.weights.repository
    assert published["quick_gelu"] == manifest.weights.quick_gelu == model["quick_gelu"]
    assert model["embed_dim"] == manifest.width
    assert model["vision_cfg"]["image_size"] == manifest.input_size
    assert model["text_cfg"]["context_length"] == manifest.text.context_length
    preparation = manifest.preprocessing.model_dump(exclude={"fill", "normalised"})
    assert preparation == {key: published[key] for key in preparation}


def test_text_towers_are_those_of_open_clip():
    """The model types recognised as text towers are the ones open_clip knows."""
    from open_clip.hf_configs import arch_dict

    assert set(arch_dict) == TEXT_TOWERS


def test_every_family_has_a_loader():
    """The table of loaders names every family of the schema, and no other."""
    family = EncoderManifest.model_fields["family"].annotation
    assert set(LOADERS) == set(family.__args__)


def test_all_faults_at_once(tmp_path):
    """One reading reports every fault, with its key and the nearest known field."""
    text = CLIP.replace("width = 512", 'width = "wide"\nimput_size = 224')
    text = text.replace('resize_mode = "shortest"', 'resize_mode = "crop"')
    text = text.replace("std = [0.26862954,", "std = [0.0,")
    with pytest.raises(ManifestError) as caught:
        read(text, tmp_path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for part in (
        "width: ",
        "imput_size: unknown field; did you mean 'input_size'?",
        "preprocessing.resize_mode: ",
        "preprocessing.std.0: ",
    ):
        assert any(part in line for line in lines), part


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("[preprocessing]", "[preprocessing_of_another]", "preprocessing: .*declares it"),
        ("[weights]", "[weights_of_another]", "weights: .*declares it"),
        ('pretraining_data = ["WIT', 'pretraining_data = []\n# ["WIT', "pretraining_data: .*decl"),
        ('architecture = "ViT-B-16-quickgelu"', "", "weights.tag: .*belongs to an architecture"),
        ("timm/vit", "https://hub/timm/vit", "weights.repository: "),
        ('kind = "vision-language"', 'kind = "vision-only"', "text: .*reads no text"),
        ("[text]", "[text_of_another]", "text: .*tokenizer and context length"),
        ('family = "open_clip"', 'family = "openclip"', "family: .*'open_clip'"),
        ('id = "clip', 'id = "CLIP/', "id: "),
    ],
)
def test_learned_encoders_state_everything(old, new, fault, tmp_path):
    """An open_clip manifest without preprocessing, weights or text tower is refused."""
    assert old in CLIP
    with pytest.raises(ManifestError, match=fault):
        read(CLIP.replace(old, new), tmp_path)


@pytest.mark.parametrize(
    ("added", "fault"),
    [
        ("[weights]", "weights: .*learns nothing"),
        ('[text]\ntokenizer = "clip"\ncontext_length = 77', "text: .*reads no text"),
    ],
)
def test_hand_made_encoders_have_no_weights(added, fault, tmp_path):
    """A formula that declares weights or a text tower is refused."""
    text = TEXTURE + added
    if added == "[weights]":
        text += '\nrepository = "a/b"'
    with pytest.raises(ManifestError, match=fault):
        read(text, tmp_path)


def test_hand_made_encoders_read_no_text(tmp_path):
    """A formula that calls itself vision-language is refused."""
    with pytest.raises(ManifestError, match=r"kind: .*write vision-only"):
        read(TEXTURE.replace("vision-only", "vision-language"), tmp_path)
