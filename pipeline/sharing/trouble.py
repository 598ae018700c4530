"""What can go wrong with a remote store, and what a user is told of it."""

from __future__ import annotations

from pipeline.errors import PipelineError, StoreError, VerificationError
from pipeline.patience import TroubleError


class RemoteError(TroubleError):
    """Raised within this package when a remote did not do what it was asked to."""

    def __init__(self, reason: str, *, final: bool = False, wrong: bool = False) -> None:
        super().__init__(reason, final=final)
        self.wrong = wrong
        """Whether it answered with other bytes than were promised."""


class AbsentError(RemoteError):
    """The remote has no such object."""

    def __init__(self, reason: str = "there is no such object") -> None:
        super().__init__(reason, final=True)


def given_up(what: str, error: RemoteError) -> PipelineError:
    """Return the error a user sees for an object that was given up."""
    tried = f" ({error.attempts} attempts)" if error.attempts > 1 else ""
    message = f"{what}: {error}{tried}"
    return VerificationError(message) if error.wrong else StoreError(message)
