"""``pipeline embed``: embeddings of sealed sets, their clean splits and the class prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import options
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.study import Study
    from pipeline.unit import Node

Model = Annotated[
    list[str], typer.Option("--model", help="Encoder, comma-separated or repeated for several.")
]
Protocols = Annotated[
    list[str] | None,
    typer.Option("--protocols", help="Protocols whose splits are embedded too."),
]
Prompts = Annotated[
    list[str] | None,
    typer.Option(
        "--prompts",
        help="Embed every row of these built prompts: a selector such as 'fixed/kvasir/test'.",
    ),
]

Download = Annotated[
    bool,
    typer.Option(
        "--download", help="Fetch missing weights into the hub cache; else no network is used."
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option("--batch-size", min=1, help="Images computed at once. [default: by device]"),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        help="float32, or bf16 or fp16: faster on a GPU, other embeddings, kept as NAME@bf16.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("embed")(embed)


def embed(
    model: Model,
    store: options.Store = options.DEFAULT_STORE,
    manifests: options.Manifests = None,
    run: options.Run = None,
    datasets: options.Datasets = None,
    suite: options.Suite = None,
    splits: options.Splits = None,
    protocols: Protocols = None,
    only: options.Only = None,
    prompts: Prompts = None,
    weights: options.Weights = None,
    download: Download = False,
    device: options.Device = "auto",
    batch_size: BatchSize = None,
    precision: Precision = "float32",
    seed: options.Seed = 0,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,
    log: options.Log = None,
) -> None:
    """Embed every sealed set and its clean split with a frozen encoder.

    The train split is embedded too where a protocol needs it: always for a vision-only encoder,
    which has no zero-shot, else with --protocols or --splits.

    With --prompts the prompts that `pipeline build prompts` made are embedded instead, and images
    only where --datasets, --run, --suite, --splits or --only select them too.
    """
    from pipeline.cli.choices import unique
    from pipeline.cli.execution import Resources, build
    from pipeline.cli.fetched_weights import fetch_weights
    from pipeline.cli.study import Study
    from pipeline.store import Store

    opened = Store.open(store)
    study = Study(
        opened, manifests, weights=weights, device=device, batch_size=batch_size, seed=seed
    )
    names = [study.encoder(name).id for name in in_precision(listed(model), precision)]
    if download and not dry_run:
        fetch_weights([study.encoder(name) for name in names], weights)
    require_protocols(listed(protocols))
    texts = sealed_prompts(study, listed(prompts))
    images: list[Node] = []
    if not texts or datasets or run or suite or splits or only:
        images = sealed_images(study, listed(datasets), run, suite, listed(splits), listed(only))
    nodes: list[Node] = []
    for name in names:
        chosen = images + train_splits(study, name, images, listed(splits), listed(protocols))
        nodes += [study.embedding(name, node) for node in unique(iter(chosen))]
        nodes += prompt_nodes(study, name, images, run)
        nodes += [study.prompt_row_embeddings(name, manifest) for manifest in texts]
        if not dry_run:
            study.pin_encoder(name)
    resources = Resources(workers, wait=not no_wait, log=log)
    build(opened, nodes, resources, dry_run=dry_run, as_json=as_json)


def in_precision(names: Sequence[str], precision: str) -> list[str]:
    """Return the names of encoders in a precision: ``<id>@bf16``, in float32 the id itself."""
    from pipeline.manifest import unknown_name
    from stages.embed.loaded import PRECISIONS

    if precision not in PRECISIONS:
        raise unknown_name("precision", precision, PRECISIONS)
    added = "" if precision == "float32" else f"@{precision}"
    return [name.removesuffix(added) + added for name in names]


def sealed_images(
    study: Study,
    datasets: Sequence[str],
    run: str | None,
    suite: str | None,
    splits: Sequence[str],
    only: Sequence[str],
) -> list[Node]:
    """Return the sealed sets and clean splits that are selected.

    Raises
    ------
    UsageError
        If a selector matches no set.
    MissingInputError
        If something named explicitly is not sealed, or nothing is.
    """
    from pipeline.cli.choices import default_suites, named_in, require_matches, unique
    from pipeline.errors import MissingInputError
    from pipeline.selectors import selects

    names = [study.dataset(name).id for name in datasets]
    names = names or (list(study.run(run).datasets) if run else named_in(study, only))
    names = names or [name for name in stored_datasets(study) if name in study.datasets]
    suites = default_suites(study, suite, run) if suite or run else study.suites_present()
    found: list[Node] = []
    missing: list[str] = []
    possible: list[str] = []
    for name in names:
        sealed = []
        for split in splits or ("test",):
            if not (datasets or run or splits) and split not in study.splits(name):
                continue  # not every dataset with masks has a test split
            clean = study.split(name, split)
            fitting = suites if suite else [s for s in suites if study.covers(s, name)]
            candidates = [node for s in fitting for node in study.sets(s, name, split)]
            possible += [node.recipe.name for node in candidates]
            wanted = [node for node in candidates if selects(only, node.recipe.name)]
            sealed += [node for node in wanted if study.store.sealed(node.recipe)]
            if study.store.sealed(clean.recipe) and (sealed or not only):
                sealed.append(clean)
        found += sealed
        if not sealed and (datasets or run):
            missing.append(name)
    if possible:
        require_matches(only, possible)
    if missing or not found:
        what = " of " + (", ".join(missing) or " ".join(only)) if missing or only else ""
        message = f"nothing is sealed{what}: build it first with `{build_command(study, missing)}`"
        raise MissingInputError(message)
    return unique(iter(found))


def sealed_prompts(study: Study, selectors: Sequence[str]) -> list[Manifest]:
    """Return the sealed prompts that are selected, by name; none without a selector.

    Raises
    ------
    MissingInputError
        If a selector matches none.
    """
    from pipeline.errors import MissingInputError
    from pipeline.selectors import selects, unmatched
    from stages.embed.prompt_rows import PROMPTS

    if not selectors:
        return []
    found = list(study.store.manifests_below(study.store.root / PROMPTS))
    for selector in unmatched(selectors, [manifest.name for manifest in found]):
        options = zip(("--rules", "--datasets", "--splits"), selector.split("/"), strict=False)
        plain = "".join(f" {name} {part}" for name, part in options if not set(part) & set("*?["))
        built = ", ".join(dict.fromkeys(manifest.name for manifest in found)) or "none"
        message = (
            f"no prompts match {selector!r} (built: {built}): build them first with "
            f"`pipeline build prompts{plain} {study.options}`"
        )
        raise MissingInputError(message)
    return [manifest for manifest in found if selects(selectors, manifest.name)]


def present_datasets(study: Study) -> list[str]:
    """Return the declared datasets with labels of which the store has a clean split."""
    stored = stored_datasets(study)
    masked = study.segmentations
    return [name for name in study.datasets if name in stored and name not in masked]


def stored_datasets(study: Study) -> list[str]:
    """Return the datasets of which the store has a clean split, declared or not, in name order."""
    folder = study.store.root / "datasets"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def require_protocols(names: Sequence[str]) -> None:
    """Refuse an unknown protocol, suggesting the nearest."""
    from pipeline.manifest import unknown_name
    from stages.evaluate.protocols import PROTOCOLS

    for name in names:
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, PROTOCOLS)


def train_splits(
    study: Study,
    encoder: str,
    images: Sequence[Node],
    splits: Sequence[str],
    protocols: Sequence[str],
) -> list[Node]:
    """Return the train splits that the protocols of an encoder need."""
    from stages.evaluate.protocols import PROTOCOLS

    vision_only = study.encoder(encoder).kind == "vision-only"
    needed = any("train" in PROTOCOLS[name].needs for name in protocols)
    if splits or not (needed or (vision_only and not protocols)):
        return []
    names = dict.fromkeys(str(node.recipe.parameters["dataset"]) for node in images)
    labelled = [name for name in names if name not in study.segmentations]
    return [study.split(name, "train") for name in labelled if "train" in study.splits(name)]


def prompt_nodes(study: Study, encoder: str, images: Sequence[Node], run: str | None) -> list[Node]:
    """Return the class prompts of the datasets that images are of."""
    from pipeline.cli.choices import DEFAULT_RUN

    manifest = study.run(run or DEFAULT_RUN)
    names = dict.fromkeys(str(node.recipe.parameters["dataset"]) for node in images)
    return [
        node for name in names for node in study.prompt_embeddings(encoder, name, manifest).values()
    ]


def build_command(study: Study, datasets: Sequence[str]) -> str:
    """Return the command that builds the sets of datasets."""
    named = f" --datasets {','.join(datasets)}" if datasets else ""
    return f"pipeline build corruptions{named} {study.options}"
