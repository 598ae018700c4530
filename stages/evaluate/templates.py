"""Prompt templates: the sentences that class texts are put into before encoding."""

from __future__ import annotations

import string
from collections.abc import Sequence

_NAMES = ("class", "dataset")


def fault_of(template: str) -> str | None:
    """Return what is wrong with `template`, or None.

    A template names the class as `{class}` or as the first `{}`, and may name the dataset as
    `{dataset}` or as the second `{}`; it does not mix the two ways.
    """
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        return f"template {template!r}: {error}"
    fields = [(name, spec, conversion) for _, name, spec, conversion in parts if name is not None]
    names = [name for name, _, _ in fields]
    fault = None
    if any(spec or conversion for _, spec, conversion in fields):
        fault = "write the fields plainly, as {} or {class}"
    elif "" in names and (set(names) != {""} or len(names) > len(_NAMES)):
        fault = "use at most two {}, and no named field beside them"
    elif unknown := sorted(set(names) - {"", *_NAMES}):
        fault = f"unknown field {unknown[0]!r}; known: {', '.join(_NAMES)}"
    elif not {"", "class"} & set(names):
        fault = "no place for the class; write {} or {class}"
    return fault and f"template {template!r}: {fault}"


def fill(template: str, class_text: str, dataset: str) -> str:
    """Return `template` with the class text and the dataset's name put in.

    Raises
    ------
    ValueError
        If the template is not valid.
    """
    if fault := fault_of(template):
        raise ValueError(fault)
    return template.format(class_text, dataset, **{"class": class_text, "dataset": dataset})


def expand(
    templates: Sequence[str], prompts: Sequence[str | Sequence[str]], dataset: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Return every text to encode and the class id of each, for an ensemble of templates.

    Parameters
    ----------
    templates
        The templates of one named set.
    prompts
        For each class in label order, one text or several variants.
    dataset
        The dataset's name, for templates that mention it.

    Returns
    -------
    texts, class_ids
        Both ordered by class, then by variant, then by template.
    """
    texts: list[str] = []
    class_ids: list[int] = []
    for class_id, prompt in enumerate(prompts):
        for variant in (prompt,) if isinstance(prompt, str) else prompt:
            texts += [fill(template, variant, dataset) for template in templates]
            class_ids += [class_id] * len(templates)
    return tuple(texts), tuple(class_ids)
