"""The photographs of frost that the installed package `imagecorruptions` brings, and their sizes.

They are read from there and not shipped again. Their files and their pixels are pinned by digest,
so that no other release and no other decoder changes an output.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import io
import math
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import DataError, MissingInputError
from stages.corrupt.kernels.compiling import compiled
from stages.corrupt.kernels.kernel import Image
from stages.corrupt.kernels.luminance import luminance

_PACKAGE, _RELEASE = "imagecorruptions", "1.1.2"

_SPARE = 1.1
"""A picture smaller than the image is enlarged to this times the image (`imagecorruptions`)."""

_UNIT = 2048
"""Sum of the whole-number weights of a resampled pixel along one axis."""


class Picture(NamedTuple):
    """One picture of the package."""

    name: str
    """Of its file."""

    height: int
    width: int

    file_digest: str
    """sha256 of the file."""

    pixel_digest: str
    """sha256 of the decoded pixels, (H, W, 3) uint8."""


PICTURES = (
    Picture(
        name="frost1.png",
        height=600,
        width=900,
        file_digest="ff9f907860bd7a835d459e32f9d588062b7f61ee267343cc7222b56753a14755",
        pixel_digest="d425da47a6c26b225cbbb9855be0f40b42fbfc04a82d5ababdd9dee401fc0586",
    ),
    Picture(
        name="frost2.png",
        height=315,
        width=560,
        file_digest="fe211a89b336999c207a852ce05818d4545d0b57c5beadd824b4cc9d9a9b6137",
        pixel_digest="7fa31bc73f188ddd16a9b378ed451f5f4d643d09bb8a23b53b34b9da9b6c6881",
    ),
    Picture(
        name="frost3.png",
        height=315,
        width=560,
        file_digest="2d0d50b4a9bb213f38b024ef7768731bb83cc08d2f26b5766bbc167cdfa0e504",
        pixel_digest="7fa31bc73f188ddd16a9b378ed451f5f4d643d09bb8a23b53b34b9da9b6c6881",
    ),
    Picture(
        name="frost4.jpg",
        height=350,
        width=527,
        file_digest="3f8b91ca1a9fa7167b09e773da53f5ae60d0a1fd88f02a783f6e328a72887f6e",
        pixel_digest="7513e57763358ea3ace8aad8c437dfbbcefe18a1db454cf80f70d151b83477f3",
    ),
    Picture(
        name="frost5.jpg",
        height=495,
        width=660,
        file_digest="5fc6a19df4a429ba68abdcc8f8a4278d4c9f81c9ccafd2c92ab0c8cf8992ebd2",
        pixel_digest="e705884630444b769d0618bbf7eedb618072c448e53e5e9953127f536095fffb",
    ),
)
"""Those of its six that the package uses; the second and the third have the same pixels."""

_READING = threading.RLock()


class Sheet(NamedTuple):
    """All pictures at one size, one after another."""

    values: NDArray[np.uint8]
    """(K,); read-only."""

    starts: tuple[int, ...]
    """Where each picture begins."""


def factor_for(picture: Picture, scale: float, height: int, width: int) -> float:
    """Return by how much `picture` is resized for an image: `scale`, or more if it is too small."""
    return max(scale, _SPARE * max(height / picture.height, width / picture.width))


def resized_shape(picture: Picture, factor: float) -> tuple[int, int]:
    """Return (H, W) of `picture` times `factor`.

    Rounded up as in `imagecorruptions` when enlarged, to the nearest as by ``cv2.resize`` with a
    factor when reduced.
    """
    if factor >= 1.0:
        return math.ceil(picture.height * factor), math.ceil(picture.width * factor)
    return round(picture.height * factor), round(picture.width * factor)


def sheet(scale: float, channels: int) -> Sheet:
    """Return all pictures times `scale`, coloured or (1 channel) as luminance.

    Each is made once in a process, whichever threads ask for it.

    Raises
    ------
    MissingInputError
        If the package or a picture is not installed.
    DataError
        If a picture is not that of the pinned release, or decodes to other pixels.
    """
    with _READING:
        return _sheet(scale, channels)


def crop(
    picture: Picture, factor: float, window: tuple[int, int, int, int], channels: int
) -> Image:
    """Return the `window` (top, left, height, width) of `picture` times `factor`.

    Enlarged by bicubic interpolation (Keys 1981, a = -3/4), reduced by bilinear interpolation
    between the nearest pixels, as ``cv2.resize`` with ``INTER_CUBIC`` and ``INTER_LINEAR``: in
    whole numbers, so within a grey level of its bytes, which depend on the processor.

    Returns
    -------
    window : (height, width, channels) uint8

    Raises
    ------
    MissingInputError, DataError
        As for `sheet`.
    """
    top, left, height, width = window
    with _READING:
        pixels = _decoded(picture)
    sides = resized_shape(picture, factor)
    steps = [1.0 / factor] * 2
    if factor >= 1.0:
        steps = [picture.height / sides[0], picture.width / sides[1]]
    rows, row_weights = _taps(picture.height, top, height, steps[0], cubic=factor >= 1.0)
    columns, column_weights = _taps(picture.width, left, width, steps[1], cubic=factor >= 1.0)
    resized = np.empty((height, width, 3), np.uint8)
    first = int(rows.min())
    used = pixels[first : int(rows.max()) + 1]
    across = np.empty((len(used), width * 3), np.int32)
    _along_rows(used, columns, column_weights, across)
    _along_columns(across, rows - first, row_weights, resized.reshape(height, -1))
    wanted: Image = resized if channels == 3 else luminance(resized[np.newaxis])[0]
    return wanted


@functools.lru_cache(maxsize=8)
def _sheet(scale: float, channels: int) -> Sheet:
    crops, starts, start = [], [], 0
    for picture in PICTURES:
        whole = crop(picture, scale, (0, 0, *resized_shape(picture, scale)), channels)
        crops.append(whole.reshape(-1))
        starts.append(start)
        start += whole.size
    values = np.concatenate(crops)
    values.setflags(write=False)
    return Sheet(values, tuple(starts))


@functools.lru_cache(maxsize=len(PICTURES))
def _decoded(picture: Picture) -> NDArray[np.uint8]:
    import PIL
    from PIL import Image as PillowImage

    with PillowImage.open(io.BytesIO(_content(picture))) as opened:
        pixels = np.array(opened.convert("RGB"))
    if hashlib.sha256(pixels.tobytes()).hexdigest() != picture.pixel_digest:
        message = (
            f"Pillow {PIL.__version__} decodes {picture.name} of {_PACKAGE} to other pixels than"
            " frost is defined with; install Pillow from its wheel, which has libjpeg-turbo"
        )
        raise DataError(message)
    pixels.setflags(write=False)
    return pixels


def _content(picture: Picture) -> bytes:
    remedy = f"pip install {_PACKAGE}=={_RELEASE}"
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        message = f"frost needs the pictures of the package {_PACKAGE} {_RELEASE}: {remedy}"
        raise MissingInputError(message)
    path = Path(spec.origin).parent / "frost" / picture.name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        message = f"frost needs {path} of {_PACKAGE} {_RELEASE}, which is not there: {remedy}"
        raise MissingInputError(message) from None
    if hashlib.sha256(content).hexdigest() != picture.file_digest:
        message = f"{path} is not the picture of {_PACKAGE} {_RELEASE}: {remedy}"
        raise DataError(message)
    return content


def _taps(
    side: int, first: int, count: int, step: float, *, cubic: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which four of `side` pixels make each of `count` pixels from `first` on, and weights.

    Both (count, 4). The pixel i lies at (i + 1/2) step - 1/2; edges are replicated.
    """
    centre = (np.arange(first, first + count) + 0.5) * step - 0.5
    whole = np.floor(centre)
    part = centre - whole
    weights = np.zeros((count, 4), np.int64)
    beside = [part]
    if cubic:
        beside = [_far(part), _near(1.0 - part), _far(1.0 - part)]
    for tap, weight in zip((0, 2, 3) if cubic else (2,), beside, strict=True):
        weights[:, tap] = np.floor(weight * _UNIT + 0.5).astype(np.int64)
    # The remainder, so that flat areas stay flat.
    weights[:, 1] = _UNIT - weights.sum(axis=1)
    pixels = whole.astype(np.int64)[:, np.newaxis] + np.arange(-1, 3)
    return np.clip(pixels, 0, side - 1), weights


def _near(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic weight at a distance of 0 to 1: (a + 2) x**3 - (a + 3) x**2 + 1."""
    return (1.25 * x - 2.25) * x * x + 1.0


def _far(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cubic weight at a distance of 1 + x: a x (1 - x)**2."""
    return -0.75 * x * (1.0 - x) * (1.0 - x)


@compiled(
    "void(Array(uint8, 3, 'C', True), Array(int64, 2, 'C', True), Array(int64, 2, 'C', True),"
    " int32[:, ::1])"
)
def _along_rows(
    pixels: Image,
    columns: NDArray[np.int64],
    weights: NDArray[np.int64],
    across: NDArray[np.int32],
) -> None:
    for y in range(pixels.shape[0]):
        for x in range(columns.shape[0]):
            w0, w1, w2, w3 = weights[x, 0], weights[x, 1], weights[x, 2], weights[x, 3]
            c0, c1, c2, c3 = columns[x, 0], columns[x, 1], columns[x, 2], columns[x, 3]
            for c in range(3):
                left = w0 * np.int64(pixels[y, c0, c]) + w1 * np.int64(pixels[y, c1, c])
                right = w2 * np.int64(pixels[y, c2, c]) + w3 * np.int64(pixels[y, c3, c])
                across[y, x * 3 + c] = np.int32(left + right)


@compiled(
    "void(Array(int32, 2, 'C', True), Array(int64, 2, 'C', True), Array(int64, 2, 'C', True),"
    " uint8[:, ::1])"
)
def _along_columns(
    across: NDArray[np.int32],
    rows: NDArray[np.int64],
    weights: NDArray[np.int64],
    resized: NDArray[np.uint8],
) -> None:
    # No sum exceeds 255 * 2048**2 * (11 / 8)**2, which an int32 holds.
    for y in range(rows.shape[0]):
        w0, w1, w2, w3 = weights[y, 0], weights[y, 1], weights[y, 2], weights[y, 3]
        s0, s1, s2, s3 = (
            across[rows[y, 0]],
            across[rows[y, 1]],
            across[rows[y, 2]],
            across[rows[y, 3]],
        )
        for j in range(resized.shape[1]):
            total = np.int32(s0[j] * w0 + s1[j] * w1 + s2[j] * w2 + s3[j] * w3 + 2097152)
            resized[y, j] = np.uint8(min(max(int(total >> 22), 0), 255))
