"""The class prompts of a dataset, put into the templates of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stages.download.schema import Dataset
    from stages.embed.stage import ClassPrompt
    from stages.evaluate.schema import RunManifest


def class_prompts(dataset: Dataset, prompt_set: str, run: RunManifest) -> list[ClassPrompt]:
    """Return every text of a named set of prompts, by template and then by class."""
    from stages.embed.stage import ClassPrompt
    from stages.evaluate.templates import expand

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
