"""MedIMeta's info.yaml, and what in it contradicts a manifest.

Fields of version 1.0: `id`, `name`, `domain`, `tasks` (each with `task_name`, `task_target` and
`labels`, a map from label id to name), `input_size` ([C, H, W]), `total_num_samples` and
`splits_num_samples`. A field that is absent is not missed; one that says something else is a fault.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.errors import DataError
from pipeline.manifest import nearest
from stages.download.schema import Dataset, MedIMetaForm

TASKS = {
    "BINARY_CLASSIFICATION": "binary",
    "MULTICLASS_CLASSIFICATION": "multi-class",
    "ORDINAL_REGRESSION": "ordinal",
}


def read_info(path: Path) -> dict[str, Any]:
    """Return the content of an info.yaml.

    Raises
    ------
    DataError
        When it cannot be read, or is not a map.
    """
    import yaml

    try:
        info = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        message = f"{path}: cannot be read as YAML: {error}"
        raise DataError(message) from error
    if not isinstance(info, dict):
        message = f"{path}: does not hold a map of fields"
        raise DataError(message)
    return info


def check_info(dataset: Dataset, form: MedIMetaForm, path: Path, info: dict[str, Any]) -> None:
    """Refuse an info.yaml that contradicts the manifest, naming every contradiction.

    Raises
    ------
    DataError
        See above.
    """
    faults = [
        *_differs("id", form.collection_id, info.get("id")),
        *_differs("input_size", [dataset.channels, *dataset.shape], _input_size(info)),
        *_count_faults(dataset, info),
        *_task_faults(dataset, form, info),
    ]
    if faults:
        raise DataError(f"{path} contradicts the manifest of {dataset.id}: {'; '.join(faults)}")


def _differs(name: str, declared: object, found: object) -> list[str]:
    if found is None or found == declared:
        return []
    return [f"{name} is {found!r}, the manifest says {declared!r}"]


def _input_size(info: dict[str, Any]) -> object:
    size = info.get("input_size")
    return list(size) if isinstance(size, (list, tuple)) else size


def _count_faults(dataset: Dataset, info: dict[str, Any]) -> list[str]:
    counts = {} if dataset.splits is None else dict(dataset.splits.counts())
    found = info.get("splits_num_samples")
    faults = []
    if isinstance(found, dict):
        for split, count in counts.items():
            faults += _differs(f"splits_num_samples.{split}", count, found.get(split))
    if len(counts) == 3:
        faults += _differs("total_num_samples", sum(counts.values()), info.get("total_num_samples"))
    return faults


def _task_faults(dataset: Dataset, form: MedIMetaForm, info: dict[str, Any]) -> list[str]:
    tasks = info.get("tasks")
    if not isinstance(tasks, list):
        return []
    named = {str(task.get("task_name")): task for task in tasks if isinstance(task, dict)}
    if form.task not in named:
        return [f"there is no task {form.task!r}{nearest(form.task, named)}"]
    task = named[form.task]
    target = task.get("task_target")
    kind = None if target is None else TASKS.get(str(target), str(target))
    return [
        *_differs("task_target", dataset.task, kind),
        *_differs("labels", list(dataset.classes), _classes(task.get("labels"))),
    ]


def _classes(labels: object) -> object:
    """Return class names in the order of their ids, or whatever else was found."""
    if not isinstance(labels, dict):
        return labels
    try:
        ordered = sorted((int(number), str(name)) for number, name in labels.items())
    except (TypeError, ValueError):
        return labels
    if [number for number, _ in ordered] != list(range(len(ordered))):
        return dict(ordered)
    return [name for _, name in ordered]
