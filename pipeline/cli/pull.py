"""``pipeline pull``: take artifacts from a shared store, verified on their way."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options, remote_store
from pipeline.cli.output import print_json, say, show, size
from pipeline.selectors import selects_artifact

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.sharing.holdings import Holdings
    from pipeline.sharing.names import Place
    from pipeline.sharing.pull import PullPlan
    from pipeline.store import Store

Render = Annotated[
    bool,
    typer.Option(
        "--render",
        help="Fetch the recipes and digests of sets alone, render them from the clean splits that "
        "are here, and prove each identical.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(pull)


def pull(
    url: remote_store.Url,
    selectors: remote_store.Selectors = None,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    with_inputs: remote_store.WithInputs = False,
    render: Render = False,
    workers: remote_store.Transfers = remote_store.DEFAULT_TRANSFERS,
    retries: remote_store.Retries = remote_store.DEFAULT_RETRIES,
    timeout: remote_store.Timeout = remote_store.DEFAULT_TIMEOUT,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Take sealed artifacts from a folder, an S3 bucket or a web server into the store.

    What is here is not moved again, so that the same command goes on from an interrupted one.
    Every file is compared with its digest before it gets its name: wrong bytes are exit 5.

    With --render no pixels of sets move: they are made here, and a set that does not come out
    with the digest it has there is not sealed: exit 5. Exit 4 if its clean split is not here.
    """
    from pipeline.cli.progress import TransferProgress
    from pipeline.sharing import pull as pulling
    from pipeline.store import Store

    opened = Store.open(store)
    holdings = remote_store.holdings_of(url, remote_store.patience(retries, timeout))
    chosen = selectors or []
    places = remote_store.available(holdings, with_recipes=render)
    _require_matches(chosen, places, holdings)
    matched = [place for place in places if selects_artifact(chosen, place.label)]
    made = [place for place in matched if render and _is_rendered(place)]
    recipes = holdings.manifests(made, workers)
    moved = [place for place in matched if place not in recipes]
    if with_inputs:
        moved += remote_store.inputs_there(holdings, recipes.values())
    wants = remote_store.is_no_source if with_inputs else None
    plan = pulling.plan_pull(opened, holdings, moved, workers=workers, wants_input=wants)
    _tell_absent(plan)
    fetched = sum(len(one.encoded) for one in recipes.values()), len(recipes)
    said: dict[str, Any] = {"rendered": len(recipes)} if render else {}
    if dry_run:
        _show(url, plan, [*recipes], fetched, said, as_json=as_json)
        return
    with contextlib.closing(TransferProgress("pulling", plan.nbytes, plan.objects)) as display:
        outcome = pulling.pull(opened, holdings, plan, workers=workers, told=display)
    outcome.raise_failures()
    there = plan.there
    if recipes:
        made_now, made_before = _rendered(opened, manifests, [*recipes.values()])
        there, said = there + made_before, {"rendered": made_now}
    _hint(plan, chosen, with_inputs=with_inputs)
    if as_json:
        totals = (outcome.nbytes + fetched[0], outcome.objects + fetched[1], outcome.artifacts)
        print_json("pull", remote_store.content(url, *totals, there, dry_run=False) | said)
        return
    if render:
        _tell_rendered(said["rendered"], *fetched)
    if plan.fetches or not render:
        show(remote_store.told("pulled", outcome, there))


def _tell_rendered(rendered: int, nbytes: int, recipes: int) -> None:
    show(
        f"{recipes} recipes fetched, {size(nbytes)}: {rendered} sets rendered here, "
        f"{recipes - rendered} were here; each is proved identical"
    )


def _rendered(store: Store, manifests: Path | None, recipes: Sequence[Manifest]) -> tuple[int, int]:
    """Render what is not here of the sets of these recipes; return how many, and the others."""
    from pipeline.cli.rendering import plan_renders, render
    from pipeline.cli.study import Study

    renders = plan_renders(Study(store, manifests), recipes)
    render(store, renders, options.DEFAULT_WORKERS)
    return len(renders.nodes), renders.there


def _require_matches(selectors: Sequence[str], places: Sequence[Place], holdings: Holdings) -> None:
    """Refuse selectors that match nothing, and say so if there are recipes that they match."""
    from pipeline.errors import UsageError

    where = holdings.remote.url
    for selector in selectors:
        matched = any(selects_artifact([selector], place.label) for place in places)
        recipes = [p for p in holdings.recipes if selects_artifact([selector], p.label)]
        if not matched and recipes:
            message = (
                f"{where} has of {selector!r} {len(recipes)} recipes alone, as its licence wants: "
                "add --render to make it of your own copy of the data"
            )
            raise UsageError(message)
    remote_store.require_matches(selectors, [place.label for place in places], where)


def _is_rendered(place: Place) -> bool:
    from pipeline.cli.rendering import is_rendered

    return is_rendered(place)


def _tell_absent(plan: PullPlan) -> None:
    for label in plan.absent:
        say(f"not there: {label}, from which others were made")


def _show(
    url: str,
    plan: PullPlan,
    made: Sequence[Place],
    fetched: tuple[int, int],
    said: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    nbytes, objects = plan.nbytes + fetched[0], plan.objects + fetched[1]
    totals = (nbytes, objects, len(plan.fetches), plan.there)
    if as_json:
        print_json("pull", remote_store.content(url, *totals, dry_run=True) | said)
        return
    for fetch in plan.fetches:
        show(f"{fetch.place.label}  {size(fetch.nbytes)}")
    for place in made:
        show(f"{place.label}  rendered here")
    show(f"would pull {totals[2]} artifacts, {totals[1]} objects, {size(totals[0])}")


def _hint(plan: PullPlan, selectors: Sequence[str], *, with_inputs: bool) -> None:
    """Say that what was made from others is alone, where it was asked for alone."""
    pulled = {fetch.place.key for fetch in plan.fetches}
    inputs = [
        one["stage"] + "/" + one["name"]
        for fetch in plan.fetches
        for one in fetch.manifest.document["inputs"].values()
        if one["recipe_key"] not in pulled
    ]
    if selectors and inputs and not with_inputs:
        say(f"made from {inputs[0]}: to evaluate, pull with --with-inputs, too")
