"""Tables of how far embeddings move under corruption: one row per encoder and set."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stages.analyse.sets import SourceSet, identity_columns
from stages.analyse.shift import NEIGHBOURS, Estimate, Shift

if TYPE_CHECKING:
    import pyarrow as pa

_LOW = "lower end of its 95 % bootstrap interval"
_HIGH = "upper end of its 95 % bootstrap interval"


@dataclass(frozen=True, kw_only=True)
class EmbeddedSet(SourceSet):
    """Where embeddings come from."""

    encoder: str

    @property
    def identity(self) -> dict[str, Any]:
        """The encoder, then which set it embedded."""
        return {"encoder": self.encoder, **super().identity}


@dataclass(frozen=True)
class ShiftedSet:
    """A set, its clean split and what was measured between their embeddings."""

    clean: EmbeddedSet
    set: EmbeddedSet
    shift: Shift


@dataclass(frozen=True)
class ProjectedSets:
    """One projection: a clean split and its sets of one suite, the same images of each."""

    method: str
    sets: tuple[EmbeddedSet, ...]
    """The clean split first."""
    ids: tuple[str, ...]
    coordinates: NDArray[np.float64]
    """(sets, images, 2)."""


def shift_rows(shifted: Iterable[ShiftedSet]) -> list[dict[str, Any]]:
    """Return one row of plain values per set; what is undefined is None."""
    return [
        {
            **one.set.identity,
            "n": one.shift.n,
            "dropped": one.shift.dropped,
            "width": one.shift.width,
            **_estimate("cosine_distance", one.shift.cosine),
            "cosine_distance_q25": one.shift.quartiles[0],
            "cosine_distance_median": one.shift.quartiles[1],
            "cosine_distance_q75": one.shift.quartiles[2],
            "frechet_distance": one.shift.frechet,
            "frechet_distance_clean_halves": _defined(one.shift.frechet_clean),
            "neighbours": one.shift.neighbours,
            **_estimate("neighbours_kept", one.shift.kept),
            "neighbours_kept_by_chance": _defined(one.shift.kept_by_chance),
            **_estimate("top1", one.shift.top1),
            **_estimate("auroc", one.shift.auroc),
            "resampled_by": one.shift.resampled_by,
            "clean_content_digest": one.clean.content_digest,
            "content_digest": one.set.content_digest,
        }
        for one in shifted
    ]


def shift_table(shifted: Iterable[ShiftedSet]) -> pa.Table:
    """Return the measures, one row per encoder and set."""
    import pyarrow as pa

    from pipeline.tables import column

    real, count = pa.float64(), pa.int64()
    distance = "cosine distance of a corrupted embedding from that of the same clean image"
    searched = "of the clean images, searched by cosine distance,"
    schema = pa.schema(
        [
            column("encoder", pa.string(), "", "encoder"),
            *identity_columns(),
            column("n", count, "1", "images with an embedding of both, which everything is of"),
            column("dropped", count, "1", "images without one of the two, which are left out"),
            column("width", count, "1", "dimensions of an embedding"),
            *_with_interval("cosine_distance", f"mean over images of the {distance}, 0 to 2"),
            column("cosine_distance_q25", real, "1", f"lower quartile of the {distance}"),
            column("cosine_distance_median", real, "1", f"median of the {distance}"),
            column("cosine_distance_q75", real, "1", f"upper quartile of the {distance}"),
            column(
                "frechet_distance",
                real,
                "1",
                "squared distance of means + tr(C1 + C2 - 2 (C1 C2)^0.5) of the clean and the "
                "corrupted embeddings, each brought to length 1; covariances divided by n - 1",
            ),
            column(
                "frechet_distance_clean_halves",
                real,
                "1",
                "the same between two random halves of the clean split, n/2 images each",
            ),
            column("neighbours", count, "1", f"k: {NEIGHBOURS}, or all other images if fewer"),
            *_with_interval(
                "neighbours_kept",
                f"mean share {searched} the k nearest of a clean image (not itself) that are also "
                "the k nearest of its corrupted version; null if all others are neighbours",
            ),
            column(
                "neighbours_kept_by_chance", real, "1", "share that random ones keep: k / (n - 1)"
            ),
            *_with_interval(
                "top1",
                f"share of corrupted images for which, {searched} none is nearer than their own",
            ),
            *_with_interval(
                "auroc",
                "chance that a corrupted image is farther from the nearest clean image (not its "
                "own version) than a clean one is, ties counted half: 0.5 cannot be told apart",
            ),
            column("resampled_by", pa.string(), "", "what the bootstrap draws: patient or image"),
            column(
                "clean_content_digest", pa.string(), "", "content digest of the clean embeddings"
            ),
            column("content_digest", pa.string(), "", "content digest of the corrupted embeddings"),
        ]
    )
    return pa.Table.from_pylist(shift_rows(shifted), schema=schema)


def projection_table(projections: Sequence[ProjectedSets]) -> pa.Table:
    """Return the coordinates, one row per set and drawn image."""
    import pyarrow as pa

    from pipeline.tables import column

    schema = pa.schema(
        [
            column("encoder", pa.string(), "", "encoder"),
            *identity_columns(),
            column(
                "projection",
                pa.string(),
                "",
                "how x and y were made, from the clean split and all its sets of the suite "
                "together: tsne (of 50 principal components, no distance between far groups) or "
                "pca (first two principal components)",
            ),
            column("points", pa.int64(), "1", "points of this projection"),
            column("id", pa.string(), "", "sample"),
            column("x", pa.float64(), "1", "first coordinate"),
            column("y", pa.float64(), "1", "second coordinate"),
            column("content_digest", pa.string(), "", "content digest of the embeddings"),
        ]
    )
    parts = []
    for one in projections:
        count = len(one.ids)
        for of, plane in zip(one.sets, one.coordinates, strict=True):
            fixed = {
                **of.identity,
                "projection": one.method,
                "points": len(one.sets) * count,
                "content_digest": of.content_digest,
            }
            varying = {"id": one.ids, "x": plane[:, 0], "y": plane[:, 1]}
            arrays = [
                pa.array(varying[field.name], field.type)
                if field.name in varying
                else pa.array([fixed[field.name]] * count, field.type)
                for field in schema
            ]
            parts.append(pa.table(arrays, schema=schema))
    return pa.concat_tables(parts)


def _with_interval(name: str, meaning: str) -> list[pa.Field]:
    import pyarrow as pa

    from pipeline.tables import column

    return [
        column(name, pa.float64(), "1", meaning),
        column(f"{name}_low", pa.float64(), "1", _LOW),
        column(f"{name}_high", pa.float64(), "1", _HIGH),
    ]


def _estimate(name: str, of: Estimate) -> dict[str, float | None]:
    return {
        name: _defined(of.value),
        f"{name}_low": _defined(of.low),
        f"{name}_high": _defined(of.high),
    }


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
