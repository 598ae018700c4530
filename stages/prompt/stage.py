"""From the masks of a clean split to measured records, and from records to prompts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pipeline.artifact import Artifact
from pipeline.digest import Json, digest_json
from pipeline.errors import DataError
from pipeline.recipe import Recipe
from pipeline.stream import Stream
from pipeline.unit import Node, Unit, UnitWriter
from stages.prompt.record import FAILED, Record
from stages.prompt.wording.context import Context
from stages.vocabulary import PROMPTS, RECORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stages.prompt.prompt_table import Worded
    from stages.prompt.schema import RuleSet

RECORDS_VERSION = 1
PROMPTS_VERSION = 1
_BYTES_PER_RECORD = 400
_BYTES_PER_PROMPT = 60
_COLUMNS = ["id", "status", "error", "mask_levels", "mask_fringe", "mask_findings"]

Answers = Mapping[str, Mapping[str, str]]
"""By sample id or file name: shape and colour as somebody (a VQA model) answered them."""


@dataclass(frozen=True, slots=True)
class Target:
    """A mask layer and its words."""

    name: str
    noun: str
    plural: str | None
    descriptions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What the prompts of a dataset are about."""

    targets: tuple[Target, ...]
    family: str
    frame: Literal["image", "patient"]


class Measure:
    """Measures every target of the samples of a unit."""

    parallel = True

    def __init__(self, targets: Sequence[str]) -> None:
        self._targets = tuple(targets)

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Write one record per sample and target, in this order."""
        from stages.prompt.measure import records_table

        writer.table(records_table(list(self._records(unit, inputs["images"]))))

    def _records(self, unit: Unit, clean: Artifact) -> Iterator[Record]:
        arrays = {
            name: clean.mixed(name) for name in ("images", "masks", "mask_sources", "instances")
        }
        rows = clean.index(_COLUMNS, unit.start, unit.stop).to_pylist()
        for row, sample in enumerate(rows, start=unit.start):
            if sample["status"] != "ok":
                for target in self._targets:
                    yield failed(sample["id"], target, sample["error"] or sample["status"])
                continue
            yield from self._measured(sample, {name: array[row] for name, array in arrays.items()})

    def _measured(
        self, sample: Mapping[str, Any], items: Mapping[str, NDArray[Any]]
    ) -> Iterator[Record]:
        from stages.prompt.measure import measure

        for layer, target in enumerate(self._targets):
            source, instances = items["mask_sources"], items["instances"]
            findings = sample["mask_findings"][layer]
            yield measure(
                sample["id"],
                target,
                items["masks"][:, :, layer],
                image=items["images"],
                source=source[:, :, layer] if source.size else None,
                instances=instances[:, :, layer] if instances.size else None,
                levels=sample["mask_levels"][layer],
                fringe=sample["mask_fringe"][layer],
                findings=tuple(findings.split(",")) if findings else (),
            )


class Write:
    """Writes the prompts of every record of a split."""

    parallel = True

    def __init__(self, rules: RuleSet, subject: Subject, answers: Answers) -> None:
        self._rules = rules
        self._subject = subject
        self._answers = answers

    def run(self, unit: Unit, inputs: Mapping[str, Artifact], writer: UnitWriter) -> None:
        """Word each record and fill the designs of its family.

        A target of which a prompt needs what is not known, such as an image without a report,
        is a failed row with the reason: with some of its prompts alone it would be missing in
        comparisons of them, and an empty text would pass for P0.
        """
        from stages.prompt.measure import records_from
        from stages.prompt.prompt_table import prompt_table

        records = records_from(inputs["records"].index())
        columns = ["id", "metadata", "original_filepath"]
        samples = {row["id"]: row for row in inputs["images"].index(columns).to_pylist()}
        parameters = unit.recipe.parameters
        seeded = Stream.of("prompt", parameters["seed"], parameters["dataset"])
        targets = (
            self._worded(row, record, samples[record.sample], seeded)
            for row, record in enumerate(records)
        )
        writer.table(prompt_table(targets))

    def _worded(
        self, row: int, record: Record, sample: Mapping[str, Any], seeded: Stream
    ) -> Worded:
        from stages.prompt.designs import prompts_of
        from stages.prompt.prompt_table import Worded
        from stages.prompt.wording import word

        if record.status == FAILED:
            return Worded(record, row, None, ())
        attributes = word(self._rules, record, self._context(record, sample))
        stream = seeded.child(record.sample, record.target)
        family = self._subject.family
        try:
            prompts = prompts_of(self._rules, family, attributes, record, stream)
        except DataError as error:  # a prompt needs what this image's metadata do not tell
            reason = replace(record, status=FAILED, error=str(error))
            return Worded(reason, row, None, ())
        return Worded(record, row, attributes, prompts)

    def _context(self, record: Record, sample: Mapping[str, Any]) -> Context:
        target = next(one for one in self._subject.targets if one.name == record.target)
        return Context(
            target.noun,
            target.plural,
            self._subject.family,
            self._subject.frame,
            json.loads(sample["metadata"] or "{}"),
            answers_of(self._answers, record.sample, sample["original_filepath"]),
            target.descriptions,
        )


def records_node(images: Node, targets: Sequence[str]) -> Node:
    """Return the measured records of a clean split: ``records/<dataset>/<split>``."""
    clean = images.recipe
    parameters = {name: clean.parameters[name] for name in ("dataset", "split")}
    return Node(
        Recipe(RECORDS, clean.name, RECORDS_VERSION, parameters, {"images": clean}),
        Measure(targets),
        rows=images.rows,
        row_bytes=_BYTES_PER_RECORD * len(targets),
        slots=images.slots,
        inputs={"images": images},
        attributes=images.attributes,
    )


def prompts_node(
    rules: RuleSet,
    subject: Subject,
    images: Node,
    records: Node,
    answers: Answers | None = None,
    seed: int = 0,
) -> Node:
    """Return the prompts of a split: ``prompts/<rule set>/<dataset>/<split>``.

    Parameters
    ----------
    rules : RuleSet
        All its words and templates are part of the key.
    subject : Subject
    images, records : Node
        The clean split, and its measured records.
    answers : Answers, optional
        Shapes and colours that come from elsewhere.
    seed : int
        Of the choice among several templates of a prompt.
    """
    clean = images.recipe
    parameters: dict[str, Json] = {
        "rules": rules.model_dump(mode="json"),
        "dataset": clean.parameters["dataset"],
        "split": clean.parameters["split"],
        "targets": [
            [one.name, one.noun, one.plural, list(one.descriptions)] for one in subject.targets
        ],
        "family": subject.family,
        "frame": subject.frame,
        "answers": digest_json({k: dict(v) for k, v in answers.items()}) if answers else None,
        "seed": seed,
    }
    inputs = {"images": images, "records": records}
    return Node(
        Recipe(
            PROMPTS,
            f"{rules.id}/{clean.name}",
            PROMPTS_VERSION,
            parameters,
            {role: node.recipe for role, node in inputs.items()},
        ),
        Write(rules, subject, answers or {}),
        rows=1,
        row_bytes=_BYTES_PER_PROMPT * images.rows * len(subject.targets) * 30,
        slots=1,
        inputs=inputs,
        attributes=images.attributes,
    )


def failed(sample: str, target: str, error: str) -> Record:
    """Return the record of a target that could not be measured."""
    return Record(sample, target, FAILED, error, 0, 0, None, (), False, None, None, None)


def answers_of(answers: Answers, sample: str, path: str | None) -> Mapping[str, str]:
    """Return the answers for a sample, which they may name by id, file name or stem."""
    file = (path or sample).rpartition("/")[2]
    for name in (sample, file, file.rpartition(".")[0]):
        if name in answers:
            return answers[name]
    return {}
