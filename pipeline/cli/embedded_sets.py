"""Which sealed embeddings a command that only reads is about, whole splits at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from pipeline.cli.choices import named_in, only_options, require_matches, sets_of
from pipeline.cli.imported_sets import require_imported
from pipeline.errors import MissingInputError, few
from pipeline.selectors import selects
from stages.vocabulary import EMBEDDINGS

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node


@dataclass(frozen=True)
class Pair:
    """Images, and their embeddings by one encoder."""

    images: Node
    embeddings: Node


@dataclass(frozen=True)
class EmbeddedGroup:
    """The selected sets of one suite and split as one encoder sees them, and their clean split."""

    encoder: str
    suite: str
    dataset: str
    split: str
    clean: Pair
    sets: tuple[Pair, ...]


@dataclass(frozen=True)
class Selection:
    """What is asked for; empty means whatever is embedded."""

    encoders: tuple[str, ...] = ()
    suite: str | None = None
    datasets: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    only: tuple[str, ...] = ()


def embedded_groups(study: Study, chosen: Selection) -> list[EmbeddedGroup]:
    """Return what is selected, from sealed embeddings alone: the images need not be there.

    Raises
    ------
    UsageError
        If a name is unknown or a selector matches no set.
    MissingInputError
        If some sets of a split are embedded and others are not; if both the encoder and the
        dataset were named and nothing of them is; or if nothing is. The message says which
        command embeds them.
    """
    encoders = tuple(study.encoder(name).id for name in chosen.encoders)
    datasets = tuple(study.dataset(name).id for name in chosen.datasets)
    if chosen.suite and not require_imported(study.store, chosen.suite):
        study.suite(chosen.suite)
    datasets = datasets or tuple(named_in(study, chosen.only))
    named = bool(encoders and datasets)
    found: list[EmbeddedGroup] = []
    missing: list[str] = []
    absent: list[str] = []
    possible: list[str] = []
    for encoder in encoders or study.embedded_encoders():
        for group in _groups(study, encoder, datasets, chosen):
            possible += [pair.images.recipe.name for pair in group.sets]
            sets = tuple(p for p in group.sets if selects(chosen.only, p.images.recipe.name))
            if not sets:
                continue
            lacking = [p for p in (group.clean, *sets) if not _embedded(study, p)]
            if not lacking:
                found.append(_with(group, sets))
            elif named or any(_embedded(study, pair) for pair in sets):
                missing.append(_not_embedded(study, _with(group, sets), lacking, chosen))
            else:
                absent.append(_not_embedded(study, _with(group, sets), lacking, chosen))
    if possible:
        require_matches(chosen.only, possible)
    if not found:
        missing = missing or absent or [_nothing(study, encoders, datasets, chosen)]
    if missing:
        raise MissingInputError("\n".join(missing))
    return found


def _groups(
    study: Study, encoder: str, datasets: Sequence[str], chosen: Selection
) -> Iterator[EmbeddedGroup]:
    """Yield every split that could be meant, with all its sets; none without known weights."""
    present = study.store.first_parts(f"{EMBEDDINGS}/{encoder}")
    suites = [chosen.suite] if chosen.suite else list(filter(study.has_suite, present))
    names = datasets or [name for name in study.datasets if name in present]
    for suite, dataset in product(suites or study.suites_present(), names):
        if not chosen.suite and not study.covers(suite, dataset):
            continue
        for split in chosen.splits or {"test"}.intersection(study.splits(dataset)):
            clean, sets = study.split(dataset, split), study.sets(suite, dataset, split)
            try:
                pairs = [Pair(node, study.embedding(encoder, node)) for node in (clean, *sets)]
            except MissingInputError:
                return  # the weights are not here, and the store has nothing made with them
            first, *others = pairs
            yield EmbeddedGroup(encoder, suite, dataset, split, first, tuple(others))


def _with(group: EmbeddedGroup, sets: tuple[Pair, ...]) -> EmbeddedGroup:
    return EmbeddedGroup(group.encoder, group.suite, group.dataset, group.split, group.clean, sets)


def _embedded(study: Study, pair: Pair) -> bool:
    return study.store.sealed(pair.embeddings.recipe) is not None


def _not_embedded(
    study: Study, group: EmbeddedGroup, lacking: Sequence[Pair], chosen: Selection
) -> str:
    names = [pair.embeddings.recipe.name for pair in lacking]
    which = sets_of(group.suite, group.dataset, group.split, chosen.only) + f" {study.options}"
    unbuilt = any(study.store.sealed(pair.images.recipe) is None for pair in lacking)
    first = f"pipeline build corruptions {which} && " if unbuilt else ""
    command = f"{first}pipeline embed --model {group.encoder} {which}"
    return f"{few(names)}: not embedded; embed it with: {command}"


def _nothing(
    study: Study, encoders: Sequence[str], datasets: Sequence[str], chosen: Selection
) -> str:
    model = ",".join(encoders) or "NAME"
    which = f" --suite {chosen.suite}" if chosen.suite else ""
    which += f" --datasets {','.join(datasets)}" if datasets else ""
    which += f" --splits {','.join(chosen.splits)}" if chosen.splits else ""
    which += only_options(chosen.only)
    command = f"pipeline embed --model {model}{which} {study.options}"
    return f"nothing is embedded: embed it first with `{command}`"
