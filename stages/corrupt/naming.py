"""Names of suites: ``medimeta-c``, or ``medimeta-c@torch`` where another backend renders it.

Sets that were not rendered but imported are of the suite ``<name>@imported``, whatever the name.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, cast, get_args

from pipeline.manifest import unknown_name
from stages.vocabulary import IMPORTED

Backend: TypeAlias = Literal["native", "imagecorruptions", "torch"]
"""What renders a suite: our kernels, the package that they are compared with, or torch."""

BACKENDS: tuple[Backend, ...] = get_args(Backend)


def is_imported(suite: str) -> bool:
    """Return whether the sets of a suite of this name come from other people's files."""
    return suite.endswith(f"@{IMPORTED}")


def split_name(suite: str) -> tuple[str, Backend]:
    """Return the suite and the backend of a name such as ``medimeta-c@torch``.

    Raises
    ------
    UsageError
        If there is no such backend; the nearest is suggested.
    """
    base, _, backend = suite.partition("@")
    if (backend or "native") not in BACKENDS:
        raise unknown_name("backend", backend, BACKENDS)
    return base, cast("Backend", backend or "native")
