"""What a run manifest declares: which sets, encoders and protocols to evaluate, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, field_validator, model_validator

from pipeline.manifest import Declared, nearest
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.templates import fault_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Text = Annotated[str, Field(pattern=r"\S")]
Names: TypeAlias = Annotated[tuple[Name, ...], Field(min_length=1)]
Templates: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1)]
ClassTexts: TypeAlias = Annotated[dict[Text, Templates], Field(min_length=1)]
"""Sentences by class name."""

PAPER_TEMPLATE = "a medical image of a {} belonging to {}"
"""The default template of the released RobustMedCLIP evaluation: class, then dataset."""


FEW_SHOT = "few-shot"
"""Name, among the protocols of a run, of what its table `few_shot` declares."""
PROTOCOL_NAMES = (*PROTOCOLS, FEW_SHOT)
"""What may stand among the protocols of a run."""
AS_WRITTEN = "as-written"
"""Name, in the column of template sets, of class prompts that are put into no template."""


def _paper_template() -> dict[str, tuple[str, ...]]:
    return {"paper": (PAPER_TEMPLATE,)}


class Bootstrap(Declared):
    """How the intervals are drawn."""

    resamples: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    """Number of resamples; 0 gives no intervals."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Share of resamples inside an interval."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of the resampling stream."""


class FewShot(Declared):
    """Classifiers fitted on few train samples: each amount is drawn once per seed."""

    protocol: Name = "linear-probe"
    """What is fitted on the draws: a protocol that learns from train samples."""
    k: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5, 10)
    """Samples of each class."""
    fractions: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.01, 0.03, 0.07, 0.10)
    """Shares of each class of the train split; one sample at least."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0, 1, 2, 3, 4)
    """Seeds of the draws."""

    @field_validator("protocol")
    @classmethod
    def _learns(cls, name: str) -> str:
        learning = [known for known, one in PROTOCOLS.items() if "train" in one.needs]
        if name not in learning:
            message = f"{name!r} does not learn from train samples{nearest(name, learning)}"
            raise ValueError(message)
        return name

    @field_validator("k", "fractions", "seeds")
    @classmethod
    def _no_repetition(cls, numbers: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(numbers)) < len(numbers):
            message = "a number is given twice"
            raise ValueError(message)
        return numbers

    @model_validator(mode="after")
    def _some_amount(self) -> Self:
        if not self.k and not self.fractions:
            message = "give k, fractions or both"
            raise ValueError(message)
        return self


class RunManifest(Declared):
    """A file in `manifests/runs/`: one study."""

    schema_version: Literal[1] = Field(alias="schema")
    """Version of this form of manifest; written `schema = 1`."""
    id: Name
    """Name of the run."""
    title: Text
    """Name for people."""
    suites: Names = ("medimeta-c",)
    """Corruption suites."""
    datasets: Names
    """Datasets, in the order of the tables."""
    splits: Annotated[tuple[Literal["train", "val", "test"], ...], Field(min_length=1)] = ("test",)
    """Splits that are evaluated."""
    encoders: Names
    """Encoders, in the order of the tables."""
    baseline: Name = "clip-vit-b16"
    """The encoder whose errors are the denominators of clean error and CE."""
    protocols: Names = ("zero-shot", "linear-probe", "prototype")
    """Ways of turning embeddings into class scores; few-shot also where its table is given."""
    prompts: Name = "published"
    """Which of a dataset's named sets of class prompts zero-shot uses."""
    templates: Annotated[dict[Name, Templates], Field(min_length=1)] = Field(
        default_factory=_paper_template
    )
    """Named template sets; the templates of one set are averaged (an ensemble)."""
    class_prompts: dict[Name, dict[Name, ClassTexts]] = Field(default_factory=dict)
    """Whole sentences for each class, by dataset (its id or its manifest's) and name of the set:
    they are put into no template, and those of a class are averaged."""
    few_shot: FewShot | None = None
    """What few-shot draws; without the table its defaults, where few-shot is asked for."""
    bootstrap: Bootstrap = Bootstrap()

    @field_validator("suites", "datasets", "splits", "encoders", "protocols")
    @classmethod
    def _no_repetition(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            message = f"named twice: {', '.join(repeated)}"
            raise ValueError(message)
        return names

    @field_validator("protocols")
    @classmethod
    def _known_protocols(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        faults = [
            f"unknown protocol {name!r}{nearest(name, PROTOCOL_NAMES)}"
            for name in names
            if name not in PROTOCOL_NAMES
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return names

    @field_validator("templates")
    @classmethod
    def _usable_templates(cls, templates: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        if AS_WRITTEN in templates:
            message = f"{AS_WRITTEN!r} is what class prompts without a template are called"
            raise ValueError(message)
        texts = [text for group in templates.values() for text in group]
        if faults := [fault for text in texts if (fault := fault_of(text))]:
            raise ValueError("; ".join(faults))
        return templates

    @property
    def evaluated(self) -> tuple[str, ...]:
        """The protocols, few-shot included where its table is given."""
        more = (FEW_SHOT,) if self.few_shot is not None and FEW_SHOT not in self.protocols else ()
        return self.protocols + more
