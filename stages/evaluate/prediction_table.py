"""Predictions as a table: written by the predictions stage, read back to be scored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.artifact import Artifact
from stages.evaluate.predictions import Predictions, System
from stages.evaluate.protocols.contract import Floats, predicted_classes, predicted_labels

if TYPE_CHECKING:
    import pyarrow as pa

_SAMPLE = ["id", "patient_id"]


def sample_columns(images: Artifact) -> list[str]:
    """Return the index columns of a clean split that evaluation reads."""
    several = images.attributes["task"] == "multi-label"
    return ["id", "patient_id", "labels" if several else "label"]


def labels_of(table: pa.Table) -> NDArray[np.int64]:
    """Return the true labels: class ids (n,), or of a multi-label task 0 or 1 per class (n, K)."""
    if "labels" not in table.column_names:
        return np.asarray(table["label"].to_numpy(), np.int64)
    flags = table["labels"].combine_chunks().flatten().to_numpy()
    return np.asarray(flags.reshape(table.num_rows, -1), np.int64)


def prediction_table(samples: pa.Table, corruption: str, severity: int, scores: Floats) -> pa.Table:
    """Return the table of one set, one row per sample.

    Parameters
    ----------
    samples
        The columns that `sample_columns` names.
    corruption, severity
        What identifies the set.
    scores
        Class probabilities, (n, K).
    """
    import pyarrow as pa

    from pipeline.tables import column

    n = samples.num_rows
    if "labels" in samples.column_names:
        flags = pa.list_(pa.int8())
        label = column("labels", flags, "1", "1 for each true class, else 0, by class id")
        meaning = "1 for each class of probability above 0.5, else 0, by class id"
        predicted = column("predicted", flags, "1", meaning)
        answers = pa.array(predicted_labels(scores).astype(np.int8).tolist(), flags)
    else:
        label = column("label", pa.int32(), "1", "true class id")
        meaning = "class id with the highest score, lowest of equals"
        predicted = column("predicted", pa.int32(), "1", meaning)
        answers = pa.array(predicted_classes(scores), pa.int32())
    fields = [
        column("corruption", pa.string(), "", "corruption, `clean` for the clean split"),
        column("severity", pa.int32(), "1", "severity, 0 for the clean split"),
        column("id", pa.string(), "", "sample id"),
        column("patient_id", pa.string(), "", "patient the image is of, where known"),
        label,
        predicted,
        column("scores", pa.list_(pa.float64()), "1", "probability of each class, by class id"),
    ]
    values = [
        pa.array([corruption] * n),
        pa.array([severity] * n, pa.int32()),
        samples["id"],
        samples["patient_id"],
        samples[label.name],
        answers,
        pa.array(list(scores), pa.list_(pa.float64())),
    ]
    return pa.table(values, schema=pa.schema(fields))


def read_predictions(
    artifact: Artifact, systems: Sequence[System], shard: int = 0
) -> list[Predictions]:
    """Return the predictions of every set in a shard of a sealed artifact.

    Parameters
    ----------
    systems
        Whose predictions the shard holds: as many rows of each, one after the other.
    """
    scale = artifact.attributes["logit_scale"]
    start = sum(artifact.manifest.shard_rows[:shard])
    table = artifact.index(start=start, stop=start + artifact.manifest.shard_rows[shard])
    rows = table.num_rows // len(systems)
    return [
        Predictions(
            **system._asdict(),
            **identity,
            labels=labels_of(part),
            scores=rows_of_lists(part["scores"], part.num_rows),
            logit_scale=scale,
        )
        for number, system in enumerate(systems)
        for identity, part in sets_of(table.slice(number * rows, rows))
    ]


def sets_of(table: pa.Table) -> Iterator[tuple[dict[str, Any], pa.Table]]:
    """Yield each set's corruption, severity, ids and groups by name, and its rows."""
    severities = table["severity"].to_numpy()
    names = table["corruption"].combine_chunks().dictionary_encode().indices.to_numpy()
    changes = (np.diff(severities) != 0) | (np.diff(names) != 0)
    starts = [0, *(np.flatnonzero(changes) + 1).tolist()]
    first: pa.Table | None = None
    samples: dict[str, Any] = {}
    for start, stop in zip(starts, [*starts[1:], table.num_rows], strict=True):
        part = table.slice(start, stop - start)
        same = first is not None and part.select(_SAMPLE).equals(first)
        if not same:  # they nearly always are, and lists of texts take long to make
            first = part.select(_SAMPLE)
            patients = part["patient_id"].to_pylist()
            samples = {
                "ids": tuple(part["id"].to_pylist()),
                "groups": tuple(patients) if any(patients) else None,
            }
        corruption, severity = part["corruption"][0].as_py(), int(severities[start])
        yield {"corruption": corruption, "severity": severity, **samples}, part


def rows_of_lists(column: pa.ChunkedArray, rows: int) -> Floats:
    """Return lists of equal length as float64 (rows, length)."""
    flat = column.combine_chunks().flatten().to_numpy()
    return np.asarray(flat.reshape(rows, -1), np.float64)
