"""Which sealed sets a command that only reads is about, whole splits at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from pipeline.cli.choices import DEFAULT_RUN, named_in, not_built, require_matches
from pipeline.cli.imported_sets import require_imported
from pipeline.cli.sealed_inputs import present_datasets
from pipeline.errors import MissingInputError
from pipeline.selectors import selects

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node


@dataclass(frozen=True)
class Group:
    """The selected sets of one suite and split, and their clean split."""

    suite: str
    clean: Node
    sets: tuple[Node, ...]


def sealed_groups(
    study: Study,
    suite: str | None,
    datasets: Sequence[str],
    splits: Sequence[str],
    only: Sequence[str],
) -> list[Group]:
    """Return what is selected; without names, every suite and dataset that the store has.

    Raises
    ------
    UsageError
        If a name is unknown or a selector matches no set.
    MissingInputError
        If a named dataset, or a split of which some selected set is sealed, lacks others; or if
        nothing is sealed. The message says which command builds them.
    """
    names = [study.dataset(name).id for name in datasets] or named_in(study, only)
    named = bool(names)
    suites = study.suites_present()
    if suite:
        if not require_imported(study.store, suite):
            study.suite(suite)
        suites = [suite]
    wanted = suites or list(study.run(DEFAULT_RUN).suites)
    found: list[Group] = []
    missing: list[str] = []
    possible: list[str] = []
    for group in _groups(study, wanted, names or present_datasets(study), splits, suite):
        possible += [node.recipe.name for node in group.sets]
        sets = tuple(node for node in group.sets if selects(only, node.recipe.name))
        unbuilt = [n for n in (group.clean, *sets) if study.store.sealed(n.recipe) is None]
        if sets and not unbuilt:
            found.append(Group(group.suite, group.clean, sets))
        elif sets and (named or any(study.store.sealed(node.recipe) for node in sets)):
            dataset, split = group.clean.recipe.name.split("/")
            names = [node.recipe.name for node in unbuilt]
            missing.append(not_built(study, names, group.suite, dataset, split, only))
    if possible:
        require_matches(only, possible)
    if missing:
        raise MissingInputError("\n".join(missing))
    if not found:
        which = f" --suite {suite}" if suite else ""
        message = "nothing is sealed: build it first with "
        message += f"`pipeline build corruptions{which} {study.options}`"
        raise MissingInputError(message)
    return found


def _groups(
    study: Study,
    suites: Sequence[str],
    datasets: Sequence[str],
    splits: Sequence[str],
    named: str | None,
) -> Iterator[Group]:
    for suite, dataset, split in product(suites, datasets, splits or ("test",)):
        if named or study.covers(suite, dataset):
            clean = study.split(dataset, split)
            yield Group(suite, clean, tuple(study.sets(suite, dataset, split)))
