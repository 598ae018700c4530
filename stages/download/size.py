"""The size of a dataset's images as manifests write it: one side, or height and width."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import PlainValidator

SMALLEST = 8
LARGEST = 4096
"""Bounds of each side, pixels."""


def checked_size(size: object) -> int | tuple[int, int]:
    """Return a declared size: equal sides as one integer, others as (height, width).

    A square is one value however it is written, so that its recipes have one key.

    Raises
    ------
    ValueError
        When it is neither an integer nor two, or a side is outside 8 to 4096 pixels.
    """
    sides = tuple(size) if isinstance(size, list | tuple) else (size, size)
    # An exact type: True is an integer to isinstance.
    if len(sides) != 2 or any(type(side) is not int for side in sides):
        message = "give the side of a square, or [height, width], in whole pixels"
        raise ValueError(message)
    if outside := [side for side in sides if not SMALLEST <= side <= LARGEST]:
        message = f"a side has {SMALLEST} to {LARGEST} pixels, not {outside[0]}"
        raise ValueError(message)
    height, width = sides
    return height if height == width else (height, width)


def shape_of(size: int | tuple[int, int]) -> tuple[int, int]:
    """Return (height, width)."""
    return (size, size) if isinstance(size, int) else size


def name_of(size: int | tuple[int, int]) -> str:
    """Return a size as ids and messages have it: `224`, or `1024x2048` for height and width."""
    return str(size) if isinstance(size, int) else "x".join(str(side) for side in size)


Size: TypeAlias = Annotated[int | tuple[int, int], PlainValidator(checked_size)]
