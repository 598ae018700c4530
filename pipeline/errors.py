"""Every error a user can meet, each with the exit code of the command that meets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar


class PipelineError(Exception):
    """Base of all errors raised on purpose; the message says what, where and what to do."""

    exit_code: ClassVar[int] = 1


class UsageError(PipelineError):
    """The request itself is wrong: an unknown name, a bad selector, an impossible option."""

    exit_code = 2


class ManifestError(UsageError):
    """A manifest file is not valid; the message lists every fault with file and key."""


class DataError(PipelineError):
    """A source's content is not what its manifest says (keys, dtype, shape, counts, labels)."""


class StoreError(PipelineError):
    """The store cannot be read or written (read-only, full, of a newer schema)."""


class UnitsFailedError(PipelineError):
    """Some units failed and the others are kept."""

    exit_code = 3


class MissingInputError(PipelineError):
    """Something this work needs has not been built, fetched or placed yet."""

    exit_code = 4


class VerificationError(PipelineError):
    """Bytes differ from the digest that was promised for them."""

    exit_code = 5


class NonDeterminismError(VerificationError):
    """The same work done twice gave results that differ by more than is allowed."""


class HeldError(PipelineError):
    """Another process holds the work and waiting was declined."""

    exit_code = 75


class InterruptedRunError(BaseException):
    """A person or a scheduler asked to stop.

    No `Exception`: a signal is answered wherever the main thread stands, also inside a library
    that cleans up after exceptions of its own.
    """

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted: what is finished is kept; the same command goes on from it")


def error_of(told: Mapping[str, str]) -> PipelineError:
    """Return the error whose ``kind`` (the name of its class) and ``message`` a process told of."""
    kind = globals().get(told["kind"])
    if isinstance(kind, type) and issubclass(kind, PipelineError):
        return kind(told["message"])
    return PipelineError(told["message"])


def first_line(error: BaseException) -> str:
    """Return what an error says, in one line; of one that says nothing, its class."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def few(names: Sequence[str]) -> str:
    """Return the first three of `names` and how many more there are, for a message."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
