"""What of a store can be embedded: sealed images, built prompts, splits to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.cli.choices import DEFAULT_RUN, default_suites, named_in, require_matches, unique
from pipeline.errors import MissingInputError
from pipeline.selectors import selects, unmatched
from stages.vocabulary import DATASETS, PROMPTS

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.study import Study
    from pipeline.unit import Node


def sealed_images(
    study: Study,
    datasets: Sequence[str],
    run: str | None,
    suite: str | None,
    splits: Sequence[str],
    only: Sequence[str],
) -> list[Node]:
    """Return the sealed sets and clean splits that are selected.

    Raises
    ------
    UsageError
        If a selector matches no set.
    MissingInputError
        If something named explicitly is not sealed, or nothing is.
    """
    names = [study.dataset(name).id for name in datasets]
    names = names or (list(study.run(run).datasets) if run else named_in(study, only))
    names = names or [name for name in stored_datasets(study) if name in study.datasets]
    suites = default_suites(study, suite, run) if suite or run else study.suites_present()
    found: list[Node] = []
    missing: list[str] = []
    possible: list[str] = []
    for name in names:
        sealed = []
        for split in splits or ("test",):
            if not (datasets or run or splits) and split not in study.splits(name):
                continue  # not every dataset with masks has a test split
            clean = study.split(name, split)
            fitting = suites if suite else [s for s in suites if study.covers(s, name)]
            candidates = [node for s in fitting for node in study.sets(s, name, split)]
            possible += [node.recipe.name for node in candidates]
            wanted = [node for node in candidates if selects(only, node.recipe.name)]
            sealed += [node for node in wanted if study.store.sealed(node.recipe)]
            if study.store.sealed(clean.recipe) and (sealed or not only):
                sealed.append(clean)
        found += sealed
        if not sealed and (datasets or run):
            missing.append(name)
    if possible:
        require_matches(only, possible)
    if missing or not found:
        what = " of " + (", ".join(missing) or " ".join(only)) if missing or only else ""
        message = f"nothing is sealed{what}: build it first with `{build_command(study, missing)}`"
        raise MissingInputError(message)
    return unique(iter(found))


def sealed_prompts(study: Study, selectors: Sequence[str]) -> list[Manifest]:
    """Return the sealed prompts that are selected, by name; none without a selector.

    Raises
    ------
    MissingInputError
        If a selector matches none.
    """
    if not selectors:
        return []
    found = list(study.store.manifests_below(study.store.root / PROMPTS))
    for selector in unmatched(selectors, [manifest.name for manifest in found]):
        options = zip(("--rules", "--datasets", "--splits"), selector.split("/"), strict=False)
        plain = "".join(f" {name} {part}" for name, part in options if not set(part) & set("*?["))
        built = ", ".join(dict.fromkeys(manifest.name for manifest in found)) or "none"
        message = (
            f"no prompts match {selector!r} (built: {built}): build them first with "
            f"`pipeline build prompts{plain} {study.options}`"
        )
        raise MissingInputError(message)
    return [manifest for manifest in found if selects(selectors, manifest.name)]


def present_datasets(study: Study) -> list[str]:
    """Return the declared datasets with labels of which the store has a clean split."""
    stored = stored_datasets(study)
    masked = study.segmentations
    return [name for name in study.datasets if name in stored and name not in masked]


def stored_datasets(study: Study) -> list[str]:
    """Return the datasets of which the store has a clean split, declared or not, in name order."""
    return study.store.first_parts(DATASETS)


def train_splits(
    study: Study,
    encoder: str,
    images: Sequence[Node],
    splits: Sequence[str],
    protocols: Sequence[str],
) -> list[Node]:
    """Return the train and validation splits that the protocols of an encoder learn from.

    Without named protocols a vision-only encoder, which has no zero-shot, is given those of all.
    """
    from pipeline.cli.learning import learning_splits
    from stages.evaluate.protocols import PROTOCOLS

    vision_only = study.encoder(encoder).kind == "vision-only"
    asked = protocols or (PROTOCOLS if vision_only else ())
    if splits:
        return []
    names = dict.fromkeys(str(node.recipe.parameters["dataset"]) for node in images)
    labelled = [name for name in names if name not in study.segmentations]
    needed = {
        (name, split): study.split(name, split)
        for name in labelled
        for protocol in asked
        for split in learning_splits(study, name, protocol)
    }
    return list(needed.values())


def prompt_nodes(study: Study, encoder: str, images: Sequence[Node], run: str | None) -> list[Node]:
    """Return the class prompts of the datasets that images are of."""
    manifest = study.run(run or DEFAULT_RUN)
    names = dict.fromkeys(str(node.recipe.parameters["dataset"]) for node in images)
    return [
        node for name in names for node in study.prompt_embeddings(encoder, name, manifest).values()
    ]


def build_command(study: Study, datasets: Sequence[str]) -> str:
    """Return the command that builds the sets of datasets."""
    named = f" --datasets {','.join(datasets)}" if datasets else ""
    return f"pipeline build corruptions{named} {study.options}"
