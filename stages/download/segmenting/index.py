"""The index of a split: what is known of each sample beside its pixels."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stages.download.segmenting.dataset import DatasetReader
from stages.download.segmenting.reading import NOTHING, Entry, Sample

if TYPE_CHECKING:
    import pyarrow as pa


def described(sample: Sample) -> Sample:
    """Return the sample without its pixels: a shard's are not kept twice."""
    layers = tuple(
        dataclasses.replace(layer, mask=np.zeros((0, 0), np.uint8), source=None, instances=None)
        for layer in sample.layers
    )
    return dataclasses.replace(sample, image=np.zeros(NOTHING, np.uint8), layers=layers)


def index_of(reader: DatasetReader, rows: Sequence[int], samples: Sequence[Sample]) -> pa.Table:
    """Return the index of some rows: one line per sample, whatever its status."""
    import pyarrow as pa

    from pipeline.tables import column

    words = pa.list_(pa.string())
    fields = [
        column("id", pa.string(), "", "sample id, unique within the dataset"),
        column("status", pa.string(), "", "ok, no-mask or failed: has no pixels unless ok"),
        column("error", pa.string(), "", "why it has no pixels; empty if it has"),
        column("patient_id", pa.string(), "", "patient the image is of, where known"),
        column("original_filepath", pa.string(), "", "the image's file at its source"),
        column("mask_filepaths", words, "", "the mask files at their source"),
        column("metadata", pa.string(), "", "JSON object: attribute of prompts to word"),
        column("mask_levels", pa.list_(pa.int32()), "1", "different values in each target's file"),
        column("mask_fringe", pa.list_(pa.int64()), "pixel", "neither background nor foreground"),
        column("mask_findings", words, "", "what was unclean about each target's file"),
    ]
    lines = [
        _line(reader.ids[row], reader.entries[row], sample)
        for row, sample in zip(rows, samples, strict=True)
    ]
    columns = [
        pa.array([line[position] for line in lines], part.type)
        for position, part in enumerate(fields)
    ]
    return pa.table(columns, schema=pa.schema(fields))


def _line(name: str, entry: Entry, sample: Sample) -> tuple[Any, ...]:
    metadata = dict(entry.metadata) | dict(sample.metadata)
    return (
        name,
        sample.status,
        sample.error,
        sample.patient or entry.patient,
        entry.path,
        list(entry.mask_paths),
        json.dumps(metadata, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        [layer.levels for layer in sample.layers],
        [layer.fringe for layer in sample.layers],
        [",".join(dict.fromkeys(layer.findings)) for layer in sample.layers],
    )
