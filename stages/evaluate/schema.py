"""What a run manifest declares: which sets, encoders and protocols to evaluate, and how."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, field_validator

from pipeline.manifest import Declared, nearest
from stages.evaluate.protocols import PROTOCOLS
from stages.evaluate.templates import fault_of

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Text = Annotated[str, Field(pattern=r"\S")]
Names: TypeAlias = Annotated[tuple[Name, ...], Field(min_length=1)]
Templates: TypeAlias = Annotated[tuple[Text, ...], Field(min_length=1)]

PAPER_TEMPLATE = "a medical image of a {} belonging to {}"
"""The default template of the released RobustMedCLIP evaluation: class, then dataset."""


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
    """Ways of turning embeddings into class scores."""
    prompts: Name = "published"
    """Which of a dataset's named sets of class prompts zero-shot uses."""
    templates: Annotated[dict[Name, Templates], Field(min_length=1)] = Field(
        default_factory=_paper_template
    )
    """Named template sets; the templates of one set are averaged (an ensemble)."""
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
            f"unknown protocol {name!r}{nearest(name, PROTOCOLS)}"
            for name in names
            if name not in PROTOCOLS
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return names

    @field_validator("templates")
    @classmethod
    def _usable_templates(cls, templates: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        texts = [text for group in templates.values() for text in group]
        if faults := [fault for text in texts if (fault := fault_of(text))]:
            raise ValueError("; ".join(faults))
        return templates
