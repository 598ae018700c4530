"""What a corruption suite declares: manifests/corruptions/*.toml."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pydantic
from pydantic import Field
from pydantic_core import InitErrorDetails, PydanticCustomError

from pipeline.manifest import Declared, nearest, unknown_name
from stages.corrupt.kernels.kernel import Kernel
from stages.corrupt.kernels.table import KERNELS

SEVERITIES = 5
"""Every corruption has severities 1 to 5; severity 0 is the identity and never declared."""


class CorruptionDeclaration(Declared):
    """One corruption of a suite: a kernel and its parameters at five severities."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the corruption in this suite."""

    kernel: str
    """Name of the kernel that renders it."""

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
        if not isinstance(value, list | tuple) or len(value) != SEVERITIES:
            message = f"must be an array of exactly {SEVERITIES} tables"
            raise _fault(message)
        kernel = KERNELS.get(info.data.get("kernel", ""))
        if kernel is None:
            return ()  # the kernel's own fault is reported
        faults: list[InitErrorDetails] = []
        tables: list[Declared] = []
        for index, table in enumerate(value):
            try:
                tables.append(kernel.severity.model_validate(table))
            except pydantic.ValidationError as error:
                faults.extend(_faults_of_table(error, index, kernel))
        if faults:
            raise pydantic.ValidationError.from_exception_data("severities", faults)
        return tuple(tables)


class SuiteManifest(Declared):
    """A corruption suite: named corruptions and how gray images enter them."""

    schema_number: Annotated[Literal[1], Field(alias="schema")]
    """Version of this file format."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
    """Name of the suite in commands and set names."""

    title: Annotated[str, Field(min_length=1)]
    """One line about the suite."""

    gray: Literal["replicate", "stay"]
    """Gray images become three equal channels before the corruption, or stay at one channel."""

    source: Annotated[str, Field(min_length=1)]
    """Where corruptions and severities come from."""

    corruptions: Annotated[tuple[CorruptionDeclaration, ...], Field(min_length=1)]
    """The corruptions, in the order of the suite."""

    @pydantic.field_validator("corruptions")
    @classmethod
    def _names_differ(
        cls, value: tuple[CorruptionDeclaration, ...]
    ) -> tuple[CorruptionDeclaration, ...]:
        names = [corruption.name for corruption in value]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            message = f"corruption names used twice: {', '.join(repeated)}"
            raise _fault(message)
        return value

    def corruption(self, name: str) -> CorruptionDeclaration:
        """Return the corruption called `name`.

        Raises
        ------
        UsageError
            If the suite has none; the nearest name is suggested.
        """
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
