"""Options that several commands share, each described once."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import typer


def is_address(store: str) -> bool:
    """Tell whether a store is at an address instead of in a folder of this machine."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.-]+:/", store) is not None


def local_folder(path: Path) -> Path:
    """Return the folder of a file: address; refuse others, of which a path would be made."""
    if str(path).startswith("file:/"):
        return Path(unquote(str(path).removeprefix("file:")))
    if is_address(str(path)):
        message = (
            f"{path}: a store is a folder of this machine; bring sets here with `pipeline pull`"
        )
        raise typer.BadParameter(message)
    return path


Store = Annotated[
    Path,
    typer.Option(
        "--store",
        envvar="MEDSHARDS_STORE",
        help="Folder of the store.",
        show_default=True,
        callback=local_folder,
    ),
]
StoreOrUrl = Annotated[
    str,
    typer.Option(
        "--store",
        envvar="MEDSHARDS_STORE",
        help="Folder of the store, or the s3:// or https:// address of a shared one.",
        show_default=True,
    ),
]
Manifests = Annotated[
    Path | None,
    typer.Option(
        "--manifests",
        envvar="MEDSHARDS_MANIFESTS",
        help="Folder of your own manifests (datasets/, corruptions/, prompts/, encoders/, runs/).",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]
DryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Show what would be done and stop.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Units built at the same time.")]
NoWait = Annotated[
    bool, typer.Option("--no-wait", help="Exit 75 instead of waiting for another process.")
]
Parts = Annotated[
    str | None,
    typer.Option(
        "--parts",
        metavar="I/N",
        help="Do part I of N of the units, as one job of an array of N; any order, any overlap.",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="[processes|ADDRESS]",
        help=(
            "Build units with dask: in --workers processes of this host, or with the workers of a "
            "scheduler, tcp://host:port. [default: threads of this process]"
        ),
    ),
]
Selectors = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]...", help="Artifacts, as <stage>/<name> with wildcards."),
]
Datasets = Annotated[
    list[str] | None,
    typer.Option("--datasets", help="Datasets, comma-separated or repeated."),
]
Splits = Annotated[
    list[str] | None,
    typer.Option("--splits", help="Splits (train, val, test), comma-separated or repeated."),
]
Suite = Annotated[str | None, typer.Option("--suite", help="Corruption suite.")]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", help="Selector of sets, such as 'medimeta-c/pbc/test/*/3'."),
]
Run = Annotated[str | None, typer.Option("--run", help="Run manifest to take defaults from.")]
From = Annotated[
    Path | None,
    typer.Option("--from", help="Folder that holds the source files, instead of the network."),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder or file of the encoder's weights."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the corruptions.")]
Backend = Annotated[
    str, typer.Option("--backend", help="What renders: native, torch or imagecorruptions.")
]
Log = Annotated[
    Path | None,
    typer.Option("--log", help="JSONL log of the run's events (default: in your state folder)."),
]

DEFAULT_STORE = Path("data")
DEFAULT_WORKERS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)


def listed(values: list[str] | None) -> list[str]:
    """Return the values of an option that is repeated, comma-separated, or both."""
    return [part for value in values or [] for part in value.split(",") if part]
