"""The class prompts of a dataset: its own in the templates of a run, and those of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pipeline.errors import UsageError
from pipeline.manifest import nearest
from stages.evaluate.schema import AS_WRITTEN

if TYPE_CHECKING:
    from stages.download.folders import AnyDataset
    from stages.download.schema import Dataset
    from stages.embed.stage import ClassPrompt
    from stages.evaluate.schema import RunManifest


def written_prompts(
    dataset: AnyDataset, run: RunManifest
) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the sentences that a run writes out for a dataset: by set, then by class name."""
    return run.class_prompts.get(dataset.id) or run.class_prompts.get(dataset.family) or {}


def prompt_sets(dataset: AnyDataset, run: RunManifest) -> list[str]:
    """Return the names of all sets of class prompts of a dataset in a run, its own first.

    Raises
    ------
    UsageError
        If the run gives one of its own the name of one of the dataset's.
    """
    written = written_prompts(dataset, run)
    if repeated := [name for name in written if name in dataset.prompts]:
        message = (
            f"run {run.id}: class_prompts.{dataset.id}.{repeated[0]}: the dataset has prompts of "
            "this name; give yours another"
        )
        raise UsageError(message)
    return [*dataset.prompts, *written]


def class_prompts(dataset: Dataset, prompt_set: str, run: RunManifest) -> list[ClassPrompt]:
    """Return every text of a named set of prompts, by template and then by class.

    Raises
    ------
    UsageError
        If those that the run writes out are not for the classes of the dataset.
    """
    from stages.embed.stage import ClassPrompt
    from stages.evaluate.templates import expand

    if prompt_set not in dataset.prompts:
        return _as_written(dataset, prompt_set, run)
    named = [(dataset.prompts[prompt_set], False)]
    if prompt_set in dataset.absent_prompts:
        named.append((dataset.absent_prompts[prompt_set], True))
    prompts = []
    for template, texts in run.templates.items():
        for classes, absent in named:
            filled, ids = expand(texts, classes, dataset.id)
            prompts += [
                ClassPrompt(template, class_id, dataset.classes[class_id], text, absent)
                for text, class_id in zip(filled, ids, strict=True)
            ]
    return prompts


def _as_written(dataset: Dataset, prompt_set: str, run: RunManifest) -> list[ClassPrompt]:
    from stages.embed.stage import ClassPrompt

    texts = written_prompts(dataset, run)[prompt_set]
    where = f"run {run.id}: class_prompts.{dataset.id}.{prompt_set}"
    if dataset.task == "multi-label":
        message = f"{where}: a dataset with several labels per image needs prompts of its own"
        raise UsageError(message)
    if unknown := [name for name in texts if name not in dataset.classes]:
        suggestion = nearest(unknown[0], dataset.classes)
        message = f"{where}: {unknown[0]!r} is no class of {dataset.id}{suggestion}"
        raise UsageError(message)
    if missing := [name for name in dataset.classes if name not in texts]:
        message = f"{where}: no sentence for class {', '.join(map(repr, missing))}"
        raise UsageError(message)
    return [
        ClassPrompt(AS_WRITTEN, class_id, name, text)
        for class_id, name in enumerate(dataset.classes)
        for text in texts[name]
    ]
