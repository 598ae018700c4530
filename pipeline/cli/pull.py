"""``pipeline pull``: take artifacts from a shared store, verified on their way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from pipeline.cli import options, remote_store
from pipeline.cli.output import print_json, say, show, size

if TYPE_CHECKING:
    from pipeline.sharing.pull import PullPlan


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(pull)


def pull(
    url: remote_store.Url,
    selectors: remote_store.Selectors = None,
    store: options.Store = options.DEFAULT_STORE,
    with_inputs: remote_store.WithInputs = False,
    workers: remote_store.Transfers = remote_store.DEFAULT_TRANSFERS,
    retries: remote_store.Retries = remote_store.DEFAULT_RETRIES,
    timeout: remote_store.Timeout = remote_store.DEFAULT_TIMEOUT,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Take sealed artifacts from a folder, an S3 bucket or a web server into the store.

    What is here is not moved again, so that the same command goes on from an interrupted one.
    Every file is compared with its digest before it gets its name: wrong bytes are exit 5.
    """
    from pipeline.cli.transfer_display import TransferDisplay
    from pipeline.sharing.pull import plan_pull
    from pipeline.sharing.pull import pull as take
    from pipeline.store import Store

    opened = Store.open(store)
    holdings = remote_store.holdings_of(url, remote_store.patience(retries, timeout))
    chosen = selectors or []
    places = holdings.sealed
    remote_store.require_matches(chosen, [place.label for place in places], holdings.remote.url)
    plan = plan_pull(
        opened,
        holdings,
        [place for place in places if remote_store.matches(chosen, place.label)],
        workers=workers,
        wants_input=(lambda place: not remote_store.is_source(place)) if with_inputs else None,
    )
    for label in plan.absent:
        say(f"not there: {label}, from which others were made")
    if dry_run:
        _show(url, plan, as_json=as_json)
        return
    with TransferDisplay("pulling", plan.nbytes, plan.objects) as display:
        outcome = take(opened, holdings, plan, workers=workers, told=display)
    outcome.raise_failures()
    _hint(plan, chosen, with_inputs=with_inputs)
    if as_json:
        totals = (outcome.nbytes, outcome.objects, outcome.artifacts, plan.there)
        print_json("pull", remote_store.content(url, *totals, dry_run=False))
    else:
        show(remote_store.told("pulled", outcome, plan.there))


def _show(url: str, plan: PullPlan, *, as_json: bool) -> None:
    totals = (plan.nbytes, plan.objects, len(plan.fetches), plan.there)
    if as_json:
        print_json("pull", remote_store.content(url, *totals, dry_run=True))
        return
    for fetch in plan.fetches:
        show(f"{fetch.place.label}  {size(fetch.nbytes)}")
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
