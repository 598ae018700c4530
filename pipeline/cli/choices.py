"""What a command is about where names are left out, and refusals of names that match nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pipeline.cli.imported_sets import require_imported
from pipeline.errors import UsageError, few
from pipeline.manifest import require_known
from pipeline.selectors import unmatched
from stages.vocabulary import CLEAN, CORRUPTIONS

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node

DEFAULT_RUN = "medimeta-c"


def default_datasets(study: Study, names: Sequence[str], run: str | None) -> list[str]:
    """Return the named datasets, or those of the run (by default MediMeta-C's five)."""
    if names:
        return [study.dataset(name).id for name in names]
    return list(study.run(run or DEFAULT_RUN).datasets)


def default_suites(
    study: Study, name: str | None, run: str | None, backend: str = "native"
) -> list[str]:
    """Return the named suite, or those of the run (by default MediMeta-C), by their backend.

    Raises
    ------
    UsageError
        If a name is unknown, or says another backend itself.
    """
    names = [name] if name else list(study.run(run or DEFAULT_RUN).suites)
    rendered_by = "" if backend == "native" else f"@{backend}"
    named = [suite.removesuffix(rendered_by) + rendered_by for suite in names]
    for suite in named:
        if suite.count("@") > 1:
            message = f"suite {suite.removesuffix(rendered_by)} names another backend: {backend}"
            raise UsageError(message)
        if not require_imported(study.store, suite):
            study.suite(suite)
    return named


def named_in(study: Study, only: Sequence[str]) -> list[str]:
    """Return the datasets that selectors name in plain words, so that `--only` alone is enough."""
    parts = [part for selector in only for part in selector.split("/")[:2]]
    return [name for name in study.datasets if name in parts]


def require_matches(only: Sequence[str], names: Sequence[str]) -> None:
    """Refuse selectors that match none of the names they could.

    Raises
    ------
    UsageError
        Naming the first.
    """
    if missed := unmatched(only, names):
        message = f"no set or split matches {missed[0]!r}; see `pipeline list sets`"
        raise UsageError(message)


def corruption_of(images: Node) -> tuple[str, int]:
    """Return corruption and severity of a set; of a clean split `CLEAN` and 0."""
    parameters = images.recipe.parameters
    if images.recipe.stage != CORRUPTIONS:
        return CLEAN, 0
    return str(parameters["corruption"]), int(str(parameters["severity"]))


def sets_of(suite: str, dataset: str, split: str, only: Sequence[str] = ()) -> str:
    """Return the options that select the sets of a split, or those of them that `only` does."""
    return f"--suite {suite} --datasets {dataset} --splits {split}{only_options(only)}"


def only_options(only: Sequence[str]) -> str:
    """Return the options that select again what `only` did, a space before each."""
    return "".join(f" --only '{text}'" for text in only)


def not_built(
    study: Study, names: Sequence[str], suite: str, dataset: str, split: str, only: Sequence[str]
) -> str:
    """Return a message that names sets of a split which are not built, and how to build them."""
    command = f"pipeline build corruptions {sets_of(suite, dataset, split, only)} {study.options}"
    return f"{few(names)}: not built; build it with: {command}"


def require_protocols(names: Sequence[str]) -> None:
    """Refuse an unknown protocol, suggesting the nearest."""
    from stages.evaluate.schema import PROTOCOL_NAMES

    for name in names:
        require_known("protocol", name, PROTOCOL_NAMES)


def unique(nodes: Iterator[Node]) -> list[Node]:
    """Return nodes with different recipes, in order of first appearance."""
    return list({node.recipe.key: node for node in nodes}.values())
