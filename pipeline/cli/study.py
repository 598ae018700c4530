"""Puts the stages together: from names that people write to nodes of the graph."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pipeline.catalogue import Catalogue, by_id
from pipeline.digest import Json, digest_json
from pipeline.errors import MissingInputError, UsageError
from pipeline.manifest import unknown_name
from pipeline.selectors import unmatched
from pipeline.store import Store
from pipeline.unit import Node
from stages.corrupt.naming import split_name

if TYPE_CHECKING:
    from stages.corrupt.schema import SuiteManifest
    from stages.download.schema import Dataset, Split
    from stages.embed.schema import EncoderManifest
    from stages.embed.stage import LoadedOnce
    from stages.evaluate.schema import RunManifest

DEFAULT_RUN = "medimeta-c"


class Study:
    """The graph of everything that the manifests declare, over one store.

    Nodes are made when asked for and kept, so that a recipe is computed once.
    """

    def __init__(
        self,
        store: Store,
        manifests: Path | None = None,
        *,
        local: Path | None = None,
        weights: Path | None = None,
        device: str = "auto",
        seed: int = 0,
    ) -> None:
        self.store = store
        self._manifests = manifests
        self._catalogue = Catalogue(manifests)
        self._local = local
        self._weights = weights
        self._device = device
        self._seed = seed
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._encoders: dict[str, tuple[LoadedOnce, dict[str, Json]]] = {}

    @property
    def options(self) -> str:
        """The options that a command needs to speak of this study, for messages."""
        own = f" --manifests {shlex.quote(str(self._manifests))}" if self._manifests else ""
        seed = f" --seed {self._seed}" if self._seed else ""
        return f"--store {shlex.quote(str(self.store.root))}{own}{seed}"

    @cached_property
    def datasets(self) -> dict[str, Dataset]:
        """Every declared dataset by id, variants expanded."""
        from stages.download.folders import located
        from stages.download.schema import DatasetManifest, expand

        manifests = self._catalogue.read("datasets", DatasetManifest)
        return by_id(
            [
                (path, dataset.id, located(dataset, path.parent, self._local))
                for path, manifest in manifests.items()
                for dataset in expand(manifest)
            ]
        )

    @cached_property
    def suites(self) -> dict[str, SuiteManifest]:
        """Every declared corruption suite by id."""
        from stages.corrupt.schema import SuiteManifest

        found = self._catalogue.read("corruptions", SuiteManifest)
        return by_id([(path, suite.id, suite) for path, suite in found.items()])

    @cached_property
    def encoders(self) -> dict[str, EncoderManifest]:
        """Every declared encoder by id."""
        from stages.embed.schema import EncoderManifest

        found = self._catalogue.read("encoders", EncoderManifest)
        return by_id([(path, encoder.id, encoder) for path, encoder in found.items()])

    @cached_property
    def runs(self) -> dict[str, RunManifest]:
        """Every declared run by id."""
        from stages.evaluate.schema import RunManifest

        found = self._catalogue.read("runs", RunManifest)
        return by_id([(path, run.id, run) for path, run in found.items()])

    def dataset(self, name: str) -> Dataset:
        """Return a dataset; an unknown name is an error that suggests the nearest."""
        return cast("Dataset", _named("dataset", name, self.datasets))

    def suite(self, name: str) -> SuiteManifest:
        """Return a corruption suite."""
        base, _ = split_name(name)
        return cast("SuiteManifest", _named("suite", base, self.suites))

    def corruptions_of(self, suite: str) -> set[str]:
        """Return the names of a suite's corruptions, over all datasets and sizes."""
        declared = self.suite(suite)
        below = [self.corruptions_of(anchor.suite) for anchor in declared.between]
        return {corruption.name for corruption in declared.corruptions}.union(*below)

    def suites_present(self) -> list[str]:
        """Return the declared suites of which the store has any set, by backend, in name order."""
        folder = self.store.root / "corruptions"
        present = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        return [name for name in present if self.has_suite(name)]

    def has_suite(self, name: str) -> bool:
        """Return whether a suite of this name, with or without a backend, is declared."""
        return name.partition("@")[0] in self.suites

    def covers(self, suite: str, dataset: str) -> bool:
        """Return whether a suite has corruptions for a dataset."""
        datasets = self.suite(suite).datasets
        return not datasets or self.dataset(dataset).family in datasets

    def encoder(self, name: str) -> EncoderManifest:
        """Return an encoder's manifest."""
        return cast("EncoderManifest", _named("encoder", name, self.encoders))

    def run(self, name: str) -> RunManifest:
        """Return a run."""
        return cast("RunManifest", _named("run", name, self.runs))

    def splits(self, dataset: str) -> tuple[Split, ...]:
        """Return the splits of a dataset."""
        from stages.download.stage import splits_of

        return splits_of(self.store, self.dataset(dataset))

    def split(self, dataset: str, split: str) -> Node:
        """Return a clean split."""
        from stages.download.stage import source_node, split_node

        key = ("split", dataset, split)
        if key not in self._nodes:
            declared = self.dataset(dataset)
            source = source_node(self.store, declared, self._local)
            node = split_node(self.store, declared, cast("Split", split), source)
            self._nodes[key] = node
        return self._nodes[key]

    def sets(self, suite: str, dataset: str, split: str, seed: int | None = None) -> list[Node]:
        """Return the sets of a split: every corruption at every severity.

        `suite` may name a backend: ``medimeta-c@torch``.
        """
        from stages.corrupt.applying import applied
        from stages.corrupt.stage import set_node

        of = self.dataset(dataset)
        height, width = of.shape
        declared = applied(
            self.suite(suite), self.suites, dataset=of.family, height=height, width=width
        )
        _, backend = split_name(suite)
        images = self.split(dataset, split)
        seed = self._seed if seed is None else seed
        nodes = []
        for corruption in declared.corruptions:
            for severity in range(1, len(corruption.severities) + 1):
                key = ("set", suite, dataset, split, corruption.name, severity, seed)
                if key not in self._nodes:
                    self._nodes[key] = set_node(
                        declared, corruption, severity, images, seed, backend, self._device
                    )
                nodes.append(self._nodes[key])
        return nodes

    def embedding(self, encoder: str, images: Node) -> Node:
        """Return the embeddings of an image artifact."""
        from stages.embed.stage import image_node

        key = ("embedding", encoder, images.recipe.key)
        if key not in self._nodes:
            self._nodes[key] = image_node(*self._loaded(encoder), images)
        return self._nodes[key]

    def prompt_embeddings(self, encoder: str, dataset: str, run: RunManifest) -> dict[str, Node]:
        """Return the class prompt embeddings of a dataset by prompt set; none for vision-only."""
        from stages.embed.stage import prompt_node

        if self.encoder(encoder).kind == "vision-only":
            return {}
        found = {}
        for prompt_set in self.dataset(dataset).prompts:
            key = ("prompts", encoder, dataset, prompt_set, run.id)
            if key not in self._nodes:
                prompts = self._class_prompts(dataset, prompt_set, run)
                loaded, identity = self._loaded(encoder)
                self._nodes[key] = prompt_node(loaded, identity, dataset, prompt_set, prompts)
            found[prompt_set] = self._nodes[key]
        return found

    def pin_encoder(self, encoder: str) -> None:
        """Remember which files an encoder has in this store, for commands that have none."""
        digest = digest_json(self._loaded(encoder)[1])
        if self.store.pins().get("encoders", {}).get(encoder) != digest:
            self.store.pin("encoders", encoder, digest)

    def embedded_encoders(self) -> list[str]:
        """Return the declared encoders that have any sealed embeddings, in name order."""
        folder = self.store.root / "embeddings"
        present = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        return [name for name in sorted(self.encoders) if name in present]

    def _class_prompts(self, dataset: str, prompt_set: str, run: RunManifest) -> list[Any]:
        from stages.embed.stage import ClassPrompt
        from stages.evaluate.templates import expand

        declared = self.dataset(dataset)
        named = [(declared.prompts[prompt_set], False)]
        if prompt_set in declared.absent_prompts:
            named.append((declared.absent_prompts[prompt_set], True))
        prompts = []
        for template, texts in run.templates.items():
            for classes, absent in named:
                filled, ids = expand(texts, classes, declared.id)
                prompts += [
                    ClassPrompt(template, class_id, declared.classes[class_id], text, absent)
                    for text, class_id in zip(filled, ids, strict=True)
                ]
        return prompts

    def _loaded(self, name: str) -> tuple[LoadedOnce, dict[str, Json]]:
        """Return an encoder to be loaded on demand, and what identifies its files.

        Where the files are not at hand, the identity is that of the sealed embeddings which the
        store has pinned.
        """
        from stages.embed.loaders import loader
        from stages.embed.stage import LoadedOnce

        if name not in self._encoders:
            manifest = self.encoder(name)
            try:
                found = loader(manifest.family).identity(manifest, self._weights)
            except MissingInputError:
                found = self._pinned_identity(name)
                if not found or self._weights is not None:
                    raise
            self._encoders[name] = (LoadedOnce(manifest, self._weights, self._device), found)
        return self._encoders[name]

    def _pinned_identity(self, name: str) -> dict[str, Json]:
        pin = self.store.pins().get("encoders", {}).get(name)
        folder = self.store.root / "embeddings" / name
        for manifest in self.store.manifests_below(folder):
            identity = cast("dict[str, Json]", manifest.parameters["identity"])
            if digest_json(identity) == pin:
                return identity
        return {}


def default_datasets(study: Study, names: Sequence[str], run: str | None) -> list[str]:
    """Return the named datasets, or those of the run (by default MediMeta-C's five)."""
    if names:
        return [study.dataset(name).id for name in names]
    return list(study.run(run or DEFAULT_RUN).datasets)


def default_suites(
    study: Study, name: str | None, run: str | None, backend: str = "native"
) -> list[str]:
    """Return the named suite, or those of the run (by default MediMeta-C), by their backend.

    Raises
    ------
    UsageError
        If a name is unknown, or says another backend itself.
    """
    names = [name] if name else list(study.run(run or DEFAULT_RUN).suites)
    rendered_by = "" if backend == "native" else f"@{backend}"
    named = [suite.removesuffix(rendered_by) + rendered_by for suite in names]
    for suite in named:
        if suite.count("@") > 1:
            message = f"suite {suite.removesuffix(rendered_by)} names another backend: {backend}"
            raise UsageError(message)
        study.suite(suite)
    return named


def named_in(study: Study, only: Sequence[str]) -> list[str]:
    """Return the datasets that selectors name in plain words, so that `--only` alone is enough."""
    parts = [part for selector in only for part in selector.split("/")[:2]]
    return [name for name in study.datasets if name in parts]


def require_matches(only: Sequence[str], names: Sequence[str]) -> None:
    """Refuse selectors that match none of the names they could.

    Raises
    ------
    UsageError
        Naming the first.
    """
    if missed := unmatched(only, names):
        message = f"no set or split matches {missed[0]!r}; see `pipeline list sets`"
        raise UsageError(message)


def unique(nodes: Iterator[Node]) -> list[Node]:
    """Return nodes with different recipes, in order of first appearance."""
    return list({node.recipe.key: node for node in nodes}.values())


def _named(kind: str, name: str, known: dict[str, Any]) -> object:
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name]
