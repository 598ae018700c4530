"""What two splits share is found, and what only looks alike is not called the same."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from stages.leaks.hashes import CENTRES, hashes, nearest
from stages.leaks.registration import SAME, correlation
from stages.leaks.search import BITS, Samples, chance, shared

DATA = Path(
    os.environ.get("MEDSHARDS_TEST_DATA", Path(__file__).parents[4] / "shared" / "data")
)  # fmt: skip
WORDS = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=6)


def scene(number: int, side: int = 96) -> NDArray[np.uint8]:
    """Return a smooth picture of its own, (side, side, 1)."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (9, 9)).astype(np.uint8)
    picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(picture)[..., None]


def samples(images: list[NDArray[np.uint8]], **columns: list[str | None]) -> Samples:
    """Return a split of images, named and attributed as given."""
    nothing: list[str | None] = [None] * len(images)
    return Samples(
        ids=[str(number) for number in range(len(images))],
        digests=[hashlib.md5(image.tobytes()).digest() for image in images],
        images=images,
        patients=columns.get("patients", nothing),
        names=columns.get("names", nothing),
    )


def found(first: Samples, second: Samples, *, cut: bool = False) -> set[tuple[str, int, int, bool]]:
    """Return kind, both rows and whether it is confirmed, of every pair."""
    pairs = shared(first, second, cut=cut, workers=2)
    return {(one.kind, one.first, one.second, one.confirmed) for one in pairs}


def copy_of(image: NDArray[np.uint8], side: int = 80) -> NDArray[np.uint8]:
    """Return a smaller copy that was saved as JPEG."""
    picture = Image.fromarray(image[..., 0]).resize((side, side), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return np.asarray(Image.open(buffer))[..., None]


def test_equal_pixels() -> None:
    """Equal images are found wherever they are, and said to be equal only once."""
    first, second = [scene(n) for n in range(4)], [scene(9), scene(2)]
    assert found(samples(first), samples(second)) == {("equal", 2, 1, True)}


def test_copies() -> None:
    """A smaller JPEG copy is found by likeness and confirmed."""
    first, second = [scene(n) for n in range(6)], [copy_of(scene(4)), scene(8)]
    assert found(samples(first), samples(second)) == {("alike", 4, 0, True)}


@pytest.mark.parametrize("share", [0.9, 0.7, 0.555])
@pytest.mark.parametrize("swapped", [False, True])
def test_centres_of_another_collection(share: float, swapped: bool) -> None:
    """The centre that another collection cut out is found, whichever of the two is the whole."""
    whole = [scene(n, 128) for n in range(5)]
    margin = round(128 * (1 - share) / 2)
    centre = copy_of(whole[3][margin:-margin, margin:-margin], 64)
    pair = (samples(whole), samples([scene(20), centre]))
    first, second = pair[::-1] if swapped else pair
    expected = ("alike", 1, 3, True) if swapped else ("alike", 3, 1, True)
    assert expected in found(first, second, cut=True)


def test_file_names() -> None:
    """A shared file name is confirmed where the picture is the same, and told where it is not."""
    names: list[str | None] = ["a/PAT-1.jpeg", "a/PAT-2.jpeg", "a/0003.png"]
    first = samples([scene(1), scene(2), scene(3)], names=names)
    other: list[str | None] = ["b/pat-1.PNG", "b/pat-2.png", "b/0003.png"]
    second = samples([copy_of(scene(1)), scene(12), scene(13)], names=other)
    assert found(first, second) == {("file-name", 0, 0, True), ("file-name", 1, 1, False)}


def test_patients() -> None:
    """A patient of both splits is told once, and only where names mean the same."""
    first = samples([scene(1), scene(2), scene(3)], patients=["p", "p", None])
    second = samples([scene(11), scene(12), scene(13)], patients=["q", "p", None])
    assert found(first, second) == {("patient", 0, 1, True)}
    assert found(first, second, cut=True) == set()


def test_images_of_one_level_are_not_the_same() -> None:
    """Two flat images cannot be told apart by a hash, and are not confirmed."""
    flat = [np.full((32, 32, 1), level, np.uint8) for level in (10, 200)]
    assert not any(one[3] for one in found(samples(flat[:1]), samples(flat[1:])))


def test_images_of_any_size_and_colour() -> None:
    """Gray and RGB copies of different sizes are the same."""
    gray = scene(5)
    rgb = np.repeat(copy_of(gray), 3, axis=2)
    assert correlation(gray, rgb) >= SAME
    assert hashes([gray], (1.0,)).shape == (1, 1)


@given(WORDS, WORDS)
def test_nearest_is_what_a_loop_finds(first: list[int], second: list[int]) -> None:
    """With one centre and room for all, the pairs are those of a plain double loop."""
    pairs = nearest(
        np.array(first, np.uint64)[:, None], np.array(second, np.uint64)[:, None], 24, 99
    )
    plain = {
        (row, other, (a ^ b).bit_count(), 0)
        for row, a in enumerate(first)
        for other, b in enumerate(second)
        if (a ^ b).bit_count() <= 24
    }
    assert set(pairs) == plain
    assert len(pairs) == len(plain)


def test_no_image_at_all() -> None:
    """Empty splits share nothing."""
    assert found(samples([]), samples([scene(1)]), cut=True) == set()
    assert chance(samples([]), "none", 2).pairs == 0


def test_real_x_rays_look_alike_and_are_not_the_same() -> None:
    """Chest X-rays of one split often have near hashes; registration tells them apart."""
    path = DATA / "pneumoniamnist_v1" / "pneumoniamnist.npz"
    if not path.is_file():
        pytest.skip(f"no real data at {path}; set MEDSHARDS_TEST_DATA")
    images = [image[..., None] for image in np.load(path)["test_images"]]
    by_chance = chance(samples(images), "pneumoniamnist/test", 2)
    low, high = by_chance.interval()
    assert by_chance.pairs > 10_000
    assert low > 0.0001
    assert high < 0.01
    assert by_chance.checked >= 10
    assert by_chance.same <= 0.02 * by_chance.checked
    copies = [copy_of(image, 40) for image in images[:40]]
    pairs = shared(samples(images), samples(copies), cut=False, workers=2)
    own = {one.first for one in pairs if one.first == one.second and one.confirmed}
    assert len(own) >= 36
    assert not [one for one in pairs if one.first != one.second and one.confirmed]
    assert all((one.bits or 0) <= BITS for one in pairs)


def test_the_same_for_any_number_of_workers() -> None:
    """Threads change nothing."""
    images = [scene(n % 7) for n in range(40)]
    one, four = (
        shared(samples(images), samples(images[::-1]), cut=True, workers=n) for n in (1, 4)
    )
    assert one == four
    assert len(CENTRES) == 6
