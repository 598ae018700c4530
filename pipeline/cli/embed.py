"""``pipeline embed``: embeddings of sealed sets, their clean splits and the class prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli import features, options
from pipeline.cli.options import listed

if TYPE_CHECKING:
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
        from pipeline.cli.choices import require_protocols, unique
        from pipeline.cli.sealed_inputs import (
            prompt_nodes,
            sealed_images,
            sealed_prompts,
            train_splits,
        )

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
