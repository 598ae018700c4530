"""``pipeline verify``: is the store as it was promised, and as it would be made now."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.output import print_json, say, show, size
from pipeline.cli.progress import VerifyProgress

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.recomputing import Recomputed
    from pipeline.recompute import Different
    from pipeline.store import Store
    from pipeline.verify import Problem

Recompute = Annotated[
    int | None,
    typer.Option(
        "--recompute",
        min=1,
        metavar="N",
        help="Also make N rows of each set and embeddings once more, and compare them.",
    ),
]
RowSeed = Annotated[
    int, typer.Option("--seed", min=0, help="Seed of the rows that --recompute takes.")
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder or file of the encoder's weights, for --recompute."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda, for --recompute.")]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Rows computed at once, for --recompute."),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(verify)


def verify(
    selectors: options.Selectors = None,
    store: options.StoreOrUrl = str(options.DEFAULT_STORE),
    manifests: options.Manifests = None,
    recompute: Recompute = None,
    seed: RowSeed = 0,
    weights: Weights = None,
    device: Device = "auto",
    batch_size: BatchSize = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    as_json: options.AsJson = False,
) -> None:
    """Compare every byte of the store with what its manifests promise; exit 5 on a difference.

    With --recompute N, N rows of every selected set and of all selected embeddings are also made
    once more from their sealed inputs: images must be equal, embeddings within the recorded
    tolerance. Exit 4 if what made one is not declared or its weights are not at hand.
    """
    from pipeline.errors import UsageError, VerificationError
    from pipeline.selectors import selects
    from pipeline.store import Store
    from pipeline.verify import verify as check

    chosen = selectors or []
    if options.is_address(store):
        if recompute is not None:
            message = "--recompute needs the store on this machine: pull it first"
            raise UsageError(message)
        _verify_address(store, chosen, workers, as_json=as_json)
        return
    opened = Store(Path(store))
    with contextlib.suppress(VerificationError):  # damage to its own file is told as a problem
        opened = Store.open(opened.root)
    _require_matches(chosen, opened)
    progress = VerifyProgress()
    problems = check(
        opened,
        lambda label: selects(chosen, label),
        workers=workers,
        processes=True,
        progress=progress,
    )
    made = None
    if recompute is not None:
        from pipeline.cli.recomputing import recompute as make_again
        from pipeline.cli.study import Study

        whole = [one for one in _whole(opened, problems) if selects(chosen, one.label)]
        made = make_again(
            lambda: Study(opened, manifests, weights=weights, device=device, batch_size=batch_size),
            whole,
            recompute,
            seed,
            progress.tell,
        )
    _tell(progress, problems, made, as_json=as_json)


def _require_matches(selectors: Sequence[str], store: Store) -> None:
    from pipeline.errors import UsageError
    from pipeline.selectors import unmatched

    folders = store.artifact_folders()
    labels = ["/".join(path.relative_to(store.root).parts[:-1]) for path in folders]
    if missed := unmatched(selectors, labels):
        message = f"no artifact matches {missed[0]!r}; see `pipeline list`"
        raise UsageError(message)


def _verify_address(url: str, selectors: Sequence[str], workers: int, *, as_json: bool) -> None:
    from pipeline.cli import remote_store
    from pipeline.selectors import selects
    from pipeline.sharing.check import verify_remote

    holdings = remote_store.holdings_of(url, remote_store.patience())
    remote_store.require_matches(
        selectors, [place.label for place in holdings.files], holdings.remote.url
    )
    progress = VerifyProgress()
    problems = verify_remote(
        holdings, lambda label: selects(selectors, label), workers=workers, progress=progress
    )
    _tell(progress, problems, None, as_json=as_json)


def _whole(store: Store, problems: Sequence[Problem]) -> Iterator[Manifest]:
    """Yield the sealed artifacts of which every byte was found as promised."""
    damaged = [PurePosixPath(problem.file) for problem in problems]
    for manifest in store.manifests():
        folder = manifest.folder.relative_to(store.root)
        if not any(path.is_relative_to(folder) for path in damaged):
            yield manifest


def _tell(
    progress: VerifyProgress, problems: Sequence[Problem], made: Recomputed | None, *, as_json: bool
) -> None:
    """Print what was found and exit with its code."""
    rows: list[tuple[Problem, Different | None]] = [(problem, None) for problem in problems]
    rows += made.problems if made else []
    if as_json:
        content = {
            "artifacts": progress.artifacts,
            "bytes": progress.nbytes,
            "problems": [_row(*row) for row in rows],
        }
        print_json("verify", content | ({"recomputed": made.json} if made else {}))
    else:
        for problem, _ in rows:
            show(f"{problem.kind}: {problem.file}: {problem.detail}")
        read = f"{progress.artifacts} artifacts, {size(progress.nbytes)} read"
        show(f"{read}: {len(problems)} problems")
        if made:
            show(made.text)
    for artifact, reason in made.left_out if made else ():
        say(f"not recomputed: {artifact}: {reason}")
    if rows:
        raise typer.Exit(5)
    if made and made.left_out:
        raise typer.Exit(4)


def _row(problem: Problem, different: Different | None) -> dict[str, Any]:
    row = {
        "artifact": problem.artifact,
        "file": problem.file,
        "kind": problem.kind,
        "detail": problem.detail,
    }
    if different is None:
        return row
    return row | {
        "array": different.array,
        "row": different.row,
        "id": different.name,
        "difference": different.difference,
        "tolerance": different.tolerance,
    }
