"""What was measured, as tables whose columns state unit and meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.analyse.densities import LEVELS, density, distance, mean_level
from stages.analyse.measure import Analysed, AnalysedSet
from stages.analyse.sets import identity_columns
from stages.analyse.spectra import BANDS

if TYPE_CHECKING:
    import pyarrow as pa

_LOG = "log10(1 + grey levels)"


def spectrum_table(analysed: Sequence[Analysed]) -> pa.Table:
    """Return mean spectra by frequency: one row per set and ring."""
    import pyarrow as pa

    from pipeline.tables import column

    columns = [
        column("ring", pa.int32(), "1", "number of the ring of equal frequency; 0 is the mean"),
        column("frequency", pa.float64(), "cycle/pixel", "frequency at the middle of the ring"),
        column("coefficients", pa.int64(), "1", "coefficients of one image in the ring"),
        column("log_magnitude", pa.float64(), _LOG, "mean log10(1 + |X|) over images and ring"),
        column("difference", pa.float64(), _LOG, "log_magnitude less that of the clean split"),
        column("energy_share", pa.float64(), "1", "share of the squares of all rings but 0"),
    ]
    parts = []
    for clean, one in _each(analysed):
        profile, of_clean = one.spectrum.profile, clean.spectrum.profile
        values = [
            np.arange(len(profile.frequency), dtype=np.int32),
            profile.frequency,
            profile.coefficients,
            profile.log_magnitude,
            profile.log_magnitude - of_clean.log_magnitude,
            pa.array(profile.energy_share, from_pandas=True),  # NaN is null
        ]
        parts.append(_rows(one, columns, values, len(profile.frequency)))
    return pa.concat_tables(parts)


def map_table(analysed: Sequence[Analysed]) -> pa.Table:
    """Return mean spectra by vertical and horizontal frequency: one row per set."""
    import pyarrow as pa

    from pipeline.tables import column

    meaning = "mean log10(1 + |X|) row by row: vertical frequency first, each from 0 upwards"
    columns = [
        column("rows", pa.int32(), "1", "vertical frequencies in the list"),
        column("columns", pa.int32(), "1", "horizontal frequencies in the list"),
        column("block", pa.int32(), "1", "each value is the mean of block x block coefficients"),
        column("log_magnitude", pa.list_(pa.float64()), _LOG, meaning),
    ]
    parts = []
    for _, one in _each(analysed):
        spectrum = one.spectrum
        rows, width = spectrum.map.shape
        listed = pa.ListArray.from_arrays([0, spectrum.map.size], spectrum.map.ravel())
        parts.append(_rows(one, columns, [[rows], [width], [spectrum.block], listed], 1))
    return pa.concat_tables(parts)


def density_table(analysed: Sequence[Analysed]) -> pa.Table:
    """Return grey-level densities: one row per set, channel and level."""
    import pyarrow as pa

    from pipeline.tables import column

    columns = [
        column("channel", pa.int32(), "1", "channel: 0 gray or red, 1 green, 2 blue"),
        column("level", pa.int32(), "1", "grey level, 0 to 255"),
        column("pixels", pa.int64(), "1", "pixels of all images that have the level"),
        column("density", pa.float64(), "1", "pixels divided by all pixels of the channel"),
    ]
    parts = []
    for _, one in _each(analysed):
        counts = one.counts
        values = [
            np.repeat(np.arange(len(counts), dtype=np.int32), LEVELS),
            np.tile(np.arange(LEVELS, dtype=np.int32), len(counts)),
            counts.ravel(),
            density(counts).ravel(),
        ]
        parts.append(_rows(one, columns, values, counts.size))
    return pa.concat_tables(parts)


def summary(analysed: Iterable[Analysed]) -> list[dict[str, Any]]:
    """Return one row of plain numbers per set, the clean split first.

    ``low``, ``middle`` and ``high`` are the mean differences of log10(1 + |X|) from the clean
    split over the bands of frequency; ``mean_level`` and ``distance`` are in grey levels.
    """
    rows = []
    for clean, one in _each(analysed):
        row = _identity(one)
        if one.measured.spectrum is not None:
            profile, of_clean = one.spectrum.profile, clean.spectrum.profile
            row |= {name: profile.band(name) - of_clean.band(name) for name in BANDS}
        if one.measured.counts is not None:
            row["mean_level"] = mean_level(one.counts)
            row["distance"] = distance(one.counts, clean.counts)
        rows.append(row)
    return rows


def _each(analysed: Iterable[Analysed]) -> Iterator[tuple[AnalysedSet, AnalysedSet]]:
    """Yield every set, clean ones included, after its clean split."""
    for group in analysed:
        for one in (group.clean, *group.sets):
            yield group.clean, one


def _identity(one: AnalysedSet) -> dict[str, Any]:
    height, width, _ = one.measured.shape
    return {
        **one.identity,
        "n": one.measured.images,
        "height": height,
        "width": width,
        "content_digest": one.content_digest,
    }


def _rows(one: AnalysedSet, columns: list[pa.Field], values: list[Any], count: int) -> pa.Table:
    """Return `values` with the set's identity in front of each of the `count` rows."""
    import pyarrow as pa

    from pipeline.tables import column

    fields = [
        *identity_columns(),
        column("n", pa.int64(), "1", "images in the set"),
        column("height", pa.int32(), "pixel", "height of each image"),
        column("width", pa.int32(), "pixel", "width of each image"),
        column("content_digest", pa.string(), "", "content digest of the set that was read"),
    ]
    identity = [[value] * count for value in _identity(one).values()]
    schema = pa.schema([*fields, *columns])
    arrays = zip([*identity, *values], schema, strict=True)
    return pa.table(
        [a.cast(f.type) if isinstance(a, pa.Array) else pa.array(a, f.type) for a, f in arrays],
        schema=schema,
    )
