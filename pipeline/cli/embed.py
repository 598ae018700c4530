"""``pipeline embed``: embeddings of sealed sets, their clean splits and the class prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import features, options
from pipeline.cli.options import listed

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from pipeline.cli.execution import Resources
    from pipeline.cli.study import Study
    from pipeline.unit import Node


def stopping_quietly(share: bool) -> bool:
    """Let a process that builds a share stop without a word when asked to."""
    if share:
        from pipeline.cli.share import stop_quietly

        stop_quietly()
    return share


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
Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        help=(
            "auto, cpu, cuda (all GPUs, one process each), cuda:<number>, or several of these, "
            "comma-separated or repeated. [default: auto]"
        ),
    ),
]
Share = Annotated[
    bool,
    typer.Option("--share", hidden=True, help="See pipeline.cli.share.", callback=stopping_quietly),
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
StoredAs = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="float32 or float16: half the bytes, kept as NAME@float16. [default: by encoder]",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("embed")(embed)


def embed(
    context: typer.Context,
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
    kind: features.FeaturesOption = "global",
    blocks: features.BlocksOption = None,
    weights: options.Weights = None,
    download: Download = False,
    device: Devices = None,
    batch_size: BatchSize = None,
    precision: Precision = "float32",
    dtype: StoredAs = None,
    seed: options.Seed = 0,
    workers: options.Workers = options.DEFAULT_WORKERS,
    no_wait: options.NoWait = False,
    parts: options.Parts = None,
    scheduler: options.Scheduler = None,
    dry_run: options.DryRun = False,
    as_json: options.AsJson = False,  # noqa: ARG001 - read of the context
    log: options.Log = None,
    share: Share = False,  # noqa: ARG001 - read of the context
) -> None:
    """Embed every sealed set and its clean split with a frozen encoder.

    The train split is embedded too where a protocol needs it: always for a vision-only encoder,
    which has no zero-shot, else with --protocols or --splits.

    With --prompts the prompts that `pipeline build prompts` made are embedded instead, and images
    only where --datasets, --run, --suite, --splits or --only select them too.

    With --features patch the outputs of --blocks are stored: for every patch of the selected images
    (train splits with --splits only) and, with --prompts, for every token of the prompts.
    """
    from pipeline.cli.devices import device_names, worker_runner
    from pipeline.cli.execution import Resources, part_of
    from pipeline.cli.study import Study
    from pipeline.cli.variants import fetch, variants
    from pipeline.store import Store

    opened, used = Store.open(store), device_names(listed(device))
    study = Study(
        opened, manifests, weights=weights, device=used[0], batch_size=batch_size, seed=seed
    )
    names = variants(study, listed(model), precision, dtype)
    fetch(study, names, weights, wanted=download and not dry_run)
    selection = Selection(
        *(listed(datasets), run, suite, listed(splits), listed(only)),
        *(listed(prompts), listed(protocols), features.asked_features(kind, listed(blocks))),
    )
    runner = worker_runner(scheduler, context, manifests, used)
    resources = Resources(workers, not no_wait, log, runner, part_of(parts))
    carry_out(context, study, names, selection.nodes(study, names), resources)


@dataclass(frozen=True)
class Selection:
    """What is embedded, of what is sealed; the fields are the options of `embed`."""

    datasets: Sequence[str]
    run: str | None
    suite: str | None
    splits: Sequence[str]
    only: Sequence[str]
    prompts: Sequence[str]
    protocols: Sequence[str]
    asked: features.Asked

    def nodes(self, study: Study, encoders: Sequence[str]) -> list[Node]:
        """Return the embeddings, and the features of blocks, that encoders make.

        Raises
        ------
        UsageError, MissingInputError
            If something is unknown, not sealed, or not what an encoder offers.
        """
        from pipeline.cli.choices import unique

        require_protocols(self.protocols)
        texts = sealed_prompts(study, self.prompts)
        images: list[Node] = []
        if not texts or self.datasets or self.run or self.suite or self.splits or self.only:
            chosen = (self.datasets, self.run, self.suite, self.splits, self.only)
            images = sealed_images(study, *chosen)
        nodes: list[Node] = []
        for name in encoders:
            if self.asked.embeddings:
                train = train_splits(study, name, images, self.splits, self.protocols)
                nodes += [study.embedding(name, node) for node in unique(iter(images + train))]
                nodes += prompt_nodes(study, name, images, self.run)
                nodes += [study.prompt_row_embeddings(name, manifest) for manifest in texts]
            nodes += self.asked.nodes(study, name, images, texts)
        return nodes


def carry_out(
    context: typer.Context,
    study: Study,
    encoders: Sequence[str],
    nodes: Sequence[Node],
    resources: Resources,
) -> None:
    """Build nodes as the options of the command, which `context` holds, say: where, or not yet."""
    from pipeline.cli.devices import OnDevices, device_names, repeated
    from pipeline.cli.execution import build
    from stages.embed.schema import HAND_MADE

    given = context.params
    for name in () if given["dry_run"] else encoders:
        study.pin_encoder(name)
    if given["share"]:
        from pipeline.cli.share import build_share

        build_share(study.store, nodes, resources)
        return
    if resources.runner is not None:
        build(study.store, nodes, resources, dry_run=given["dry_run"], as_json=given["as_json"])
        return
    learned = any(study.encoder(name).family not in HAND_MADE for name in encoders)
    runner = OnDevices(device_names(listed(given["device"])), repeated(context), learned)
    resources = replace(resources, runner=runner)
    build(study.store, nodes, resources, dry_run=given["dry_run"], as_json=given["as_json"])


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
    from stages.vocabulary import PROMPTS

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
    from stages.evaluate.schema import PROTOCOL_NAMES

    for name in names:
        if name not in PROTOCOL_NAMES:
            raise unknown_name("protocol", name, PROTOCOL_NAMES)


def train_splits(
    study: Study,
    encoder: str,
    images: Sequence[Node],
    splits: Sequence[str],
    protocols: Sequence[str],
) -> list[Node]:
    """Return the train and validation splits that the protocols of an encoder learn from.

    Without named protocols a vision-only encoder, which has no zero-shot, is given those of all.
    """
    from pipeline.cli.learning import learning_splits
    from stages.evaluate.protocols import PROTOCOLS

    vision_only = study.encoder(encoder).kind == "vision-only"
    asked = protocols or (PROTOCOLS if vision_only else ())
    if splits:
        return []
    names = dict.fromkeys(str(node.recipe.parameters["dataset"]) for node in images)
    labelled = [name for name in names if name not in study.segmentations]
    needed = {
        (name, split): study.split(name, split)
        for name in labelled
        for protocol in asked
        for split in learning_splits(study, name, protocol)
    }
    return list(needed.values())


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
