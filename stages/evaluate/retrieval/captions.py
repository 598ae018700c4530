"""Retrieved captions against what is true of the image: BLEU and attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from pipeline.stream import Stream
from stages.evaluate.retrieval.gallery import Gallery

DRAWS = 20
"""Random retrievals whose mean BLEU is the baseline."""


def bleu(gallery: Gallery, retrieved: NDArray[np.int64]) -> float:
    """Return the corpus BLEU of the texts retrieved for the described images, from 0 to 1.

    sacrebleu's default (13a tokens, exponential smoothing, up to 4-grams), against all true texts
    of the image.
    """
    from sacrebleu import BLEU

    references = [
        [gallery.texts[column] for column in np.flatnonzero(gallery.owners[image])]
        for image in gallery.described
    ]
    most = max(map(len, references))
    # An image with fewer texts than another has none in the last streams.
    streams = [
        [own[number] if number < len(own) else None for own in references] for number in range(most)
    ]
    hypotheses = [gallery.texts[column] for column in retrieved]
    return float(BLEU().corpus_score(hypotheses, cast("list[list[str]]", streams)).score) / 100


def bleu_by_chance(gallery: Gallery, identity: Sequence[str]) -> float:
    """Return the mean BLEU of random retrievals, drawn by a stream of the `identity`."""
    stream = Stream.of("random retrieval", *identity)
    size = len(gallery.described)
    draws = [stream.child(n).below(len(gallery.texts), size) for n in range(DRAWS)]
    return float(np.mean([bleu(gallery, drawn) for drawn in draws]))


def agreement(gallery: Gallery, attribute: str) -> NDArray[np.float64]:
    """Return how far each text tells the truth of each image about one attribute.

    Returns
    -------
    share : (described images, texts) float64
        The share of what the text's targets have that one of the image's targets has too; NaN
        where the image or the text has no such attribute.
    """
    told, own = gallery.values[attribute], gallery.own_values[attribute]
    share = np.full((len(gallery.described), len(told)), np.nan)
    for row, image in enumerate(gallery.described):
        if not own[image]:
            continue
        for column, values in enumerate(told):
            if values:
                share[row, column] = len(values & own[image]) / len(values)
    return share
