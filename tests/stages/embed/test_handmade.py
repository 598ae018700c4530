"""The encoders that need no weights."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import DataError, UsageError
from pipeline.manifest import read_manifest
from stages.embed.encoder import Encoder
from stages.embed.loaders import loader
from stages.embed.schema import EncoderManifest
from stages.embed.testing import EncoderContract, generated_images


def shipped(name: str) -> EncoderManifest:
    """Return a shipped manifest."""
    with resources.as_file(resources.files("manifests") / "encoders" / f"{name}.toml") as path:
        return read_manifest(path, EncoderManifest)


def loaded(name: str) -> Encoder:
    """Return a shipped hand-made encoder."""
    return loader(shipped(name).family).load(shipped(name), None)


class TestTexture(EncoderContract):
    """`texture` keeps the contract."""

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls):
        return loaded("texture")


class TestPixels(EncoderContract):
    """`pixels` keeps the contract."""

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls):
        return loaded("pixels")


@pytest.mark.parametrize("size", [16, 64, 224])
def test_pixels_are_area_averages(size):
    """`pixels` is the mean of each of 16x16 areas over pixels and channels, in 0..1, and a 1."""
    images = generated_images(3, size, size, 3)
    areas = images.reshape(3, 16, size // 16, 16, size // 16, 3).mean(axis=(2, 4, 5)) / 255
    embeddings = loaded("pixels").encode_images(images)
    np.testing.assert_allclose(embeddings[:, :-1], areas.reshape(3, 256), atol=1e-6)
    np.testing.assert_array_equal(embeddings[:, -1], 1)


@pytest.mark.parametrize("kind", ["texture", "noise", "black"])
def test_no_texture_block_dominates(kind):
    """Each of the four blocks of `texture` has a norm of at most 1, histograms exactly 1."""
    images = generated_images(4, 64, 64, 3, name=kind)
    if kind == "noise":
        images = np.where(images % 2 == 0, 0, 255).astype(np.uint8)
    elif kind == "black":
        images = np.zeros_like(images)
    blocks = np.split(loaded("texture").encode_images(images), [324, 364, 412], axis=1)
    gradients, patterns, colours, layout = (np.linalg.norm(block, axis=1) for block in blocks)
    assert (gradients <= 1 + 1e-6).all()
    assert (layout <= 1 + 1e-6).all()
    np.testing.assert_allclose(patterns, 1, atol=1e-6)
    np.testing.assert_allclose(colours, 1, atol=1e-6)


def test_texture_gradients_follow_the_edges():
    """Vertical and horizontal stripes fill the orientation bins of their own direction."""
    stripes = np.zeros((1, 64, 64, 1), np.uint8)
    stripes[:, :, (np.arange(64) // 4) % 2 == 0] = 200
    images = np.concatenate([stripes, stripes.swapaxes(1, 2)])
    gradients = loaded("texture").encode_images(images)[:, :324].reshape(2, -1, 9).sum(axis=1)
    assert gradients.argmax(axis=1).tolist() == [0, 4]
    np.testing.assert_allclose(gradients.max(axis=1) / gradients.sum(axis=1), 1, atol=1e-5)


def test_texture_layout_is_mean_and_deviation():
    """The last block holds the mean and standard deviation of each channel in a 4x4 grid."""
    images = generated_images(3, 64, 64, 3)
    tiles = images.reshape(3, 4, 16, 4, 16, 3) / 255
    expected = np.concatenate([tiles.mean(axis=(2, 4)), tiles.std(axis=(2, 4))], axis=-1)
    layout = loaded("texture").encode_images(images)[:, 412:] * np.sqrt(48)
    np.testing.assert_allclose(layout, expected.reshape(3, -1), atol=1e-6)


@pytest.mark.parametrize("name", ["texture", "pixels"])
def test_a_formula_reads_no_text(name):
    """A hand-made encoder has no text half."""
    assert loaded(name).text is None


@pytest.mark.parametrize("name", ["texture", "pixels"])
def test_identity_is_the_formula(name):
    """What determines the embeddings is the version of the formula, and nothing on disk."""
    assert loader(shipped(name).family).identity(shipped(name), None) == {"algorithm": 1}


@pytest.mark.parametrize("name", ["texture", "pixels"])
def test_weights_are_refused(name, tmp_path: Path):
    """`--weights` makes no sense for a formula and is not silently ignored."""
    manifest = shipped(name)
    for call in (loader(manifest.family).identity, loader(manifest.family).load):
        with pytest.raises(UsageError, match=f"{name} has no weights"):
            call(manifest, tmp_path)


@pytest.mark.parametrize("name", ["texture", "pixels"])
def test_declared_size_is_checked(name):
    """A manifest that states another width than the formula has is refused."""
    manifest = shipped(name).model_copy(update={"width": 99})
    with pytest.raises(DataError, match="the manifest says 99"):
        loader(manifest.family).load(manifest, None)
