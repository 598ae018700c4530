"""Puts the stages together: from names that people write to nodes of the graph."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from pipeline.catalogue import Catalogue, by_id
from pipeline.cli.imported_sets import has_imported, imported_sets, refuse_imported
from pipeline.digest import Json, digest_json
from pipeline.errors import MissingInputError, UsageError
from pipeline.manifest import require_known
from pipeline.store import Store
from pipeline.unit import Node
from stages.corrupt.naming import is_imported, split_name
from stages.vocabulary import CORRUPTIONS, EMBEDDINGS

if TYPE_CHECKING:
    from pipeline.artifact import Manifest
    from stages.corrupt.schema import SuiteManifest
    from stages.download.folders import AnyDataset
    from stages.download.schema import Dataset, Split
    from stages.download.segmenting.schema import SegmentationDataset
    from stages.embed.loaded import LoadedOnce, Precision
    from stages.embed.schema import EncoderManifest
    from stages.evaluate.schema import RunManifest
    from stages.prompt.schema import RuleSet
    from stages.prompt.stage import Answers

T = TypeVar("T")


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
        batch_size: int | None = None,
        seed: int = 0,
    ) -> None:
        self.store = store
        self._manifests = manifests
        self._catalogue = Catalogue(manifests)
        self._local = local
        self._weights = weights
        self._device = device
        self._batch_size = batch_size
        self._seed = seed
        self._nodes: dict[tuple[object, ...], Node] = {}
        self._added: dict[str, SegmentationDataset] = {}
        self._encoders: dict[str, tuple[LoadedOnce, dict[str, Json]]] = {}

    @property
    def options(self) -> str:
        """The options that a command needs to speak of this study, for messages."""
        own = f" --manifests {shlex.quote(str(self._manifests))}" if self._manifests else ""
        seed = f" --seed {self._seed}" if self._seed else ""
        return f"--store {shlex.quote(str(self.store.root))}{own}{seed}"

    @cached_property
    def datasets(self) -> dict[str, AnyDataset]:
        """Every declared dataset by id, sizes and split sets expanded."""
        from stages.download.declared import declared_datasets, form_of

        manifests = self._catalogue.read("datasets", form_of)
        return self._added | by_id(
            (path, dataset)
            for path, manifest in manifests.items()
            for dataset in declared_datasets(manifest, path.parent, self._local)
        )

    @cached_property
    def segmentations(self) -> dict[str, SegmentationDataset]:
        """Those of the datasets that have masks instead of labels."""
        from stages.download.segmenting.schema import SegmentationDataset

        return {k: one for k, one in self.datasets.items() if isinstance(one, SegmentationDataset)}

    def add(self, dataset: SegmentationDataset) -> None:
        """Let this study have a dataset that no manifest declares.

        Raises
        ------
        UsageError
            If a declared one has its name.
        """
        if dataset.id in self.datasets:
            message = f"{dataset.id!r} is a declared dataset; give your folder another --name"
            raise UsageError(message)
        self._added[dataset.id] = dataset
        for name in ("datasets", "segmentations"):
            self.__dict__.pop(name, None)

    @cached_property
    def suites(self) -> dict[str, SuiteManifest]:
        """Every declared corruption suite by id."""
        from stages.corrupt.schema import SuiteManifest

        return by_id(self._catalogue.read("corruptions", SuiteManifest).items())

    @cached_property
    def encoders(self) -> dict[str, EncoderManifest]:
        """Every declared encoder by id."""
        from stages.embed.schema import EncoderManifest

        return by_id(self._catalogue.read("encoders", EncoderManifest).items())

    @cached_property
    def runs(self) -> dict[str, RunManifest]:
        """Every declared run by id."""
        from stages.evaluate.schema import RunManifest

        return by_id(self._catalogue.read("runs", RunManifest).items())

    @cached_property
    def rule_sets(self) -> dict[str, RuleSet]:
        """Every declared rule set of prompts by id."""
        from stages.prompt.schema import RuleSet

        return by_id(self._catalogue.read("prompts", RuleSet).items())

    def dataset(self, name: str) -> AnyDataset:
        """Return a dataset; an unknown name is an error that suggests the nearest."""
        return _named("dataset", name, self.datasets)

    def segmentation(self, name: str) -> SegmentationDataset:
        """Return a dataset with masks."""
        if name in self.datasets and name not in self.segmentations:
            message = f"{name} has labels, not masks; see `pipeline list datasets`"
            raise UsageError(message)
        return _named("dataset", name, self.segmentations)

    def labelled(self, name: str) -> Dataset:
        """Return a dataset whose images have labels."""
        if name in self.segmentations:
            message = f"{name} has masks, not labels; see `pipeline list datasets`"
            raise UsageError(message)
        return cast("Dataset", self.dataset(name))

    def rule_set(self, name: str) -> RuleSet:
        """Return a rule set of prompts."""
        return _named("rule set", name, self.rule_sets)

    def suite(self, name: str) -> SuiteManifest:
        """Return a corruption suite, which renders sets; an imported one is none."""
        refuse_imported(self.store, name)
        base, _ = split_name(name)
        return _named("suite", base, self.suites)

    def corruptions_of(self, suite: str) -> set[str]:
        """Return the names of a suite's corruptions, over all datasets and sizes."""
        declared = self.suite(suite)
        below = [self.corruptions_of(anchor.suite) for anchor in declared.between]
        return {corruption.name for corruption in declared.corruptions}.union(*below)

    def suites_present(self) -> list[str]:
        """Return the declared suites of which the store has any set, by backend, in name order."""
        return [name for name in self.store.first_parts(CORRUPTIONS) if self.has_suite(name)]

    def has_suite(self, name: str) -> bool:
        """Return whether a suite of this name is declared, with any backend, or imported."""
        return name.partition("@")[0] in self.suites or has_imported(self.store, name)

    def covers(self, suite: str, dataset: str) -> bool:
        """Return whether a suite has corruptions for a dataset."""
        if is_imported(suite):
            return has_imported(self.store, f"{suite}/{dataset}")
        datasets = self.suite(suite).datasets
        return not datasets or self.dataset(dataset).family in datasets

    def encoder(self, name: str) -> EncoderManifest:
        """Return an encoder's manifest.

        ``<id>@bf16`` is the encoder computing in that precision, ``<id>@float16`` stored in that
        type, ``<id>@bf16@float16`` both.
        """
        base, _, dtype = self._variant(name)
        manifest = _named("encoder", base, self.encoders)
        changes = {"id": name} | ({"dtype": dtype} if dtype else {})
        return manifest if base == name else manifest.model_copy(update=changes)

    def run(self, name: str) -> RunManifest:
        """Return a run."""
        return _named("run", name, self.runs)

    def splits(self, dataset: str) -> tuple[Split, ...]:
        """Return the splits of a dataset."""
        from stages.download.declared import splits_of

        return splits_of(self.store, self.dataset(dataset))

    def split(self, dataset: str, split: str) -> Node:
        """Return a clean split."""
        from stages.download.declared import split_node

        declared, named = self.dataset(dataset), cast("Split", split)
        make = partial(split_node, self.store, declared, named, self._local)
        return self._kept(make, "split", dataset, split)

    def records(self, dataset: str, split: str) -> Node:
        """Return the measured records of a split's masks."""
        from stages.prompt.stage import records_node

        names = [target.name for target in self.segmentation(dataset).targets]
        make = partial(records_node, self.split(dataset, split), names)
        return self._kept(make, "records", dataset, split)

    def prompts(
        self,
        rules: RuleSet,
        dataset: str,
        split: str,
        answers: Answers,
        descriptions: tuple[str, ...] = (),
        family: str | None = None,
    ) -> Node:
        """Return the prompts that a rule set makes of a split's records.

        Raises
        ------
        UsageError
            If the rule set has no prompts of the family, by default the dataset's own.
        """
        from stages.prompt.designs.families import family_of
        from stages.prompt.stage import Subject, Target, prompts_node

        declared = self.segmentation(dataset)
        targets = tuple(
            Target(one.name, one.noun, one.plural, descriptions) for one in declared.targets
        )
        family = family or declared.prompt_family
        family_of(rules, family)
        subject = Subject(targets, family, declared.frame)
        images, records = self.split(dataset, split), self.records(dataset, split)
        return prompts_node(rules, subject, images, records, answers, self._seed)

    def sets(self, suite: str, dataset: str, split: str, seed: int | None = None) -> list[Node]:
        """Return the sets of a split: every corruption at every severity.

        `suite` may name a backend: ``medimeta-c@torch``. Those of an imported suite are the sealed
        ones, whatever the seed.
        """
        if is_imported(suite):
            return imported_sets(self.store, suite, self.split(dataset, split))
        from stages.corrupt.stage import set_node

        declared = self.applied_suite(suite, dataset)
        _, backend = split_name(suite)
        images = self.split(dataset, split)
        seed = self._seed if seed is None else seed
        nodes = []
        for corruption in declared.corruptions:
            for severity in range(1, len(corruption.severities) + 1):
                of = (declared, corruption, severity, images, seed, backend, self._device)
                key = ("set", suite, dataset, split, corruption.name, severity, seed)
                nodes.append(self._kept(partial(set_node, *of), *key))
        return nodes

    def applied_suite(self, suite: str, dataset: str) -> SuiteManifest:
        """Return what a suite is for a dataset: a plain list of corruptions."""
        from stages.corrupt.applying import applied

        of = self.dataset(dataset)
        height, width = (
            (None, None) if dataset in self.segmentations else self.labelled(dataset).shape
        )
        return applied(
            self.suite(suite), self.suites, dataset=of.family, height=height, width=width
        )

    def embedding(self, encoder: str, images: Node) -> Node:
        """Return the embeddings of an image artifact."""
        from stages.embed.stage import image_node

        make = partial(image_node, *self.loaded(encoder), images)
        return self._kept(make, "embedding", encoder, images.recipe.key)

    def prompt_row_embeddings(self, encoder: str, prompts: Manifest) -> Node:
        """Return the embeddings of every row of sealed prompts."""
        from pipeline.plan import sealed_node
        from stages.embed.prompt_rows import prompt_rows_node

        make = partial(prompt_rows_node, *self.loaded(encoder), sealed_node(prompts))
        return self._kept(make, "prompt rows", encoder, prompts.recipe_key)

    def prompt_embeddings(self, encoder: str, dataset: str, run: RunManifest) -> dict[str, Node]:
        """Return the class prompt embeddings of a dataset by prompt set; none for vision-only."""
        from pipeline.cli.class_prompts import class_prompts, prompt_sets
        from stages.embed.stage import prompt_node

        if self.encoder(encoder).kind == "vision-only":
            return {}
        found = {}
        for prompt_set in prompt_sets(self.dataset(dataset), run):
            prompts = class_prompts(self.labelled(dataset), prompt_set, run)
            make = partial(prompt_node, *self.loaded(encoder), dataset, prompt_set, prompts)
            found[prompt_set] = self._kept(make, "prompts", encoder, dataset, prompt_set, run.id)
        return found

    @property
    def device(self) -> str:
        """Where torch computes; a resource."""
        return self._device

    def pin_encoder(self, encoder: str) -> None:
        """Remember which files an encoder has in this store, for commands that have none."""
        digest = digest_json(self.loaded(encoder)[1])
        if self.store.pins().get("encoders", {}).get(encoder) != digest:
            self.store.pin("encoders", encoder, digest)

    def embedded_encoders(self) -> list[str]:
        """Return the declared encoders that have any sealed embeddings, in name order."""
        present = self.store.first_parts(EMBEDDINGS)
        return [name for name in present if self._variant(name)[0] in self.encoders]

    def loaded(self, name: str) -> tuple[LoadedOnce, dict[str, Json]]:
        """Return an encoder to be loaded on demand, and what identifies its files.

        Where the files are not at hand, the identity is that of the sealed embeddings which the
        store has pinned.
        """
        from stages.embed.loaded import LoadedOnce
        from stages.embed.loaders import loader

        if name not in self._encoders:
            manifest = self.encoder(name)
            try:
                found = loader(manifest.family).identity(manifest, self._weights)
            except MissingInputError:
                found = self._pinned_identity(name)
                if not found or self._weights is not None:
                    raise
            _, precision, _ = self._variant(name)
            loaded = LoadedOnce(manifest, self._weights, self._device, self._batch_size, precision)
            self._encoders[name] = (loaded, found)
        return self._encoders[name]

    def _kept(self, make: Callable[[], Node], *key: object) -> Node:
        """Return the node of a key, made where nobody has asked for it yet."""
        if key not in self._nodes:
            self._nodes[key] = make()
        return self._nodes[key]

    def _variant(self, name: str) -> tuple[str, Precision, str | None]:
        """Return id, precision and, where it is another than declared, stored type of an encoder.

        A declared id is one as declared, in float32.
        """
        from stages.embed.loaded import PRECISIONS, TOLERANCE

        base, dtype = name, None
        front, _, last = base.rpartition("@")
        if front and base not in self.encoders and last in TOLERANCE:
            base, dtype = front, last
        front, _, last = base.rpartition("@")
        for precision in PRECISIONS if front and base not in self.encoders else ():
            if precision == last and precision != "float32":
                return front, precision, dtype
        return base, "float32", dtype

    def _pinned_identity(self, name: str) -> dict[str, Json]:
        pin = self.store.pins().get("encoders", {}).get(name)
        folder = self.store.root / EMBEDDINGS / name
        for manifest in self.store.manifests_below(folder):
            identity = cast("dict[str, Json]", manifest.parameters["identity"])
            if digest_json(identity) == pin:
                return identity
        return {}


def _named(kind: str, name: str, known: Mapping[str, T]) -> T:
    require_known(kind, name, known)
    return known[name]
