"""Frost: its contract, the package's frost with the same numbers, and its pinned pictures."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.errors import DataError, MissingInputError
from pipeline.stream import Stream
from stages.corrupt.golden import generated_image
from stages.corrupt.kernels import frost_pictures
from stages.corrupt.kernels.frost import KERNEL, Severity, draw
from stages.corrupt.kernels.frost_pictures import PICTURES, crop, factor_for, resized_shape, sheet
from stages.corrupt.kernels.kernel import Parameters
from stages.corrupt.reference import package_namespace
from stages.corrupt.testing import CorruptionContract
from tests.stages.corrupt.kernels import (
    CIFAR_C,
    GRAY_STAYS,
    NearPackage,
    any_severity,
    apart,
    images_of,
    rows_of,
    without_vectors,
)

IMAGENET_C, CIFAR_10_C = (
    tuple(row[:2] for row in rows_of("frost", suite)) for suite in (GRAY_STAYS, CIFAR_C)
)

SHEETS = {
    (1.1, 3): "6b4b494ca7862e836f481cf2ec19edc1995f7e743573e41996797b6ad672266c",
    (1.0, 3): "dd7620d7c4e4a60be4d40ad7ad1dd63348f1c8e9d715d223ea6cf2b9f9860105",
    (0.2, 3): "148f9d8ac8cb209e8c22d2d6eb19f360a004879531d889ad9634e86e786f2d40",
    (0.2, 1): "c90579698ace4c74e1a50a1551bb2a33e56f7adbd3c5c0a9468866154d5015b6",
    (0.7, 3): "1379e77035a3906686b861290d0603397a06764c9b7918c3166bcaa02178a3f6",
}
"""sha256 of all pictures resized, by scale and channels."""

PROGRAM = f"""
import hashlib
from stages.corrupt.kernels.frost_pictures import sheet
for scale, channels in {list(SHEETS)}:
    print(hashlib.sha256(sheet(scale, channels).values.tobytes()).hexdigest())
"""


class TestFrost(CorruptionContract, NearPackage):
    suite = GRAY_STAYS
    corruption = "frost"
    most = 1

    def distance(self, package: ModuleType, image: NDArray[np.uint8], severity: int) -> int:
        return same_place(image, severity, (sum(image.shape) + severity) % 5)


class TestFrostOfSmallImages(CorruptionContract):
    suite = CIFAR_C
    corruption = "frost"


def drawn(
    weights: tuple[float, float], place: tuple[int, int, int], scale: float = 1.1
) -> Parameters:
    """Return the parameters of one image; `place` is picture, top and left."""
    names = ("image", "frost", "picture", "top", "left")
    return {"scale": scale, "rounding": "down", **dict(zip(names, (*weights, *place), strict=True))}


def same_place(image: NDArray[np.uint8], severity: int, picture: int) -> int:
    """Return how far ours and theirs are apart with the same part of the same picture.

    The package's range of places must be that of ours.
    """
    from PIL import Image

    functions: Any = package_namespace()[0]
    height, width = image.shape[:2]
    sides = resized_shape(PICTURES[picture], factor_for(PICTURES[picture], 1.1, height, width))
    room = (sides[0] - height, sides[1] - width)
    place = (picture, room[0] // 2, room[1] - 1)
    asked: list[tuple[int, ...]] = []

    def randint(*bounds: int) -> int:
        asked.append(bounds)
        return place[len(asked) - 1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(functions["np"], "random", SimpleNamespace(randint=randint))
        theirs = np.uint8(functions["frost"](Image.fromarray(image), severity))
    assert asked == [(5,), (0, room[0]), (0, room[1])]
    ours = KERNEL.apply_one(image, drawn(IMAGENET_C[severity - 1], place))
    return apart(ours, theirs)


@pytest.mark.parametrize("picture", range(5))
@pytest.mark.parametrize(
    "size", [(330, 100), (100, 700), (320, 580), (700, 1000), (1024, 2048)], ids=str
)
def test_pictures_are_enlarged_for_large_images_as_by_the_package(
    size: tuple[int, int], picture: int
) -> None:
    """Images higher, wider or both than a picture are within 1 grey level."""
    assert same_place(generated_image((*size, 3)), 2, picture) <= 1


@pytest.mark.parametrize(
    ("table", "scale", "falls"), [(IMAGENET_C, 1.1, [4]), (CIFAR_10_C, 0.2, [4, 5])]
)
def test_distance_grows_but_where_only_the_image_is_darkened(
    table: tuple[tuple[float, float], ...], scale: float, falls: list[int]
) -> None:
    """With the same parts of pictures the distance grows, except to the severities known to fall.

    Severity 4 has no more frost than severity 3 and a darker image, which offsets what the frost
    adds; so does severity 5 of CIFAR-10-C, where the image loses more than the frost adds.
    """
    image = generated_image((96, 96, 3))
    distances = [0.0]
    for weights in table:
        severity = Severity(image=weights[0], frost=weights[1], scale=scale)
        places = [draw(Stream.of("place", n), severity, image.shape) for n in range(100)]
        rendered = np.empty((len(places), *image.shape), np.uint8)
        KERNEL.apply(np.broadcast_to(image, rendered.shape).copy(), places, rendered)
        distances.append(float(np.abs(rendered.astype(int) - image).mean()))
    found = [n for n in range(1, 6) if distances[n] <= distances[n - 1]]
    assert found == falls, distances


def original(picture: int) -> NDArray[np.uint8]:
    """Return the pixels of a picture as OpenCV reads them, in RGB."""
    import cv2

    spec = importlib.util.find_spec("imagecorruptions")
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin).parent / "frost" / PICTURES[picture].name
    pixels: NDArray[np.uint8] = cv2.imread(str(path))
    return np.ascontiguousarray(pixels[:, :, ::-1])


@any_severity
def test_it_matches_the_script_of_cifar_10_c(severity: int) -> None:
    """With its severities and its pictures of a fifth, images of 32 px are equal."""
    import cv2

    weights = CIFAR_10_C[severity - 1]
    for picture in range(5):
        small = cv2.resize(original(picture), (0, 0), fx=0.2, fy=0.2)[9:41, 21:53]
        for image in images_of(32, 32):
            theirs = np.uint8(np.clip(weights[0] * image + weights[1] * small, 0, 255))
            ours = KERNEL.apply_one(image, drawn(weights, (picture, 9, 21), 0.2))
            assert apart(ours, theirs) == 0


@pytest.mark.parametrize("scale", [0.2, 0.33, 0.5, 0.75, 0.9, 1.0, 1.1, 1.6])
def test_pictures_are_resized_as_by_opencv(scale: float) -> None:
    """Whole pictures have OpenCV's shape and are within 1 grey level of it."""
    import cv2

    for number, picture in enumerate(PICTURES):
        shape = resized_shape(picture, scale)
        if scale < 1:
            theirs = cv2.resize(original(number), (0, 0), fx=scale, fy=scale)
        else:
            cubic = cv2.INTER_CUBIC
            theirs = cv2.resize(original(number), dsize=shape[::-1], interpolation=cubic)
        assert apart(crop(picture, scale, (0, 0, *shape), 3), theirs) <= 1


@settings(max_examples=40, deadline=None)
@given(data=st.data(), scale=st.floats(0.1, 2.0), picture=st.sampled_from(PICTURES))
def test_a_window_is_part_of_the_whole(data: Any, scale: float, picture: Any) -> None:
    """A window resized alone has the bytes of the whole picture there."""
    rows, columns = resized_shape(picture, scale)
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    height = data.draw(st.integers(1, rows - top))
    width = data.draw(st.integers(1, columns - left))
    whole = crop(picture, scale, (0, 0, rows, columns), 3)
    window = crop(picture, scale, (top, left, height, width), 3)
    assert np.array_equal(window, whole[top : top + height, left : left + width])


def test_one_channel_takes_the_luminance_of_the_picture() -> None:
    """A gray image is mixed with the frost as Pillow converts it to gray, at any size."""
    from PIL import Image

    for shape in ((64, 40, 1), (400, 600, 1)):
        image = generated_image(shape)
        for number, picture in enumerate(PICTURES):
            factor = factor_for(picture, 1.1, *shape[:2])
            coloured = crop(picture, factor, (3, 5, *shape[:2]), 3)
            gray = np.asarray(Image.fromarray(coloured).convert("L"))[:, :, np.newaxis]
            expected = np.uint8(np.clip(0.6 * image + 0.75 * gray, 0, 255))
            ours = KERNEL.apply_one(image, drawn((0.6, 0.75), (number, 3, 5)))
            assert np.array_equal(ours, expected)


def test_rounding_to_the_nearest_level() -> None:
    """Levels are cut off or rounded, as asked."""
    image = generated_image((50, 60, 3))
    parameters = drawn((0.65, 0.7), (1, 2, 3))
    down = KERNEL.apply_one(image, parameters)
    nearest = KERNEL.apply_one(image, {**parameters, "rounding": "nearest"})
    ice = crop(PICTURES[1], 1.1, (2, 3, 50, 60), 3)
    exact = np.clip(0.65 * image + 0.7 * ice, 0, 255)
    assert np.array_equal(down, np.uint8(exact))
    assert np.array_equal(nearest, np.uint8(exact + 0.5))


@settings(max_examples=200, deadline=None)
@given(
    height=st.integers(28, 3000),
    width=st.integers(28, 3000),
    scale=st.floats(0.1, 2.0),
    key=st.integers(0, 2**64 - 1),
)
def test_the_part_lies_within_the_picture(height: int, width: int, scale: float, key: int) -> None:
    """Whatever the sizes of image and picture, the image's part of it exists."""
    severity = Severity(image=1.0, frost=1.0, scale=scale)
    numbers: Any = draw(Stream(key), severity, (height, width, 3))
    picture = PICTURES[numbers["picture"]]
    rows, columns = resized_shape(picture, factor_for(picture, scale, height, width))
    assert 0 <= numbers["top"] < rows - height
    assert 0 <= numbers["left"] < columns - width


def test_pictures_and_places_are_drawn_evenly() -> None:
    """The five pictures are equally likely, and so are all places in each.

    With 5,000 draws the chi-squared test at 1e-4 finds a picture with a probability of 0.25
    instead of 0.2, and in each 1,000 or so a tenth of the places with 0.2 instead of 0.1, with a
    probability above 0.99.
    """
    from scipy import stats

    severity = Severity(image=1.0, frost=1.0)
    found: list[Any] = [draw(Stream.of("frost", n), severity, (100, 90, 3)) for n in range(5000)]
    counts = Counter(numbers["picture"] for numbers in found)
    assert stats.chisquare([counts[picture] for picture in range(5)]).pvalue > 1e-4
    for number, picture in enumerate(PICTURES):
        rows, columns = resized_shape(picture, 1.1)
        for name, room in (("top", rows - 100), ("left", columns - 90)):
            places = [numbers[name] for numbers in found if numbers["picture"] == number]
            counted = np.histogram(places, bins=np.linspace(0, room, 11))[0]
            # A tenth of the room is no whole number of places.
            edges = np.ceil(np.linspace(0, room, 11))
            expected = np.diff(edges) / room * len(places)
            assert stats.chisquare(counted, expected).pvalue > 1e-4


def digest(values: NDArray[np.uint8]) -> str:
    """Return the sha256 of the bytes."""
    return hashlib.sha256(values.tobytes()).hexdigest()


@pytest.mark.parametrize(("scale", "channels"), SHEETS)
def test_resized_pictures_are_pinned(scale: float, channels: int) -> None:
    """Decoded and resized pictures have the pinned bytes."""
    assert digest(sheet(scale, channels).values) == SHEETS[scale, channels]


def test_pictures_do_not_depend_on_the_processor() -> None:
    """Without vector instructions, also in the JPEG decoder, the pictures are the same."""
    output = without_vectors(PROGRAM, JSIMD_FORCENONE="1")
    assert output.split() == list(SHEETS.values())


def test_threads_share_one_sheet() -> None:
    """Threads that ask at once get the same memory, which none can write to."""
    with ThreadPoolExecutor(8) as pool:
        sheets = list(pool.map(lambda _: sheet(0.313, 3), range(8)))
    assert len({id(one.values) for one in sheets}) == 1
    assert not sheets[0].values.flags.writeable


WHOLE = (0, 0, 30, 30)
# No other test decodes it under these digests, so it is read anew.
UNREAD = PICTURES[0]._replace(pixel_digest="0" * 64)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the error says which release to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingInputError, match=r"pip install imagecorruptions==1\.1\.2"):
        crop(UNREAD, 1.1, WHOLE, 3)


def test_a_missing_picture_is_named() -> None:
    """Without a picture the error names its file and the release."""
    with pytest.raises(MissingInputError, match=r"frost9\.png of imagecorruptions 1\.1\.2"):
        crop(UNREAD._replace(name="frost9.png"), 1.1, WHOLE, 3)


def test_another_picture_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file with other bytes is refused, with the release that has the right one."""
    (tmp_path / "frost").mkdir()
    (tmp_path / "frost" / UNREAD.name).write_bytes(b"another picture")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(DataError, match=r"frost1\.png is not the picture of imagecorruptions 1\.1"):
        crop(UNREAD, 1.1, WHOLE, 3)


def test_another_decoder_is_refused() -> None:
    """Pixels other than the pinned ones are refused, naming Pillow and the picture."""
    with pytest.raises(DataError, match=r"Pillow .* decodes frost1\.png"):
        crop(UNREAD, 1.1, WHOLE, 3)


def test_the_package_s_own_pictures_are_pinned() -> None:
    """All pictures are read and checked, and the second is the third."""
    one, other = (
        crop(picture, 1.0, (0, 0, picture.height, picture.width), 3) for picture in PICTURES[1:3]
    )
    assert np.array_equal(one, other)
    assert len(frost_pictures.PICTURES) == 5
