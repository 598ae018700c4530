"""``pipeline push``: share sealed artifacts through a folder or a bucket."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options, remote_store
from pipeline.cli.output import NAMED, print_json, say, show, size
from pipeline.selectors import selects_artifact

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.sharing.licences import Licences
    from pipeline.sharing.push import Companions, PushPlan, Sending
    from pipeline.store import Store

Override = Annotated[
    str | None,
    typer.Option(
        "--override-licence",
        metavar="REASON",
        help="Push what licences do not let be passed on, too; its manifest tells the reason.",
    ),
]


@dataclass(frozen=True)
class Picked:
    """What a push is about."""

    sendings: list[Sending]
    recipes: list[Manifest]
    """Sets of which the recipe may be passed on, and nothing else."""
    left_out: dict[str, str]
    """Reasons, by label."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(push)


def push(
    url: remote_store.Url,
    selectors: remote_store.Selectors = None,
    store: options.Store = options.DEFAULT_STORE,
    with_inputs: remote_store.WithInputs = False,
    override_licence: Override = None,
    workers: remote_store.Transfers = remote_store.DEFAULT_TRANSFERS,
    retries: remote_store.Retries = remote_store.DEFAULT_RETRIES,
    timeout: remote_store.Timeout = remote_store.DEFAULT_TIMEOUT,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Send sealed artifacts to a folder or an S3 bucket, which then is a store itself.

    What is there is not sent again, so that the same command goes on from an interrupted one. An
    artifact exists there once all of it has arrived. What its licence does not let be passed on is
    left out, or refused where it was named: exit 2; of a set that is left out the recipe is sent,
    from which `pull --render` makes it of one's own copy of the data.
    """
    from pipeline.cli.progress import TransferProgress
    from pipeline.sharing.holdings import Holdings
    from pipeline.sharing.push import plan_push
    from pipeline.sharing.push import push as send
    from pipeline.sharing.remote import open_remote
    from pipeline.store import Store

    _require_reason(override_licence)
    opened = Store.open(store)
    picked = _chosen(opened, selectors or [], override_licence, with_inputs=with_inputs)
    chosen, left_out = picked.sendings, picked.left_out
    tries = remote_store.patience(retries, timeout)
    remote = open_remote(url, tries)
    if not remote.writable:
        remote.session()
    holdings = Holdings.of(remote)
    described = _companions(opened)
    plan = plan_push(
        opened, holdings, chosen, workers=workers, companions=described, recipes=picked.recipes
    )
    _note(left_out)
    if picked.recipes:
        say(f"{len(picked.recipes)} sets are there as recipes: `pipeline pull --render` makes them")
    for label in plan.differing:
        say(f"kept there: {label}: another build of it was pushed before, with other content")
    said: dict[str, Any] = {
        "recipes": len(picked.recipes),
        "left_out": [{"artifact": a, "reason": r} for a, r in left_out.items()],
    }
    if dry_run:
        _show(url, plan, said, as_json=as_json)
        return
    with contextlib.closing(TransferProgress("pushing", plan.nbytes, plan.objects)) as display:
        outcome = send(opened, holdings, plan, workers=workers, told=display, companions=described)
    outcome.raise_failures()
    if as_json:
        totals = (outcome.nbytes, outcome.objects, outcome.artifacts, plan.there)
        print_json("push", remote_store.content(url, *totals, dry_run=False) | said)
    else:
        show(remote_store.told("pushed", outcome, plan.there))


def _require_reason(override: str | None) -> None:
    from pipeline.errors import UsageError

    if override is not None and not override.strip():
        message = "--override-licence: give the reason, which is kept in what is pushed"
        raise UsageError(message)


def _show(url: str, plan: PushPlan, said: dict[str, Any], *, as_json: bool) -> None:
    totals = (plan.nbytes, plan.objects, len(plan.sendings), plan.there)
    if as_json:
        print_json("push", remote_store.content(url, *totals, dry_run=True) | said)
        return
    for one in plan.sendings:
        show(f"{one.manifest.label}  {size(one.manifest.nbytes)}")
    show(f"would push {totals[2]} artifacts, {totals[1]} objects, {size(totals[0])}")


def _chosen(
    store: Store, selectors: Sequence[str], reason: str | None, *, with_inputs: bool
) -> Picked:
    """Return what is pushed, and why what is selected beside it is not.

    Raises
    ------
    UsageError
        If a selector matches nothing, or names what no licence lets be passed on.
    VerificationError
        If it names what the last `verify` found damaged.
    """
    from pipeline.cli.licences import KINDS, OTHER
    from pipeline.cli.rendering import is_rendered
    from pipeline.errors import VerificationError
    from pipeline.sharing.licences import Licences
    from pipeline.sharing.names import Place

    every = list(store.manifests())
    remote_store.require_matches(selectors, [one.label for one in every], str(store.root))
    matched = [one for one in every if selects_artifact(selectors, one.label)]
    licences = Licences(store, KINDS, OTHER)
    refused: dict[str, str] = {}
    damaged: dict[str, str] = {}
    chosen: list[Sending] = []
    recipes: list[Manifest] = []
    for one in _with_inputs(store, matched) if with_inputs else matched:
        try:
            store.require_undamaged(one)
        except VerificationError as error:
            damaged[one.label] = str(error)
            continue
        why = licences.refusal(one)
        if why is not None and reason is None:
            refused[one.label] = why
            recipes += [one] if is_rendered(Place.of(one)) else []
        else:
            chosen.append(_sending(one, licences, why, reason))
    _require_allowed(selectors, [one.label for one in matched], refused, damaged)
    return Picked(chosen, recipes, refused | damaged)


def _companions(store: Store) -> Companions:
    """Return what makes Croissant metadata and a card of each artifact."""
    from pipeline.croissant import companions

    return lambda manifest, sums: companions(store, manifest, sums)


def _with_inputs(store: Store, matched: Sequence[Manifest]) -> list[Manifest]:
    """Return artifacts and all that they were made from, as far as the store holds it."""
    found: dict[str, Manifest] = {}
    level = list(matched)
    while level:
        found |= {one.recipe_key: one for one in level}
        inputs = {source.recipe_key: source for one in level for source in _inputs(store, one)}
        level = [one for key, one in inputs.items() if key not in found]
    return list(found.values())


def _inputs(store: Store, one: Manifest) -> Iterator[Manifest]:
    from pipeline.errors import MissingInputError
    from pipeline.sharing.names import Place

    for role in one.document["inputs"]:
        with contextlib.suppress(MissingInputError):
            source = store.input_of(one, role).manifest
            if not remote_store.is_source(Place.of(source)):
                yield source


def _sending(one: Manifest, licences: Licences, why: str | None, reason: str | None) -> Sending:
    import datetime as dt
    import getpass
    import socket

    from pipeline.sharing.push import Sending

    of_data = tuple(licence.document for licence in licences.of(one) or ())
    if why is None:
        return Sending(one, of_data)
    try:
        who = getpass.getuser()
    except (OSError, KeyError):  # an account without a name
        who = ""
    override = {
        "reason": reason,
        "against": why,
        "by": f"{who}@{socket.gethostname()}",
        "on": dt.datetime.now(tz=dt.UTC).isoformat(timespec="seconds"),
    }
    return Sending(one, of_data, override)


def _require_allowed(
    selectors: Sequence[str],
    labels: Sequence[str],
    refused: Mapping[str, str],
    damaged: Mapping[str, str],
) -> None:
    """Refuse a selector without wildcards if none of what it names may be pushed."""
    from pipeline.errors import UsageError, VerificationError

    for selector in selectors:
        named = [label for label in labels if selects_artifact([selector], label)]
        if re.search(r"[*?\[]", selector) or any(n not in {*refused, *damaged} for n in named):
            continue
        for label in named:
            if label in damaged:
                raise VerificationError(damaged[label])
            more = f" (and {len(named) - 1} more artifacts)" if len(named) > 1 else ""
            message = f"{refused[label]}{more}; or say why it may with --override-licence REASON"
            raise UsageError(message)


def _note(left_out: Mapping[str, str]) -> None:
    """Say what is left out, in one line for all of which the same is true."""
    groups: dict[str, list[str]] = {}
    for label, reason in left_out.items():
        groups.setdefault(reason.removeprefix(f"{label}: "), []).append(label)
    for reason, labels in list(groups.items())[:NAMED]:
        more = f" and {len(labels) - 1} more" if len(labels) > 1 else ""
        say(f"left out: {labels[0]}{more}: {reason}")
    if len(groups) > NAMED:
        say(f"and {len(left_out)} artifacts in all are left out; --json names them")
