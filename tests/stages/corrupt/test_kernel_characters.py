"""Characters: its contract, the law of its words, and letters of OpenCV's size and ink."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from stages.corrupt.kernels.characters import KERNEL, Word, apply_words, draw_words
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.medmnist_c import gray_stays, images_of

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["".join(LETTERS[(n + 7 * k) % 26] for k in range(6)) for n in range(26)]
"""Each letter once at each of six places."""

BY_OPENCV = {
    14: (8.26, 8.55, 15.81, 4.88),
    15: (9.10, 9.06, 16.88, 4.88),
    16: (10.02, 10.27, 17.81, 5.42),
    17: (11.02, 11.75, 18.92, 5.88),
    18: (11.78, 12.71, 19.92, 6.12),
}
"""Means over `WORDS` in FONT_HERSHEY_DUPLEX of thickness 1 and LINE_AA, by hundredths of scale:
ink per letter (pixels, a half covered one counts half), pixels per letter that are at least half
covered, and columns and rows that the latter span. Equal in OpenCV 4.10 and 4.12."""


class TestCharacters(CorruptionContract):
    suite = gray_stays("dermamnist")
    corruption = KERNEL.name


def measures(word: str, scale: int) -> tuple[float, float, int, int]:
    """Return what `BY_OPENCV` lists, of one word."""
    page = np.zeros((40, 80, 1), np.uint8)
    page = apply_words(page, [Word(word, 10, 20, scale, (255, 255, 255))])
    rows, columns, _ = np.nonzero(page >= 128)
    count = len(word)
    return page.sum() / 255 / count, len(rows) / count, int(np.ptp(columns)), int(np.ptp(rows))


@pytest.mark.parametrize("scale", BY_OPENCV)
def test_words_have_the_size_and_ink_of_opencvs(scale: int) -> None:
    """Ink within 10 %, dark pixels and rows within 16 %, columns within 3 %."""
    ink, dark, columns, rows = np.mean([measures(word, scale) for word in WORDS], axis=0)
    expected = BY_OPENCV[scale]
    assert ink == pytest.approx(expected[0], rel=0.10)
    assert dark == pytest.approx(expected[1], rel=0.16)
    assert columns + 1 == pytest.approx(expected[2], rel=0.03)
    assert rows + 1 == pytest.approx(expected[3], rel=0.16)


def test_large_letters_stand_on_the_base_line() -> None:
    """At scale 1 small letters rise 14 pixels, tall ones 21, and tails end 7 below."""
    extents = {}
    for letter in LETTERS:
        page = apply_words(np.zeros((60, 60, 1), np.uint8), [Word(letter, 20, 40, 100, (255,) * 3)])
        rows = np.nonzero(page >= 128)[0]
        extents[letter] = (40 - int(rows.min()), 40 - int(rows.max()))
    for letter, (above, below) in extents.items():
        assert above in (range(21, 23) if letter in "bdfhijklt" else range(14, 16)), letter
        assert below in (range(-8, -6) if letter in "gjpqy" else range(-1, 1)), letter


def test_letters_differ() -> None:
    """No two letters have the same picture."""
    blank = np.zeros((60, 60, 1), np.uint8)
    pictures = {apply_words(blank, [Word(c, 20, 40, 60, (255,) * 3)]).tobytes() for c in LETTERS}
    assert len(pictures) == 26


def test_every_pixel_lies_between_the_image_and_the_colour() -> None:
    """Ink mixes; the darkest places have the word's colour, and far ones are untouched."""
    word = Word("hello", 20, 40, 50, (250, 3, 128))
    for image in images_of((64, 96, 3)):
        ours = apply_words(image, [word]).astype(int)
        colour = np.array(word.colour)
        assert np.all(ours >= np.minimum(image, colour))
        assert np.all(ours <= np.maximum(image, colour))
        assert (ours == colour).all(axis=2).any()
        assert np.array_equal(ours[:20], image[:20])


def test_one_channel_takes_the_first_of_the_colour() -> None:
    """A gray image is the first channel of the coloured one."""
    words = draw_words(4, 6, 10, 0.18, (64, 96, 3))
    gray = images_of((64, 96, 1))[0]
    three = apply_words(np.repeat(gray, 3, axis=2), words)
    assert np.array_equal(apply_words(gray, words), three[:, :, :1])


@pytest.mark.parametrize("at", [(-30, 20), (200, 20), (20, -90), (20, 300), (60, 3), (-4, 27)])
def test_words_may_leave_the_image(at: tuple[int, int]) -> None:
    """A word at or beyond an edge is cut off there."""
    image = images_of((28, 64, 3))[0]
    word = Word("quick", *at, 60, (1, 2, 3))
    room = np.pad(image, ((120, 320), (60, 260), (0, 0)))
    moved = word._replace(x=word.x + 60, y=word.y + 120)
    inside = apply_words(room, [moved])[120:148, 60:124]
    assert np.array_equal(apply_words(image, [word]), inside)


def test_words_have_the_published_law() -> None:
    """Numbers, lengths, scales, letters and colours are uniform, and places keep their margins.

    Of 2,000 images with about 7,000 words the tests at 1e-4 find one number that is 36 %, one
    length, scale, letter or sixteenth of the colours that is 25 %, or one tenth of the places that
    is 30 % off with a probability of 0.99.
    """
    from scipy import stats

    drawn = [draw_words(key, 6, 10, 0.18, (224, 224, 3)) for key in range(2000)]
    words = [word for each in drawn for word in each]

    def uniform(counts: Counter[int] | Counter[str], size: int) -> bool:
        return len(counts) == size and stats.chisquare(list(counts.values())).pvalue > 1e-4

    assert uniform(Counter(len(each) for each in drawn), 6)
    assert uniform(Counter(len(word.letters) for word in words), 8)
    assert uniform(Counter(word.scale for word in words), 5)
    assert uniform(Counter(letter for word in words for letter in word.letters), 26)
    assert uniform(Counter(level // 16 for word in words for level in word.colour), 16)
    assert {len(each) for each in drawn} == set(range(1, 7))
    assert {word.scale for word in words} == set(range(14, 19))
    assert all(10 <= word.x <= 224 - 8 * len(word.letters) for word in words)
    assert {word.y for word in words} == set(range(10, 215))
    # The middle of each place in its range, so that ranges of all lengths may be pooled.
    parts = [(w.x - 9.5) / (215 - 8 * len(w.letters)) for w in words]
    assert stats.chisquare(np.histogram(parts, 10, (0, 1))[0]).pvalue > 1e-4
    short = [word.x for word in words if len(word.letters) == 3]
    assert min(short) in range(10, 14)
    assert max(short) in range(197, 201)


def test_words_begin_inside_narrow_images() -> None:
    """Where the ends of the range of places cross, words begin as far left as need be."""
    words = [word for key in range(300) for word in draw_words(key, 6, 10, 0.18, (28, 28, 1))]
    for word in words:
        assert word.x == max(0, 28 - 8 * len(word.letters))
        assert 10 <= word.y <= 18
