"""What a corruption suite declares: manifests/corruptions/*.toml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic import Field
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline.errors import UsageError
from pipeline.manifest import Declared, nearest, unknown_name
from stages.corrupt.kernels.kernel import Kernel
from stages.corrupt.kernels.table import KERNELS
from stages.vocabulary import SEVERITIES

Gray: TypeAlias = Literal["replicate", "stay", "luminance"]
"""How a gray image enters and leaves a corruption: as three equal channels and so it stays; as one
channel; or as three equal channels, of which the luminance is kept."""


class Fall(Declared):
    """A severity whose images are not farther from the clean ones than those of the one before."""

    to: Annotated[int, Field(ge=2, le=SEVERITIES[-1])]
    """The severity."""

    reason: Annotated[str, Field(min_length=1)]
    """Why it is so."""


class CorruptionDeclaration(Declared):
    """One corruption of a suite: a kernel and its parameters at five severities."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the corruption in this suite."""

    kernel: str
    """Name of the kernel that renders it."""

    datasets: tuple[str, ...] = ()
    """Ids of the datasets to which it applies, without a size; empty: to all."""

    settings: dict[str, int | float | str] = Field(default_factory=dict)
    """Parameters of the kernel that all severities share."""

    falls: tuple[Fall, ...] = ()
    """Exceptions from the rule that the distance from the clean image grows with severity."""

    severities: tuple[pydantic.SerializeAsAny[Declared], ...]
    """The kernel's parameters at severities 1 to 5, in this order."""

    @pydantic.field_validator("kernel")
    @classmethod
    def _known_kernel(cls, value: str) -> str:
        if value not in KERNELS:
            message = f"unknown kernel '{value}'{nearest(value, KERNELS)}"
            raise _fault(message)
        return value

    @pydantic.field_validator("severities", mode="wrap")
    @classmethod
    def _five_severities(
        cls,
        value: object,
        _: pydantic.ValidatorFunctionWrapHandler,
        info: pydantic.ValidationInfo,
    ) -> tuple[Declared, ...]:
        if not isinstance(value, list | tuple) or len(value) != len(SEVERITIES):
            message = f"must be an array of exactly {len(SEVERITIES)} tables"
            raise _fault(message)
        kernel = KERNELS.get(info.data.get("kernel", ""))
        if kernel is None:
            return ()  # the kernel's own fault is reported
        faults: list[InitErrorDetails] = []
        tables: list[Declared] = []
        shared = info.data.get("settings", {})
        for index, table in enumerate(value):
            given = shared | table if isinstance(table, dict) else table
            try:
                tables.append(kernel.severity.model_validate(given))
            except pydantic.ValidationError as error:
                faults.extend(_faults_of_table(error, index, kernel))
        if faults:
            raise pydantic.ValidationError.from_exception_data("severities", faults)
        return tuple(tables)


class Anchor(Declared):
    """A suite whose severities are meant for one size of images."""

    suite: str
    """Id of the suite."""

    side: Annotated[int, Field(ge=1)]
    """Pixels; the smaller side of its images."""


class SuiteManifest(Declared):
    """A corruption suite: named corruptions and how gray images enter them.

    It may list different corruptions for different datasets, or take its severities from two other
    suites by the size of the images: `stages.corrupt.applying.applied` says what it is for given
    images.
    """

    schema_number: Annotated[Literal[1], Field(alias="schema")]
    """Version of this file format."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Name of the suite in commands and set names."""

    title: Annotated[str, Field(min_length=1)]
    """One line about the suite."""

    gray: Gray

    source: Annotated[str, Field(min_length=1)]
    """Where corruptions and severities come from."""

    package: Literal["imagecorruptions"] | None = None
    """The package whose functions have these severities, and which can render the suite itself."""

    between: Annotated[tuple[Anchor, ...], Field(max_length=2)] = ()
    """Two suites of the same corruptions, the one for smaller images first."""

    falls: dict[str, tuple[Fall, ...]] = Field(default_factory=dict)
    """Exceptions at sizes between the two, by corruption, besides those of the nearer suite."""

    corruptions: Annotated[
        tuple[CorruptionDeclaration, ...], Field(default=(), validate_default=True)
    ]
    """The corruptions, in the order of the suite; none if they lie `between` others."""

    @pydantic.field_validator("corruptions")
    @classmethod
    def _names_differ(
        cls, value: tuple[CorruptionDeclaration, ...]
    ) -> tuple[CorruptionDeclaration, ...]:
        places = [
            (corruption.name, dataset)
            for corruption in value
            for dataset in corruption.datasets or ("",)
        ]
        everywhere = {name for name, dataset in places if not dataset}
        repeated = {name for name, dataset in places if places.count((name, dataset)) > 1}
        repeated |= everywhere & {name for name, dataset in places if dataset}
        if repeated:
            message = f"corruption names used twice: {', '.join(sorted(repeated))}"
            raise _fault(message)
        return value

    @pydantic.field_validator("corruptions")
    @classmethod
    def _either_listed_or_between(
        cls, value: tuple[CorruptionDeclaration, ...], info: pydantic.ValidationInfo
    ) -> tuple[CorruptionDeclaration, ...]:
        between = info.data.get("between", ())
        if bool(value) == bool(between):
            message = "give either a list of corruptions or the two suites they lie between"
            raise _fault(message)
        return value

    @pydantic.field_validator("between")
    @classmethod
    def _two_in_order(cls, value: tuple[Anchor, ...]) -> tuple[Anchor, ...]:
        if value and (len(value) != 2 or value[0].side >= value[1].side):
            message = "name two suites, the one with the smaller side first"
            raise _fault(message)
        return value

    @property
    def datasets(self) -> frozenset[str]:
        """The datasets to which it applies; empty: to all."""
        named = [frozenset(corruption.datasets) for corruption in self.corruptions]
        return frozenset().union(*named) if all(named) else frozenset()

    def channels_of(self, channels: int) -> int:
        """Return the channels of a rendered image whose clean one has `channels`."""
        return 3 if self.gray == "replicate" else channels

    def corruption(self, name: str) -> CorruptionDeclaration:
        """Return the corruption called `name`.

        Raises
        ------
        UsageError
            If the suite has none (the nearest name is suggested), or one for each dataset.
        """
        if any(corruption.datasets for corruption in self.corruptions) or self.between:
            message = (
                f"suite {self.id} has its own severities for each kind of image: see `applied`"
            )
            raise UsageError(message)
        for corruption in self.corruptions:
            if corruption.name == name:
                return corruption
        raise unknown_name("corruption", name, [entry.name for entry in self.corruptions])


def _faults_of_table(
    error: pydantic.ValidationError, index: int, kernel: Kernel[Any]
) -> Iterator[InitErrorDetails]:
    for fault in error.errors(include_url=False):
        message = fault["msg"]
        if fault["type"] == "extra_forbidden":
            name = str(fault["loc"][-1])
            message = f"unknown parameter of {kernel.name}"
            message += nearest(name, kernel.severity.model_fields)
        yield InitErrorDetails(
            type=_fault(message),
            loc=(index, *fault["loc"]),
            input=fault["input"],
        )


def _fault(message: str) -> PydanticCustomError:
    # The text passes through a template, so that braces in it are not read as fields.
    template = "{message}"
    return PydanticCustomError("suite", template, {"message": message})
