"""How often and how long to try again when a server stumbles."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that a later attempt may not meet again."""

GOOD_PROGRESS = 1 << 20
"""Bytes an attempt must gain, in all, for the count of attempts to start afresh."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits of one address's attempts; waits double from `first_wait` up to `longest_wait`.

    A transfer that moves forward is never given up: the count starts afresh after every
    attempt that gained at least 1 MiB, so a long file may be cut off any number of times.
    """

    attempts: int = 5
    """Attempts in a row without progress before the next address is tried."""
    first_wait: float = 1.0
    """Seconds before the second attempt."""
    longest_wait: float = 60.0
    """Most seconds between attempts when the server names none."""
    longest_obeyed: float = 600.0
    """Most seconds a server's `Retry-After` is obeyed; a longer one ends the attempts."""
    connect_timeout: float = 15.0
    """Seconds to wait for a connection."""
    read_timeout: float = 60.0
    """Seconds to wait for the next bytes."""
    sleep: Callable[[float], None] = time.sleep
    """Waits; replaced in tests."""
    now: Callable[[], float] = time.time
    """Seconds since the epoch, to read a `Retry-After` that is a date."""

    @property
    def timeouts(self) -> tuple[float, float]:
        """Connect and read timeouts, seconds."""
        return self.connect_timeout, self.read_timeout


class PassingTroubleError(Exception):
    """Raised inside the stage when another attempt may succeed."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds the server asked for; None leaves it to `Patience`."""


class AddressFailedError(Exception):
    """Raised inside the stage when an address will not give the file."""


def persist(attempt: Callable[[], T], patience: Patience, gained: Callable[[], int]) -> T:
    """Return what `attempt` returns, repeating it while it raises `PassingTroubleError`.

    Parameters
    ----------
    attempt
        One attempt; it may raise `AddressFailedError` to end at once.
    patience
        The limits.
    gained
        Number of bytes held so far; growth by `GOOD_PROGRESS` renews the attempts.

    Raises
    ------
    AddressFailedError
        When the attempts are used up, or the server asks for too long a wait.
    """
    tries = 0
    while True:
        before = gained()
        try:
            return attempt()
        except PassingTroubleError as trouble:
            tries = 1 if gained() - before >= GOOD_PROGRESS else tries + 1
            wait = _wait(trouble, tries, patience)
            patience.sleep(wait)


def _wait(trouble: PassingTroubleError, tries: int, patience: Patience) -> float:
    if tries >= patience.attempts:
        message = f"{trouble} (after {tries} attempts)"
        raise AddressFailedError(message) from trouble
    if trouble.wait is None:
        return float(min(patience.longest_wait, patience.first_wait * 2 ** (tries - 1)))
    if trouble.wait > patience.longest_obeyed:
        message = f"{trouble}; the server asks to wait {trouble.wait:.0f} s"
        raise AddressFailedError(message) from trouble
    return trouble.wait


def retry_after(header: str | None, patience: Patience) -> float | None:
    """Return the seconds named by a `Retry-After` header (a number or a date), if any.

    Source: RFC 9110 section 10.2.3. A date in the past means no wait.
    """
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        date = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, date.timestamp() - patience.now())
