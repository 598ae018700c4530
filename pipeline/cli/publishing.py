"""``pipeline croissant``: metadata, checksums and a card for what is to be published."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import options
from pipeline.cli.output import print_json, say, show, write_files

Out = Annotated[Path, typer.Option("--out", help="Folder for the files, one folder per artifact.")]
SignKey = Annotated[
    Path | None,
    typer.Option("--sign-key", help="SSH key that signs each manifest.json (manifest.json.sig)."),
]
Url = Annotated[
    str | None, typer.Option("--url", help="Address at which the store is or will be published.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(croissant)


def croissant(
    selectors: options.Selectors = None,
    out: Out = Path("croissant"),
    store: options.Store = options.DEFAULT_STORE,
    sign_key: SignKey = None,
    url: Url = None,
    as_json: options.AsJson = False,
) -> None:
    """Write croissant.json, SHA256SUMS and README.md for each selected artifact.

    They go to <out>/<stage>/<name>/<recipe key>, the place of the artifact in a store. Run in the
    artifact's folder, `sha256sum -c` checks its files against SHA256SUMS.
    """
    from pipeline.artifact import MANIFEST
    from pipeline.croissant import publication
    from pipeline.errors import UsageError
    from pipeline.selectors import selects_artifact, unmatched_artifacts
    from pipeline.signing import SUFFIX, sign
    from pipeline.store import Store

    opened = Store.open(store)
    found = list(opened.manifests())
    if missed := unmatched_artifacts(selectors or [], [one.label for one in found]):
        message = f"no artifact matches {missed[0]!r}; see `pipeline list`"
        raise UsageError(message)
    rows = []
    for manifest in found:
        if not selects_artifact(selectors or [], manifest.label):
            continue
        below = manifest.folder.relative_to(opened.root)
        address = f"{url.rstrip('/')}/{below.as_posix()}" if url else None
        files = publication(opened, manifest, address)
        if sign_key is not None:
            files[MANIFEST + SUFFIX] = sign((manifest.folder / MANIFEST).read_bytes(), sign_key)
        folder = out / below
        write_files(folder, {folder / name: data for name, data in files.items()})
        rows.append({"artifact": manifest.label, "folder": str(folder), "files": sorted(files)})
    if as_json:
        print_json("croissant", {"artifacts": rows})
        return
    for row in rows:
        show(str(row["folder"]))
    say(f"{len(rows)} artifacts described")
