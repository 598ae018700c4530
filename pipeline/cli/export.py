"""``pipeline export``: sealed sets in the forms that other tools load unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stages.exchange.contract import Piece
    from stages.exchange.exported_set import ExportedSet
    from stages.exchange.folder import ExportFolder

Form = Annotated[
    str,
    typer.Argument(
        metavar="FORMAT",
        help="robustmedclip-npz, medmnistc-npz, webdataset, huggingface, png or xarray.",
    ),
]
Selectors = Annotated[
    list[str],
    typer.Argument(
        metavar="SELECTOR...",
        help="Sealed sets, such as 'medimeta-c/pbc/test/*/3', and clean splits, such as pbc/test.",
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to write; empty or not there yet.")]
Labels = Annotated[
    list[Path] | None,
    typer.Option(
        "--labels",
        help="TOML with the order in which to number a dataset's classes; repeated for several.",
    ),
]
Template = Annotated[
    str | None,
    typer.Option("--template", help="Named prompt templates of the run, for webdataset."),
]
Private = Annotated[
    bool,
    typer.Option(
        "--private", help="For your own use: also what the licence does not let you pass on."
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("export")(export)


def export(
    form: Form,
    selectors: Selectors,
    out: Out,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    labels: Labels = None,
    template: Template = None,
    private: Private = False,
    seed: options.Seed = 0,
    workers: options.Workers = options.DEFAULT_WORKERS,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
) -> None:
    """Write sealed sets in a form of another tool, with their licences, whole or not at all.

    The same command goes on from what an interrupted one has finished, and does nothing where all
    is written. Pixels, labels and ids are those of the sets, bit for bit.
    """
    from pipeline.cli.exported_sets import exported_sets
    from pipeline.cli.output import written
    from pipeline.cli.study import Study
    from pipeline.manifest import require_known
    from pipeline.packages import installed_version
    from pipeline.store import Store
    from stages.exchange.card import require_permission, texts
    from stages.exchange.folder import ExportFolder
    from stages.exchange.formats import EXPORTS

    require_known("export format", form, EXPORTS)
    study = Study(Store.open(store), manifests, seed=seed)
    sets = exported_sets(study, listed(selectors), labels or [], run, template)
    require_permission(sets, private=private)
    pieces = EXPORTS[form].pieces(sets)
    folder = ExportFolder(out, _document(form, sets, private=private))
    if dry_run:
        _tell(folder, form, sets, pieces, "would be written", as_json=as_json)
        return
    state = "there already"
    if not folder.is_done:
        said = texts(form, EXPORTS[form], sets, installed_version() or "from a folder")
        with written(out):
            _write(folder, pieces, said, workers)
        state = "written"
    _tell(folder, form, sets, pieces, state, as_json=as_json)


def _write(
    folder: ExportFolder, pieces: Sequence[Piece], said: dict[str, str], workers: int
) -> None:
    from pipeline.cli.progress import RunProgress

    display = RunProgress()
    try:
        folder.write(pieces, said, workers, display)
    finally:
        display.close()


def _document(form: str, sets: Sequence[ExportedSet], *, private: bool) -> dict[str, Any]:
    """Return what the export is made of; an export with another is another."""
    return {
        "format": form,
        "private": private,
        "sets": [
            {
                "name": one.name,
                "recipe_key": one.artifact.manifest.recipe_key,
                "content_digest": one.artifact.manifest.content_digest,
                "rows": len(one),
                "licence": one.attributes["licence"]["spdx"],
                "classes": list(one.classes),
                "templates": list(one.templates),
            }
            for one in sets
        ],
    }


def _tell(
    folder: ExportFolder,
    form: str,
    sets: Sequence[ExportedSet],
    pieces: Sequence[Piece],
    state: str,
    *,
    as_json: bool,
) -> None:
    from pipeline.cli.output import print_json, say, show, size

    left = folder.left(pieces)
    samples = sum(map(len, sets))
    files, nbytes = folder.files() if folder.is_done else (None, sum(p.nbytes for p in pieces))
    if as_json:
        content: dict[str, Any] = {
            "folder": str(folder.path),
            "format": form,
            "state": state,
            "sets": [{"name": one.name, "samples": len(one)} for one in sets],
            "samples": samples,
            "files": files,
            "bytes": nbytes,
            "pieces_left": len(left),
            "bytes_left": sum(piece.nbytes for piece in left),
        }
        print_json("export", content)
        return
    if state == "would be written" and not folder.is_done:
        show(f"{len(sets)} sets, {samples} samples, about {size(nbytes)} of pixels: {folder.path}")
        if len(left) < len(pieces):
            show(f"{len(left)} of {len(pieces)} parts are left")
        return
    if state == "there already" or (folder.is_done and state == "would be written"):
        say("nothing to do: the folder holds this export already")
    show(f"{folder.path}: {len(sets)} sets, {samples} samples, {files} files, {size(nbytes)}")
