"""Words for sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.prompt.schema import SizeWord


def size_word(sizes: Sequence[SizeWord], share: float) -> str:
    """Return the word for a `share` (0 to 1) of the image: the first of `sizes` that reaches it.

    The last word is that of every larger share; without words the result is empty.
    """
    for size in sizes:
        if share < size.up_to or (size.inclusive and share == size.up_to):
            return size.word
    return sizes[-1].word if sizes else ""
