"""What ``push``, ``pull`` and the readers of remote stores have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.errors import PipelineError, UsageError
from pipeline.selectors import unmatched_artifacts

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.patience import Patience
    from pipeline.sharing.holdings import Holdings
    from pipeline.sharing.names import Place
    from pipeline.sharing.transfer import Outcome

Url = Annotated[
    str, typer.Argument(metavar="URL", help="A folder, s3://BUCKET/PREFIX or https://HOST/PATH.")
]
Selectors = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[SELECTOR]...",
        help="<stage>/<name> or a set's name, with wildcards; none selects everything.",
    ),
]
Transfers = Annotated[
    int, typer.Option("--workers", min=1, max=64, help="Files that move at the same time.")
]
Retries = Annotated[
    int, typer.Option("--retries", min=0, help="Times an object is tried again before it fails.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.01, help="Seconds to wait for an answer's next bytes.")
]
WithInputs = Annotated[
    bool,
    typer.Option(
        "--with-inputs",
        help="Also what the selected ones were made from, such as a set's clean split; no sources.",
    ),
]

DEFAULT_TRANSFERS = 8
DEFAULT_RETRIES = 4
DEFAULT_TIMEOUT = 60.0


def patience(retries: int = DEFAULT_RETRIES, timeout: float = DEFAULT_TIMEOUT) -> Patience:
    """Return how often and how long to try."""
    from pipeline.patience import Patience

    return Patience(
        attempts=retries + 1,
        first_wait=0.5,
        longest_wait=20.0,
        connect_timeout=timeout,
        read_timeout=timeout,
    )


def holdings_of(url: str, tries: Patience) -> Holdings:
    """Return what the store at a URL holds."""
    from pipeline.sharing.holdings import Holdings
    from pipeline.sharing.remote import open_remote

    return Holdings.of(open_remote(url, tries))


def available(holdings: Holdings, *, with_recipes: bool = False) -> list[Place]:
    """Return the artifacts that a remote store has, and those whose recipes it has."""
    return sorted([*holdings.sealed, *(holdings.recipes if with_recipes else ())])


def inputs_there(holdings: Holdings, manifests: Iterable[Manifest]) -> list[Place]:
    """Return where a remote has what was made into others, sources left out."""
    from pipeline.sharing.holdings import inputs_of

    wanted = dict.fromkeys(place for one in manifests for place in inputs_of(one))
    found = [holdings.resolve(place) for place in wanted if not is_source(place)]
    return list(dict.fromkeys(place for place in found if place is not None))


def is_source(place: Place) -> bool:
    """Tell whether an artifact is raw data, which only a build needs."""
    from stages.vocabulary import SOURCES

    return place.stage == SOURCES


def is_no_source(place: Place) -> bool:
    """Tell whether an artifact comes along as what another was made from."""
    return not is_source(place)


def require_matches(selectors: Sequence[str], labels: Sequence[str], where: str) -> None:
    """Refuse selectors that match nothing."""
    if missed := unmatched_artifacts(selectors, labels):
        message = f"no artifact of {where} matches {missed[0]!r}; see `pipeline list`"
        raise UsageError(message)


def sealed_rows(
    url: str, stage: str | None, workers: int = DEFAULT_TRANSFERS
) -> list[dict[str, Any]]:
    """Return what `pipeline list` says of a remote store's artifacts."""
    found = holdings_of(url, patience())
    places = [place for place in found.sealed if stage in {None, place.stage}]
    return [manifest.summary for manifest in found.manifests(places, workers).values()]


def remote_states(url: str, workers: int = DEFAULT_TRANSFERS) -> list[dict[str, Any]]:
    """Return what `pipeline status` says of a remote store: sealed, missing or damaged.

    Missing is what was begun there and never sealed.
    """
    from pipeline.cli.states import state_row
    from pipeline.sharing.holdings import in_parallel

    found = holdings_of(url, patience())
    sealed = set(found.sealed)

    def row(place: Place) -> dict[str, Any]:
        state, manifest = "missing", None
        if place in sealed:
            try:
                state, manifest = "sealed", found.manifest(place)
            except PipelineError:
                state = "damaged"
        return state_row(place.stage, place.name, place.key, state, manifest)

    aliased = set(found.aliased)
    return in_parallel(row, [place for place in found.files if place not in aliased], workers)


def content(
    url: str, nbytes: int, objects: int, artifacts: int, there: int, *, dry_run: bool
) -> dict[str, Any]:
    """Return what a push or a pull says in JSON."""
    return {
        "url": url,
        "dry_run": dry_run,
        "bytes": nbytes,
        "objects": objects,
        "artifacts": artifacts,
        "there_already": there,
    }


def told(verb: str, outcome: Outcome, there: int) -> str:
    """Return the line that ends a push or a pull."""
    from pipeline.cli.output import size

    rest = f"; {there} were there already" if there else ""
    if not outcome.objects:
        return f"nothing to do{rest}"
    done = f"{outcome.artifacts} artifacts, {outcome.objects} objects, {size(outcome.nbytes)}"
    return f"{verb} {done}{rest}"
