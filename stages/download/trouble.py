"""What can go wrong with an address, and which of it passes."""

from __future__ import annotations

import email.utils
from collections.abc import Callable
from typing import TypeVar

from pipeline.patience import Patience, TroubleError

T = TypeVar("T")

PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses that a later attempt may not meet again."""


class AddressFailedError(TroubleError):
    """Raised inside the stage when an address will not give the file."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, final=True)


def persist(
    attempt: Callable[[], T], patience: Patience, gained: Callable[[], int] = lambda: 0
) -> T:
    """Return what `attempt` returns, as patiently as `Patience.persist`.

    Raises
    ------
    AddressFailedError
        When it says so, the attempts are used up, or the server asks for too long a wait.
    """
    try:
        return patience.persist(attempt, gained)
    except AddressFailedError:
        raise
    except TroubleError as trouble:
        fate = f" (after {trouble.attempts} attempts)"
        if trouble.attempts < patience.attempts:
            fate = f"; the server asks to wait {trouble.wait:.0f} s"
        message = f"{trouble}{fate}"
        raise AddressFailedError(message) from trouble


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
