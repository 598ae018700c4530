"""The same sample twice: by name, by the image file's bytes, or by how the image looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from stages.prompt.audit.problems import Problem
from stages.prompt.audit.seen import Picture, Seen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stages.prompt.published.rows import PublishedFile, PublishedRow

NEAR = 4
"""Bits of 64 in which the perceptual hashes of two images that look alike may differ."""

_BLOCK = 512
_Key = tuple[str, str]


def look_at(path: Path) -> tuple[Picture, tuple[int, int]]:
    """Return digest and perceptual hash of an image file, and its height and width in pixels.

    Raises
    ------
    OSError, ValueError
        If it cannot be read as an image.
    """
    import io

    import imagehash
    from blake3 import blake3
    from PIL import Image

    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            size = (image.height, image.width)
            bits = imagehash.phash(image.convert("RGB")).hash
    except (SyntaxError, Image.DecompressionBombError) as error:
        message = f"{path}: cannot be decoded: {error}"
        raise ValueError(message) from error
    look = int.from_bytes(np.packbits(bits.ravel()).tobytes(), "big")
    return Picture(blake3(content).hexdigest(), look), size


def key_of(row: PublishedRow) -> _Key:
    """Return what names a target: image and mask, without the suffixes that copies change."""
    return stem(row.image_name), stem(row.mask_name)


def stem(name: str) -> str:
    """Return a path without its suffix."""
    return str(PurePosixPath(name.replace("\\", "/")).with_suffix(""))


def named_twice(file: PublishedFile, names: Sequence[str]) -> Iterator[Problem]:
    """Yield the targets that several rows of a file have."""
    rows: dict[_Key, list[tuple[PublishedRow, str]]] = {}
    for row, name in zip(file.rows, names, strict=True):
        rows.setdefault(key_of(row), []).append((row, name))
    for found in rows.values():
        if len(found) > 1:
            numbers = ", ".join(str(row.row) for row, _ in found)
            yield Problem("duplicate", found[0][1], "name", f"rows {numbers}")


def pictured_twice(file: PublishedFile, seen: Sequence[Seen]) -> Iterator[Problem]:
    """Yield images of a file, of different names, that are equal or look alike."""
    pictures = pictures_of(file, seen)
    for one, other, bits in _alike(pictures, pictures):
        if stem(one) < stem(other):
            yield _pair("duplicate", one, other, bits)


def pictured_in_both(
    pictures: Mapping[str, Picture], others: Mapping[str, Picture], reported: set[str]
) -> Iterator[Problem]:
    """Yield images of one file that are equal to, or look like, images of another.

    Those of the same name are passed over where the name was `reported` (by stem) already.
    """
    for one, other, bits in _alike(pictures, others):
        if stem(one) != stem(other) or stem(one) not in reported:
            yield _pair("cross-split", one, other, bits)


def pictures_of(file: PublishedFile, seen: Sequence[Seen]) -> dict[str, Picture]:
    """Return the pictures of a file by image name."""
    return {
        row.image_name: looked.picture
        for row, looked in zip(file.rows, seen, strict=True)
        if looked.picture is not None
    }


def _pair(kind: str, one: str, other: str, bits: int | None) -> Problem:
    if bits is None:
        return Problem(kind, one, "image", one, f"{other}: the same bytes")
    found = f"{other}: {bits} of 64 bits of the perceptual hash differ"
    return Problem(f"{kind}-candidate", one, "image", one, found)


def _alike(
    pictures: Mapping[str, Picture], others: Mapping[str, Picture]
) -> Iterator[tuple[str, str, int | None]]:
    """Yield pairs of names with the bits by which they differ, None where the bytes are equal."""
    if not pictures or not others:
        return
    names, other_names = list(pictures), list(others)
    looks = _looks(pictures)
    other_looks = _looks(others)
    for begin in range(0, len(names), _BLOCK):
        block = looks[begin : begin + _BLOCK, None]
        distances = np.bitwise_count(block ^ other_looks[None, :])
        for i, j in np.argwhere(distances <= NEAR).tolist():
            one, other = names[begin + i], other_names[j]
            equal = pictures[one].digest == others[other].digest
            yield one, other, None if equal else int(distances[i, j])


def _looks(pictures: Mapping[str, Picture]) -> NDArray[np.uint64]:
    return np.array([one.look for one in pictures.values()], np.uint64)
