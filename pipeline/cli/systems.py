"""Which systems a store can evaluate, and what stands in the way of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from pipeline.cli.choices import DEFAULT_RUN, corruption_of, named_in, require_matches, sets_of
from pipeline.cli.class_prompts import written_prompts
from pipeline.cli.learning import Labels, draws_of, fitted_protocol, learning_splits
from pipeline.cli.sealed_inputs import present_datasets, stored_datasets
from pipeline.errors import MissingInputError, UsageError, few
from pipeline.manifest import unknown_name
from pipeline.selectors import selects
from stages.evaluate.predictions import System
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.schema import AS_WRITTEN, FEW_SHOT
from stages.evaluate.systems import WHOLE, Draw, EvaluatedSet, Labelled, SystemInputs

if TYPE_CHECKING:
    from pipeline.cli.study import Study
    from pipeline.unit import Node
    from stages.evaluate.schema import RunManifest


@dataclass(frozen=True)
class Selection:
    """What an evaluation is asked for; empty means whatever the store has."""

    run: RunManifest
    datasets: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    prompts: str | None = None
    only: tuple[str, ...] = ()
    named_run: bool = False
    """Whether the run was named, so that all it lists must exist."""
    few_shot: bool = False
    """Whether few-shot, which takes long, is wanted without having been named."""


@dataclass(frozen=True)
class Skipped:
    """Something that is not evaluated because an input is missing, and what would enable it."""

    what: str
    where: str
    """The suite, dataset and split; empty where it is about all."""
    reason: str
    command: str
    required: bool
    """Whether it was named explicitly, or is the rest of something begun."""


class Cell(NamedTuple):
    """One encoder on one split under one suite."""

    suite: str
    dataset: str
    split: str
    encoder: str

    @property
    def where(self) -> str:
        """Suite, dataset and split."""
        return f"{self.suite}/{self.dataset}/{self.split}"


class Systems:
    """Every system whose inputs are sealed (`found`), and why the others are not (`skipped`)."""

    def __init__(self, study: Study, selection: Selection) -> None:
        self.found: list[SystemInputs] = []
        self.skipped: list[Skipped] = []
        self._study = study
        self._selection = selection
        self._labels = Labels(study)
        run = selection.run if selection.named_run else None
        datasets = selection.datasets or (run.datasets if run else named_in(study, selection.only))
        datasets = datasets or present_datasets(study)
        encoders = selection.encoders or (run.encoders if run else study.embedded_encoders())
        suites = selection.suites or (run.suites if run else study.suites_present())
        suites = suites or study.run(DEFAULT_RUN).suites
        self._named = bool(run or selection.datasets or selection.only)
        self._possible: list[str] = []
        for dataset in datasets:
            for suite in suites:
                if not selection.suites and not study.covers(suite, dataset):
                    continue
                for split in selection.splits or selection.run.splits:
                    self._add_split(suite, dataset, split, encoders)
        if self._possible:
            require_matches(selection.only, self._possible)
        if not selection.only and not selection.datasets and not run:
            self._skip_undeclared()
        if not encoders:
            self._skip(
                "everything", "", "nothing is embedded", "embed --model NAME", required=False
            )
        self._require_something()

    @property
    def _protocols(self) -> tuple[str, ...]:
        """What was asked for, else those of the run."""
        chosen = self._selection
        run = chosen.run
        wanted = run.evaluated if chosen.named_run or chosen.few_shot else run.protocols
        return chosen.protocols or wanted

    def _skip_undeclared(self) -> None:
        reason = "no manifest declares this dataset; if it is yours, give --manifests"
        for name in stored_datasets(self._study):
            if name not in self._study.datasets:
                self._skip("everything", name, reason, "", required=False)

    def _add_split(self, suite: str, dataset: str, split: str, encoders: Sequence[str]) -> None:
        store = self._study.store
        images = self._study.split(dataset, split)
        every = self._study.sets(suite, dataset, split)
        self._possible += [node.recipe.name for node in every]
        sets = [node for node in every if selects(self._selection.only, node.recipe.name)]
        if not sets:
            return
        unbuilt = [node for node in [images, *sets] if store.sealed(node.recipe) is None]
        if not unbuilt:
            where = f"{suite}/{dataset}/{split}"
            if fault := self._labels.fault_to_evaluate(dataset, split):
                self._refuse("everything", where, fault, asked=self._named)
                return
            for encoder in encoders:
                self._add_encoder(Cell(suite, dataset, split, encoder), images, sets)
            return
        begun = any(store.sealed(node.recipe) for node in sets)
        begun = begun or any(store.records(node.recipe) for node in unbuilt)
        command = f"build corruptions {sets_of(suite, dataset, split, self._selection.only)}"
        reason = _missing(unbuilt, "not built")
        where = f"{suite}/{dataset}/{split}"
        self._skip("everything", where, reason, command, required=self._named or begun)

    def _add_encoder(self, cell: Cell, images: Node, sets: Sequence[Node]) -> None:
        store = self._study.store
        command = f"embed --model {cell.encoder} --datasets {cell.dataset}"
        required = self._selection.named_run or bool(self._selection.encoders)
        try:
            nodes = [self._study.embedding(cell.encoder, node) for node in [images, *sets]]
        except MissingInputError:
            self._skip(cell.encoder, cell.where, "not embedded", command, required=required)
            return
        absent = [node for node in nodes if store.sealed(node.recipe) is None]
        if absent:
            begun = any(store.sealed(node.recipe) for node in nodes[1:])
            begun = begun or any(store.records(node.recipe) for node in absent)
            reason = _missing(absent, "not embedded")
            self._skip(cell.encoder, cell.where, reason, command, required=required or begun)
            return
        pairs = zip(nodes, [images, *sets], strict=True)
        evaluated = tuple(EvaluatedSet(*corruption_of(of), node) for node, of in pairs)
        for protocol in self._protocols:
            if protocol != FEW_SHOT and "texts" in PROTOCOLS[protocol].needs:
                self._add_with_texts(cell, protocol, images, evaluated)
            else:
                self._add_with_train(cell, protocol, images, evaluated)

    def _add_with_train(
        self, cell: Cell, protocol: str, images: Node, evaluated: tuple[EvaluatedSet, ...]
    ) -> None:
        study = self._study
        what, required = f"{protocol} of {cell.encoder}", bool(self._selection.protocols)
        if "train" not in study.splits(cell.dataset):
            self._skip(what, cell.where, "the dataset has no train split", "", required=required)
            return
        labelled: dict[str, Labelled] = {}
        for name in learning_splits(study, cell.dataset, protocol):
            if name == cell.split:
                continue  # nothing is learned from what is evaluated
            split = study.split(cell.dataset, name)
            labelled[name] = Labelled(split, study.embedding(cell.encoder, split))
            if study.store.sealed(labelled[name].embeddings.recipe) is None:
                command = (
                    f"embed --model {cell.encoder} --datasets {cell.dataset} --protocols {protocol}"
                )
                reason = f"the {name} split is not embedded"
                self._skip(what, cell.where, reason, command, required=required)
                return
        if "train" not in labelled:
            reason = "the train split is what is evaluated"
            self._skip(what, cell.where, reason, "", required=required)
            return
        if fault := self._labels.fault_to_learn(cell.dataset):
            self._refuse(what, cell.where, fault, asked=required)
            return
        draws = self._draws(cell, what) if protocol == FEW_SHOT else WHOLE
        if draws:
            fitted = fitted_protocol(protocol, self._selection.run)
            system = System(*cell, fitted, None, None, **draws[0]._asdict())
            learned = (labelled["train"], labelled.get("val"))
            self.found.append(SystemInputs(system, images, evaluated, *learned, draws=draws))

    def _draws(self, cell: Cell, what: str) -> tuple[Draw, ...]:
        """Return the draws that few-shot makes of a train split, less those it is too small for."""
        counts = self._labels.counts(cell.dataset, "train")
        if counts is None:
            reason = "few-shot draws samples of one class each, and these have several labels"
            self._skip(what, cell.where, reason, "", required=False)
            return ()
        draws = draws_of(self._selection.run)
        for k in dict.fromkeys(draw.k for draw in draws):
            if k is not None and k > min(counts):
                name = self._study.split(cell.dataset, "train").attributes["classes"][
                    counts.index(min(counts))
                ]
                reason = f"the train split has {min(counts)} samples of class {name!r}"
                self._skip(f"{what} with k = {k}", cell.where, reason, "", required=False)
        return tuple(draw for draw in draws if draw.k is None or draw.k <= min(counts))

    def _add_with_texts(
        self, cell: Cell, protocol: str, images: Node, evaluated: tuple[EvaluatedSet, ...]
    ) -> None:
        study, run = self._study, self._selection.run
        what, required = f"{protocol} of {cell.encoder}", bool(self._selection.protocols)
        if study.encoder(cell.encoder).kind == "vision-only":
            self._skip(what, cell.where, "the encoder is vision-only", "", required=False)
            return
        prompts = study.prompt_embeddings(cell.encoder, cell.dataset, run)
        if not prompts:
            self._skip(
                what, cell.where, "the dataset declares no class prompts", "", required=required
            )
            return
        if self._selection.prompts and self._selection.prompts not in prompts:
            kind = f"set of class prompts of dataset {cell.dataset}"
            raise unknown_name(kind, self._selection.prompts, prompts)
        for chosen, templates in self._texts(cell.dataset, prompts).items():
            if study.store.sealed(prompts[chosen].recipe) is None:
                command = f"embed --model {cell.encoder} --datasets {cell.dataset}"
                command += f" --run {run.id}" if self._selection.named_run else ""
                reason = "the class prompts are not embedded"
                self._skip(what, cell.where, reason, command, required=required)
                return
            for template in templates:
                system = System(*cell, protocol, template, chosen, None, 0)
                self.found.append(SystemInputs(system, images, evaluated, texts=prompts[chosen]))

    def _texts(self, dataset: str, prompts: Iterable[str]) -> dict[str, Sequence[str]]:
        """Return the sets of class prompts that are evaluated, and the templates of each.

        Of the dataset's own the one that the run names, else the first; of those that the run
        writes out all, unless one set is named.
        """
        run, named = self._selection.run, self._selection.prompts
        written = [*written_prompts(self._study.dataset(dataset), run)]
        wanted = named or run.prompts
        if wanted in written:
            return {wanted: (AS_WRITTEN,)}
        own = [name for name in prompts if name not in written]
        chosen = [wanted] if wanted in own else own[:1]
        found: dict[str, Sequence[str]] = {name: tuple(run.templates) for name in chosen}
        return found if named else found | dict.fromkeys(written, (AS_WRITTEN,))

    def _refuse(self, what: str, where: str, reason: str, *, asked: bool) -> None:
        """Skip what no command would enable; where it was asked for, the request is wrong."""
        if asked:
            message = f"{what} on {where}: {reason}"
            raise UsageError(message)
        self._skip(what, where, reason, "", required=False)

    def _skip(self, what: str, where: str, reason: str, command: str, *, required: bool) -> None:
        if command:
            command = f"pipeline {command} {self._study.options}"
        self.skipped.append(Skipped(what, where, reason, command, required))

    def _require_something(self) -> None:
        """Where something was named and nothing is found, all that is missing is required."""
        chosen = self._selection
        asked = self._named or chosen.suites or chosen.splits or chosen.encoders or chosen.protocols
        if asked and not self.found:
            self.skipped = [replace(one, required=True) for one in self.skipped]


def _missing(nodes: Sequence[Node], why: str) -> str:
    return f"{few([node.recipe.name for node in nodes])}: {why}"
