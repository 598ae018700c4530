"""Everything that is measured of one set of images and the prompts of its split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stages.evaluate.bootstrap import Resampling, interval
from stages.evaluate.protocols.blas import product
from stages.evaluate.retrieval.captions import agreement, bleu, bleu_by_chance
from stages.evaluate.retrieval.gallery import Gallery, Probe
from stages.evaluate.retrieval.ranks import (
    first_ranks,
    preferred,
    recall_by_chance,
    reciprocal_by_chance,
)

Floats: TypeAlias = NDArray[np.float64]
AT = (1, 5, 10)
"""Numbers of nearest ones that recall looks at."""


@dataclass(frozen=True)
class Measure:
    """One number about one design."""

    design: str
    metric: str
    value: float
    chance: float | None
    """What retrieval by chance gives; None where that says nothing."""
    n: int
    """Images, or texts, that it is a mean over."""
    gallery: int
    """Texts, or images, to choose from."""
    attribute: str | None = None
    low: float | None = None
    high: float | None = None


class Matching:
    """One set of images and the prompts of its split."""

    def __init__(
        self,
        images: NDArray[np.floating[Any]],
        texts: NDArray[np.floating[Any]],
        resampling: Resampling,
    ) -> None:
        """Take embeddings, un-normalised: (n, d) of images, and (t, d) of all rows of prompts."""
        self._images, self._texts = _directions(images), _directions(texts)
        self._present = np.asarray(np.isfinite(self._images).all(axis=1), np.bool_)
        self._resampling = resampling

    def measures(
        self, galleries: Sequence[Gallery], probes: Sequence[Probe], identity: Sequence[str]
    ) -> Iterator[Measure]:
        """Yield every measure; designs of a single text have nothing to choose from.

        `identity` names the set, for what is drawn by chance.
        """
        for gallery in galleries:
            yield from self._design(self._without_failed(gallery), identity)
        for probe in probes:
            yield from self._probe(probe)

    def _without_failed(self, gallery: Gallery) -> Gallery:
        owners = gallery.owners & self._present[:, None]
        return Gallery(
            gallery.design, gallery.texts, gallery.rows, owners, gallery.values, gallery.own_values
        )

    def _design(self, gallery: Gallery, identity: Sequence[str]) -> Iterator[Measure]:
        images = gallery.described
        if not len(images):
            return
        cosine = product(self._images[images], self._texts[gallery.rows].T)
        owned = gallery.owners[images]
        own = np.where(owned, cosine, 0).sum(axis=1) / owned.sum(axis=1)
        yield self._mean(gallery, "similarity", own, images, None)
        if len(gallery.texts) < 2:
            return
        yield from self._ranked(gallery, cosine, owned)
        yield from self._ranked_texts(gallery, cosine, owned)
        retrieved = cosine.argmax(axis=1)
        yield Measure(
            gallery.design,
            "bleu",
            bleu(gallery, retrieved),
            bleu_by_chance(gallery, [*identity, gallery.design]),
            len(images),
            len(gallery.texts),
        )
        yield from self._attributes(gallery, retrieved)

    def _ranked(
        self, gallery: Gallery, cosine: NDArray[Any], owned: NDArray[np.bool_]
    ) -> Iterator[Measure]:
        ranks, counts = first_ranks(cosine, owned), owned.sum(axis=1)
        size, images = len(gallery.texts), gallery.described
        for k in AT:
            chance = recall_by_chance(size, counts, k).mean()
            yield self._mean(gallery, f"recall@{k}", ranks <= k, images, chance)
        chance = reciprocal_by_chance(size, counts).mean()
        yield self._mean(gallery, "mean_reciprocal_rank", 1 / ranks, images, chance)

    def _ranked_texts(
        self, gallery: Gallery, cosine: NDArray[Any], owned: NDArray[np.bool_]
    ) -> Iterator[Measure]:
        told = owned.any(axis=0)
        ranks, counts = first_ranks(cosine.T[told], owned.T[told]), owned.T[told].sum(axis=1)
        size = len(gallery.described)
        for k in AT:
            chance = float(recall_by_chance(size, counts, k).mean())
            value = float((ranks <= k).mean())
            name = f"image_recall@{k}"
            yield Measure(gallery.design, name, value, chance, int(told.sum()), size)

    def _attributes(self, gallery: Gallery, retrieved: NDArray[np.int64]) -> Iterator[Measure]:
        for attribute in gallery.values:
            share = agreement(gallery, attribute)
            own = share[np.arange(len(share)), retrieved]
            known = np.isfinite(own)
            if known.any():
                chance = float(np.nanmean(share[known]))
                images = gallery.described[known]
                yield self._mean(
                    gallery, "attribute_accuracy", own[known], images, chance, attribute
                )

    def _probe(self, probe: Probe) -> Iterator[Measure]:
        kept = self._present[probe.samples]
        samples = probe.samples[kept]
        if not len(samples):
            return
        images = self._images[samples]
        true, changed = (
            np.einsum("nd,nd->n", images, self._texts[rows[kept]])
            for rows in (probe.true, probe.changed)
        )
        for name, values, chance in (
            ("preference", preferred(true, changed), 0.5),
            ("similarity_drop", true - changed, 0.0),
        ):
            low, high = self._interval(values, samples)
            yield Measure(
                probe.design,
                name,
                float(values.mean()),
                chance,
                len(values),
                2,
                probe.attribute,
                low,
                high,
            )

    def _mean(
        self,
        gallery: Gallery,
        metric: str,
        values: NDArray[Any],
        images: NDArray[np.int64],
        chance: float | None,
        attribute: str | None = None,
    ) -> Measure:
        low, high = self._interval(values, images)
        size = len(gallery.texts)
        return Measure(
            gallery.design,
            metric,
            float(values.mean()),
            None if chance is None else float(chance),
            len(values),
            size,
            attribute,
            low,
            high,
        )

    def _interval(
        self, values: NDArray[Any], images: NDArray[np.int64]
    ) -> tuple[float | None, float | None]:
        weights = self._resampling.weights[:, images].astype(np.float64)
        total = weights.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            replicates = product(weights, values.astype(np.float64)[:, None])[:, 0] / total
        low, high = interval(replicates, self._resampling.settings.confidence)
        return _number(low), _number(high)


def _directions(embeddings: NDArray[np.floating[Any]]) -> Floats:
    exact = embeddings.astype(np.float64)
    directions: Floats = exact / np.linalg.norm(exact, axis=1, keepdims=True)
    return directions


def _number(value: NDArray[np.float64]) -> float | None:
    return float(value) if np.isfinite(value) else None
