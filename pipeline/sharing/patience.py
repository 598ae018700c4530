"""How often and how long to try again when a remote stumbles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.errors import InterruptedRunError, PipelineError, StoreError, VerificationError

T = TypeVar("T")


class RemoteError(Exception):
    """Raised within this package when a remote did not do what it was asked to."""

    def __init__(self, reason: str, *, final: bool = False, wrong: bool = False) -> None:
        super().__init__(reason)
        self.final = final
        """Whether another attempt is in vain: no permission, or no such object."""
        self.wrong = wrong
        """Whether it answered with other bytes than were promised."""


class AbsentError(RemoteError):
    """The remote has no such object."""

    def __init__(self, reason: str = "there is no such object") -> None:
        super().__init__(reason, final=True)


@dataclass(frozen=True)
class Patience:
    """Limits of the attempts at one object; waits double from `first_wait` to `longest_wait`."""

    attempts: int = 5
    """Attempts at one object before it is given up."""
    first_wait: float = 0.5
    """Seconds before the second attempt."""
    longest_wait: float = 20.0
    """Most seconds between two attempts."""
    timeout: float = 60.0
    """Seconds to wait for a connection, and for the next bytes of an answer."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set to end all waiting and all transfers."""

    def keep_trying(self, what: str, action: Callable[[], T]) -> T:
        """Return what `action` returns, trying again while it raises a `RemoteError`.

        Raises
        ------
        AbsentError
            If there is no such object.
        VerificationError
            If the last attempt was answered with wrong bytes; the message names `what`.
        StoreError
            If the last attempt failed otherwise; the message names `what`.
        InterruptedRunError
            Once `stopped` is set.
        """
        for attempt in range(1, self.attempts + 1):
            self.require_going()
            try:
                return action()
            except AbsentError:
                raise
            except RemoteError as error:
                if error.final or attempt == self.attempts:
                    raise given_up(what, error, attempt) from error
            self.stopped.wait(min(self.longest_wait, self.first_wait * 2.0 ** (attempt - 1)))
        raise AssertionError

    def require_going(self) -> None:
        """Raise once `stopped` is set."""
        if self.stopped.is_set():
            raise InterruptedRunError


def given_up(what: str, error: RemoteError, attempts: int = 1) -> PipelineError:
    """Return the error a user sees for an object that was given up."""
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    message = f"{what}: {error}{tried}"
    return VerificationError(message) if error.wrong else StoreError(message)
