"""The contract every encoder keeps, as tests to inherit, and its generated images.

A new encoder gets its tests by saying how it is loaded::

    class TestTiny(VisionLanguageContract):
        @pytest.fixture(scope="class")
        @classmethod
        def encoder(cls):
            return loader("open_clip").load(manifest, folder, device="cpu")
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import DataError
from pipeline.stream import Stream
from stages.embed.encoder import Embeddings, Encoder, EqualImages, TextEncoder

TEXTS = (
    "",
    "a chest X-ray of a healthy person",
    "pneumonia",
    "a medical image of a basophil belonging to pbc",
    "opacity " * 60,
)
"""Texts of several lengths, the first empty and the last longer than most models read."""


def generated_images(
    count: int, height: int, width: int, channels: int, name: str = ""
) -> EqualImages:
    """Return images of ramps and texture, each different, `(count, height, width, channels)`."""
    n, y, x, c = np.ogrid[:count, :height, :width, :channels]
    ramp = (x * 90) // width + (y * (30 + 7 * n)) // height + 20 * c
    words = Stream.of("generated images", name).words(count * height * width * channels)
    texture = (words >> np.uint64(58)).astype(np.int64).reshape(count, height, width, channels)
    images: EqualImages = np.clip(ramp + texture, 0, 255).astype(np.uint8)
    return images


class EncoderContract:
    """What every loaded encoder does; subclasses provide the fixture `encoder`."""

    tolerance: ClassVar[float] = 1e-5
    """Largest difference that the place of an image among others may make."""
    size: ClassVar[int] = 40
    """Height and width of the test images, pixels."""

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls) -> Encoder:
        """Return the encoder under test."""
        raise NotImplementedError

    def images(self, count: int = 5, channels: int = 3) -> EqualImages:
        """Return test images."""
        return generated_images(count, self.size, self.size, channels)

    @pytest.mark.parametrize("channels", [1, 3])
    def test_one_row_per_image(self, encoder: Encoder, channels: int) -> None:
        """Embeddings are finite float32 rows of the stated width."""
        embeddings = encoder.encode_images(self.images(channels=channels))
        self._assert_usable(embeddings, 5, encoder.width)

    def test_no_images(self, encoder: Encoder) -> None:
        """No images give no rows, of the stated width."""
        assert encoder.encode_images(self.images()[:0]).shape == (0, encoder.width)

    def test_repeatable(self, encoder: Encoder) -> None:
        """The same images give the same embeddings, bit for bit on the same machine."""
        first = encoder.encode_images(self.images())
        np.testing.assert_array_equal(encoder.encode_images(self.images()), first)

    def test_images_are_independent(self, encoder: Encoder) -> None:
        """An embedding depends neither on the other images nor on their number and order."""
        images = self.images(7)
        together = encoder.encode_images(images)
        alone = np.concatenate([encoder.encode_images(images[i : i + 1]) for i in range(7)])
        backwards = encoder.encode_images(images[::-1])[::-1]
        for other in (alone, backwards):
            np.testing.assert_allclose(other, together, rtol=0, atol=self.tolerance)

    def test_images_are_told_apart(self, encoder: Encoder) -> None:
        """Different images give different embeddings."""
        embeddings = encoder.encode_images(self.images())
        assert len(np.unique(embeddings, axis=0)) == len(embeddings)

    def test_gray_is_replicated(self, encoder: Encoder) -> None:
        """A gray image embeds as the RGB image with three equal channels."""
        gray = self.images(channels=1)
        expected = encoder.encode_images(np.repeat(gray, 3, axis=3))
        found = encoder.encode_images(gray)
        np.testing.assert_allclose(found, expected, rtol=0, atol=self.tolerance)

    @pytest.mark.parametrize("level", [0, 1, 128, 255])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_uniform_images(self, encoder: Encoder, level: int, channels: int) -> None:
        """A black, gray or white image, which is legitimate, has a finite, non-zero embedding."""
        images = np.full((2, self.size, self.size, channels), level, np.uint8)
        self._assert_usable(encoder.encode_images(images), 2, encoder.width)

    @pytest.mark.parametrize("shape", [(28, 28), (33, 57), (224, 224)])
    def test_any_image_size(self, encoder: Encoder, shape: tuple[int, int]) -> None:
        """Images of any size and shape embed to the same width."""
        images = generated_images(2, *shape, 3)
        self._assert_usable(encoder.encode_images(images), 2, encoder.width)

    def test_images_of_mixed_size(self, encoder: Encoder) -> None:
        """A list of images, each of its own size, embeds as each of them does alone."""
        shapes = [(33, 57, 3), (33, 57, 3), (80, 41, 3), (33, 57, 1), (self.size, self.size, 3)]
        images = [generated_images(1, *shape, str(n))[0] for n, shape in enumerate(shapes)]
        alone = np.concatenate([encoder.encode_images(image[None]) for image in images])
        together = encoder.encode_images(images)
        self._assert_usable(together, len(shapes), encoder.width)
        np.testing.assert_allclose(together, alone, rtol=0, atol=self.tolerance)
        assert encoder.encode_images(()).shape == (0, encoder.width)

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((40, 40, 3), np.float32),
            np.zeros((40, 40), np.uint8),
            np.zeros(3, np.uint8),
            np.zeros((40, 40, 4), np.uint8),
            np.zeros((0, 0, 0), np.uint8),
        ],
        ids=["dtype", "no channels", "dimensions", "channels", "no pixels"],
    )
    def test_wrong_images(self, encoder: Encoder, wrong: NDArray[np.generic]) -> None:
        """An image of another type or shape among others is refused with both stated."""
        with pytest.raises(DataError, match=r"uint8 \(height, width, 1 or 3\), not "):
            encoder.encode_images([self.images(1)[0], wrong])  # type: ignore[list-item]

    def test_read_only_images(self, encoder: Encoder) -> None:
        """Images mapped read-only from a store are accepted and left as they are."""
        images = self.images()
        images.flags.writeable = False
        self._assert_usable(encoder.encode_images(images), 5, encoder.width)

    @pytest.mark.parametrize(
        "wrong",
        [
            np.zeros((2, 40, 40, 3), np.float32),
            np.zeros((40, 40, 3), np.uint8),
            np.zeros((2, 40, 40, 4), np.uint8),
        ],
        ids=["dtype", "dimensions", "channels"],
    )
    def test_wrong_arrays(self, encoder: Encoder, wrong: NDArray[np.generic]) -> None:
        """Arrays of another type or shape are refused with both stated."""
        with pytest.raises(DataError, match=r"uint8 \(n, height, width, 1 or 3\), not "):
            encoder.encode_images(wrong)  # type: ignore[arg-type]

    def _assert_usable(self, embeddings: Embeddings, count: int, width: int) -> None:
        assert embeddings.dtype == np.float32
        assert embeddings.shape == (count, width)
        assert np.isfinite(embeddings).all()
        assert (np.linalg.norm(embeddings, axis=1) > 0).all()


class VisionLanguageContract(EncoderContract):
    """What every encoder that also reads texts does beyond."""

    @pytest.fixture
    def text(self, encoder: Encoder) -> TextEncoder:
        """Return the text half."""
        if encoder.text is None:
            pytest.fail("a vision-language encoder has a text half")
        return encoder.text

    def test_one_row_per_text(self, encoder: Encoder, text: TextEncoder) -> None:
        """Text embeddings are finite float32 rows of the width of image embeddings."""
        self._assert_usable(text.encode_texts(TEXTS), len(TEXTS), encoder.width)
        assert text.encode_texts([]).shape == (0, encoder.width)

    def test_texts_are_independent(self, text: TextEncoder) -> None:
        """A text's embedding depends neither on the other texts nor on their order."""
        together = text.encode_texts(TEXTS)
        alone = np.concatenate([text.encode_texts([words]) for words in TEXTS])
        backwards = text.encode_texts(TEXTS[::-1])[::-1]
        for other in (alone, backwards):
            np.testing.assert_allclose(other, together, rtol=0, atol=self.tolerance)

    def test_tokens_are_counted_before_the_cut(self, text: TextEncoder) -> None:
        """An empty text has its start and end, a long one more tokens than are read."""
        counts = text.token_counts(TEXTS)
        assert counts.dtype == np.int64
        assert counts[0] == 2
        assert (counts[1:] > 2).all()
        longer = text.token_counts(["opacity " * (text.context_length + 1)])[0]
        assert longer > text.context_length

    def test_the_cut_is_at_the_context_length(self, text: TextEncoder) -> None:
        """What lies beyond the context length does not change an embedding."""
        words = "opacity " * text.context_length
        one, other = text.encode_texts([words + "left", words + "right lung"])
        np.testing.assert_array_equal(one, other)

    def test_logit_scale(self, text: TextEncoder) -> None:
        """The logit scale is a positive factor, the exponential already taken."""
        assert 0 < text.logit_scale < np.inf
