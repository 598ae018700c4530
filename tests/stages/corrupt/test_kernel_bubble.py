"""Bubble: its contract, the law of its bubbles, and Pillow's bytes for the same ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.corrupt.kernels.bubble import KERNEL, Bubble, apply_bubbles, draw_bubbles
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import SHAPES, array, gray_stays, images_of, pillow


class TestBubblesOfBlood(CorruptionContract):
    suite = gray_stays("bloodmnist")
    corruption = KERNEL.name


class TestBubblesOfTissue(CorruptionContract):
    suite = gray_stays("pathmnist")
    corruption = KERNEL.name


def by_pillow(image: NDArray[np.uint8], bubbles: Sequence[Bubble]) -> NDArray[np.uint8]:
    """Return `image` under `bubbles` as Pillow draws and pastes them."""
    from PIL import Image, ImageDraw

    bubbled = pillow(image)
    layer = Image.new("RGBA", bubbled.size, (255, 255, 255, 0))
    pen = ImageDraw.Draw(layer)
    for x, y, radius in bubbles:
        for reach, opacity in ((radius + 2, 130), (radius, 100)):
            box = (x - reach, y - reach, x + reach, y + reach)
            pen.ellipse(box, fill=(255, 255, 255, opacity))
    bubbled.paste(layer, (0, 0), layer)
    return array(bubbled)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_bytes_are_pillows(shape: tuple[int, int, int]) -> None:
    """Gray and coloured images of all sizes under the same bubbles give Pillow's bytes."""
    for key, image in enumerate(images_of(shape)):
        for max_radius, max_bubbles in ((3, 7), (7, 10), (17, 25)):
            bubbles = draw_bubbles(key, max_radius, max_bubbles, shape)
            assert np.array_equal(apply_bubbles(image, bubbles), by_pillow(image, bubbles))


def test_real_images_give_pillows_bytes(real_images: dict[str, NDArray[np.uint8]]) -> None:
    """Real images under the bubbles of a key give Pillow's bytes."""
    severity = {"max_radius": 17, "max_bubbles": 25}
    for key, image in enumerate(real_images.values()):
        ours = KERNEL.apply_one(image, {**severity, "noise_key": key})
        assert np.array_equal(ours, by_pillow(image, draw_bubbles(key, 17, 25, image.shape)))


def test_disks_of_every_radius_are_pillows() -> None:
    """Radii of 1 to 160 pixels, whole in the image, cut off by its edges, and outside."""
    image = np.arange(100 * 90, dtype=np.uint16).astype(np.uint8).reshape(100, 90, 1)
    for radius in range(1, 161):
        places = ((45, 50), (0, 0), (89, 99), (-radius - 9, 50), (45, 120 + radius))
        bubbles = [Bubble(x, y, radius) for x, y in places]
        assert np.array_equal(apply_bubbles(image, bubbles), by_pillow(image, bubbles))


def test_no_bubbles_change_no_pixel() -> None:
    """Without bubbles the image comes back as a copy."""
    image = images_of((40, 50, 3))[0]
    ours = apply_bubbles(image, [])
    assert np.array_equal(ours, image)
    assert not np.shares_memory(ours, image)


def test_numbers_radii_and_places_have_the_published_law() -> None:
    """Numbers are uniform in 7..15, radii in 3..10, and centres where a whole disk fits.

    Of 3,000 images with about 33,000 bubbles the tests at 1e-4 find one number that is 40 %, one
    radius that is 12 % or a fifteenth of the places that is 17 % off with a probability of 0.99.
    """
    from scipy import stats

    drawn = [draw_bubbles(key, 10, 15, (224, 224, 3)) for key in range(3000)]
    bubbles = [bubble for each in drawn for bubble in each]
    numbers = np.bincount([len(each) for each in drawn])
    radii = np.bincount([bubble.radius for bubble in bubbles])
    assert numbers[:7].sum() == radii[:3].sum() == 0
    assert (numbers.size, radii.size) == (16, 11)
    assert stats.chisquare(numbers[7:]).pvalue > 1e-4
    assert stats.chisquare(radii[3:]).pvalue > 1e-4
    for axis in (0, 1):
        # The middle of each place in its range, so that ranges of all radii may be pooled.
        places = [(b[axis] - b.radius + 0.5) / (225 - 2 * b.radius) for b in bubbles]
        assert stats.chisquare(np.histogram(places, 15, (0, 1))[0]).pvalue > 1e-4
        small = [b[axis] for b in bubbles if b.radius == 3]
        assert (min(small), max(small)) == (3, 221)


@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 90, 1), (120, 40, 3)], ids=str)
def test_centres_keep_their_radius_from_the_edges(shape: tuple[int, int, int]) -> None:
    """Also in small and oblong images, where radii are limited to half the smaller side."""
    bubbles = [b for key in range(300) for b in draw_bubbles(key, 17, 25, shape)]
    assert max(b.radius for b in bubbles) == min(17, min(shape[:2]) // 2)
    for axis, side in ((0, shape[1]), (1, shape[0])):
        assert all(b.radius <= b[axis] <= side - b.radius for b in bubbles)
        assert max(b[axis] for b in bubbles) > side - 6
