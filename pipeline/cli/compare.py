"""``pipeline compare``: which code path published sets most resemble."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.cli import options
from pipeline.cli.output import print_json, print_table, say

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from stages.corrupt.comparison.compare import CleanImages
    from stages.corrupt.comparison.published import PublishedFolder
    from stages.corrupt.comparison.results import CorruptionResult

Folder = Annotated[
    Path, typer.Argument(help="Folder of published sets, or one above it.", metavar="PATH")
]
CleanFile = Annotated[
    Path | None, typer.Option("--clean", help="npz file of the clean images, in the same order.")
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Dataset: names the folder below PATH, and the store's clean split."
    ),
]
SplitName = Annotated[str, typer.Option("--split", help="train, val or test.")]
Samples = Annotated[int, typer.Option("--samples", min=1, help="Images compared of each set.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of the sample and the renderings.")]

HEADINGS = (
    "corruption",
    "severities",
    "verdict",
    "code path",
    "score",
    "runner-up",
    "score",
    "notes",
)
NO_PROOF = (
    "Scores are mean grey levels apart, or for random corruptions a distance of which chance gives"
    " about 1. A resemblance says which code path comes nearest; it is no proof of being the same."
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(compare)


def compare(
    path: Folder,
    clean: CleanFile = None,
    dataset: DatasetName = None,
    split: SplitName = "test",
    samples: Samples = 50,
    seed: Seed = 0,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    workers: options.Workers = options.DEFAULT_WORKERS,
    as_json: options.AsJson = False,
) -> None:
    """Say which suite, or the package imagecorruptions, published sets most resemble.

    PATH holds <corruption>_severity_<k>.npz (RobustMedCLIP) or <corruption>.npz (MedMNIST-C).
    Clean images come from --clean, from clean.npz beside the sets, or from the sealed split of
    --dataset. Exits 4 where they are missing, and 1 where no set has its rows in their order.
    """
    from pipeline.cli.study import Study
    from pipeline.store import Store
    from stages.corrupt.comparison import compare as comparison
    from stages.corrupt.comparison.published import open_folder

    study = Study(Store.open(store), manifests)
    folder = open_folder(path, dataset, split)
    found = _clean_images(study, folder, clean, dataset, split)
    results = comparison.compare(
        folder,
        found,
        list(study.suites.values()),
        dataset=_family(study, folder, dataset),
        samples=samples,
        seed=seed,
        workers=workers,
        progress=lambda corruption: say(f"compared {corruption}"),
    )
    if as_json:
        rows = comparison.chosen_rows(found.shape[0], samples, seed)
        print_json("compare", _document(folder, found, study, results, rows, seed))
    else:
        print_table(HEADINGS, [_row(one) for one in results])
        say(NO_PROOF)
    if all(one.verdict == "rows not aligned" for one in results):
        say(f"error: {folder.path}: the images are not in the order of {found.name}")
        raise typer.Exit(1)


def _family(study: Study, folder: PublishedFolder, dataset: str | None) -> str | None:
    """Return the dataset without its size, by the option or by the names of the folders."""
    path = folder.path.resolve()
    names = [dataset] if dataset is not None else [path.name, path.parent.name]
    for name in names:
        if name in study.datasets:
            return study.datasets[name].family
    return dataset


def _clean_images(
    study: Study, folder: PublishedFolder, clean: Path | None, dataset: str | None, split: str
) -> CleanImages:
    """Return the clean images: of the option, beside the sets, or of the store.

    Raises
    ------
    MissingInputError
        If there are none.
    """
    from pipeline.errors import MissingInputError
    from stages.corrupt.comparison.compare import CleanImages
    from stages.corrupt.comparison.published import open_images

    file = clean or folder.clean
    if file is not None:
        if not file.is_file():
            message = f"{file}: there is no such file of clean images"
            raise MissingInputError(message)
        images = open_images(file, ("images", f"{split}_images"))
        return CleanImages(str(file), images.shape, images.rows)
    if dataset is None:
        message = (
            f"{folder.path}: no clean.npz beside the sets; give --clean FILE, or --dataset NAME"
            " and --split NAME of a split in the store"
        )
        raise MissingInputError(message)
    return _sealed_split(study, dataset, split)


def _sealed_split(study: Study, dataset: str, split: str) -> CleanImages:
    from pipeline.artifact import Artifact
    from pipeline.errors import DataError, MissingInputError
    from pipeline.manifest import require_known
    from stages.corrupt.comparison.compare import CleanImages
    from stages.download.schema import SPLITS

    declared = study.dataset(dataset).id
    name = f"{declared}/{split}"
    sealed = [
        manifest
        for manifest in study.store.manifests_below(study.store.root / "datasets" / declared)
        if manifest.name == name
    ]
    if not sealed:
        require_known("split", split, SPLITS)
        message = f"{name} is not built: pipeline build datasets --datasets {declared}"
        raise MissingInputError(message)
    newest = max(sealed, key=lambda one: (int(one.document["version"]), one.recipe_key))
    study.store.require_undamaged(newest)
    if "images" not in newest.arrays:
        message = f"{name}: images of several sizes cannot be compared"
        raise DataError(message)
    images = Artifact(newest).array("images")
    count, height, width, channels = images.shape
    shape = (count, height, width, channels)
    return CleanImages(f"{name} in the store", shape, lambda rows: images[list(rows)])


def _row(result: CorruptionResult) -> tuple[str, ...]:
    scores = {one.label: f"{one.score:.3g} {result.unit}" for one in result.standings}
    named = result.resembles or [one.label for one in result.standings[:1]]
    others = [one.label for one in result.standings if one.label not in named]
    what = ", ".join(named)
    notes = ["JPEG grid"] if result.jpeg else []
    notes += ["one draw for all images"] if result.one_draw else []
    if result.verdict in {"none of them", "rows not aligned"} and named:
        what = f"(nearest: {what})"
    return (
        result.corruption,
        " ".join(str(one.published.severity) for one in result.sets),
        result.verdict,
        what or "-",
        scores[named[0]] if named else "-",
        others[0] if others else "-",
        scores[others[0]] if others else "-",
        ", ".join(notes),
    )


def _document(
    folder: PublishedFolder,
    clean: CleanImages,
    study: Study,
    results: list[CorruptionResult],
    rows: list[int],
    seed: int,
) -> dict[str, Any]:
    from stages.corrupt.comparison import verdict
    from stages.corrupt.comparison.results import document
    from stages.corrupt.comparison.sampling import RENDERINGS

    return {
        "folder": str(folder.path),
        "layout": folder.layout,
        "clean": clean.name,
        "images": clean.shape[0],
        "samples": len(rows),
        "rows": rows,
        "seed": seed,
        "renderings": RENDERINGS,
        "flips": verdict.FLIPS,
        "alpha": verdict.ALPHA,
        "suites": list(study.suites),
        "corruptions": [document(one) for one in results],
    }
