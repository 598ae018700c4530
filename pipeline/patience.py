"""How often and how long to try again when another machine stumbles."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.errors import InterruptedRunError

T = TypeVar("T")

GOOD_PROGRESS = 1 << 20
"""Bytes an attempt must gain, in all, for the count of attempts to start afresh."""


class TroubleError(Exception):
    """Raised by an attempt when another machine did not do what it was asked to."""

    def __init__(self, reason: str, *, final: bool = False, wait: float | None = None) -> None:
        super().__init__(reason)
        self.final = final
        """Whether another attempt is in vain."""
        self.wait = wait
        """Seconds after which it wants to be asked again; None leaves it to `Patience`."""
        self.attempts = 1
        """How many attempts in a row have ended so."""


@dataclass(frozen=True)
class Patience:
    """Limits of the attempts at one thing; waits double from `first_wait` to `longest_wait`.

    A transfer that moves forward is never given up: the count starts afresh after every attempt
    that gained at least 1 MiB, so a long file may be cut off any number of times.
    """

    attempts: int = 5
    """Attempts in a row without progress before it is given up."""
    first_wait: float = 1.0
    """Seconds before the second attempt."""
    longest_wait: float = 60.0
    """Most seconds between attempts when the other machine names none."""
    longest_obeyed: float = 600.0
    """Most seconds that the other machine may ask for; a longer wait ends the attempts."""
    connect_timeout: float = 15.0
    """Seconds to wait for a connection."""
    read_timeout: float = 60.0
    """Seconds to wait for the next bytes of an answer."""
    stopped: threading.Event = field(default_factory=threading.Event)
    """Set to end all waiting and all transfers."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch, for waits that are named as dates."""

    def persist(self, attempt: Callable[[], T], gained: Callable[[], int] = lambda: 0) -> T:
        """Return what `attempt` returns, repeating it while it raises a `TroubleError`.

        Parameters
        ----------
        attempt
            One attempt.
        gained
            Number of bytes held so far; growth by `GOOD_PROGRESS` renews the attempts.

        Raises
        ------
        TroubleError
            The last one: it is final, the attempts are used up, or it asks for too long a wait.
        InterruptedRunError
            Once `stopped` is set.
        """
        tries = 0
        while True:
            self.require_going()
            before = gained()
            try:
                return attempt()
            except TroubleError as trouble:
                trouble.attempts = tries = 1 if gained() - before >= GOOD_PROGRESS else tries + 1
                wait = trouble.wait
                if trouble.final or tries >= self.attempts or (wait or 0) > self.longest_obeyed:
                    raise
            usual = min(self.longest_wait, self.first_wait * 2.0 ** (tries - 1))
            self.stopped.wait(usual if wait is None else wait)

    def require_going(self) -> None:
        """Raise once `stopped` is set."""
        if self.stopped.is_set():
            raise InterruptedRunError
